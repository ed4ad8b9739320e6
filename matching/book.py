"""The order book of one instrument: price-time priority with O(1) cancel and O(1) best price.

Theory of operation
-------------------
* A side is a dict of levels by key, a sorted list of the keys, and its best level. The key of a bid is its price, of an ask
  the price negated: on both sides the greatest key is the best, and it is the last item of the list, so the best level
  leaves without moving anything. A new price costs one ``bisect`` into the list, which is a memmove of machine words.
* A level is an intrusive doubly linked list of orders, oldest first: an order leaves from anywhere without a search.
  (A dict as a queue is quadratic when its front is popped; a deque with lazy deletion breaks time priority when an
  order comes back to its own level.)
* Of an iceberg only the tip (``remaining - hidden``) counts as the level's ``quantity``; the rest is its ``hidden``. A tip that
  is used up is followed by the next one at the back of the level.
* ``match`` trades an incoming order at the resting orders' prices, down to a bound, and tells each fill. It stops at an
  own order of the incoming one's account and hands it back: what happens then is the engine's decision.
* Levels hold no empty queues, and ``orders`` holds the orders that rest (in an engine: also those that wait outside).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, final

from matching.order import Order
from matching.values import BUY, SELL, STP_CANCEL_OLDEST, STP_NONE

if TYPE_CHECKING:
    from mypy_extensions import i64

# One trade of an incoming order: resting order, price, quantity, what remains of the resting order. A quantity of 0 tells
# that the resting order, an iceberg, has shown its next tip.
Fill = tuple[Order, int, int, int]


@final
class Level:
    """The orders of one price, oldest first. ``quantity`` is the sum of what they show, ``hidden`` of what they do not."""

    __slots__ = ("count", "head", "hidden", "key", "price", "quantity", "tail")

    def __init__(self, key: i64, price: i64) -> None:
        self.key: i64 = key
        self.price: i64 = price
        self.quantity = 0
        self.hidden = 0
        self.count: i64 = 0
        self.head: Order | None = None
        self.tail: Order | None = None


@final
class BookSide:
    """The levels of one side. ``keys`` is sorted, the best last; ``best`` is its level."""

    __slots__ = ("best", "keys", "levels", "side")

    def __init__(self, side: int) -> None:
        self.side: i64 = side
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}
        self.best: Level | None = None

    def rest(self, order: Order, key: i64, price: i64) -> None:
        """Put ``order`` at the back of the level of ``key``."""
        level = self.best
        if level is None or level.key != key:
            level = self.levels.get(key)
            if level is None:
                level = self._open(key, price)
        tail = level.tail
        if tail is None:
            level.head = order
        else:
            tail.newer = order
            order.older = tail
        level.tail = order
        level.count += 1
        shown: int = order.remaining - order.hidden
        level.quantity += shown
        if order.hidden:
            hidden: int = order.hidden
            level.hidden += hidden
        order.level = level

    def take(self, order: Order) -> None:
        """Take an order out, from anywhere in its level."""
        level = order.level
        assert level is not None, "order does not rest"
        older = order.older
        newer = order.newer
        if older is None:
            level.head = newer
        else:
            older.newer = newer
            order.older = None
        if newer is None:
            level.tail = older
        else:
            newer.older = older
            order.newer = None
        order.level = None
        count = level.count - 1
        if not count:
            return self.drop(level)
        level.count = count
        shown: int = order.remaining - order.hidden
        level.quantity -= shown
        if order.hidden:
            hidden: int = order.hidden
            level.hidden -= hidden

    def drop(self, level: Level) -> None:
        """Take away a level that has no orders left."""
        keys = self.keys
        del self.levels[level.key]
        if level is self.best:
            keys.pop()
            self.best = self.levels[keys[-1]] if keys else None
        else:
            del keys[bisect_left(keys, level.key)]

    def _open(self, key: i64, price: i64) -> Level:
        level = self.levels[key] = Level(key, price)
        best = self.best
        if best is None or key > best.key:
            self.keys.append(key)
            self.best = level
        else:
            insort(self.keys, key)
        return level


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
                maker.level = None
                del orders[maker.order_id]
                newer = maker.newer
                if newer is None:
                    side.drop(level)
                    level = side.best
                else:
                    maker.newer = None
                    newer.older = None
                    level.head = newer
                    shown: int = tip
                    level.quantity -= shown
                    level.count -= 1
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


def reduce(order: Order, quantity: i64) -> None:
    """Make an open order smaller by ``quantity`` units (less than remains), hidden units first; it keeps its place."""
    assert 0 < quantity < order.remaining, "not a reduction"
    hidden: int = min(quantity, order.hidden)
    shown: int = quantity
    shown -= hidden
    order.remaining -= quantity
    order.hidden -= hidden
    level = order.level
    if level is not None:
        level.quantity -= shown
        level.hidden -= hidden


def show(order: Order, tip: i64) -> None:
    """Let a resting order show ``tip`` units of what remains; it keeps its place."""
    level = order.level
    assert level is not None and 0 < tip <= order.remaining, "not a tip"
    more: int = tip - (order.remaining - order.hidden)
    order.hidden -= more
    level.quantity += more
    level.hidden -= more


def replenish(level: Level, order: Order, used: i64) -> None:
    """Show the next tip of an iceberg whose tip of ``used`` units is gone, at the back of its level."""
    conditions = order.conditions
    assert conditions is not None
    tip = min(conditions.display_quantity, order.hidden)
    order.hidden -= tip
    whole: int = tip
    gone: int = used
    level.quantity += whole - gone
    level.hidden -= whole
    newer = order.newer
    if newer is None:
        return
    older = order.older
    newer.older = older
    if older is None:
        level.head = newer
    else:
        older.newer = newer
    tail = level.tail
    assert tail is not None
    tail.newer = order
    order.older = tail
    order.newer = None
    level.tail = order


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
