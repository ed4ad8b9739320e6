"""What a book displayed, folded from the events of its instrument: level for level what the feed told.

Theory of operation
-------------------
* A level is the sum of what its orders show: of an iceberg the tip, of what waits outside the book nothing. So the fold keeps
  the open orders with what each shows, and adds up at the end.
* Events tell it all, but for three things: an order's side and its group, which never change and are in its row, and what an
  iceberg displays, which the ``detail`` of the event that set it tells. (An iceberg accepted before events told it is taken
  to display what its row says: until its next tip that is wrong where it was amended meanwhile.)
* A trade takes from the tip, ``REPLENISHED`` tells the next one; what shrinks an iceberg otherwise takes the hidden part first.
* An order that was just placed (accepted, given a new place, triggered, released) *enters*: it is displayed once its execution
  is over, which its trades, the own orders it meets and its own end before it ever rested (``other`` is 0) belong to. The first
  event that does not says so; and where there is none, that it has come to rest. Of the orders placed with it some are
  accepted, or end, before it executes: those events say nothing.
* The number of the change is that of the event which made it; of coming to rest, the order's own last event
  (``orders.batch`` counts the same way, so this is what the feed calls ``sequence``).
"""

import json
from collections.abc import Iterable

from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    DECREMENTED,
    EXPIRED,
    FILL_MAKER,
    FILL_TAKER,
    INSTRUMENT_ARRIVED,
    MOVED,
    REPLACED,
    REPLENISHED,
)
from matching.levels import LevelRow
from matching.order import Order
from matching.values import LAST_OPEN_STATUS, R_SELF_TRADE, UNTRIGGERED

_EXECUTIONS = frozenset((FILL_MAKER, FILL_TAKER, REPLENISHED))
_LOSSES = frozenset((CANCELED, EXPIRED, DECREMENTED))


# An event of the instrument: sequence, kind, order (None of the instrument's own), price, quantity, remaining, status, reason,
# other, detail; and from the order's row, for the event that accepts it: side, group, displayed quantity as it is now. A plain
# tuple, as databases give them: of a million, names would cost more than the rest.
Step = tuple[int, int, int | None, int, int, int, int | None, int, int, str | None, int | None, int | None, int | None]


class Shown:
    """An open order: what is open of it, and what of that the book shows (0 where it does not rest)."""

    __slots__ = ("display", "group_id", "price", "remaining", "sequence", "shown", "side")

    def __init__(self, side: int, price: int, remaining: int, shown: int, display: int, group_id: int) -> None:
        self.side = side
        self.price = price
        self.remaining = remaining
        self.shown = shown
        # What an iceberg displays, 0 for any other order.
        self.display = display
        self.group_id = group_id
        # Its own last event, while it enters.
        self.sequence = 0

    @property
    def tip(self) -> int:
        """What it shows when it comes to rest."""
        return min(self.display, self.remaining) if self.display else self.remaining


