"""The engine of one shard: applies commands one after the other and returns what happened, as numbered events.

Theory of operation
-------------------
* ``apply`` validates fully, then mutates. Until the first event is appended nothing has changed, so an exception up to
  there leaves the state as it was; after one past that point the state must be thrown away (the caller recovers it).
* The caller gives the next sequence number and the time; the engine numbers its events from there and leaves the number
  that follows in ``next_sequence``. A command that may not be returns one ``COMMAND_REFUSED`` and takes no number; one
  that has nothing to do (no order matches, the phase is the same) returns no event at all.
* Open orders live in ``orders``, by id, shared by all books.
"""

from __future__ import annotations

from matching.checks import refusal
from matching.commands import (
    ANY,
    ANY_SIDE,
    OPEN,
    REDUCTION,
    Amend,
    Cancel,
    CancelAll,
    Command,
    DefineInstrument,
    SetPhase,
)
from matching.configuration import define_account, define_instrument, set_phase
from matching.events import (
    ACCEPTED,
    AMENDED,
    REJECTED,
    REPLACED,
    Event,
)
from matching.invariants import check_engine
from matching.matcher import Matcher
from matching.order import Order
from matching.state import Account, Holding, Instrument
from matching.values import (
    BUY,
    CLOSED,
    CONTINUOUS,
    NO_REASON,
    R_AMENDED_TO_FILLED,
    R_DUPLICATE_ORDER_ID,
    R_INVALID_COMMAND,
    R_MARKET_CLOSED,
    R_MARKET_HALTED,
    R_ORDER_NOT_FOUND,
    R_POST_ONLY,
    R_UNKNOWN_SYMBOL,
    R_VERSION_CONFLICT,
)
from matching.values import REJECTED as STATUS_REJECTED


