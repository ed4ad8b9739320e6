"""An order as its events tell it: the fold that a row must equal."""

from dataclasses import dataclass

from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    DECREMENTED,
    EXPIRED,
    FILL_MAKER,
    FILL_TAKER,
    KIND_NAMES,
    MOVED,
    REJECTED,
    RELEASED,
    REPLACED,
    REPLENISHED,
    TRIGGERED,
)
from matching.lifecycle import UNBORN, is_step
from matching.values import LAST_OPEN_STATUS, STATUS_NAMES

# What gives a new place, what changes the terms, what tells a new total, what takes away without a trade.
_PLACES = frozenset((ACCEPTED, REPLACED, TRIGGERED, REPLENISHED, RELEASED, MOVED))
_AMENDS = frozenset((AMENDED, REPLACED))
_TOTALS = frozenset((ACCEPTED, REJECTED, AMENDED, REPLACED, RELEASED))
_LOSSES = frozenset((CANCELED, EXPIRED, DECREMENTED))


@dataclass(slots=True)
class Folded:
    """What the events so far say. ``stop_price`` is that of the acceptance: amends do not tell another."""

    price: int = 0
    quantity: int = 0
    remaining: int = 0
    filled: int = 0
    notional: int = 0
    status: int = UNBORN
    reason: int = 0
    version: int = 1
    priority: int = 0
    sequence: int = 0
    stop_price: int = 0

    def apply(
        self,
        sequence: int,
        kind: int,
        price: int,
        quantity: int,
        remaining: int,
        filled: int,
        status: int,
        reason: int,
        other: int,
    ) -> str:
        """Take one event. Returns what is wrong with it, or ""."""
        fits = is_step(self.status, kind, status)
        expected = self._expected(kind, quantity)
        self.sequence, self.remaining, self.filled, self.status = sequence, remaining, filled, status
        if status > LAST_OPEN_STATUS:
            self.reason = reason
        if kind == ACCEPTED:
            self.stop_price = other
        if kind in _PLACES:
            self.priority = sequence
        if kind in _AMENDS:
            self.version += 1
        if kind in _TOTALS:
            self.price, self.quantity = price, quantity
        if kind in (FILL_MAKER, FILL_TAKER):
            self.notional += price * quantity
        if not fits:
            return f"makes it {STATUS_NAMES[status]}, which {KIND_NAMES[kind]} cannot"
        if (remaining, filled) != expected:
            return f"leaves {remaining} open and {filled} filled, {expected[0]} and {expected[1]} were due"
        return ""

    def _expected(self, kind: int, quantity: int) -> tuple[int, int]:
        """What an event of this kind and quantity must leave open and filled."""
        if kind == ACCEPTED:
            return quantity, 0
        if kind == REJECTED:
            return 0, 0
        if kind in (FILL_MAKER, FILL_TAKER):
            return self.remaining - quantity, self.filled + quantity
        if kind in _LOSSES:
            return self.remaining - quantity, self.filled
        if kind in _TOTALS:
            return self.remaining + quantity - self.quantity, self.filled
        return self.remaining, self.filled