class DisplayedBook:
    """One instrument's book; ``sequence`` is that of its last displayed change. Starts empty, or from a saved book."""

    def __init__(self, orders: Iterable[Order] = (), sequence: int = 0) -> None:
        self.sequence = sequence
        self._orders = {order.order_id: _shown(order) for order in orders}
        self._entering: Shown | None = None

    def fold(self, steps: Iterable[Step]) -> None:
        """Take the events that follow, in their order."""
        orders = self._orders
        for step in steps:
            sequence, kind, order_id, _, quantity, remaining, status, reason, other, _, _, _, _ = step
            order = orders.get(order_id)
            if kind == ACCEPTED:
                order = orders[order_id] = _accepted(step)
            elif kind == INSTRUMENT_ARRIVED or kind == MOVED:
                self._arrive(step)
                continue
            entering = self._entering
            if entering is not None and _goes_on(entering, order, kind, reason, other) is False:
                self._rest(entering)
            if order is None:
                continue
            order.remaining = remaining
            if kind == ACCEPTED:
                if status != UNTRIGGERED:
                    self._enter(order, sequence)
            elif order is self._entering:
                order.sequence = sequence
            elif kind == FILL_MAKER or kind == FILL_TAKER:
                order.shown -= quantity
                self.sequence = sequence
            elif kind in _LOSSES:
                order.shown = min(order.shown, remaining)
                if other:
                    self.sequence = sequence
            else:
                self._move(order, step)
            if status > LAST_OPEN_STATUS:
                del orders[order_id]
                if order is self._entering:
                    self._entering = None

    def settle(self, following: Iterable[Step]) -> None:
        """Once all is folded: whether the order that enters has come to rest, by the events that come next.

        ``following`` are those that follow without a gap in the shard's numbers: what else comes has another subject.
        """
        entering = self._entering
        if entering is None:
            return
        accepted: dict[int | None, Shown] = {}
        for step in following:
            _, kind, order_id, _, _, _, _, reason, other, _, _, _, _ = step
            if kind == ACCEPTED:
                accepted[order_id] = _accepted(step)
            order = accepted.get(order_id) or self._orders.get(order_id)
            goes_on = _goes_on(entering, order, kind, reason, other)
            if goes_on is not None:
                if goes_on:
                    return
                break
        self._rest(entering)

    def levels(self) -> tuple[list[LevelRow], list[LevelRow]]:
        """Bids and asks, best first."""
        sums: tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]] = ({}, {})
        for order in self._orders.values():
            if order.shown > 0:
                side = sums[order.side]
                units, count = side.get(order.price, (0, 0))
                side[order.price] = (units + order.shown, count + 1)
        bids, asks = ([(price, *level) for price, level in sorted(side.items())] for side in sums)
        return bids[::-1], asks

    def _arrive(self, step: Step) -> None:
        """The instrument has come from another shard, with what is open of it: each order with an event."""
        sequence, kind, order_id, _, _, remaining, status, _, hidden, _, _, _, _ = step
        if kind == MOVED and order_id is not None:
            order = self._orders[order_id] = _accepted(step)
            order.remaining = remaining
            if status == UNTRIGGERED:
                return
            order.shown = remaining - hidden
        self.sequence = sequence

    def _move(self, order: Shown, step: Step) -> None:
        """New terms, a new place, another tip."""
        sequence, kind, _, price, quantity, remaining, status, _, _, detail, _, _, _ = step
        if kind == REPLENISHED:
            order.shown = quantity
            self.sequence = sequence
            return
        order.price = price
        display = _display(detail)
        if display:
            order.display = display
        if status == UNTRIGGERED:
            return
        if kind == AMENDED:
            order.shown = order.tip if display else min(order.shown, remaining)
            self.sequence = sequence
            return
        if kind == REPLACED:
            self.sequence = sequence
        self._enter(order, sequence)

    def _enter(self, order: Shown, sequence: int) -> None:
        order.shown = 0
        order.sequence = sequence
        self._entering = order

    def _rest(self, order: Shown) -> None:
        order.shown = order.tip
        self.sequence = max(self.sequence, order.sequence)
        self._entering = None


def _goes_on(entering: Shown, order: Shown | None, kind: int, reason: int, other: int) -> bool | None:
    """Whether an event belongs to the execution of the order that enters; None where it may come before it has begun."""
    if kind in _EXECUTIONS:
        return True
    if order is None or (kind != ACCEPTED and kind not in _LOSSES):
        return False
    if order is entering:
        return not other
    if reason == R_SELF_TRADE:
        return True
    if order.group_id and order.group_id == entering.group_id and kind != DECREMENTED:
        return None
    return False


def _shown(order: Order) -> Shown:
    """An order of a saved book."""
    conditions = order.conditions
    shown = 0 if order.status == UNTRIGGERED else order.remaining - order.hidden
    display, group_id = (0, 0) if conditions is None else (conditions.display_quantity, conditions.group_id)
    return Shown(order.side, order.price, order.remaining, shown, display, group_id)


def _accepted(step: Step) -> Shown:
    _, _, _, price, quantity, _, _, _, _, detail, side, group_id, display = step
    assert side is not None, "an order without a row"
    return Shown(side, price, quantity, 0, _display(detail) or display or 0, group_id or 0)


def _display(detail: str | None) -> int:
    """The displayed quantity that an event gave its order, 0 where none."""
    return 0 if detail is None else json.loads(detail).get("display_quantity", 0)
