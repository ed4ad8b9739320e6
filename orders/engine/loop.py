"""The single writer of one shard: takes what waits, matches it, commits all of it at once, then answers, then publishes.

Theory of operation
-------------------
* ``run_once`` is one group of commands and returns whether it did work; the thread around it only repeats it.
* Nobody is answered from memory the database does not have. After any database error the shard's row is read on a fresh
  connection: either the group committed all the same (answer it) or it did not (throw the memory away, recover, tell the
  callers that nothing was carried out).
* A command that makes the core or the database stumble hurts only itself: the group is taken again, one command at a
  time, and the one that stumbles alone is answered ``FAILED``. A failed assertion is a bug in the core: the shard stops.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep, time_ns

from django.db import DatabaseError, DataError, IntegrityError, connection

from matching.commands import Command
from matching.events import ACCEPTED
from matching.order import Order
from matching.values import R_DUPLICATE_ORDER_ID
from orders import status
from orders.batch import Batch
from orders.bus.envelope import CONFLICT, EXPIRED, FAILED, REFUSED, REPLAYED, UNAVAILABLE, Envelope, Outcome
from orders.bus.memory import MemoryBus
from orders.engine.journal import Fenced, Journal
from orders.engine.recovery import Recovered, recover
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
        self.publisher = Publisher(listeners or [], lambda account_id: self.journal.account_last_sequence(account_id))
        # Told the seconds each commit took, start of transaction to its end.
        self.on_commit: Callable[[int, float], None] = lambda commands, seconds: None

    def recover(self) -> None:
        """Load everything from the database. Raises whatever the database raises.

        The epoch must be the one this engine began with: recovering into another's would make this one the owner of what
        it has lost. Raises ``Fenced``.
        """
        self.status.state = status.RECOVERING
        self.state = recover(self.shard_id)
        if self.owned_epoch not in (None, self.state.epoch):
            raise Fenced(f"shard {self.shard_id} is no longer at epoch {self.owned_epoch}")
        self.owned_epoch = self.state.epoch
        self.journal = Journal(self.shard_id, self.state.epoch, self.state.batch, self.state.last_sequence)
        self.publisher.reset(self.state.book_sequences, self.state.trade_sequences)
        self.status.epoch = self.state.epoch
        self.status.sequence = self.state.last_sequence
        self.status.state = status.OPEN
        self.status.detail = ""

    def run_once(self, timeout_seconds: float = IDLE_SECONDS) -> bool:
        """Carry out one group of what waits. Returns whether there was any."""
        group = self.bus.take(self.max_group_commands, timeout_seconds)
        taken = [envelope for envelope in group if envelope.future.set_running_or_notify_cancel()]
        if not taken:
            return False
        self.process(taken)
        return True

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
        if applied.last_sequence != self.state.last_sequence:
            self.journal.committed(applied.last_sequence)
            self.state.last_sequence = applied.last_sequence
            self.state.at = applied.at
            self.status.sequence = applied.last_sequence
            try:
                self.publisher.publish(applied.batch, self.state.epoch, applied.last_sequence, applied.at)
            except Exception:
                log.exception("publishing failed; the tables are right, readers will find the gap")
        for envelope, outcomes in zip(group, applied.outcomes, strict=True):
            _answer(envelope, outcomes)

    # Applying

    def _apply_durably(self, group: list[Envelope]) -> Applied:
        """Match the group in memory and commit it. On any exception the memory must be thrown away."""
        self._pending = None
        wanted = _wanted_ids(group)
        try:
            with self.journal.transaction():
                known = self.journal.claim(wanted).known if wanted else {}
                applied = self._apply(group, wanted, known)
                if applied.last_sequence == self.state.last_sequence:
                    raise _NothingToWrite(applied)
                self.publisher.prepare(applied.batch)
                self.journal.write(applied.batch, applied.last_sequence, applied.at)
                self._pending = applied
        except _NothingToWrite as nothing:
            return nothing.applied
        return applied

    def _apply(
        self,
        group: list[Envelope],
        wanted: dict[tuple[int, str], tuple[int, bytes]],
        known: dict[tuple[int, str], tuple[int, bytes]],
    ) -> Applied:
        at = max(self.clock(), self.state.at)
        batch = self._batch = Batch(self.shard_id, self.state.engine)
        sequence = self.state.last_sequence + 1
        outcomes = []
        not_placed: list[tuple[int, str]] = []
        for envelope in group:
            results = []
            for index, command in enumerate(envelope.commands):
                outcome = _replay(command, envelope, index, wanted, known)
                if outcome is None:
                    outcome = self._apply_one(command, envelope, index, sequence, at, batch)
                    sequence = self.state.engine.next_sequence
                    if outcome.kind in (REFUSED, FAILED) and isinstance(command, Order) and command.client_order_id:
                        not_placed.append((command.account_id, command.client_order_id))
                results.append(outcome)
            outcomes.append(results)
        if not_placed:
            self.journal.unclaim(not_placed)
        return Applied(outcomes, batch, sequence - 1, at)

    def _apply_one(
        self, command: Command, envelope: Envelope, index: int, sequence: int, at: int, batch: Batch
    ) -> Outcome:
        try:
            events = self.state.engine.apply(sequence, at, command)
        except AssertionError:
            raise
        except Exception as error:
            raise PoisonError(f"{type(command).__name__}: {error!r}") from error
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
        self.status.state = status.STALLED
        self.status.detail = str(error)[:200]
        pending = self._pending
        while not self.stopping:
            try:
                committed = pending is not None and self.journal.has_committed()
                if committed:
                    assert pending is not None
                    self._settle(group, pending)
                    self.status.state = status.OPEN
                    self.status.detail = ""
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
        self.status.state = status.STALLED
        self.status.detail = str(error)[:200]
        for envelope in self.bus.close():
            if envelope.future.set_running_or_notify_cancel():
                _answer(envelope, [Outcome(UNAVAILABLE) for _ in envelope.commands])

    def _isolate(self, group: list[Envelope], error: Exception) -> None:
        """Take a group that held a poison command again, one command at a time. Alone, it is the one refused."""
        log.error("shard %d: a command failed (%s); isolating it", self.shard_id, error, exc_info=error)
        terms = {row.order_id: (row.price, row.quantity) for row in self._batch.events if row.kind == ACCEPTED}
        connection.close()
        self.recover()
        if len(group) == 1 and len(group[0].commands) == 1:
            _answer_all(group, Outcome(FAILED))
            return
        for envelope in group:
            singles = [_single(envelope, index, terms) for index in range(len(envelope.commands))]
            for single in singles:
                self._commit([single])
            _answer(envelope, [single.future.result(0)[0] for single in singles])

    def _give_up(self, group: list[Envelope], why: str) -> None:
        self.status.state = status.STOPPED
        self.status.detail = why
        _answer_all(group, Outcome(UNAVAILABLE))


class _NothingToWrite(Exception):
    """Rolls back a transaction in which no command had an effect."""

    def __init__(self, applied: Applied) -> None:
        self.applied = applied


def _wanted_ids(group: list[Envelope]) -> dict[tuple[int, str], tuple[int, bytes]]:
    """(account, client order id) -> (order id, fingerprint) of the group's new orders; the first of equals counts."""
    wanted: dict[tuple[int, str], tuple[int, bytes]] = {}
    for envelope in group:
        if envelope.fingerprints is None:
            continue
        for command, fingerprint in zip(envelope.commands, envelope.fingerprints, strict=True):
            if fingerprint is not None and isinstance(command, Order):
                wanted.setdefault((command.account_id, command.client_order_id), (command.order_id, fingerprint))
    return wanted


