"""What the engine remembers besides resting orders: instruments, accounts, and what an account holds of an instrument.

Everything here has a row in the database that is written in the same transaction as the events that changed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from matching.book import OrderBook
from matching.order import Order
from matching.stops import StopBook
from matching.values import (
    ACTIVE,
    BASIS_POINTS,
    BUY,
    CLOSED,
    CONTINUOUS,
    DAY_US,
    DEFAULT_MAX_OPEN_ORDERS,
    MAX_UNITS,
    MONEY_DECIMALS,
    NEVER,
    NO_BOUND,
)

if TYPE_CHECKING:
    from mypy_extensions import i64


@final
class Instrument:
    """The rules of one instrument, its phase, its book and the stops beside it. Prices and quantities in units.

    ``max_notional`` (price units times quantity units), ``collar_bps``, ``reference_price`` and ``breaker_us`` are 0 where
    there is none. ``phase_until`` is when the phase ends by itself (0: never), ``schedule`` the phase changes to come, as
    ``(at, phase)`` in ascending time. ``holdings`` is what accounts hold of it, by account id.
    """

    __slots__ = (
        "base",
        "base_scale",
        "book",
        "breaker_us",
        "collar_bps",
        "holdings",
        "instrument_id",
        "last_price",
        "max_notional",
        "max_quantity",
        "min_quantity",
        "phase",
        "phase_until",
        "plain",
        "price_decimals",
        "price_tick",
        "quantity_decimals",
        "quantity_step",
        "quote",
        "quote_scale",
        "reference_price",
        "schedule",
        "stops",
        "symbol",
    )

    def __init__(
        self,
        instrument_id: i64,
        symbol: str,
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
        orders: dict[int, Order] | None = None,
        breaker_us: i64 = 0,
        base: str = "",
        quote: str = "",
    ) -> None:
        self.instrument_id: i64 = instrument_id
        self.symbol = symbol
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
        self.phase_until: i64 = 0
        self.schedule: list[tuple[int, int]] = []
        self.breaker_us: i64 = breaker_us
        self.base = base
        self.quote = quote
        # Money (``MONEY_DECIMALS``) in one unit of quantity, and in one of price times quantity.
        self.base_scale = 10 ** max(0, MONEY_DECIMALS - int(quantity_decimals))
        self.quote_scale = 10 ** max(0, MONEY_DECIMALS - int(price_decimals) - int(quantity_decimals))
        self.last_price: i64 = 0
        self.book = OrderBook(orders)
        self.stops = StopBook()
        self.holdings: dict[int, Holding] = {}
        self.plain: bool = False
        self.settle()

    def settle(self) -> None:
        """Call after a change of rules or phase: notes whether the quick test of a new order can be enough."""
        self.plain = self.phase == CONTINUOUS and not self.collar_bps and not self.max_notional

    @property
    def reference(self) -> i64:
        """What prices are measured against: the last trade, else the instrument's reference price, else 0."""
        return self.last_price or self.reference_price

    def collar(self, side: int, reference: i64) -> i64:
        """The worst price an order of ``side`` may name or trade at around ``reference``, or 0 where there is no collar.

        Rounded towards the reference.
        """
        if not self.collar_bps or not reference:
            return 0
        whole: int = reference
        bps: int = self.collar_bps
        width: i64 = whole * bps // BASIS_POINTS
        return reference + width if side == BUY else max(1, reference - width)

    def market_bound(self, side: int) -> i64:
        """The key an order without a limit trades down to (see ``OrderBook.match``)."""
        limit = self.collar(side, self.reference)
        if not limit:
            return NO_BOUND
        return -limit if side == BUY else limit

    def next_due(self) -> i64:
        """When the next phase change is due, ``NEVER`` where none is."""
        due: i64 = self.schedule[0][0] if self.schedule else NEVER
        return self.phase_until if self.phase_until and self.phase_until < due else due

    def session_end(self, at: i64) -> i64:
        """When a day order entered at ``at`` ends: the next scheduled close, without one the next 00:00 UTC."""
        for when, phase in self.schedule:
            if phase == CLOSED and when > at:
                return when
        return (at // DAY_US + 1) * DAY_US


@final
class Account:
    """State and limits of an account. ``max_order_quantity``, ``max_position`` (units) and ``max_rate`` (messages a second)
    are 0 where there is none.

    ``rate_at`` is how far its messages have used up time (GCRA), ``cancel_after_at`` when its lease runs out (0: none).
    ``funded`` accounts pay for what they do; ``deposits`` is money paid in less money paid out, by currency. ``holdings`` are
    all it has of any instrument. ``definition`` is the number its state and limits came with.
    """

    __slots__ = (
        "account_id",
        "cancel_after_at",
        "definition",
        "deposits",
        "funded",
        "holdings",
        "max_open_orders",
        "max_order_quantity",
        "max_position",
        "max_rate",
        "open_orders",
        "plain",
        "rate_at",
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
    ) -> None:
        self.account_id: i64 = account_id
        self.state: i64 = state
        self.max_open_orders: i64 = max_open_orders
        self.max_order_quantity: i64 = max_order_quantity
        self.max_position: i64 = max_position
        self.max_rate: i64 = max_rate
        self.funded: bool = funded
        self.deposits: dict[str, int] = {}
        self.holdings: list[Holding] = []
        self.open_orders: i64 = 0
        self.rate_at: i64 = 0
        self.cancel_after_at: i64 = 0
        self.definition: i64 = 0
        self.plain: bool = False
        self.settle()

    def settle(self) -> None:
        """Call after a change of state or limits: notes whether the quick test of a new order can be enough."""
        limited = self.max_order_quantity or self.max_position or self.max_rate or self.funded
        self.plain = self.state == ACTIVE and not limited


@final
class Holding:
    """What one account traded of one instrument, and what its open orders could still trade. All in units.

    The net position is ``bought - sold``; the notionals are price units times quantity units, so that profit and loss
    need no division: ``sold_notional - bought_notional + net * price``. ``rest_value`` is what its resting buys would cost
    at their limits, ``waiting_sell`` the part of ``open_sell`` that waits for a trigger.
    """

    __slots__ = (
        "account",
        "bought",
        "bought_notional",
        "instrument",
        "open_buy",
        "open_sell",
        "rest_value",
        "sold",
        "sold_notional",
        "waiting_sell",
    )

    def __init__(self, account: Account, instrument: Instrument) -> None:
        self.account = account
        self.instrument = instrument
        account.holdings.append(self)
        self.bought = 0
        self.bought_notional = 0
        self.sold = 0
        self.sold_notional = 0
        self.open_buy = 0
        self.open_sell = 0
        self.rest_value = 0
        self.waiting_sell = 0

    @property
    def net(self) -> int:
        return self.bought - self.sold
