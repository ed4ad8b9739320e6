"""What happens to orders: trading, resting, ending. Every step becomes a numbered event and is carried to holdings.

Theory of operation
-------------------
* ``trade`` lets the book match down to a bound. The book stops at the account's own orders, where the incoming order's
  self-trade prevention decides who goes; then the book goes on.
* The book moves ``remaining`` of both sides; ``_record`` numbers the trades and carries them to orders, holdings and the
  last price. Each event captures the numbers as they were right after it.
* A linked order that loses or ends puts its group into ``followers``: what follows waits until the execution is over.
* Ended orders are forgotten: the database has them.
* On the hot path, what goes into an event is given a name of type ``Any`` first. Compiled, that makes one object of a number
  that is told twice, and none of a constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matching.book import Fill
from matching.events import CANCELED as ORDER_CANCELED
from matching.events import DECREMENTED, FILL_MAKER, FILL_TAKER, REPLENISHED
from matching.funds import covers
from matching.order import Order
from matching.recorder import Recorder
from matching.side import reduce
from matching.state import Instrument
from matching.values import (
    CANCELED,
    CONTINUOUS,
    FILLED,
    FOK,
    IOC,
    LIMIT,
    NO_REASON,
    PARTIALLY_FILLED,
    R_FOK,
    R_INSUFFICIENT_FUNDS,
    R_IOC,
    R_NO_LIQUIDITY,
    R_PRICE_COLLAR,
    R_SELF_TRADE,
    STOP_LIMIT,
    STP_CANCEL_BOTH,
    STP_CANCEL_NEWEST,
    STP_CANCEL_OLDEST,
)

if TYPE_CHECKING:
    from mypy_extensions import i64


class Matcher(Recorder):
    """The steps of orders that trade, rest and end."""

    __slots__ = ("collared", "fills")

    def __init__(self) -> None:
        super().__init__()
        # What the book has just matched, until it is recorded.
        self.fills: list[Fill] = []
        # Set where a market order met the collar: its instrument may have a circuit breaker.
        self.collared: bool = False

    def enter(self, instrument: Instrument, order: Order) -> None:
        """Trade an order that was accepted or triggered, then rest or end what remains of it."""
        type = order.type
        holding = order.holding
        if holding.account.funded and not covers(holding, order, order.price, order.remaining, 0):
            return self.end(order, R_INSUFFICIENT_FUNDS)
        if type != LIMIT and type != STOP_LIMIT:
            return self._sweep(instrument, order)
        book = instrument.book
        if order.side:
            bound = order.price
            best = book.bids.best
        else:
            bound = -order.price
            best = book.asks.best
        if (
            best is not None
            and best.key >= bound
            and instrument.phase == CONTINUOUS
            and not self._trade(instrument, order, bound)
        ):
            return
        time_in_force = order.time_in_force
        if time_in_force == IOC or time_in_force == FOK:
            return self.end(order, R_FOK if time_in_force == FOK else R_IOC)
        conditions = order.conditions
        if conditions is not None and conditions.display_quantity:
            order.hidden = max(0, order.remaining - conditions.display_quantity)
        book.add(order)
        self.open(order)

    def _sweep(self, instrument: Instrument, order: Order) -> None:
        """Trade a market order down to the collar and end what remains of it: it never rests."""
        if not self._trade(instrument, order, instrument.market_bound(order.side)):
            return
        if order.time_in_force == FOK:
            return self.end(order, R_FOK)
        book = instrument.book
        if (book.bids if order.side else book.asks).best is None:
            return self.end(order, R_NO_LIQUIDITY)
        self.collared = True
        self.end(order, R_PRICE_COLLAR)

    def _trade(self, instrument: Instrument, taker: Order, bound: i64) -> bool:
        """Match ``taker`` down to ``bound``. Returns whether it is alive and anything of it remains."""
        book = instrument.book
        remaining = taker.remaining
        if taker.time_in_force == FOK:
            wanted: int = remaining
            if book.available(taker, bound) < wanted:
                return True
        fills = self.fills
        while True:
            own = book.match(taker, bound, fills)
            if fills:
                self._record(instrument, taker, remaining, fills)
                fills.clear()
            remaining = taker.remaining
            if own is None:
                return remaining > 0
            if not self._prevent_self_trade(instrument, taker, own):
                return False
            remaining = taker.remaining

    def _record(self, instrument: Instrument, taker: Order, remaining: i64, fills: list[Fill]) -> None:
        """Number the trades the book made and carry them to orders, holdings and the last price.

        ``remaining`` is what the taker had open before them: each event tells the numbers right after its own trade.
        """
        value_sum = 0
        price = 0
        total: int = remaining - taker.remaining
        linked = None if taker.conditions is None else taker.conditions.group
        for maker, price, quantity, left in fills:
            if not quantity:
                self._replenished(maker, left)
                continue
            value = price * quantity
            value_sum += value
            remaining -= quantity
            self._fill_maker(maker, quantity, value, left)
            if linked is not None:
                self.followers.append(linked)
            self._tell_trade(maker, taker, price, quantity, left, remaining)
        holding = taker.holding
        if taker.side:
            holding.sold += total
            holding.sold_notional += value_sum
        else:
            holding.bought += total
            holding.bought_notional += value_sum
        taker.notional += value_sum
        taker.status = PARTIALLY_FILLED if remaining else FILLED
        instrument.last_price = price

    def _tell_trade(self, maker: Order, taker: Order, price: Any, quantity: Any, left: Any, remaining: i64) -> None:
        """Number the two events of a trade; ``left`` and ``remaining`` are what maker and taker have open after it."""
        events = self.events
        sequence = self.next_sequence
        self.next_sequence = sequence + 2
        kind: Any = FILL_MAKER
        status: Any = PARTIALLY_FILLED
        filled_status: Any = FILLED
        nothing: Any = 0
        open_units: i64 = left
        filled = maker.quantity - maker.canceled - open_units
        ended = status if left else filled_status
        events.append((kind, sequence, maker, price, quantity, left, filled, ended, nothing, nothing))
        kind = FILL_TAKER
        filled = taker.quantity - taker.canceled - remaining
        ended = status if remaining else filled_status
        other = maker.order_id
        events.append((kind, sequence + 1, taker, price, quantity, remaining, filled, ended, nothing, other))

    def _fill_maker(self, maker: Order, quantity: int, value: int, left: int) -> None:
        """Carry one trade to the resting order, and to what its account has."""
        maker.notional += value
        holding = maker.holding
        if maker.side:
            holding.sold += quantity
            holding.sold_notional += value
            holding.open_sell -= quantity
        else:
            holding.bought += quantity
            holding.bought_notional += value
            holding.open_buy -= quantity
            holding.rest_value -= value
        if left:
            maker.status = PARTIALLY_FILLED
        else:
            maker.status = FILLED
            holding.account.open_orders -= 1
        conditions = maker.conditions
        if conditions is not None and conditions.group is not None:
            self.followers.append(conditions.group)

    def _replenished(self, order: Order, left: int) -> None:
        """An iceberg has shown its next tip: a new place."""
        conditions = order.conditions
        assert conditions is not None
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        order.priority = sequence
        tip: int = conditions.display_quantity
        filled = order.quantity - left - order.canceled
        self.events.append(
            (REPLENISHED, sequence, order, order.price, min(tip, left), left, filled, PARTIALLY_FILLED, NO_REASON, 0)
        )

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
            self.decrement(own, quantity, R_SELF_TRADE, 1)
        if quantity == taker.remaining:
            self.end(taker, R_SELF_TRADE)
            return False
        taker.remaining -= quantity
        taker.canceled += quantity
        self.happened(DECREMENTED, taker, quantity, R_SELF_TRADE, 0)
        self.follow(taker)
        return True

    def decrement(self, order: Order, quantity: i64, reason: int, rested: int) -> None:
        """An open order loses ``quantity`` units (not all) without a trade; it keeps its place."""
        reduce(order, quantity)
        self.hold_units(order, -quantity)
        order.canceled += quantity
        self.happened(DECREMENTED, order, quantity, reason, rested)
        self.follow(order)

    # Ends

    def cancel_resting(self, instrument: Instrument, order: Order, reason: int) -> None:
        """Take an order out of the book and end it. (In one frame: cancels are a third of all.)"""
        instrument.book.remove(order)
        quantity = order.remaining
        units: int = quantity
        canceled = order.canceled + quantity
        holding = order.holding
        holding.account.open_orders -= 1
        if order.side:
            holding.open_sell -= units
        else:
            price: int = order.price
            holding.open_buy -= units
            holding.rest_value -= price * units
        order.remaining = 0
        order.hidden = 0
        order.canceled = canceled
        order.status = CANCELED
        order.reason = reason
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        filled = order.quantity - canceled
        kind: Any = ORDER_CANCELED
        ended: Any = CANCELED
        nothing: Any = 0
        rested: Any = 1
        self.events.append((kind, sequence, order, order.price, quantity, nothing, filled, ended, reason, rested))
        if order.conditions is not None:
            self.follow(order)

    def end(self, order: Order, reason: int, rested: int = 0) -> None:
        """Cancel all that remains of an order that is in no book."""
        self.finish(order, ORDER_CANCELED, CANCELED, reason, rested)

    def finish(self, order: Order, kind: int, status: int, reason: int, rested: int) -> None:
        """End an order that is in no book, with this event and status."""
        quantity = order.remaining
        order.remaining = 0
        order.hidden = 0
        order.canceled += quantity
        order.status = status
        order.reason = reason
        self.happened(kind, order, quantity, reason, rested)
        self.follow(order)
