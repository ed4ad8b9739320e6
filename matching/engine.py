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
from matching.events import ACCEPTED, REJECTED, TRIGGERED, Event
from matching.events import CANCELED as ORDER_CANCELED
from matching.events import EXPIRED as ORDER_EXPIRED
from matching.funds import transfer
from matching.groups import Group, dissolve, follow, is_held, partner_of, place_group
from matching.invariants import check_engine
from matching.matcher import Matcher
from matching.order import Conditions, Order
from matching.phases import break_circuit, set_phase, set_schedule
from matching.restoring import restore
from matching.state import Account, Holding, Instrument
from matching.timers import RANK_PHASE, Reminder, advance, expire, rank_of, rearm, remind, set_lease
from matching.values import (
    CANCELED,
    CONTINUOUS,
    DAY,
    EXPIRED,
    FIRST_STOP,
    GTD,
    NEVER,
    NEW,
    NO_CANCEL,
    NO_REASON,
    PRICE_OFF_GRID,
    R_DAY,
    R_DUPLICATE_ORDER_ID,
    R_GTD,
    R_INVALID_COMMAND,
    R_LINKED_ORDER,
    R_ORDER_NOT_FOUND,
    R_POST_ONLY,
    R_RATE_LIMITED,
    R_TOO_LATE_TO_CANCEL,
    R_UNKNOWN_SYMBOL,
    TRAILING_STOP,
    UNTRIGGERED,
)
from matching.values import REJECTED as STATUS_REJECTED

if TYPE_CHECKING:
    from mypy_extensions import i64


