"""The single writer of one shard: takes what waits, matches it, commits all of it at once, then answers, then publishes.

Theory of operation
-------------------
* ``run_once`` is one group of commands and returns whether it did work; the thread around it only repeats it.
* Nobody is answered from memory the database does not have. After any database error the shard's row is read on a fresh
  connection: either the group committed all the same (answer it) or it did not (throw the memory away, recover).
* What was not carried out is answered so where the bus has forgotten it. A bus that *keeps* what it carries gives it again,
  from the place that the last commit wrote beside its rows: then nobody is answered, and it is carried out exactly once. So
  there every group commits its place, also one without any effect, and an engine that ends leaves the rest to the next.
* A command that makes the core or the database stumble hurts only itself: the group is taken again, one command at a
  time, and the one that stumbles alone is answered ``FAILED``. A failed assertion is a bug in the core: the shard stops.
* What is due by itself (an expiry, a lease, a phase change) is a command of nobody's, carried out before any other that comes
  at or after its moment, and by an idle engine when its moment has come.
"""

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic, sleep, time_ns
from typing import Protocol

from django.db import DatabaseError, DataError, IntegrityError, connection

from matching.commands import AdvanceTime
from matching.events import ACCEPTED
from matching.values import SECOND_US
from orders import status
from orders.bus.envelope import FAILED, UNAVAILABLE, Envelope, Outcome, Place
from orders.engine import telling
from orders.engine.attempt import Attempt, PoisonError, TimersFailed
from orders.engine.journal import Fenced, Journal
from orders.engine.recovery import Recovered, recover
from orders.engine.retrying import Terms, single
from orders.feed.publisher import Listener, Publisher
from orders.open_orders import OpenOrders

log = logging.getLogger(__name__)

# Commands in one group: bounds how long callers wait for each other (some tens of milliseconds of work).
MAX_GROUP_COMMANDS = 1_024
# How often an idle engine looks whether it should stop.
IDLE_SECONDS = 0.2
# Between two looks at a database that does not answer, and how long callers wait for the truth about their group: past
# that they have been told "unknown" anyway.
RETRY_SECONDS = 0.25
# A group that is refused again and again is tried that many times slower, at most.
MAX_RETRIES_SLOWER = 8


class EngineBus(Protocol):
    """What the loop needs of a bus. Where it ``keeps``, what was taken and not carried out comes again after ``rewind``."""

    keeps: bool

    @property
    def waiting_commands(self) -> int: ...
    def open(self) -> None: ...
    def close(self) -> list[Envelope]: ...
    def take(self, max_commands: int, timeout_seconds: float) -> list[Envelope]: ...
    def flush(self) -> None: ...
    def rewind(self, place: Place) -> None: ...


