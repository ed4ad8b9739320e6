"""One attempt at a group of commands: what becomes of it in memory, before it is durable.

On any exception the memory is thrown away, and the attempt with it.
"""

from matching.commands import AdvanceTime, Amend, Command, OrderGroup
from matching.order import Order
from matching.transit import AdoptInstrument
from matching.values import R_DUPLICATE_ORDER_ID
from orders.batch import Batch
from orders.bus.envelope import DONE, EXPIRED, FAILED, REFUSED, UNAVAILABLE, Envelope, Outcome, SetShardMode
from orders.engine.arrivals import arrival
from orders.engine.claims import Claimed, claimant, replay, wanted_ids
from orders.engine.journal import Journal
from orders.engine.recovery import Recovered
from orders.engine.retrying import Terms, remember

# What is not taken while only cancels are.
_NOT_CANCELS = (Order, OrderGroup, Amend)
# Outcomes of a command that leave its client order id free.
_NOT_PLACED = (REFUSED, FAILED, UNAVAILABLE)


class PoisonError(Exception):
    """A command at which the core or the database stumbled."""


class TimersFailed(Exception):
    """The core or the database stumbled at what was due by itself. No client sent that: the shard must stop."""


class Attempt:
    """A group as it is matched: ``outcomes`` by envelope, the ``batch`` of rows, and where the shard stands after it.

    ``verdict`` is the outcome of all of it without trying any (of a command that is known to fail), else "".
    """

    def __init__(self, shard_id: int, state: Recovered, now: int, group: list[Envelope], verdict: str = "") -> None:
        self.group = group
        self.outcomes: list[list[Outcome]] = []
        self.batch = Batch(shard_id, state.engine)
        self.at = max(now, state.at)
        self.last_sequence = state.last_sequence
        # Where the stream of commands stands then; None where none is kept.
        self.place = next((envelope.place for envelope in reversed(group) if envelope.place is not None), None)
        # The mode the shard is to have from now on; None where that is not its business.
        self.cancel_only: bool | None = None
        # What its commands had asked for, where the core may change it.
        self.terms: Terms = {}
        self._state = state
        self._engine = state.engine
        # Judged before anything is claimed: nothing of these envelopes is tried.
        self._verdicts = [
            verdict or (EXPIRED if envelope.deadline and now > envelope.deadline else "") for envelope in group
        ]
        self._claims = False
        self._not_placed: list[tuple[int, str]] = []

    @property
    def expired(self) -> list[Envelope]:
        """What had waited past its deadline."""
        return [envelope for envelope, verdict in zip(self.group, self._verdicts, strict=True) if verdict == EXPIRED]

    @property
    def is_empty(self) -> bool:
        """Whether the database need not know of it."""
        return self.batch.is_empty and self.place is None and self.cancel_only is None

    def match(self, journal: Journal) -> None:
        """Carry it out in memory. Inside the transaction, behind the fence: client order ids are claimed first."""
        for envelope in self.group:
            for command in envelope.commands:
                if isinstance(command, AdoptInstrument):
                    self._meet(command)
        self._engine.departed.clear()
        # The number before the next event's, which is the last that was given.
        self._engine.next_sequence = self.last_sequence + 1
        judged = list(zip(self.group, self._verdicts, strict=True))
        wanted = wanted_ids([envelope for envelope, verdict in judged if not verdict])
        self._claims = bool(wanted)
        known = journal.claim(wanted).known if wanted else {}
        for envelope, verdict in judged:
            outcomes: list[Outcome] = []
            self.outcomes.append(outcomes)
            for index, command in enumerate(envelope.commands):
                outcomes.append(
                    Outcome(verdict) if verdict else self._carry_out(command, envelope, index, wanted, known)
                )
        if self._not_placed:
            journal.unclaim(self._not_placed)
        self._state.tally.take(self.batch, self.at)
        self.last_sequence = self._engine.next_sequence - 1

    def _carry_out(self, command: Command, envelope: Envelope, index: int, wanted: Claimed, known: Claimed) -> Outcome:
        if isinstance(command, SetShardMode):
            self.cancel_only = command.cancel_only
            return Outcome(DONE)
        if self._engine.next_due <= self.at:
            self._advance(envelope)
        outcome = replay(command, envelope, index, wanted, known) if self._claims else None
        if outcome is not None:
            return outcome
        if self._state.cancel_only and isinstance(command, _NOT_CANCELS):
            outcome = Outcome(UNAVAILABLE)
        else:
            outcome = self._apply(envelope, index, command)
        if outcome.kind in _NOT_PLACED:
            order = claimant(command)
            if order is not None and order.client_order_id:
                key = (order.account_id, order.client_order_id)
                self._not_placed.append(key)
                wanted.pop(key, None)
        return outcome

    def _meet(self, command: AdoptInstrument) -> None:
        """Read what comes with an instrument. Time on this shard must not stand before its last event on the other."""
        found = arrival(command.instrument_id, self.batch.shard_id, self._state)
        if found is None:
            command.arrival = None
        else:
            command.arrival, moved_at = found
            self.at = max(self.at, moved_at + 1)

    def _advance(self, envelope: Envelope) -> None:
        """Let what is due happen before a command: then its events are told apart from the command's own."""
        engine = self._engine
        reminder = AdvanceTime()
        scheduled = [instrument.schedule[0][0] for instrument in engine.instruments.values() if instrument.schedule]
        try:
            events = engine.apply(engine.next_sequence, self.at, reminder)
        except Exception as error:
            raise TimersFailed(repr(error)) from error
        # A phase change that a halt outlasts is used up without an event.
        self.batch.time_advanced |= any(due <= self.at for due in scheduled)
        self.batch.record(reminder, events, self.at, envelope)

    def _apply(self, envelope: Envelope, index: int, command: Command) -> Outcome:
        engine = self._engine
        # A plain order is in its acceptance as it came: most commands are that.
        if not isinstance(command, Order) or command.conditions is not None:
            remember(command, self.terms)
        # An amend that is refused leaves no event, and yet may have been counted as a message.
        amended = engine.orders.get(command.order_id) if isinstance(command, Amend) else None
        counted = 0 if amended is None else amended.holding.account.rate_at
        try:
            events = engine.apply(engine.next_sequence, self.at, command)
        except AssertionError:
            raise
        except Exception as error:
            raise PoisonError(f"{type(command).__name__}: {error!r}") from error
        if amended is not None and amended.holding.account.rate_at != counted:
            self.batch.count_message(amended.holding.account)
        detail = envelope.details[index] if envelope.details else None
        outcome = self.batch.record(command, events, self.at, envelope, detail)
        if outcome.kind == REFUSED and outcome.reason == R_DUPLICATE_ORDER_ID:
            return Outcome(FAILED)
        return outcome
