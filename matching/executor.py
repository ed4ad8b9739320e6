"""The steps that commands, timers and groups have in common: accepting an order, ending one wherever it is, letting follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.events import ACCEPTED, REJECTED, TRIGGERED
from matching.events import CANCELED as ORDER_CANCELED
from matching.events import EXPIRED as ORDER_EXPIRED
from matching.groups import Group, dissolve, follow, is_held, partner_of
from matching.matcher import Matcher
from matching.order import Order, priority_of
from matching.phases import break_circuit
from matching.state import Account, Holding, Instrument
from matching.timers import RANK_PHASE, Reminder, expire, rank_of, remind
from matching.values import (
    CANCELED,
    CONTINUOUS,
    DAY,
    EXPIRED,
    FIRST_STOP,
    NEVER,
    NEW,
    NO_CANCEL,
    NO_REASON,
    R_DAY,
    R_GTD,
    R_LINKED_ORDER,
    UNTRIGGERED,
)
from matching.values import REJECTED as STATUS_REJECTED

if TYPE_CHECKING:
    from mypy_extensions import i64


class Executor(Matcher):
    """One shard's memory: ``instruments``, ``accounts``, open ``orders`` and live ``groups`` by id; holdings are with their
    instrument. ``next_due`` is the earliest moment at which something is due by itself (``matching.values.NEVER``: nothing is).
    ``departed`` are the instruments that have left, for as long as their last events are looked at.
    """

    __slots__ = ("accounts", "departed", "groups", "instruments", "next_due", "orders", "timers")

    def __init__(self) -> None:
        super().__init__()
        self.instruments: dict[int, Instrument] = {}
        self.departed: dict[int, Instrument] = {}
        self.accounts: dict[int, Account] = {}
        self.orders: dict[int, Order] = {}
        self.groups: dict[int, Group] = {}
        self.timers: list[Reminder] = []
        self.next_due: i64 = NEVER

    # What there is

    def instrument(self, instrument_id: i64) -> Instrument:
        """The one that events are about, also where it has left since."""
        found = self.instruments.get(instrument_id)
        return self.departed[instrument_id] if found is None else found

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

    # Accepting

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

    # Ending

    def cancel_each(self, orders: list[Order], reason: int, at: i64) -> None:
        """Cancel open orders in order of priority, but for those in books that take no cancels; then let follow."""
        touched: set[int] = set()
        orders.sort(key=priority_of)
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