class EngineLoop:
    """One shard's engine between bus and database. Make it, ``recover()``, then ``run_once()`` again and again."""

    def __init__(
        self,
        shard_id: int,
        bus: EngineBus,
        listeners: list[Listener] | None = None,
        clock: Callable[[], int] = lambda: time_ns() // 1000,
        max_group_commands: int = MAX_GROUP_COMMANDS,
    ) -> None:
        self.shard_id = shard_id
        self.bus = bus
        self.clock = clock
        self.max_group_commands = max_group_commands
        self.status = status.shard_status(shard_id)
        self.stopping = False
        # Every command in a transaction of its own (of a bus that keeps them): the place then tells which one ends the process.
        self.one_by_one = False
        self.state: Recovered
        self.journal: Journal
        self.owned_epoch: int | None = None
        # When (monotonic) the loop was last seen to move: whoever watches over it takes one that does not for hung.
        self.moved_at = monotonic()
        # Times in a row that a group was not committed which a bus that keeps it gives again.
        self._failures = 0
        # Whether a state was thrown away whose memory is still taken.
        self._has_litter = False
        # The latest group, and whether its commit was begun: then an error leaves open whether it happened.
        self._attempt: Attempt
        self._is_committing = False
        self.publisher = Publisher(listeners or [], lambda account_id: self.journal.account_last_sequence(account_id))
        # Told the seconds each commit took, start of transaction to its end.
        self.on_commit: Callable[[int, float], None] = lambda commands, seconds: None

    def recover(self) -> None:
        """Load everything from the database and take commands. Raises whatever the database raises, or ``Fenced``."""
        self.load()
        self.become_open()

    def load(self, warm: OpenOrders | None = None) -> None:
        """Load everything from the database; ``warm`` as for ``recovery.recover``. Raises whatever the database raises.

        The epoch must be the one this engine began with: recovering into another's would make this one the owner of what
        it has lost. Raises ``Fenced``.
        """
        if self.status.state != status.STALLED:  # each try of a shard that stalls is no news
            self.status.become(status.RECOVERING)
        self._has_litter = hasattr(self, "state")
        self.state = recover(self.shard_id, warm)
        if self.owned_epoch not in (None, self.state.epoch):
            raise Fenced(f"shard {self.shard_id} is no longer at epoch {self.owned_epoch}")
        self.owned_epoch = self.state.epoch
        self.journal = Journal(self.shard_id, self.state.epoch, self.state.batch, self.state.last_sequence)
        self.publisher.reset(
            self.state.engine, self.state.last_sequence, self.state.book_sequences, self.state.trade_sequences
        )
        self.status.sequence = self.state.last_sequence

    def become_open(self) -> None:
        """Say what the shard takes."""
        mode = status.CANCEL_ONLY if self.state.cancel_only else status.OPEN
        self.status.become(mode, epoch=self.state.epoch)

    def run_once(self, timeout_seconds: float = IDLE_SECONDS) -> bool:
        """Carry out one group of what waits, or what is due where nothing does. Returns whether there was any."""
        group = self.bus.take(self.max_group_commands, self._seconds_to_wait(timeout_seconds))
        self.moved_at = monotonic()
        taken = [envelope for envelope in group if envelope.future.set_running_or_notify_cancel()]
        if not taken and self._is_due():
            taken = [self._reminder()]
        if not taken:
            return False
        try:
            self.process(taken)
        finally:
            self.bus.flush()
            if self._has_litter:
                self._sweep()
            self.moved_at = monotonic()
        return True

    def _sweep(self) -> None:
        """Free the books that a recovery has replaced: a web of cycles, and out of the collector's sight since it was frozen.

        Once the answers are out, and nothing (no traceback) refers to them any more.
        """
        self._has_litter = False
        del self._attempt
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _seconds_to_wait(self, timeout_seconds: float) -> float:
        """No longer than until something is due by itself."""
        left_us = self.state.engine.next_due - self.clock()
        return timeout_seconds if left_us >= timeout_seconds * SECOND_US else max(left_us, 0) / SECOND_US

    def _is_due(self) -> bool:
        return self.state.engine.next_due <= self.clock()

    def _reminder(self) -> Envelope:
        """The engine's own command: let what is due happen."""
        envelope = Envelope([AdvanceTime()], actor_id=None, received_at=self.clock())
        envelope.future.set_running_or_notify_cancel()
        return envelope

    def process(self, group: list[Envelope]) -> None:
        """Carry out a group and answer it, whatever happens."""
        if self.one_by_one:
            for envelope in group:
                if not self._commit_one_by_one(envelope, {}):
                    return
        else:
            self._commit(group)

    def _commit(self, group: list[Envelope], verdict: str = "") -> bool:
        """Carry out a group in one transaction; ``verdict`` as for ``Attempt``. Returns whether it was carried out.

        Where it was not, that is answered (or, by a bus that keeps it, the group comes again), and the engine stands as the
        database does.
        """
        started = monotonic()
        try:
            self._apply_durably(group, verdict)
        except Fenced as error:
            self._give_up(group, str(error))
            raise
        except (PoisonError, DataError, IntegrityError) as error:
            return self._isolate(group, error)
        except DatabaseError as error:
            return self._resolve(group, error)
        except BaseException:
            # A failed assertion, or worse: the memory is not to be trusted and nothing of the group is in the database.
            self._give_up(group, "the engine failed")
            raise
        self._settle(self._attempt)
        seconds = monotonic() - started
        self.on_commit(sum(len(envelope.commands) for envelope in group), seconds)
        telling.tell_unusual(self.shard_id, self._attempt, seconds)
        return True

    def _apply_durably(self, group: list[Envelope], verdict: str) -> None:
        """Match the group in memory and commit it. On any exception the memory must be thrown away."""
        self._is_committing = False
        attempt = self._attempt = Attempt(self.shard_id, self.state, self.clock(), group, verdict)
        try:
            with self.journal.transaction(attempt.place):
                attempt.match(self.journal)
                if attempt.is_empty:
                    raise _NothingToWrite
                if not attempt.batch.is_empty:
                    self.publisher.prepare(attempt.batch)
                    self.journal.write(attempt.batch, attempt.last_sequence, attempt.at)
                if attempt.cancel_only is not None:
                    self.journal.set_cancel_only(attempt.cancel_only)
                self._is_committing = True
        except _NothingToWrite:
            pass

    def _settle(self, attempt: Attempt) -> None:
        """The group is durable: remember, publish, answer.

        The message is handed to the hub first, which only queues it: so whoever reads the book after the answer sees it.
        """
        state = self.state
        self._failures = 0
        if self.status.state == status.STALLED:
            self.become_open()
        if not attempt.is_empty:
            self.journal.committed(attempt.last_sequence)
            state.place = attempt.place or state.place
        if not attempt.batch.is_empty:
            state.last_sequence = attempt.last_sequence
            state.at = attempt.at
            self.status.sequence = attempt.last_sequence
        if attempt.cancel_only is not None:
            state.cancel_only = attempt.cancel_only
            self.become_open()
            log.warning("shard %d: %s", self.shard_id, self.status.state)
        if attempt.batch.events:
            try:
                self.publisher.publish(attempt.batch, state.epoch, attempt.last_sequence, attempt.at)
            except Exception:
                log.exception("publishing failed; the tables are right, readers will find the gap")
        for envelope, outcomes in zip(attempt.group, attempt.outcomes, strict=True):
            envelope.future.set_result(outcomes)

    # When something goes wrong

    def _resolve(self, group: list[Envelope], error: Exception) -> bool:
        """The database failed somewhere between BEGIN and the answer to COMMIT: find out which, then go on.

        Returns whether the group was committed.
        """
        log.error(
            "shard %d: the database failed (%s); finding out whether the group was committed", self.shard_id, error
        )
        self.status.become(status.STALLED, status.NO_WRITES)
        attempt = self._attempt if self._is_committing else None
        while not self.stopping:
            self.moved_at = monotonic()
            try:
                happened = attempt is not None and self.journal.has_committed()
                if happened and attempt is not None:
                    self._settle(attempt)
                else:
                    connection.close()
                    self.load()
                self._failures = 0 if happened else self._failures + 1
                if self._failures > 1 and self.bus.keeps:
                    # The database answers and does not take writes (a full disk): nobody is told to come until it does.
                    sleep(min(self._failures, MAX_RETRIES_SLOWER) * RETRY_SECONDS)
                else:
                    self.become_open()
                self.bus.open()
                word = "committed" if happened else "not committed; nothing of it was carried out"
                log.error("shard %d: the group was %s", self.shard_id, word)
                if not happened:
                    self._give_back(group)
                return happened
            except DatabaseError as again:
                self._stall(again)
                sleep(RETRY_SECONDS)
        # Stopping while the database is away: the callers learn nothing, which is "unknown" for them, unless the bus keeps
        # the group for the next engine.
        return False

    def _stall(self, error: Exception) -> None:
        """The database cannot even be read: take nothing more, and tell those who wait that theirs was not begun."""
        log.error("shard %d: the database is away (%s)", self.shard_id, error)
        self.status.become(status.STALLED, status.NO_WRITES)
        if not self.bus.keeps:
            left = self.bus.close()
            self._send_home(envelope for envelope in left if envelope.future.set_running_or_notify_cancel())

    def _give_back(self, group: Iterable[Envelope]) -> None:
        """Nothing of these was carried out, and memory is as the database: they come again, or are told so."""
        if self.bus.keeps:
            self.bus.rewind(self.state.place)
        else:
            self._send_home(group)

    def _send_home(self, group: Iterable[Envelope]) -> None:
        """Answer that nothing was carried out. Not where the bus keeps it: whoever is next may carry it out yet."""
        if not self.bus.keeps:
            for envelope in group:
                _answer(envelope, [Outcome(UNAVAILABLE) for _ in envelope.commands])

    def _isolate(self, group: list[Envelope], error: Exception) -> bool:
        """Take a group that held a poison command again, one command at a time. Alone, it is the one that failed.

        Returns whether all of it was carried out.
        """
        extra = telling.named(group)
        log.error("shard %d: a command failed (%s); isolating it", self.shard_id, error, exc_info=error, extra=extra)
        accepted = {
            order_id: (price, quantity, None)
            for _, order_id, _, _, kind, price, quantity, *_ in self._attempt.batch.events
            if kind == ACCEPTED
        }
        terms: Terms = {**accepted, **self._attempt.terms}
        connection.close()
        try:
            self.recover()
        except DatabaseError as again:
            self._is_committing = False  # the commit, if it was begun, was refused
            return self._resolve(group, again)
        is_single = len(group) == 1 and len(group[0].commands) == 1
        if is_single and isinstance(group[0].commands[0], AdvanceTime):
            self._give_up(group, "what is due cannot be carried out")
            raise TimersFailed(str(error)) from error
        if is_single and not self._is_due():
            return self._commit(group, FAILED)
        left = deque(group)
        try:
            # First what nobody sent, so that it is not taken for a command's fault.
            goes_on = not self._is_due() or self._commit([self._reminder()]) or not self.bus.keeps
            while left and goes_on:
                goes_on = self._commit_one_by_one(left.popleft(), terms) or not self.bus.keeps
            return goes_on
        finally:
            self._send_home(left)

    def _commit_one_by_one(self, envelope: Envelope, terms: Terms) -> bool:
        """Returns whether all of it was carried out, as far as a bus that keeps it cares: else it comes again from there."""
        if not envelope.commands:
            return self._commit([envelope])
        singles = [single(envelope, index, terms) for index in range(len(envelope.commands))]
        begun: list[Envelope] = []
        carried_out = False
        try:
            for alone in singles:
                begun.append(alone)
                if envelope.place is not None:
                    is_last = alone is singles[-1]
                    alone.place = envelope.place if is_last else _next_place(self.state.place)
                carried_out = self._commit([alone])
                if self.bus.keeps and not carried_out:
                    break
        finally:
            # What was begun and has no answer is unknown, and so is its envelope: the sender waits in vain.
            if all(alone.future.done() for alone in begun) and (len(begun) == len(singles) or not self.bus.keeps):
                outcomes = [alone.future.result(0)[0] for alone in begun]
                _answer(envelope, outcomes + [Outcome(UNAVAILABLE)] * (len(singles) - len(begun)))
        return carried_out

    def _give_up(self, group: list[Envelope], why: str) -> None:
        self.status.become(status.STOPPED, why)
        self._send_home(group)


class _NothingToWrite(Exception):
    """Rolls back a transaction in which no command had an effect."""


def _next_place(place: Place) -> Place:
    """One command further."""
    return Place(place.entry_id, place.done + 1)


def _answer(envelope: Envelope, outcomes: list[Outcome]) -> None:
    if not envelope.future.done():
        envelope.future.set_result(outcomes)
