"""One side of a book, or of the stops beside it: levels of orders by price, best first, oldest first.

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
* There are no empty levels.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, final

from matching.order import Order

if TYPE_CHECKING:
    from mypy_extensions import i64


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

    def take_head(self, level: Level, order: Order, shown: i64) -> None:
        """Take the first order of a level out, which has nothing left of the ``shown`` units that were all it had."""
        order.level = None
        newer = order.newer
        if newer is None:
            return self.drop(level)
        order.newer = None
        newer.older = None
        level.head = newer
        level.count -= 1
        gone: int = shown
        level.quantity -= gone

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
