"""The stops of one instrument: orders that wait outside the book for the last price.

Theory of operation
-------------------
* A side is the same structure as a book's: levels by key, keys sorted, the next to fire last. A buy fires when the price
  has risen to its stop, the lowest stop first: its key is the stop price negated. A sell's key is its stop price.
* Trailing stops have sides of their own, whose stop prices the engine moves: ``ratchet`` carries the best last price since
  entry forward. Who came earlier has seen at least as good a price, so along the chain from the earliest to the latest
  ``best`` never gets better: a new extreme changes the latest ones only, and the walk ends at the first it leaves alone.
* Within a level the older place fires first. Whatever moves a stop gives it a new place, but for the ratchet, which moves
  from the earliest to the latest and so keeps the order: arrivals always join the back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from matching.order import Order, priority_of
from matching.side import BookSide
from matching.values import BASIS_POINTS, BUY, MAX_UNITS, SELL, TRAILING_STOP

if TYPE_CHECKING:
    from mypy_extensions import i64

# The best last price of all trailing stops from a place on: (priority, best).
Mark = tuple[int, int]


@final
class Trail:
    """The waiting trailing stops of one side: their levels, and their chain from the earliest to the latest."""

    __slots__ = ("count", "earliest", "latest", "levels", "side")

    def __init__(self, side: int) -> None:
        self.side: i64 = side
        # Buys fire like asks are taken: the lowest price first.
        self.levels = BookSide(SELL if side == BUY else BUY)
        self.earliest: Order | None = None
        self.latest: Order | None = None
        self.count: i64 = 0

    def append(self, order: Order) -> None:
        """The latest to come."""
        conditions = order.conditions
        assert conditions is not None
        latest = self.latest
        conditions.earlier = latest
        if latest is None:
            self.earliest = order
        else:
            assert latest.conditions is not None
            latest.conditions.later = order
        self.latest = order
        self.count += 1
        if conditions.best:
            self._place(order)

    def remove(self, order: Order) -> None:
        conditions = order.conditions
        assert conditions is not None
        earlier, later = conditions.earlier, conditions.later
        if earlier is None:
            self.earliest = later
        else:
            assert earlier.conditions is not None
            earlier.conditions.later = later
        if later is None:
            self.latest = earlier
        else:
            assert later.conditions is not None
            later.conditions.earlier = earlier
        conditions.earlier = conditions.later = None
        self.count -= 1
        if order.level is not None:
            self.levels.take(order)

    def ratchet(self, last_price: i64) -> bool:
        """Take in a last price. Returns whether any stop has moved."""
        first = self.latest
        moved: Order | None = None
        while first is not None:
            conditions = first.conditions
            assert conditions is not None
            best = conditions.best
            if best and (best <= last_price if self.side == BUY else best >= last_price):
                break
            moved = first
            first = conditions.earlier
        order = moved
        while order is not None:
            conditions = order.conditions
            assert conditions is not None
            if order.level is not None:
                self.levels.take(order)
            conditions.best = last_price
            self._place(order)
            order = conditions.later
        return moved is not None

    def marks(self) -> list[Mark]:
        """Where along the chain ``best`` changes: enough to give every order its own again (``best_of``)."""
        marks: list[Mark] = []
        best: i64 = 0
        order = self.earliest
        while order is not None:
            conditions = order.conditions
            assert conditions is not None
            if conditions.best != best:
                best = conditions.best
                marks.append((order.priority, best))
            order = conditions.later
        return marks

    def _place(self, order: Order) -> None:
        conditions = order.conditions
        assert conditions is not None
        conditions.stop_price = trailing_stop_price(order.side, conditions.best, conditions.trail, conditions.trail_bps)
        key = -conditions.stop_price if order.side == BUY else conditions.stop_price
        self.levels.rest(order, key, conditions.stop_price)


@final
class StopBook:
    """All waiting stops of an instrument. ``waiting_count`` of 0 is what the hot path looks at."""

    __slots__ = ("buys", "sells", "trailing_buys", "trailing_sells", "trails_moved", "waiting_count")

    def __init__(self) -> None:
        self.buys = BookSide(SELL)
        self.sells = BookSide(BUY)
        self.trailing_buys = Trail(BUY)
        self.trailing_sells = Trail(SELL)
        self.waiting_count: i64 = 0
        # For whoever keeps the marks in step: some trailing stop came, went or moved since this was last set to False.
        self.trails_moved: bool = False

    @property
    def trailing_count(self) -> i64:
        return self.trailing_buys.count + self.trailing_sells.count

    def add(self, order: Order, last_price: i64) -> None:
        """Begin to wait. A trailing stop without a ``best`` of its own starts from ``last_price`` (0: from the first trade)."""
        conditions = order.conditions
        assert conditions is not None
        self.waiting_count += 1
        if order.type == TRAILING_STOP:
            if not conditions.best:
                conditions.best = last_price
            self.trails_moved = True
            (self.trailing_buys if order.side == BUY else self.trailing_sells).append(order)
        elif order.side == BUY:
            self.buys.rest(order, -conditions.stop_price, conditions.stop_price)
        else:
            self.sells.rest(order, conditions.stop_price, conditions.stop_price)

    def remove(self, order: Order) -> None:
        self.waiting_count -= 1
        if order.type == TRAILING_STOP:
            self.trails_moved = True
            (self.trailing_buys if order.side == BUY else self.trailing_sells).remove(order)
        else:
            (self.buys if order.side == BUY else self.sells).take(order)

    def ratchet(self, last_price: i64) -> None:
        """Carry the best last price of all trailing stops forward."""
        if self.trailing_buys.latest is not None and self.trailing_buys.ratchet(last_price):
            self.trails_moved = True
        if self.trailing_sells.latest is not None and self.trailing_sells.ratchet(last_price):
            self.trails_moved = True

    def next_through(self, last_price: i64) -> Order | None:
        """The next stop to fire at ``last_price``, None where none is through."""
        buy = _earlier(_head(self.buys, -last_price), _head(self.trailing_buys.levels, -last_price))
        sell = _earlier(_head(self.sells, last_price), _head(self.trailing_sells.levels, last_price))
        if buy is None:
            return sell
        if sell is None:
            return buy
        return buy if buy.priority < sell.priority else sell

    def waiting(self) -> list[Order]:
        """All that wait, in order of priority."""
        found: list[Order] = []
        for side in (self.buys, self.sells):
            for level in side.levels.values():
                order = level.head
                while order is not None:
                    found.append(order)
                    order = order.newer
        for trail in (self.trailing_buys, self.trailing_sells):
            order = trail.earliest
            while order is not None:
                found.append(order)
                assert order.conditions is not None
                order = order.conditions.later
        found.sort(key=priority_of)
        return found


def trailing_stop_price(side: int, best: i64, trail: i64, trail_bps: i64) -> i64:
    """Where a trailing stop stands: ``best`` less (a sell) or plus (a buy) its offset, within the numbers a price has."""
    whole: int = best
    bps: int = trail_bps
    width: i64 = whole * bps // BASIS_POINTS if trail_bps else trail
    return min(best + width, MAX_UNITS) if side == BUY else max(best - width, 1)


def best_of(marks: Sequence[Sequence[int]], priority: int) -> int:
    """The ``best`` of a trailing stop with this place, 0 where it has seen no trade. Marks read from JSON are lists."""
    best = 0
    for mark in marks:
        if mark[0] > priority:
            break
        best = mark[1]
    return best


def _head(side: BookSide, bound: i64) -> Order | None:
    """The first order of the best level where that is at or above ``bound``."""
    keys = side.keys
    if not keys or keys[-1] < bound:
        return None
    return side.levels[keys[-1]].head


def _earlier(one: Order | None, other: Order | None) -> Order | None:
    """Of two heads of the same direction the one to fire first: the better stop price, then the older place."""
    if one is None:
        return other
    if other is None:
        return one
    assert one.level is not None and other.level is not None
    if one.level.key != other.level.key:
        return one if one.level.key > other.level.key else other
    return one if one.priority < other.priority else other
