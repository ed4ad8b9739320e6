"""An order: the command that places it and, once accepted, the thing that rests in the book.

One object for both saves the second allocation on every order. The first group of attributes is what the client asked
for; the second is kept by the book; the third by the engine. Nobody outside ``matching`` writes to an order. What only
the record needs (the time and number of its last event) is in the events and the database, not here: every attribute
written on the hot path is a cache line more.

``version`` counts the terms of the order: 1 at first, one more with every accepted amend. Fills do not change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.values import (
    CANCELED,
    FILLED,
    GTC,
    LIMIT,
    NEW,
    NO_REASON,
    STP_CANCEL_NEWEST,
)

if TYPE_CHECKING:
    from matching.book import Level
    from matching.state import Holding


class Order:
    """A new order, in units of its instrument.

    ``price`` is 0 for a market order. ``client_order_id`` is "" when the client gave none. ``off_grid`` tells that price
    or quantity had decimals a unit cannot hold (bits of ``matching.values``): the engine refuses such an order in its
    place of the ladder of checks. ``quantity = filled + remaining + canceled`` holds after every event.
    """

    __slots__ = (
        "account_id",
        "canceled",
        "client_order_id",
        "created_at",
        "holding",
        "instrument_id",
        "level",
        "newer",
        "notional",
        "off_grid",
        "older",
        "order_id",
        "post_only",
        "price",
        "priority",
        "quantity",
        "reason",
        "remaining",
        "self_trade_prevention",
        "side",
        "status",
        "time_in_force",
        "type",
        "version",
    )

    # Set by the engine before anything else happens to the order: never absent afterwards.
    holding: Holding

    def __init__(
        self,
        order_id: int,
        account_id: int,
        instrument_id: int,
        side: int,
        price: int,
        quantity: int,
        type: int = LIMIT,
        time_in_force: int = GTC,
        self_trade_prevention: int = STP_CANCEL_NEWEST,
        post_only: bool = False,
        client_order_id: str = "",
        off_grid: int = 0,
    ) -> None:
        self.order_id = order_id
        self.account_id = account_id
        self.instrument_id = instrument_id
        self.side = side
        self.price = price
        self.quantity = quantity
        self.type = type
        self.time_in_force = time_in_force
        self.self_trade_prevention = self_trade_prevention
        self.post_only = post_only
        self.client_order_id = client_order_id
        self.off_grid = off_grid
        # Kept by the book.
        self.remaining = quantity
        self.level: Level | None = None
        self.older: Order | None = None
        self.newer: Order | None = None
        # Kept by the engine.
        self.canceled = 0
        self.notional = 0
        self.status = NEW
        self.reason = NO_REASON
        self.priority = 0
        self.version = 1
        self.created_at = 0

    @property
    def filled(self) -> int:
        """Quantity traded so far, in units."""
        return self.quantity - self.remaining - self.canceled

    def __repr__(self) -> str:
        side = "sell" if self.side else "buy"
        end = {FILLED: " filled", CANCELED: " canceled"}.get(self.status, "")
        return f"<Order {self.order_id} {side} {self.remaining}/{self.quantity} @ {self.price}{end}>"
