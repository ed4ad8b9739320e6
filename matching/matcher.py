"""What happens to orders: trading, resting, ending. Every step becomes a numbered event and is carried to holdings.

Theory of operation
-------------------
* ``trade`` lets the book match down to a bound. The book stops at the account's own orders, where the incoming order's
  self-trade prevention decides who goes; then the book goes on.
* The book moves ``remaining`` of both sides; ``_record`` numbers the trades and carries them to orders, holdings and the
  last price. Each event captures the numbers as they were right after it.
* Ended orders are forgotten: the database has them.
"""

from __future__ import annotations

from matching.book import Fill
from matching.events import CANCELED as ORDER_CANCELED
from matching.events import COMMAND_REFUSED, DECREMENTED, FILL_MAKER, FILL_TAKER, Event
from matching.order import Order
from matching.state import Instrument
from matching.values import (
    BUY,
    CANCELED,
    FILLED,
    FOK,
    GTC,
    MARKET,
    NO_REASON,
    PARTIALLY_FILLED,
    R_FOK,
    R_IOC,
    R_NO_LIQUIDITY,
    R_PRICE_COLLAR,
    R_SELF_TRADE,
    STP_CANCEL_BOTH,
    STP_CANCEL_NEWEST,
    STP_CANCEL_OLDEST,
)