class Engine(Matcher):
    """One shard: ``instruments`` and ``accounts`` by id, open ``orders`` by id. Holdings are with their instrument."""

    __slots__ = ("accounts", "instruments", "orders")

    def __init__(self) -> None:
        super().__init__()
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Account] = {}
        self.orders: dict[int, Order] = {}

    def apply(self, next_sequence: int, at: int, command: Command) -> list[Event]:
        """Apply one command at time ``at`` (microseconds since 1970, never going back) and return its events."""
        events: list[Event] = []
        self.events = events
        self.next_sequence = next_sequence
        if isinstance(command, Order):
            self._place(command, at)
        elif isinstance(command, Cancel):
            self._cancel(command)
        elif isinstance(command, Amend):
            self._amend(command)
        elif isinstance(command, CancelAll):
            self._cancel_all(command)
        elif isinstance(command, SetPhase):
            set_phase(self, command)
        elif isinstance(command, DefineInstrument):
            define_instrument(self, command)
        else:
            define_account(self, command)
        return events

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` where books, orders, accounts and holdings do not agree. For tests: slow."""
        check_engine(self)

    def account(self, account_id: int) -> Account:
        """The account, made with default limits on first use: an account nobody limited needs no command."""
        found = self.accounts.get(account_id)
        if found is None:
            found = self.accounts[account_id] = Account(account_id)
        return found

    def holding(self, account_id: int, instrument: Instrument) -> Holding:
        """What the account holds of the instrument, made on first use."""
        found = instrument.holdings.get(account_id)
        if found is None:
            found = instrument.holdings[account_id] = Holding(self.account(account_id), instrument.instrument_id)
        return found

    def restore(self, order: Order) -> None:
        """Put a saved open order back into its book. In order of priority, after its instrument and limits."""
        instrument = self.instruments[order.instrument_id]
        holding = self.holding(order.account_id, instrument)
        order.holding = holding
        holding.account.open_orders += 1
        if order.side == BUY:
            holding.open_buy += order.remaining
        else:
            holding.open_sell += order.remaining
        instrument.book.add(order)

    # Orders

    def _place(self, order: Order, at: int) -> None:
        try:
            instrument = self.instruments[order.instrument_id]
        except KeyError:
            return self.refuse(R_UNKNOWN_SYMBOL)
        if order.order_id in self.orders:
            return self.refuse(R_DUPLICATE_ORDER_ID)
        try:
            holding = instrument.holdings[order.account_id]
        except KeyError:
            holding = self.holding(order.account_id, instrument)
        order.holding = holding
        order.created_at = at
        account = holding.account
        quantity = order.quantity
        price = order.price
        # Nearly every order passes this quick test; only where it does not, the ladder is asked for the reason.
        if not (
            instrument.plain
            and account.plain
            and account.open_orders < account.max_open_orders
            and instrument.min_quantity <= quantity <= instrument.max_quantity
            and not quantity % instrument.quantity_step
            and not price % instrument.price_tick
            and not order.off_grid
        ):
            reason = refusal(instrument, holding, order.side, order.type, price, quantity, quantity, order.off_grid, 0)
            if reason != NO_REASON:
                return self._reject(order, reason)
        if order.post_only and instrument.book.crosses(order.side, price):
            return self._reject(order, R_POST_ONLY)
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        order.priority = sequence
        self.events.append((ACCEPTED, sequence, order, price, quantity, quantity, 0, NO_REASON, 0))
        self.enter(instrument, order)

    def _reject(self, order: Order, reason: int) -> None:
        order.canceled = order.quantity
        order.remaining = 0
        order.status = STATUS_REJECTED
        order.reason = reason
        self.happened(REJECTED, order, order.quantity, reason, 0)

    def _cancel(self, command: Cancel) -> None:
        order = self.orders.get(command.order_id)
        if order is None or (command.account_id != ANY and order.account_id != command.account_id):
            return self.refuse(R_ORDER_NOT_FOUND)
        self.cancel_resting(self.instruments[order.instrument_id], order, command.reason)

    def _cancel_all(self, command: CancelAll) -> None:
        """One pass over the open orders; for an account without any, none. Canceled in order of priority."""
        account_id = command.account_id
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
        found.sort(key=lambda order: order.priority)
        for order in found:
            self.cancel_resting(self.instruments[order.instrument_id], order, command.reason)

    def _amend(self, command: Amend) -> None:
        if command.price < 0 or command.quantity < 0 or (command.basis == REDUCTION and not command.quantity):
            return self.refuse(R_INVALID_COMMAND)
        order = self.orders.get(command.order_id)
        if order is None or (command.account_id != ANY and order.account_id != command.account_id):
            return self.refuse(R_ORDER_NOT_FOUND)
        if command.expected_version and command.expected_version != order.version:
            return self.refuse(R_VERSION_CONFLICT)
        instrument = self.instruments[order.instrument_id]
        price = command.price or order.price
        total = _new_total(order, command)
        remaining = total - (order.quantity - order.remaining)
        if remaining <= 0:
            if instrument.phase != CONTINUOUS:
                return self.refuse(R_MARKET_CLOSED if instrument.phase == CLOSED else R_MARKET_HALTED)
            return self.cancel_resting(instrument, order, R_AMENDED_TO_FILLED)
        reason = refusal(
            instrument,
            order.holding,
            order.side,
            order.type,
            price,
            total,
            remaining,
            command.off_grid,
            order.remaining,
        )
        if reason == NO_REASON and order.post_only and instrument.book.crosses(order.side, price):
            reason = R_POST_ONLY
        if reason != NO_REASON:
            return self.refuse(reason)
        if price == order.price and remaining <= order.remaining:
            self._amend_in_place(instrument, order, total, remaining)
        else:
            self._replace(instrument, order, price, total, remaining)

    def _amend_in_place(self, instrument: Instrument, order: Order, total: int, remaining: int) -> None:
        """Same price and not larger: the order keeps its place."""
        if remaining < order.remaining:
            self.shrink(instrument, order, order.remaining - remaining)
        order.quantity = total
        order.version += 1
        self.happened(AMENDED, order, total, NO_REASON, order.price)

    def _replace(
        self,
        instrument: Instrument,
        order: Order,
        price: int,
        total: int,
        remaining: int,
    ) -> None:
        """Another price or a larger quantity: the order leaves and enters anew, behind all others, and may trade."""
        self.unrest(instrument, order)
        old_price = order.price
        order.price = price
        order.quantity = total
        order.remaining = remaining
        order.priority = self.next_sequence
        order.version += 1
        self.happened(REPLACED, order, total, NO_REASON, old_price)
        self.enter(instrument, order)


def _new_total(order: Order, command: Amend) -> int:
    """The total an amend asks for, whichever way it says it."""
    if not command.quantity:
        return order.quantity
    if command.basis == OPEN:
        return order.quantity - order.remaining + command.quantity
    if command.basis == REDUCTION:
        return order.quantity - command.quantity
    return command.quantity
