"""The order book of one instrument: price-time priority with O(1) cancel and O(1) best price.

Theory of operation
-------------------
* ``match`` trades an incoming order at the resting orders' prices, down to a bound, and tells each fill. It stops at an
  own order of the incoming one's account and hands it back: what happens then is the engine's decision.
* Sides are in ``matching.side``. ``orders`` holds the orders that rest (in an engine: also those that wait outside).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from matching.order import Order
from matching.side import BookSide, Level, replenish
from matching.values import BUY, SELL, STP_CANCEL_OLDEST, STP_NONE

if TYPE_CHECKING:
    from mypy_extensions import i64

# One trade of an incoming order: resting order, price, quantity, what remains of the resting order. A quantity of 0 tells
# that the resting order, an iceberg, has shown its next tip.
Fill = tuple[Order, int, int, int]


@final
class OrderBook:
    """Resting orders of one instrument. ``orders`` (by id) may be shared by several books of one engine."""

    __slots__ = ("asks", "bids", "orders")

    def __init__(self, orders: dict[int, Order] | None = None) -> None:
        self.bids = BookSide(BUY)
        self.asks = BookSide(SELL)
        self.orders: dict[int, Order] = {} if orders is None else orders

    def best_bid(self) -> Level | None:
        return self.bids.best

    def best_ask(self) -> Level | None:
        return self.asks.best

    def level(self, side: int, price: i64) -> Level | None:
        """The level of a price, or None where nothing rests."""
        return self.bids.levels.get(price) if side == BUY else self.asks.levels.get(-price)

    def top(self, side: int, depth: i64) -> list[tuple[int, int, int]]:
        """The best ``depth`` levels of a side, best first, as (price, shown quantity, orders)."""
        book_side = self.asks if side else self.bids
        levels = [book_side.levels[key] for key in book_side.keys[: -depth - 1 : -1]]
        return [(level.price, level.quantity, level.count) for level in levels]

    def crosses(self, side: int, price: i64) -> bool:
        """Whether an incoming order of this side and limit would meet a resting one."""
        if side == BUY:
            best = self.asks.best
            return best is not None and best.price <= price
        best = self.bids.best
        return best is not None and best.price >= price

    def add(self, order: Order) -> None:
        """Rest ``order`` at the back of the level of its price."""
        price = order.price
        if order.side:
            self.asks.rest(order, -price, price)
        else:
            self.bids.rest(order, price, price)
        self.orders[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take a resting order out of the book, from anywhere in its level."""
        (self.asks if order.side else self.bids).take(order)
        del self.orders[order.order_id]

    def match(self, taker: Order, bound: i64, fills: list[Fill]) -> Order | None:
        """Trade ``taker`` against the other side while the best key is at or above ``bound``.

        Every trade is appended to ``fills``. Resting orders that are filled leave the book. Returns None when nothing
        more can trade, or the own resting order that is next in line where the taker prevents self-trades.
        """
        side = self.bids if taker.side else self.asks
        orders = self.orders
        remaining = taker.remaining
        # An account id is positive: -1 is nobody's.
        own: i64 = -1 if taker.self_trade_prevention == STP_NONE else taker.account_id
        level = side.best
        while level is not None and level.key >= bound:
            maker = level.head
            assert maker is not None, "an empty level"
            if maker.account_id == own:
                taker.remaining = remaining
                return maker
            tip = maker.remaining - maker.hidden
            if tip > remaining:
                left = maker.remaining - remaining
                maker.remaining = left
                traded: int = remaining
                level.quantity -= traded
                fills.append((maker, level.price, remaining, left))
                taker.remaining = 0
                return None
            remaining -= tip
            left = maker.hidden
            fills.append((maker, level.price, tip, left))
            if left:
                maker.remaining = left
                replenish(level, maker, tip)
                fills.append((maker, level.price, 0, left))
            else:
                maker.remaining = 0
                del orders[maker.order_id]
                side.take_head(level, maker, tip)
                level = side.best
            if not remaining:
                break
        taker.remaining = remaining
        return None

    def fill(self, order: Order, quantity: i64) -> bool:
        """Trade ``quantity`` units (at most its tip) of a resting order. Returns whether its next tip is shown now."""
        level = order.level
        assert level is not None and 0 < quantity <= order.remaining - order.hidden, "not that much is shown"
        tip = order.remaining - order.hidden
        if quantity < tip:
            order.remaining -= quantity
            traded: int = quantity
            level.quantity -= traded
            return False
        if order.hidden:
            order.remaining = order.hidden
            replenish(level, order, tip)
            return True
        self.remove(order)
        order.remaining = 0
        return False

    def cost(self, taker: Order, quantity: int, bound: i64) -> int:
        """Price units times quantity units that ``taker`` would pay for ``quantity`` now, as far as asks down to ``bound`` go.

        Its own orders do not count where it would not trade with them: it might have to go on to worse prices.
        """
        side = self.asks
        total = 0
        for index in range(len(side.keys) - 1, -1, -1):
            level = side.levels[side.keys[index]]
            if level.key < bound or not quantity:
                break
            price: int = level.price
            offered = level.quantity + level.hidden
            if taker.self_trade_prevention != STP_NONE:
                offered -= _own_quantity(level, taker)
            taken = min(quantity, offered)
            total += price * taken
            quantity -= taken
        return total

    def available(self, taker: Order, bound: i64) -> int:
        """Units ``taker`` could trade down to ``bound``, at most its own quantity: what fill-or-kill counts.

        Own orders never count. Under every mode but ``cancel_oldest`` the count ends at the first of them, because
        matching would end or change there.
        """
        side = self.bids if taker.side else self.asks
        wanted: int = taker.remaining
        found = 0
        for index in range(len(side.keys) - 1, -1, -1):
            level = side.levels[side.keys[index]]
            if level.key < bound or found >= wanted:
                break
            if taker.self_trade_prevention == STP_NONE:
                found += level.quantity + level.hidden
                continue
            counted, blocked = _foreign_quantity(level, taker, wanted - found)
            found += counted
            if blocked:
                break
        return min(found, wanted)


def _own_quantity(level: Level, taker: Order) -> int:
    """Units of the taker's own account in ``level``."""
    found = 0
    order = level.head
    while order is not None:
        if order.account_id == taker.account_id:
            remaining: int = order.remaining
            found += remaining
        order = order.newer
    return found


def _foreign_quantity(level: Level, taker: Order, wanted: int) -> tuple[int, bool]:
    """Units of others in ``level`` that ``taker`` can reach, and whether an own order ends the count.

    Of an iceberg that stands before the own order only the tip can be reached: its next tip would stand behind.
    """
    shown = total = 0
    order = level.head
    while order is not None and shown < wanted:
        if order.account_id != taker.account_id:
            remaining: int = order.remaining
            hidden: int = order.hidden
            shown += remaining - hidden
            total += remaining
        elif taker.self_trade_prevention != STP_CANCEL_OLDEST:
            return shown, True
        order = order.newer
    return total, False
