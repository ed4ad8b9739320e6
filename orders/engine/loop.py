"""The single writer of one shard: takes what waits, matches it, commits all of it at once, then answers, then publishes.

Theory of operation
-------------------
* ``run_once`` is one group of commands and returns whether it did work; the thread around it only repeats it.
* Nobody is answered from memory the database does not have. After any database error the shard's row is read on a fresh
  connection: either the group committed all the same (answer it) or it did not (throw the memory away, recover, tell the
  callers that nothing was carried out).
* A command that makes the core or the database stumble hurts only itself: the group is taken again, one command at a
  time, and the one that stumbles alone is answered ``FAILED``. A failed assertion is a bug in the core: the shard stops.
* What is due by itself (an expiry, a lease, a phase change) is a command of nobody's, carried out before any other that comes
  at or after its moment, and by an idle engine when its moment has come.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic, sleep, time_ns

from django.db import DatabaseError, DataError, IntegrityError, connection

from matching.commands import AdvanceTime, Amend, Command
from matching.events import ACCEPTED
from matching.values import R_DUPLICATE_ORDER_ID, SECOND_US
from orders import status
from orders.batch import Batch
from orders.bus.envelope import EXPIRED, FAILED, REFUSED, UNAVAILABLE, Envelope, Outcome
from orders.bus.memory import MemoryBus
from orders.engine.claims import Claimed, claimant, replay, wanted_ids
from orders.engine.journal import Fenced, Journal
from orders.engine.recovery import Recovered, recover
from orders.engine.retrying import Terms, remember, single
from orders.feed.publisher import Listener, Publisher

log = logging.getLogger(__name__)

# Commands in one group: bounds how long callers wait for each other (some tens of milliseconds of work).
MAX_GROUP_COMMANDS = 1_024
# How often an idle engine looks whether it should stop.
IDLE_SECONDS = 0.2
# Between two looks at a database that does not answer, and how long callers wait for the truth about their group: past
# that they have been told "unknown" anyway.
RETRY_SECONDS = 0.25


class PoisonError(Exception):
    """A command at which the core or the database stumbled."""


class TimersFailed(Exception):
    """The core or the database stumbled at what was due by itself. No client sent that: the shard must stop."""


@dataclass(slots=True)
class Applied:
    """A group that is in memory: its outcomes by envelope, and where the shard stands after it."""

    outcomes: list[list[Outcome]]
    batch: Batch
    last_sequence: int
    at: int


class EngineLoop:
    """One shard's engine between bus and database. Make it, ``recover()``, then ``run_once()`` again and again."""

    def __init__(
        self,
        shard_id: int,
        bus: MemoryBus,
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
        self.state: Recovered
        self.journal: Journal
        self.owned_epoch: int | None = None
        self._pending: Applied | None = None
        self._batch: Batch
        # What the commands of the running group had asked for, where the core may change it.
        self._terms: Terms = {}
        self.publisher = Publisher(listeners or [], lambda account_id: self.journal.account_last_sequence(account_id))
        # Told the seconds each commit took, start of transaction to its end.
        self.on_commit: Callable[[int, float], None] = lambda commands, seconds: None

    def recover(self) -> None:
        """Load everything from the database. Raises whatever the database raises.

        The epoch must be the one this engine began with: recovering into another's would make this one the owner of what
        it has lost. Raises ``Fenced``.
        """
        if self.status.state != status.STALLED:  # each try of a shard that stalls is no news
            self.status.become(status.RECOVERING)
        self.state = recover(self.shard_id)
        if self.owned_epoch not in (None, self.state.epoch):
            raise Fenced(f"shard {self.shard_id} is no longer at epoch {self.owned_epoch}")
        self.owned_epoch = self.state.epoch
        self.journal = Journal(self.shard_id, self.state.epoch, self.state.batch, self.state.last_sequence)
        self.publisher.reset(
            self.state.engine, self.state.last_sequence, self.state.book_sequences, self.state.trade_sequences
        )
        self.status.sequence = self.state.last_sequence
        self.status.become(status.OPEN, epoch=self.state.epoch)

    def run_once(self, timeout_seconds: float = IDLE_SECONDS) -> bool:
        """Carry out one group of what waits, or what is due where nothing does. Returns whether there was any."""
        group = self.bus.take(self.max_group_commands, self._seconds_to_wait(timeout_seconds))
        taken = [envelope for envelope in group if envelope.future.set_running_or_notify_cancel()]
        if not taken and self._is_due():
            taken = [self._reminder()]
        if not taken:
            return False
        self.process(taken)
        return True

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
        now = self.clock()
        live = []
        for envelope in group:
            if envelope.deadline and now > envelope.deadline:
                _answer(envelope, [Outcome(EXPIRED) for _ in envelope.commands])
            else:
                live.append(envelope)
        if live:
            self._commit(live)

    def _commit(self, group: list[Envelope]) -> None:
        started = monotonic()
        try:
            applied = self._apply_durably(group)
        except Fenced as error:
            self._give_up(group, str(error))
            raise
        except (PoisonError, DataError, IntegrityError) as error:
            self._isolate(group, error)
            return
        except DatabaseError as error:
            self._resolve(group, error)
            return
        except BaseException:
            # A failed assertion, or worse: the memory is not to be trusted and nothing of the group is in the database.
            self._give_up(group, "the engine failed")
            raise
        self._settle(group, applied)
        self.on_commit(sum(len(envelope.commands) for envelope in group), monotonic() - started)

    def _settle(self, group: list[Envelope], applied: Applied) -> None:
        """The group is durable: remember, publish, answer.

        The message is handed to the hub first, which only queues it: so whoever reads the book after the answer sees it.
        """
        if not applied.batch.is_empty:
            self.journal.committed(applied.last_sequence)
            self.state.last_sequence = applied.last_sequence
            self.state.at = applied.at
            self.status.sequence = applied.last_sequence
        if applied.batch.events:
            try:
                self.publisher.publish(applied.batch, self.state.epoch, applied.last_sequence, applied.at)
            except Exception:
                log.exception("publishing failed; the tables are right, readers will find the gap")
        for envelope, outcomes in zip(group, applied.outcomes, strict=True):
            envelope.future.set_result(outcomes)

    # Applying

    def _apply_durably(self, group: list[Envelope]) -> Applied:
        """Match the group in memory and commit it. On any exception the memory must be thrown away."""
        self._pending = None
        wanted = wanted_ids(group)
        try:
            with self.journal.transaction():
                known = self.journal.claim(wanted).known if wanted else {}
                applied = self._apply(group, wanted, known)
                if applied.batch.is_empty:
                    raise _NothingToWrite(applied)
                self.publisher.prepare(applied.batch)
                self.journal.write(applied.batch, applied.last_sequence, applied.at)
                self._pending = applied
        except _NothingToWrite as nothing:
            return nothing.applied
        return applied

    def _apply(self, group: list[Envelope], wanted: Claimed, known: Claimed) -> Applied:
        at = max(self.clock(), self.state.at)
        engine = self.state.engine
        batch = self._batch = Batch(self.shard_id, engine)
        self._terms = {}
        # The number before the next event's, which is the last that was given.
        engine.next_sequence = self.state.last_sequence + 1
        outcomes = []
        not_placed: list[tuple[int, str]] = []
        for envelope in group:
            results = []
            for index, command in enumerate(envelope.commands):
                if engine.next_due <= at:
                    self._advance(envelope, at, batch)
                outcome = replay(command, envelope, index, wanted, known) if wanted else None
                if outcome is None:
                    outcome = self._apply_one(command, envelope, index, at, batch)
                    if outcome.kind in (REFUSED, FAILED):
                        order = claimant(command)
                        if order is not None and order.client_order_id:
                            not_placed.append((order.account_id, order.client_order_id))
                results.append(outcome)
            outcomes.append(results)
        if not_placed:
            self.journal.unclaim(not_placed)
        self.state.tally.take(batch, at)
        return Applied(outcomes, batch, engine.next_sequence - 1, at)

    def _advance(self, envelope: Envelope, at: int, batch: Batch) -> None:
        """Let what is due happen before a command: then its events are told apart from the command's own."""
        engine = self.state.engine
        reminder = AdvanceTime()
        scheduled = [instrument.schedule[0][0] for instrument in engine.instruments.values() if instrument.schedule]
        try:
            events = engine.apply(engine.next_sequence, at, reminder)
        except Exception as error:
            raise TimersFailed(repr(error)) from error
        # A phase change that a halt outlasts is used up without an event.
        batch.time_advanced |= any(due <= at for due in scheduled)
        batch.record(reminder, events, at, envelope)

    def _apply_one(self, command: Command, envelope: Envelope, index: int, at: int, batch: Batch) -> Outcome:
        engine = self.state.engine
        remember(command, self._terms)
        # An amend that is refused leaves no event, and yet may have been counted as a message.
        amended = engine.orders.get(command.order_id) if isinstance(command, Amend) else None
        counted = 0 if amended is None else amended.holding.account.rate_at
        try:
            events = engine.apply(engine.next_sequence, at, command)
        except AssertionError:
            raise
        except Exception as error:
            raise PoisonError(f"{type(command).__name__}: {error!r}") from error
        if amended is not None and amended.holding.account.rate_at != counted:
            batch.count_message(amended.holding.account)
        detail = envelope.details[index] if envelope.details else None
        outcome = batch.record(command, events, at, envelope, detail)
        if outcome.kind == REFUSED and outcome.reason == R_DUPLICATE_ORDER_ID:
            return Outcome(FAILED)
        return outcome

    # When something goes wrong

    def _resolve(self, group: list[Envelope], error: Exception) -> None:
        """The database failed somewhere between BEGIN and the answer to COMMIT: find out which, then go on."""
        log.error(
            "shard %d: the database failed (%s); finding out whether the group was committed", self.shard_id, error
        )
        self.status.become(status.STALLED, str(error)[:200])
        pending = self._pending
        while not self.stopping:
            try:
                committed = pending is not None and self.journal.has_committed()
                if committed:
                    assert pending is not None
                    self._settle(group, pending)
                    self.status.become(status.OPEN)
                    self.bus.open()
                    log.error("shard %d: the group was committed", self.shard_id)
                else:
                    connection.close()
                    self.recover()
                    self.bus.open()
                    log.error("shard %d: the group was not committed; nothing of it was carried out", self.shard_id)
                    _answer_all(group, Outcome(UNAVAILABLE))
                return
            except DatabaseError as again:
                self._stall(again)
                sleep(RETRY_SECONDS)
        # Stopping while the database is away: the callers learn nothing, which is "unknown" for them.

    def _stall(self, error: Exception) -> None:
        """The database cannot even be read: take nothing more, and tell those who wait that theirs was not begun."""
        log.error("shard %d: the database is away (%s)", self.shard_id, error)
        self.status.become(status.STALLED, str(error)[:200])
        for envelope in self.bus.close():
            if envelope.future.set_running_or_notify_cancel():
                _answer(envelope, [Outcome(UNAVAILABLE) for _ in envelope.commands])

    def _isolate(self, group: list[Envelope], error: Exception) -> None:
        """Take a group that held a poison command again, one command at a time. Alone, it is the one refused."""
        extra = _named(group)
        log.error("shard %d: a command failed (%s); isolating it", self.shard_id, error, exc_info=error, extra=extra)
        accepted = {
            order_id: (price, quantity, None)
            for _, order_id, _, _, kind, price, quantity, *_ in self._batch.events
            if kind == ACCEPTED
        }
        terms: Terms = {**accepted, **self._terms}
        connection.close()
        self.recover()
        is_single = len(group) == 1 and len(group[0].commands) == 1
        if is_single and isinstance(group[0].commands[0], AdvanceTime):
            self._give_up(group, "what is due cannot be carried out")
            raise TimersFailed(str(error)) from error
        if is_single and not self._is_due():
            _answer_all(group, Outcome(FAILED))
            return
        left = deque(group)
        try:
            if self._is_due():
                # First what nobody sent, so that it is not taken for a command's fault.
                self._commit([self._reminder()])
            while left:
                self._commit_one_by_one(left.popleft(), terms)
        finally:
            _answer_all(left, Outcome(UNAVAILABLE))

    def _commit_one_by_one(self, envelope: Envelope, terms: Terms) -> None:
        singles = [single(envelope, index, terms) for index in range(len(envelope.commands))]
        begun: list[Envelope] = []
        try:
            for alone in singles:
                begun.append(alone)
                self._commit([alone])
        finally:
            # What was begun and has no answer is unknown, and so is its envelope: the sender waits in vain.
            if all(alone.future.done() for alone in begun):
                outcomes = [alone.future.result(0)[0] for alone in begun]
                _answer(envelope, outcomes + [Outcome(UNAVAILABLE)] * (len(singles) - len(begun)))

    def _give_up(self, group: list[Envelope], why: str) -> None:
        self.status.become(status.STOPPED, why)
        _answer_all(group, Outcome(UNAVAILABLE))


class _NothingToWrite(Exception):
    """Rolls back a transaction in which no command had an effect."""

    def __init__(self, applied: Applied) -> None:
        self.applied = applied


def _named(group: list[Envelope]) -> dict[str, object]:
    """What a line of the log says of the one command of a group; nothing where there are several."""
    if len(group) > 1 or len(group[0].commands) > 1:
        return {}
    command = group[0].commands[0]
    return {"command": type(command).__name__, "order_id": getattr(command, "order_id", None)}


def _answer(envelope: Envelope, outcomes: list[Outcome]) -> None:
    if not envelope.future.done():
        envelope.future.set_result(outcomes)


def _answer_all(group: Iterable[Envelope], outcome: Outcome) -> None:
    for envelope in group:
        _answer(envelope, [outcome for _ in envelope.commands])
