"""Commands: imperative, complete, frozen once submitted. A new order is its own command: ``matching.order.Order``."""

from __future__ import annotations

from typing import Final

from matching.order import Order
from matching.values import (
    ACTIVE,
    CONTINUOUS,
    DEFAULT_MAX_OPEN_ORDERS,
    MAX_UNITS,
    R_USER_REQUEST,
)

# What ``Amend.quantity`` means. Clients always send the new total (FIX 38); recorded feeds tell the other two.
TOTAL: Final = 0
OPEN: Final = 1
REDUCTION: Final = 2

ANY_SIDE: Final = -1
# Ids start at 1, so 0 stands for "whichever".
ANY: Final = 0


class Amend:
    """Change an open order. A price or quantity of 0 stays as it is; ``expected_version`` 0 means any."""

    __slots__ = (
        "account_id",
        "basis",
        "expected_version",
        "off_grid",
        "order_id",
        "price",
        "quantity",
    )

    def __init__(
        self,
        order_id: int,
        account_id: int,
        price: int = 0,
        quantity: int = 0,
        basis: int = TOTAL,
        expected_version: int = 0,
        off_grid: int = 0,
    ) -> None:
        self.order_id = order_id
        self.account_id = account_id
        self.price = price
        self.quantity = quantity
        self.basis = basis
        self.expected_version = expected_version
        self.off_grid = off_grid


class Cancel:
    """Cancel one open order. ``account_id`` ANY is an operator's cancel on behalf."""

    __slots__ = ("account_id", "order_id", "reason")

    def __init__(self, order_id: int, account_id: int = ANY, reason: int = R_USER_REQUEST) -> None:
        self.order_id = order_id
        self.account_id = account_id
        self.reason = reason


class CancelAll:
    """Cancel every open order that matches all of account, instrument and side."""

    __slots__ = ("account_id", "instrument_id", "reason", "side")

    def __init__(
        self,
        account_id: int = ANY,
        instrument_id: int = ANY,
        side: int = ANY_SIDE,
        reason: int = R_USER_REQUEST,
    ) -> None:
        self.account_id = account_id
        self.instrument_id = instrument_id
        self.side = side
        self.reason = reason


class DefineInstrument:
    """Create an instrument or change its rules. Symbol and decimals are fixed for good once it exists.

    ``base`` and ``quote`` only travel through the core. The phase of an existing instrument is not touched.
    """

    __slots__ = (
        "base",
        "collar_bps",
        "instrument_id",
        "max_notional",
        "max_quantity",
        "min_quantity",
        "phase",
        "price_decimals",
        "price_tick",
        "quantity_decimals",
        "quantity_step",
        "quote",
        "reference_price",
        "symbol",
    )

    def __init__(
        self,
        instrument_id: int,
        symbol: str,
        base: str = "",
        quote: str = "",
        price_decimals: int = 0,
        quantity_decimals: int = 0,
        price_tick: int = 1,
        quantity_step: int = 1,
        min_quantity: int = 1,
        max_quantity: int = MAX_UNITS,
        max_notional: int = 0,
        collar_bps: int = 0,
        reference_price: int = 0,
        phase: int = CONTINUOUS,
    ) -> None:
        self.instrument_id = instrument_id
        self.symbol = symbol
        self.base = base
        self.quote = quote
        self.price_decimals = price_decimals
        self.quantity_decimals = quantity_decimals
        self.price_tick = price_tick
        self.quantity_step = quantity_step
        self.min_quantity = min_quantity
        self.max_quantity = max_quantity
        self.max_notional = max_notional
        self.collar_bps = collar_bps
        self.reference_price = reference_price
        self.phase = phase


class SetPhase:
    """Put an instrument into a phase: halt it, resume it, close it."""

    __slots__ = ("instrument_id", "phase")

    def __init__(self, instrument_id: int, phase: int) -> None:
        self.instrument_id = instrument_id
        self.phase = phase


class DefineAccount:
    """Set state and limits of an account (0 = no limit, but for open orders)."""

    __slots__ = (
        "account_id",
        "max_open_orders",
        "max_order_quantity",
        "max_position",
        "state",
    )

    def __init__(
        self,
        account_id: int,
        state: int = ACTIVE,
        max_open_orders: int = DEFAULT_MAX_OPEN_ORDERS,
        max_order_quantity: int = 0,
        max_position: int = 0,
    ) -> None:
        self.account_id = account_id
        self.state = state
        self.max_open_orders = max_open_orders
        self.max_order_quantity = max_order_quantity
        self.max_position = max_position


Command = Order | Amend | Cancel | CancelAll | DefineInstrument | SetPhase | DefineAccount