class Matcher:
    """The running command's events and next number, and the steps they are made of."""

    __slots__ = ("events", "next_sequence")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.next_sequence = 1

    def enter(self, instrument: Instrument, order: Order) -> None:
        """Trade an order that was accepted, then rest or end what remains of it."""
        if order.type == MARKET:
            return self._sweep(instrument, order)
        book = instrument.book
        if order.side:
            bound = order.price
            keys = book.bids.keys
        else:
            bound = -order.price
            keys = book.asks.keys
        if keys and keys[-1] >= bound and not self._trade(instrument, order, bound):
            return
        if order.time_in_force != GTC:
            return self.end(order, R_FOK if order.time_in_force == FOK else R_IOC)
        book.add(order)
        holding = order.holding
        holding.account.open_orders += 1
        if order.side:
            holding.open_sell += order.remaining
        else:
            holding.open_buy += order.remaining

    def _sweep(self, instrument: Instrument, order: Order) -> None:
        """Trade a market order down to the collar and end what remains of it: it never rests."""
        if not self._trade(instrument, order, instrument.market_bound(order.side)):
            return
        if order.time_in_force == FOK:
            return self.end(order, R_FOK)
        book = instrument.book
        beyond = (book.bids if order.side else book.asks).keys
        self.end(order, R_PRICE_COLLAR if beyond else R_NO_LIQUIDITY)

    def _trade(self, instrument: Instrument, taker: Order, bound: int) -> bool:
        """Match ``taker`` down to ``bound``. Returns whether it is alive and anything of it remains."""
        book = instrument.book
        remaining = taker.remaining
        if taker.time_in_force == FOK and book.available(taker, bound) < remaining:
            return True
        while True:
            fills: list[Fill] = []
            own = book.match(taker, bound, fills)
            if fills:
                self._record(instrument, taker, remaining, fills)
            remaining = taker.remaining
            if own is None:
                return remaining > 0
            if not self._prevent_self_trade(instrument, taker, own):
                return False
            remaining = taker.remaining

    def _record(self, instrument: Instrument, taker: Order, remaining: int, fills: list[Fill]) -> None:
        """Number the trades the book made and carry them to orders, holdings and the last price.

        ``remaining`` is what the taker had open before them: each event tells the numbers right after its own trade.
        """
        events = self.events
        sequence = self.next_sequence
        buying = taker.side == BUY
        value_sum = price = 0
        total = remaining - taker.remaining
        filled = taker.quantity - taker.canceled - remaining
        for maker, price, quantity, left in fills:
            value = price * quantity
            value_sum += value
            remaining -= quantity
            filled += quantity
            maker.notional += value
            theirs = maker.holding
            if buying:
                theirs.sold += quantity
                theirs.sold_notional += value
                theirs.open_sell -= quantity
            else:
                theirs.bought += quantity
                theirs.bought_notional += value
                theirs.open_buy -= quantity
            if left:
                maker.status = PARTIALLY_FILLED
            else:
                maker.status = FILLED
                theirs.account.open_orders -= 1
            done = maker.quantity - left - maker.canceled
            events.append((FILL_MAKER, sequence, maker, price, quantity, left, done, NO_REASON, 0))
            events.append(
                (FILL_TAKER, sequence + 1, taker, price, quantity, remaining, filled, NO_REASON, maker.order_id)
            )
            sequence += 2
        self.next_sequence = sequence
        ours = taker.holding
        if buying:
            ours.bought += total
            ours.bought_notional += value_sum
        else:
            ours.sold += total
            ours.sold_notional += value_sum
        taker.notional += value_sum
        taker.status = PARTIALLY_FILLED if remaining else FILLED
        instrument.last_price = price

    def _prevent_self_trade(self, instrument: Instrument, taker: Order, own: Order) -> bool:
        """Apply the taker's mode to the own resting order it met. Returns whether the taker goes on."""
        mode = taker.self_trade_prevention
        if mode == STP_CANCEL_NEWEST:
            self.end(taker, R_SELF_TRADE)
            return False
        if mode == STP_CANCEL_OLDEST or mode == STP_CANCEL_BOTH:
            self.cancel_resting(instrument, own, R_SELF_TRADE)
            if mode == STP_CANCEL_BOTH:
                self.end(taker, R_SELF_TRADE)
            return mode == STP_CANCEL_OLDEST
        # decrement: both lose the smaller quantity, without a trade
        quantity = min(taker.remaining, own.remaining)
        if quantity == own.remaining:
            self.cancel_resting(instrument, own, R_SELF_TRADE)
        else:
            instrument.book.reduce(own, quantity)
            self._release(own, quantity)
            self._decrement(own, quantity)
        if quantity == taker.remaining:
            self.end(taker, R_SELF_TRADE)
            return False
        taker.remaining -= quantity
        self._decrement(taker, quantity)
        return True

    def _decrement(self, order: Order, quantity: int) -> None:
        order.canceled += quantity
        self.happened(DECREMENTED, order, quantity, R_SELF_TRADE, 0)

    def _release(self, order: Order, quantity: int) -> None:
        """Units that were open in the book no longer are (fills see to this themselves)."""
        if order.side:
            order.holding.open_sell -= quantity
        else:
            order.holding.open_buy -= quantity

    def unrest(self, instrument: Instrument, order: Order) -> None:
        """Take a resting order out of the book and out of what its account has open."""
        instrument.book.remove(order)
        holding = order.holding
        holding.account.open_orders -= 1
        if order.side:
            holding.open_sell -= order.remaining
        else:
            holding.open_buy -= order.remaining

    def shrink(self, instrument: Instrument, order: Order, quantity: int) -> None:
        """Make a resting order smaller by ``quantity``; it keeps its place."""
        instrument.book.reduce(order, quantity)
        self._release(order, quantity)

    def cancel_resting(self, instrument: Instrument, order: Order, reason: int) -> None:
        """Take an order out of the book and end it. (``unrest`` and ``end`` in one frame: cancels are a third of all.)"""
        instrument.book.remove(order)
        quantity = order.remaining
        canceled = order.canceled + quantity
        holding = order.holding
        holding.account.open_orders -= 1
        if order.side:
            holding.open_sell -= quantity
        else:
            holding.open_buy -= quantity
        order.remaining = 0
        order.canceled = canceled
        order.status = CANCELED
        order.reason = reason
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        filled = order.quantity - canceled
        self.events.append((ORDER_CANCELED, sequence, order, order.price, quantity, 0, filled, reason, 0))

    def end(self, order: Order, reason: int) -> None:
        """Cancel all that remains of an order that is not in the book."""
        quantity = order.remaining
        order.remaining = 0
        order.canceled += quantity
        order.status = CANCELED
        order.reason = reason
        self.happened(ORDER_CANCELED, order, quantity, reason, 0)

    def happened(self, kind: int, order: Order, quantity: int, reason: int, other: int) -> None:
        """Number one event of an order."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        self.events.append(
            (
                kind,
                sequence,
                order,
                order.price,
                quantity,
                order.remaining,
                order.filled,
                reason,
                other,
            )
        )

    def configured(self, kind: int, value: int, subject: int) -> None:
        """Number one event of configuration; ``subject`` is the id of the instrument or account."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        self.events.append((kind, sequence, None, 0, value, 0, 0, NO_REASON, subject))

    def refuse(self, reason: int) -> None:
        """The running command changes nothing."""
        self.events.append((COMMAND_REFUSED, 0, None, 0, 0, 0, 0, reason, 0))