def _replay(
    command: Command,
    envelope: Envelope,
    index: int,
    wanted: dict[tuple[int, str], tuple[int, bytes]],
    known: dict[tuple[int, str], tuple[int, bytes]],
) -> Outcome | None:
    """The outcome of an order whose client order id belongs to another already (in the tables or in this group)."""
    if envelope.fingerprints is None or not isinstance(command, Order):
        return None
    fingerprint = envelope.fingerprints[index]
    if fingerprint is None:
        return None
    key = (command.account_id, command.client_order_id)
    order_id, theirs = known.get(key) or wanted[key]
    if order_id == command.order_id:
        return None
    return Outcome(REPLAYED if theirs == fingerprint else CONFLICT, order_id=order_id)


def _single(envelope: Envelope, index: int, terms: dict[int, tuple[int, int]]) -> Envelope:
    """One command of an envelope as an envelope of its own; a new order as it was when it came."""
    command = envelope.commands[index]
    single = Envelope(
        [_as_it_came(command, terms) if isinstance(command, Order) else command],
        actor_id=envelope.actor_id,
        received_at=envelope.received_at,
        deadline=envelope.deadline,
        fingerprints=[envelope.fingerprints[index]] if envelope.fingerprints else None,
        details=[envelope.details[index]] if envelope.details else None,
    )
    single.future.set_running_or_notify_cancel()
    return single


def _as_it_came(order: Order, terms: dict[int, tuple[int, int]]) -> Order:
    """An untouched copy of a new order. ``terms`` has price and quantity of those that were accepted, then perhaps amended."""
    price, quantity = terms.get(order.order_id, (order.price, order.quantity))
    return Order(
        order.order_id,
        order.account_id,
        order.instrument_id,
        order.side,
        price,
        quantity,
        order.type,
        order.time_in_force,
        order.self_trade_prevention,
        order.post_only,
        order.client_order_id,
        order.off_grid,
    )


def _answer(envelope: Envelope, outcomes: list[Outcome]) -> None:
    if not envelope.future.done():
        envelope.future.set_result(outcomes)


def _answer_all(group: list[Envelope], outcome: Outcome) -> None:
    for envelope in group:
        _answer(envelope, [outcome for _ in envelope.commands])
