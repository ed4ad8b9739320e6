"""The running command's events and their numbers, and what an account has open: what every step of an order is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.events import COMMAND_REFUSED, Event
from matching.order import Order
from matching.values import NO_REASON, UNTRIGGERED

if TYPE_CHECKING:
    from mypy_extensions import i64

    from matching.groups import Group


class Recorder:
    """Numbers events from ``next_sequence`` on.

    ``followers`` are the groups of which a member has lost or ended, in the order in which they did: what follows from that
    waits until the execution is over.
    """

    __slots__ = ("events", "followers", "next_sequence")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.next_sequence: i64 = 1
        self.followers: list[Group] = []

    # Events

    def happened(self, kind: int, order: Order, quantity: i64, reason: int, other: i64) -> None:
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
                order.status,
                reason,
                other,
            )
        )

    def configured(self, kind: int, value: i64, subject: i64, reason: int = NO_REASON, price: i64 = 0) -> None:
        """Number one event of an instrument or account, whose id is ``subject``."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        self.events.append((kind, sequence, None, price, value, 0, 0, 0, reason, subject))

    def refuse(self, reason: int) -> None:
        """The running command changes nothing (timers may have, before it)."""
        self.events.append((COMMAND_REFUSED, 0, None, 0, 0, 0, 0, 0, reason, 0))

    def traded(self, kind: int, order: Order, price: i64, quantity: i64, other: i64) -> None:
        """Number one side of a trade that was not an incoming order's."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        self.events.append(
            (
                kind,
                sequence,
                order,
                price,
                quantity,
                order.remaining,
                order.filled,
                order.status,
                NO_REASON,
                other,
            )
        )

    # Linked orders

    def follow(self, order: Order) -> None:
        """Whoever is linked to an order must hear that it has lost or ended."""
        conditions = order.conditions
        if conditions is not None and conditions.group is not None:
            self.followers.append(conditions.group)

    # What an account has open (fills see to this themselves)

    def open(self, order: Order) -> None:
        """An order has come to rest, or to wait."""
        order.holding.account.open_orders += 1
        self.hold_units(order, order.remaining)

    def close(self, order: Order) -> None:
        """The inverse of ``open``."""
        order.holding.account.open_orders -= 1
        self.hold_units(order, -order.remaining)

    def hold_units(self, order: Order, quantity: i64) -> None:
        """Units of a resting or waiting order are open from here on, or (negative) no longer are."""
        holding = order.holding
        units: int = quantity
        if order.side:
            holding.open_sell += units
            if order.status == UNTRIGGERED:
                holding.waiting_sell += units
        else:
            holding.open_buy += units
            if order.status != UNTRIGGERED:
                price: int = order.price
                holding.rest_value += price * units
