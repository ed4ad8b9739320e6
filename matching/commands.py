"""Commands: imperative, complete, frozen once submitted. A new order is its own command: ``matching.order.Order``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from matching.order import Order
from matching.transit import AdoptInstrument, ReleaseInstrument
from matching.values import (
    ACTIVE,
    CONTINUOUS,
    DEFAULT_MAX_OPEN_ORDERS,
    MAX_UNITS,
    R_USER_REQUEST,
)

if TYPE_CHECKING:
    from mypy_extensions import i64, u8

# What ``Amend.quantity`` means. Clients always send the new total (FIX 38); recorded feeds tell the other two.
TOTAL: Final = 0
OPEN: Final = 1
REDUCTION: Final = 2

ANY_SIDE: Final = -1
# Ids start at 1, so 0 stands for "whichever".
ANY: Final = 0


@final
class OrderGroup:
    """Orders that are placed together and linked: all of them, or none.

    Two with the roles ``OCO_LIMIT`` and ``OCO_STOP`` (same side and quantity), or three with ``ENTRY``, ``TAKE_PROFIT`` and
    ``STOP_LOSS`` (the latter two on the other side). All of one account, instrument and quantity, each with its role and
    the first one's id as ``group_id`` in its conditions.
    """

    __slots__ = ("orders",)

    def __init__(self, orders: list[Order]) -> None:
        self.orders = orders


@final
class Amend:
    """Change an open order. What is 0 stays as it is; ``expected_version`` 0 means any.

    ``trail`` and ``trail_bps`` replace each other: giving one takes the other away.
    """

    __slots__ = (
        "account_id",
        "basis",
        "display_quantity",
        "expected_version",
        "expires_at",
        "off_grid",
        "order_id",
        "price",
        "quantity",
        "stop_price",
        "trail",
        "trail_bps",
    )

    def __init__(
        self,
        order_id: Any,
        account_id: i64,
        price: i64 = 0,
        quantity: i64 = 0,
        basis: u8 = TOTAL,
        expected_version: i64 = 0,
        off_grid: u8 = 0,
        stop_price: i64 = 0,
        trail: i64 = 0,
        trail_bps: i64 = 0,
        display_quantity: i64 = 0,
        expires_at: i64 = 0,
    ) -> None:
        self.order_id: Any = order_id
        self.account_id: i64 = account_id
        self.price: i64 = price
        self.quantity: i64 = quantity
        self.basis: u8 = basis
        self.expected_version: i64 = expected_version
        self.off_grid: u8 = off_grid
        self.stop_price: i64 = stop_price
        self.trail: i64 = trail
        self.trail_bps: i64 = trail_bps
        self.display_quantity: i64 = display_quantity
        self.expires_at: i64 = expires_at


@final
class Cancel:
    """Cancel one open order. ``account_id`` ANY is an operator's cancel on behalf."""

    __slots__ = ("account_id", "order_id", "reason")

    def __init__(self, order_id: Any, account_id: i64 = ANY, reason: u8 = R_USER_REQUEST) -> None:
        self.order_id: Any = order_id
        self.account_id: i64 = account_id
        self.reason: u8 = reason


@final
class CancelAll:
    """Cancel every open order that matches all of account, instrument and side."""

    __slots__ = ("account_id", "instrument_id", "reason", "side")

    def __init__(
        self,
        account_id: i64 = ANY,
        instrument_id: i64 = ANY,
        side: int = ANY_SIDE,
        reason: u8 = R_USER_REQUEST,
    ) -> None:
        self.account_id: i64 = account_id
        self.instrument_id: i64 = instrument_id
        self.side: int = side
        self.reason: u8 = reason


@final
class CancelAfter:
    """Dead-man's switch: cancel all orders of the account ``delay_us`` from now unless renewed; 0 disarms."""

    __slots__ = ("account_id", "delay_us")

    def __init__(self, account_id: i64, delay_us: i64) -> None:
        self.account_id: i64 = account_id
        self.delay_us: i64 = delay_us


@final
class AdvanceTime:
    """Let what is due happen: nothing but the time it is applied at."""

    __slots__ = ()


