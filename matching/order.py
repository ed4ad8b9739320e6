"""An order: the command that places it and, once accepted, the thing that rests in the book or waits outside it.

One object for both saves the second allocation on every order. The first group of attributes is what the client asked
for; the second is kept by the book; the third by the engine. Nobody outside ``matching`` writes to an order. What only
the record needs (the time and number of its last event) is in the events and the database, not here; what only some
orders have (a stop, a trail, a displayed part, an expiry, relatives) is in ``Conditions``, so that the others do not pay.

``version`` counts the terms of the order: 1 at first, one more with every accepted amend. Fills do not change it.

Numbers of one order fit a machine word (``matching.values.MAX_UNITS``), and compiled they are one: ``i64`` is ``int`` to
the interpreter. Sums over orders and products do not fit, and are ``int``: multiply only what was put into an ``int``. An
order's id is never calculated with, only looked up: it stays the object it came as, so that look-ups need not make one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from matching.values import (
    CANCELED,
    EXPIRED,
    FILLED,
    FIRST_STOP,
    GTC,
    LIMIT,
    NEW,
    NO_REASON,
    NO_ROLE,
    STP_CANCEL_NEWEST,
)

if TYPE_CHECKING:
    from mypy_extensions import i64, u8

    from matching.groups import Group
    from matching.side import Level
    from matching.state import Holding


@final
class Conditions:
    """What only some orders have. 0 or None where an order has no such thing; prices and quantities in units.

    ``stop_price`` triggers; a trailing stop's is kept by the engine at ``best`` (the best last price since entry, 0 before
    any trade) less or plus its offset: ``trail`` in price units or ``trail_bps`` in ten-thousandths of ``best``.
    ``display_quantity`` makes an iceberg. ``expires_at`` (microseconds since 1970) ends a ``gtd`` order, and a ``day`` order
    once the engine has looked up the session's end. ``group`` and ``role`` link orders (``matching.groups``), by the
    ``group_id`` that is in the record. ``earlier`` and ``later`` chain the waiting trailing stops of a side.
    """

    __slots__ = (
        "best",
        "display_quantity",
        "earlier",
        "expires_at",
        "group",
        "group_id",
        "later",
        "role",
        "stop_price",
        "trail",
        "trail_bps",
    )

    def __init__(
        self,
        stop_price: i64 = 0,
        trail: i64 = 0,
        trail_bps: i64 = 0,
        display_quantity: i64 = 0,
        expires_at: i64 = 0,
        group_id: i64 = 0,
        role: u8 = NO_ROLE,
        best: i64 = 0,
    ) -> None:
        self.stop_price: i64 = stop_price
        self.trail: i64 = trail
        self.trail_bps: i64 = trail_bps
        self.display_quantity: i64 = display_quantity
        self.expires_at: i64 = expires_at
        self.group_id: i64 = group_id
        self.role: u8 = role
        self.best: i64 = best
        self.group: Group | None = None
        self.earlier: Order | None = None
        self.later: Order | None = None


@final
class Order:
    """A new order, in units of its instrument.

    ``price`` is 0 where there is no limit. ``client_order_id`` is "" when the client gave none. ``off_grid`` tells that a
    price or quantity had decimals a unit cannot hold (bits of ``matching.values``): the engine refuses such an order in its
    place of the ladder of checks. ``remaining`` is all that is open, ``hidden`` the part of it that an iceberg does not
    show. ``quantity = filled + remaining + canceled`` holds after every event.
    """

    __slots__ = (
        "account_id",
        "canceled",
        "client_order_id",
        "conditions",
        "created_at",
        "hidden",
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
        order_id: Any,
        account_id: i64,
        instrument_id: i64,
        side: u8,
        price: i64,
        quantity: i64,
        type: u8 = LIMIT,
        time_in_force: u8 = GTC,
        self_trade_prevention: u8 = STP_CANCEL_NEWEST,
        post_only: bool = False,
        client_order_id: str = "",
        off_grid: u8 = 0,
        conditions: Conditions | None = None,
    ) -> None:
        self.order_id: Any = order_id
        self.account_id: i64 = account_id
        self.instrument_id: i64 = instrument_id
        self.side: u8 = side
        self.price: i64 = price
        self.quantity: i64 = quantity
        self.type: u8 = type
        self.time_in_force: u8 = time_in_force
        self.self_trade_prevention: u8 = self_trade_prevention
        self.post_only: bool = post_only
        self.client_order_id = client_order_id
        self.off_grid: u8 = off_grid
        self.conditions = conditions
        # Kept by the book.
        self.remaining: i64 = quantity
        self.hidden: i64 = 0
        self.level: Level | None = None
        self.older: Order | None = None
        self.newer: Order | None = None
        # Kept by the engine.
        self.canceled: i64 = 0
        self.notional = 0
        self.status: u8 = NEW
        self.reason: u8 = NO_REASON
        self.priority: i64 = 0
        self.version: i64 = 1
        self.created_at: i64 = 0

    @property
    def filled(self) -> i64:
        """Quantity traded so far, in units."""
        return self.quantity - self.remaining - self.canceled

    @property
    def has_limit(self) -> bool:
        """Whether the order has a price of its own, now or once it is triggered."""
        return self.price > 0

    @property
    def is_stop(self) -> bool:
        """Whether the order waits, or waited, for the last price."""
        return self.type >= FIRST_STOP

    def __repr__(self) -> str:
        side = "sell" if self.side else "buy"
        end = {FILLED: " filled", CANCELED: " canceled", EXPIRED: " expired"}.get(self.status, "")
        return f"<Order {self.order_id} {side} {self.remaining}/{self.quantity} @ {self.price}{end}>"


def priority_of(order: Order) -> int:
    """For sorting: first come first."""
    return order.priority
