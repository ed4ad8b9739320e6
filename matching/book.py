"""The order book of one instrument: price-time priority with O(1) cancel and O(1) best price.

Theory of operation
-------------------
* A side is a dict of levels by key and a sorted list of the keys. The key of a bid is its price, of an ask the price
  negated: on both sides the greatest key is the best, and it is the last item of the list, so the best level leaves
  without moving anything. A new price costs one ``bisect`` into the list, which is a memmove of machine words.
* A level is an intrusive doubly linked list of orders, oldest first: an order leaves from anywhere without a search.
  (A dict as a queue is quadratic when its front is popped; a deque with lazy deletion breaks time priority when an
  order comes back to its own level.)
* ``match`` trades an incoming order at the resting orders' prices, down to a bound, and tells each fill. It stops at an
  own order of the incoming one's account and hands it back: what happens then is the engine's decision.
* Levels hold no empty queues, and ``orders`` holds exactly the orders that rest.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from matching.order import Order
from matching.values import BUY, SELL, STP_CANCEL_OLDEST, STP_NONE

# One trade of an incoming order: resting order, price, quantity, what remains of the resting order.
Fill = tuple[Order, int, int, int]


class Level:
    """The orders of one price, oldest first. ``quantity`` is the sum of their remaining units."""

    __slots__ = ("count", "head", "key", "price", "quantity", "tail")

    def __init__(self, key: int, price: int) -> None:
        self.key = key
        self.price = price
        self.quantity = 0
        self.count = 0
        self.head: Order | None = None
        self.tail: Order | None = None


class BookSide:
    """The levels of one side. ``keys`` is sorted, the best last."""

    __slots__ = ("keys", "levels", "side")

    def __init__(self, side: int) -> None:
        self.side = side
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    def drop(self, level: Level) -> None:
        """Take away a level that has no orders left."""
        keys = self.keys
        key = level.key
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]
        del self.levels[key]


class OrderBook:
    """Resting orders of one instrument. ``orders`` (by id) may be shared by several books of one engine."""

    __slots__ = ("asks", "bids", "orders")

    def __init__(self, orders: dict[int, Order] | None = None) -> None:
        self.bids = BookSide(BUY)
        self.asks = BookSide(SELL)
        self.orders: dict[int, Order] = {} if orders is None else orders

    def best_bid(self) -> Level | None:
        side = self.bids
        return side.levels[side.keys[-1]] if side.keys else None

    def best_ask(self) -> Level | None:
        side = self.asks
        return side.levels[side.keys[-1]] if side.keys else None

    def level(self, side: int, price: int) -> Level | None:
        """The level of a price, or None where nothing rests."""
        return self.bids.levels.get(price) if side == BUY else self.asks.levels.get(-price)

    def top(self, side: int, depth: int) -> list[tuple[int, int, int]]:
        """The best ``depth`` levels of a side, best first, as (price, quantity, orders)."""
        book_side = self.asks if side else self.bids
        levels = [book_side.levels[key] for key in book_side.keys[: -depth - 1 : -1]]
        return [(level.price, level.quantity, level.count) for level in levels]

    def crosses(self, side: int, price: int) -> bool:
        """Whether an incoming order of this side and limit would meet a resting one."""
        if side == BUY:
            keys = self.asks.keys
            return len(keys) > 0 and keys[-1] >= -price
        keys = self.bids.keys
        return len(keys) > 0 and keys[-1] >= price

    def add(self, order: Order) -> None:
        """Rest ``order`` at the back of the level of its price."""
        if order.side == BUY:
            side = self.bids
            key = order.price
        else:
            side = self.asks
            key = -order.price
        level = side.levels.get(key)
        if level is None:
            level = side.levels[key] = Level(key, order.price)
            keys = side.keys
            if keys and key < keys[-1]:
                insort(keys, key)
            else:
                keys.append(key)
            level.head = order
        else:
            tail = level.tail
            tail.newer = order  # type: ignore[union-attr]
            order.older = tail
        level.tail = order
        level.quantity += order.remaining
        level.count += 1
        order.level = level
        self.orders[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take a resting order out of the book, from anywhere in its level."""
        level = order.level
        assert level is not None, "order does not rest"
        del self.orders[order.order_id]
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
        if count:
            level.count = count
            level.quantity -= order.remaining
        else:
            (self.asks if order.side else self.bids).drop(level)

    def reduce(self, order: Order, quantity: int) -> None:
        """Make a resting order smaller by ``quantity`` units (less than remains); it keeps its place."""
        level = order.level
        assert level is not None and 0 < quantity < order.remaining, "not a reduction"
        order.remaining -= quantity
        level.quantity -= quantity

    def match(self, taker: Order, bound: int, fills: list[Fill]) -> Order | None:
        """Trade ``taker`` against the other side while the best key is at or above ``bound``.

        Every trade is appended to ``fills``. Resting orders that are filled leave the book. Returns None when nothing
        more can trade, or the own resting order that is next in line where the taker prevents self-trades.
        """
        side = self.bids if taker.side else self.asks
        keys = side.keys
        remaining = taker.remaining
        # An account id is positive: -1 is nobody's.
        own = -1 if taker.self_trade_prevention == STP_NONE else taker.account_id
        while keys and keys[-1] >= bound:
            level = side.levels[keys[-1]]
            price = level.price
            maker = level.head
            while maker is not None:
                if maker.account_id == own:
                    taker.remaining = remaining
                    return maker
                quantity = maker.remaining
                if quantity > remaining:
                    maker.remaining = quantity - remaining
                    level.quantity -= remaining
                    fills.append((maker, price, remaining, quantity - remaining))
                    taker.remaining = 0
                    return None
                remaining -= quantity
                fills.append((maker, price, quantity, 0))
                maker.remaining = 0
                maker.level = None
                del self.orders[maker.order_id]
                newer = maker.newer
                if newer is None:
                    keys.pop()
                    del side.levels[level.key]
                else:
                    maker.newer = None
                    newer.older = None
                    level.head = newer
                    level.quantity -= quantity
                    level.count -= 1
                maker = newer
                if not remaining:
                    taker.remaining = 0
                    return None
        taker.remaining = remaining
        return None

    def available(self, taker: Order, bound: int) -> int:
        """Units ``taker`` could trade down to ``bound``, at most its own quantity: what fill-or-kill counts.

        Own orders never count. Under every mode but ``cancel_oldest`` the count ends at the first of them, because
        matching would end or change there.
        """
        side = self.bids if taker.side else self.asks
        wanted = taker.remaining
        mode = taker.self_trade_prevention
        found = 0
        for index in range(len(side.keys) - 1, -1, -1):
            key = side.keys[index]
            if key < bound or found >= wanted:
                break
            level = side.levels[key]
            if mode == STP_NONE:
                found += level.quantity
                continue
            counted, blocked = _foreign_quantity(level, taker, wanted - found)
            found += counted
            if blocked:
                break
        return min(found, wanted)


def _foreign_quantity(level: Level, taker: Order, wanted: int) -> tuple[int, bool]:
    """Units of others in ``level`` that ``taker`` can reach, up to ``wanted``, and whether an own order ends the count."""
    found = 0
    order = level.head
    while order is not None and found < wanted:
        if order.account_id != taker.account_id:
            found += order.remaining
        elif taker.self_trade_prevention != STP_CANCEL_OLDEST:
            return found, True
        order = order.newer
    return found, False