@final
class DefineInstrument:
    """Create an instrument or change its rules. Symbol and decimals are fixed for good once it exists.

    So are the currencies ``base`` and ``quote``. The phase of an existing instrument is not touched.
    ``breaker_us``: how long the auction lasts that a market order opens when it meets the collar (0: none is opened).
    """

    __slots__ = (
        "base",
        "breaker_us",
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
        instrument_id: i64,
        symbol: str,
        base: str = "",
        quote: str = "",
        price_decimals: i64 = 0,
        quantity_decimals: i64 = 0,
        price_tick: i64 = 1,
        quantity_step: i64 = 1,
        min_quantity: i64 = 1,
        max_quantity: i64 = MAX_UNITS,
        max_notional: int = 0,
        collar_bps: i64 = 0,
        reference_price: i64 = 0,
        phase: i64 = CONTINUOUS,
        breaker_us: i64 = 0,
    ) -> None:
        self.instrument_id: i64 = instrument_id
        self.symbol = symbol
        self.base = base
        self.quote = quote
        self.price_decimals: i64 = price_decimals
        self.quantity_decimals: i64 = quantity_decimals
        self.price_tick: i64 = price_tick
        self.quantity_step: i64 = quantity_step
        self.min_quantity: i64 = min_quantity
        self.max_quantity: i64 = max_quantity
        self.max_notional = max_notional
        self.collar_bps: i64 = collar_bps
        self.reference_price: i64 = reference_price
        self.phase: i64 = phase
        self.breaker_us: i64 = breaker_us


@final
class SetPhase:
    """Put an instrument into a phase; with ``lasts_us`` (only for phases without trading) it opens by itself after that."""

    __slots__ = ("instrument_id", "lasts_us", "phase")

    def __init__(self, instrument_id: i64, phase: i64, lasts_us: i64 = 0) -> None:
        self.instrument_id: i64 = instrument_id
        self.phase: i64 = phase
        self.lasts_us: i64 = lasts_us


@final
class SetSchedule:
    """Give an instrument its coming phase changes, ``(at, phase)`` in ascending time; they replace those it has.

    What is past already is skipped, but for the last of it where ``enter_current``: that phase is entered now.
    """

    __slots__ = ("enter_current", "instrument_id", "transitions")

    def __init__(self, instrument_id: i64, transitions: list[tuple[int, int]], enter_current: bool = False) -> None:
        self.instrument_id: i64 = instrument_id
        self.transitions = transitions
        self.enter_current: bool = enter_current


@final
class DefineAccount:
    """Set state and limits of an account (0 = no limit, but for open orders). ``max_rate`` is messages a second.

    A ``funded`` account can only trade what it can pay for (``matching.funds``). Engines told in different orders must end
    up with the same: what is not newer by its ``definition`` than what the account has is too late. 0 is always newer.
    """

    __slots__ = (
        "account_id",
        "definition",
        "funded",
        "max_open_orders",
        "max_order_quantity",
        "max_position",
        "max_rate",
        "state",
    )

    def __init__(
        self,
        account_id: i64,
        state: i64 = ACTIVE,
        max_open_orders: i64 = DEFAULT_MAX_OPEN_ORDERS,
        max_order_quantity: i64 = 0,
        max_position: i64 = 0,
        max_rate: i64 = 0,
        funded: bool = False,
        definition: i64 = 0,
    ) -> None:
        self.account_id: i64 = account_id
        self.definition: i64 = definition
        self.state: i64 = state
        self.max_open_orders: i64 = max_open_orders
        self.max_order_quantity: i64 = max_order_quantity
        self.max_position: i64 = max_position
        self.max_rate: i64 = max_rate
        self.funded: bool = funded


@final
class Transfer:
    """Pay money of a currency into an account or (a negative amount) out of it, in units of ``MONEY_DECIMALS`` decimals."""

    __slots__ = ("account_id", "amount", "currency")

    def __init__(self, account_id: i64, currency: str, amount: int) -> None:
        self.account_id: i64 = account_id
        self.currency = currency
        self.amount = amount


Command = (
    Order
    | OrderGroup
    | Amend
    | Cancel
    | CancelAll
    | CancelAfter
    | AdvanceTime
    | DefineInstrument
    | SetPhase
    | SetSchedule
    | DefineAccount
    | Transfer
    | ReleaseInstrument
    | AdoptInstrument
)