@final
class Engine(Matcher):
    """One shard: ``instruments``, ``accounts``, open ``orders`` and live ``groups`` by id. Holdings are with their instrument.

    ``next_due`` is the earliest moment at which something is due by itself (``matching.values.NEVER``: nothing is).
    """

    __slots__ = ("accounts", "groups", "instruments", "next_due", "orders", "recent", "timers")

    def __init__(self) -> None:
        super().__init__()
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Account] = {}
        self.orders: dict[int, Order] = {}
        self.groups: dict[int, Group] = {}
        self.timers: list[Reminder] = []
        self.next_due: i64 = NEVER
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
        elif not isinstance(command, AdvanceTime | Order | Cancel | Amend):
            define_account(self, command)

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` where books, orders, accounts and holdings do not agree. For tests: slow."""
        check_engine(self)

    # What there is

    def account(self, account_id: i64) -> Account:
        """The account, made with default limits on first use: an account nobody limited needs no command."""
        found = self.accounts.get(account_id)
        if found is None:
            found = self.accounts[account_id] = Account(account_id)
        return found

    def holding(self, account_id: i64, instrument: Instrument) -> Holding:
        """What the account holds of the instrument, made on first use."""
        found = instrument.holdings.get(account_id)
        if found is None:
            found = instrument.holdings[account_id] = Holding(self.account(account_id), instrument)
        return found

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
        ):
            if not _is_sane(order):
                return self.refuse(R_INVALID_COMMAND)
            reason = refusal(instrument, holding, proposal(order))
            if reason == NO_REASON and not spend_message(account, at):
                reason = R_RATE_LIMITED
            if reason != NO_REASON:
                return self.reject(order, reason)
        if order.post_only and instrument.phase == CONTINUOUS and instrument.book.crosses(order.side, price):
            return self.reject(order, R_POST_ONLY)
        if order.conditions is not None:
            self.accept(instrument, order, at)
            self.start(instrument, order, at)
            self.watch(order)
            return self.settle(instrument, at)
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        order.priority = sequence
        kind: Any = ACCEPTED
        units: Any = quantity
        nothing: Any = 0
        self.events.append((kind, sequence, order, price, units, units, nothing, nothing, nothing, nothing))
        self.enter(instrument, order)
        if instrument.stops.waiting_count or self.followers or self.collared:
            self.settle(instrument, at)

    def reject(self, order: Order, reason: int) -> None:
        """Keep a refused order, ended at once."""
        order.canceled = order.quantity
        order.remaining = 0
        order.status = STATUS_REJECTED
        order.reason = reason
        self.happened(REJECTED, order, order.quantity, reason, 0)

    def accept(self, instrument: Instrument, order: Order, at: i64) -> None:
        """Take an order with conditions: a stop waits from here on, any other has yet to ``start``."""
        self.date(instrument, order, at)
        order.priority = self.next_sequence
        conditions = order.conditions
        assert conditions is not None
        if order.type >= FIRST_STOP:
            order.status = UNTRIGGERED
            self.orders[order.order_id] = order
            self.open(order)
            instrument.stops.add(order, instrument.last_price)
        self.happened(ACCEPTED, order, order.quantity, NO_REASON, conditions.stop_price)

    def start(self, instrument: Instrument, order: Order, at: i64) -> None:
        """Execute an accepted order, unless its time is over already. (A stop is executed once it is triggered.)"""
        conditions = order.conditions
        assert conditions is not None
        over = conditions.expires_at and conditions.expires_at <= at
        if order.type >= FIRST_STOP:
            if over:
                expire(self, order)
        elif over:
            self.finish(order, ORDER_EXPIRED, EXPIRED, R_DAY if order.time_in_force == DAY else R_GTD, 0)
        else:
            self.enter(instrument, order)

    def date(self, instrument: Instrument, order: Order, at: i64) -> None:
        """Look up when a day order ends."""
        if order.time_in_force == DAY:
            assert order.conditions is not None
            order.conditions.expires_at = instrument.session_end(at)

    def watch(self, order: Order) -> None:
        """Remember when an open order expires."""
        conditions = order.conditions
        if conditions is not None and conditions.expires_at and order.order_id in self.orders:
            remind(self, conditions.expires_at, rank_of(order), order.order_id)

    def watch_instrument(self, instrument: Instrument) -> None:
        """Remember when an instrument's next phase change is due."""
        due = instrument.next_due()
        if due != NEVER:
            remind(self, due, RANK_PHASE, instrument.instrument_id)

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
            if instrument is not None and instrument.phase == NO_CANCEL:
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

    def cancel_each(self, orders: list[Order], reason: int, at: i64) -> None:
        """Cancel open orders in order of priority, but for those in books that take no cancels; then let follow."""
        touched: set[int] = set()
        orders.sort(key=_priority)
        for order in orders:
            instrument = order.holding.instrument
            if instrument.phase != NO_CANCEL:
                self.cancel_open(instrument, order, reason)
                touched.add(order.instrument_id)
        for instrument_id in sorted(touched):
            self.settle(self.instruments[instrument_id], at)

    def cancel_open(self, instrument: Instrument, order: Order, reason: int) -> None:
        """Cancel an open order, wherever it is. The caller settles."""
        self.end_open(instrument, order, ORDER_CANCELED, CANCELED, reason)

    def end_open(self, instrument: Instrument, order: Order, kind: int, status: int, reason: int) -> None:
        """End an open order, wherever it is, with this event and status. The caller settles."""
        if order.status != UNTRIGGERED:
            instrument.book.remove(order)
            self.close(order)
            return self.finish(order, kind, status, reason, 1)
        self.unwait(instrument, order)
        self.finish(order, kind, status, reason, 0)

    def unwait(self, instrument: Instrument, order: Order) -> None:
        """An untriggered order waits no more: it leaves the stops, or is held no longer."""
        del self.orders[order.order_id]
        if is_held(order):
            order.holding.account.open_orders -= 1
        else:
            instrument.stops.remove(order)
            self.close(order)

    # What follows

    def settle(self, instrument: Instrument, at: i64) -> None:
        """Let follow what an execution caused: a broken circuit, linked orders, then stops one by one, until nothing does."""
        followers = self.followers
        stops = instrument.stops
        while True:
            if self.collared:
                self.collared = False
                break_circuit(self, instrument, at)
            done = 0
            while done < len(followers):
                follow(self, followers[done], at)
                done += 1
            followers.clear()
            if self.collared:
                continue
            last_price = instrument.last_price
            if not stops.waiting_count or not last_price:
                return
            stops.ratchet(last_price)
            if instrument.phase != CONTINUOUS:
                return
            order = stops.next_through(last_price)
            if order is None:
                return
            self._trigger(instrument, order, last_price)

    def _trigger(self, instrument: Instrument, order: Order, last_price: i64) -> None:
        """Fire a stop. The limit order it is paired with goes first: the two never rest in the book together."""
        partner = partner_of(order)
        if partner is not None:
            assert order.conditions is not None and order.conditions.group is not None
            dissolve(self, order.conditions.group)
            self.cancel_open(instrument, partner, R_LINKED_ORDER)
        self.unwait(instrument, order)
        order.status = NEW
        order.priority = self.next_sequence
        self.happened(TRIGGERED, order, order.remaining, NO_REASON, last_price)
        self.enter(instrument, order)

    def traded(self, kind: int, order: Order, price: i64, quantity: i64, other: i64) -> None:
        """Number one side of a trade that was not an incoming order's."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        self.events.append(
            (
                kind,
                sequence,
                order,
                price,
                quantity,
                order.remaining,
                order.filled,
                order.status,
                NO_REASON,
                other,
            )
        )


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


def _priority(order: Order) -> int:
    return order.priority
