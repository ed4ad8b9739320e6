"""The engine of one shard: applies commands one after the other and returns what happened, as numbered events.

Theory of operation
-------------------
* ``apply`` validates fully, then mutates. Until the first event is appended nothing has changed, so an exception up to
  there leaves the state as it was; after one past that point the state must be thrown away (the caller recovers it).
* The caller gives the next sequence number and the time; the engine numbers its events from there and leaves the number
  that follows in ``next_sequence``. A command that may not be ends its events with one ``COMMAND_REFUSED``, which takes no
  number; one that has nothing to do (no order matches, the phase is the same) has no event of its own.
* What is due by then happens before the command, in the same call: its events come first.
* A command is executed completely; then ``settle`` lets follow what it caused: linked orders first, then stops, one after the
  other, each executed completely, until nothing is left.
* Open orders live in ``orders``, by id: those that rest in books, the stops that wait beside them, held children of brackets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from matching.amending import amend
from matching.checks import proposal, refusal, spend_message
from matching.commands import (
    ANY,
    ANY_SIDE,
    AdvanceTime,
    Amend,
    Cancel,
    CancelAfter,
    CancelAll,
    Command,
    DefineInstrument,
    OrderGroup,
    SetPhase,
    SetSchedule,
    Transfer,
)
from matching.configuration import define_account, define_instrument
from matching.events import ACCEPTED, Event
from matching.executor import Executor
from matching.funds import transfer
from matching.groups import place_group
from matching.invariants import check_engine
from matching.moving import adopt_instrument, release_instrument
from matching.order import Conditions, Order
from matching.phases import set_phase, set_schedule
from matching.restoring import restore
from matching.state import Instrument
from matching.timers import advance, rearm, set_lease
from matching.transit import AdoptInstrument, ReleaseInstrument
from matching.values import (
    CONTINUOUS,
    DAY,
    FIRST_STOP,
    GTD,
    NO_CANCEL,
    NO_REASON,
    PRICE_OFF_GRID,
    R_DUPLICATE_ORDER_ID,
    R_INVALID_COMMAND,
    R_ORDER_NOT_FOUND,
    R_POST_ONLY,
    R_RATE_LIMITED,
    R_TOO_LATE_TO_CANCEL,
    R_UNKNOWN_SYMBOL,
    TRAILING_STOP,
)

if TYPE_CHECKING:
    from mypy_extensions import i64


@final
class Engine(Executor):
    """One shard: give it commands, take the events."""

    __slots__ = ("recent",)

    def __init__(self) -> None:
        super().__init__()
        # Whose order came last: the next one is mostly of the same instrument.
        self.recent: Instrument | None = None

    def apply(self, next_sequence: i64, at: i64, command: Command) -> list[Event]:
        """Apply one command at time ``at`` (microseconds since 1970, never going back) and return its events."""
        events: list[Event] = []
        self.events = events
        self.next_sequence = next_sequence
        if at >= self.next_due:
            advance(self, at)
        if isinstance(command, Order):
            self._place(command, at)
        elif isinstance(command, Cancel):
            self._cancel(command, at)
        elif isinstance(command, Amend):
            amend(self, command, at)
        else:
            self._apply_rare(command, at)
        return events

    def _apply_rare(self, command: Command, at: i64) -> None:
        if isinstance(command, CancelAll):
            self._cancel_all(command, at)
        elif isinstance(command, OrderGroup):
            place_group(self, command, at)
        elif isinstance(command, CancelAfter):
            set_lease(self, command, at)
        elif isinstance(command, SetPhase):
            set_phase(self, command, at)
        elif isinstance(command, SetSchedule):
            set_schedule(self, command, at)
        elif isinstance(command, DefineInstrument):
            define_instrument(self, command)
        elif isinstance(command, Transfer):
            transfer(self, command)
        elif isinstance(command, ReleaseInstrument):
            self.recent = None
            release_instrument(self, command)
        elif isinstance(command, AdoptInstrument):
            adopt_instrument(self, command)
        elif not isinstance(command, AdvanceTime | Order | Cancel | Amend):
            define_account(self, command)

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` where books, orders, accounts and holdings do not agree. For tests: slow."""
        check_engine(self)

    def restore(self, orders: list[Order]) -> None:
        """Put the saved open orders of one instrument back, in order of priority (``matching.restoring``)."""
        restore(self, orders)

    def rearm(self) -> None:
        """Set the timers once everything is restored."""
        rearm(self)

    # Placing

    def _place(self, order: Order, at: i64) -> None:
        instrument = self.recent
        if instrument is None or instrument.instrument_id != order.instrument_id:
            instrument = self.instruments.get(order.instrument_id)
            if instrument is None:
                return self.refuse(R_UNKNOWN_SYMBOL)
            self.recent = instrument
        if order.order_id in self.orders:
            return self.refuse(R_DUPLICATE_ORDER_ID)
        holding = instrument.holdings.get(order.account_id)
        if holding is None:
            holding = self.holding(order.account_id, instrument)
        order.holding = holding
        order.created_at = at
        account = holding.account
        quantity = order.quantity
        price = order.price
        # Nearly every order passes this quick test; only where it does not, the ladder is asked for the reason.
        if not (
            order.conditions is None
            and order.time_in_force < DAY
            and instrument.plain
            and account.plain
            and account.open_orders < account.max_open_orders
            and instrument.min_quantity <= quantity <= instrument.max_quantity
            and not quantity % instrument.quantity_step
            and not price % instrument.price_tick
            and not order.off_grid
        ) and not self._passes(instrument, order, at):
            return
        if order.post_only and instrument.phase == CONTINUOUS and instrument.book.crosses(order.side, price):
            return self.reject(order, R_POST_ONLY)
        if order.conditions is not None:
            self.accept(instrument, order, at)
            self.start(instrument, order, at)
            self.watch(order)
            return self.settle(instrument, at)
        self._accept_plain(order)
        self.enter(instrument, order)
        if instrument.stops.waiting_count or self.followers or self.collared:
            self.settle(instrument, at)

    def _passes(self, instrument: Instrument, order: Order, at: i64) -> bool:
        """Climb the whole ladder of checks. Returns whether the order may go on; if not, it has been told why."""
        if not _is_sane(order):
            self.refuse(R_INVALID_COMMAND)
            return False
        reason = refusal(instrument, order.holding, proposal(order))
        if reason != NO_REASON:
            self.reject(order, reason)
            return False
        if not spend_message(order.holding.account, at):
            # Not kept: the same order may come again, under the same client order id.
            self.refuse(R_RATE_LIMITED)
            return False
        return True

    def _accept_plain(self, order: Order) -> None:
        """Number the acceptance of an order without conditions, and give it its place."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        order.priority = sequence
        kind: Any = ACCEPTED
        units: Any = order.quantity
        nothing: Any = 0
        self.events.append((kind, sequence, order, order.price, units, units, nothing, nothing, nothing, nothing))

    # Canceling

    def _cancel(self, command: Cancel, at: i64) -> None:
        order = self.orders.get(command.order_id)
        if order is None or (command.account_id != ANY and order.account_id != command.account_id):
            return self.refuse(R_ORDER_NOT_FOUND)
        instrument = order.holding.instrument
        if instrument.phase == NO_CANCEL:
            return self.refuse(R_TOO_LATE_TO_CANCEL)
        if order.conditions is None:
            return self.cancel_resting(instrument, order, command.reason)
        self.cancel_open(instrument, order, command.reason)
        self.settle(instrument, at)

    def _cancel_all(self, command: CancelAll, at: i64) -> None:
        """One pass over the open orders; for an account without any, none. Canceled in order of priority."""
        account_id = command.account_id
        if command.instrument_id != ANY:
            instrument = self.instruments.get(command.instrument_id)
            if instrument is None:
                return self.refuse(R_UNKNOWN_SYMBOL)
            if instrument.phase == NO_CANCEL:
                return self.refuse(R_TOO_LATE_TO_CANCEL)
        if account_id != ANY:
            account = self.accounts.get(account_id)
            if account is None or not account.open_orders:
                return
        found = [
            order
            for order in self.orders.values()
            if (account_id == ANY or order.account_id == account_id)
            and (command.instrument_id == ANY or order.instrument_id == command.instrument_id)
            and (command.side == ANY_SIDE or order.side == command.side)
        ]
        self.cancel_each(found, command.reason, at)


def _is_sane(order: Order) -> bool:
    """Whether an order has what its type and time in force need; the doors build no other. May give it conditions."""
    conditions = order.conditions
    if conditions is None:
        if order.time_in_force == DAY:
            order.conditions = Conditions()
        return order.type < FIRST_STOP and order.time_in_force != GTD
    if order.time_in_force == GTD and conditions.expires_at < 1:
        return False
    if conditions.group_id or conditions.role:
        return False
    if order.off_grid & PRICE_OFF_GRID:
        # What units could not hold is 0 here: the ladder refuses it, and the refusal is kept.
        return True
    if order.type == TRAILING_STOP:
        return (conditions.trail > 0) != (conditions.trail_bps > 0)
    return order.type < FIRST_STOP or conditions.stop_price > 0
