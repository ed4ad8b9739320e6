"""What the engine remembers besides resting orders: instruments, accounts, and what an account holds of an instrument.

Everything here has a row in the database that is written in the same transaction as the events that changed it.
"""

from __future__ import annotations

from matching.book import OrderBook
from matching.order import Order
from matching.values import (
    ACTIVE,
    BASIS_POINTS,
    BUY,
    CONTINUOUS,
    DEFAULT_MAX_OPEN_ORDERS,
    MAX_UNITS,
    NO_BOUND,
)


class Instrument:
    """The rules of one instrument, its phase and its book. Prices and quantities in units.

    ``max_notional`` (price units times quantity units), ``collar_bps`` and ``reference_price`` are 0 where there is none.
    ``holdings`` is what accounts hold of it, by account id.
    """

    __slots__ = (
        "book",
        "collar_bps",
        "holdings",
        "instrument_id",
        "last_price",
        "max_notional",
        "max_quantity",
        "min_quantity",
        "phase",
        "plain",
        "price_decimals",
        "price_tick",
        "quantity_decimals",
        "quantity_step",
        "reference_price",
        "symbol",
    )

    def __init__(
        self,
        instrument_id: int,
        symbol: str,
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
        orders: dict[int, Order] | None = None,
    ) -> None:
        self.instrument_id = instrument_id
        self.symbol = symbol
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
        self.last_price = 0
        self.book = OrderBook(orders)
        self.holdings: dict[int, Holding] = {}
        self.settle()

    def settle(self) -> None:
        """Call after a change of rules or phase: notes whether the quick test of a new order can be enough."""
        self.plain = self.phase == CONTINUOUS and not self.collar_bps and not self.max_notional

    def collar(self, side: int) -> int:
        """The worst price an incoming order of ``side`` may name or trade at, or 0 where there is no collar.

        Reference = last trade, else the instrument's reference price. Rounded towards the reference.
        """
        reference = self.last_price or self.reference_price
        if not self.collar_bps or not reference:
            return 0
        width = reference * self.collar_bps // BASIS_POINTS
        return reference + width if side == BUY else max(1, reference - width)

    def market_bound(self, side: int) -> int:
        """The key an order without a limit trades down to (see ``OrderBook.match``)."""
        limit = self.collar(side)
        if not limit:
            return NO_BOUND
        return -limit if side == BUY else limit


class Account:
    """State and limits of an account. ``max_order_quantity`` and ``max_position`` (units) are 0 where there is none."""

    __slots__ = (
        "account_id",
        "max_open_orders",
        "max_order_quantity",
        "max_position",
        "open_orders",
        "plain",
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
        self.open_orders = 0
        self.plain = False
        self.settle()

    def settle(self) -> None:
        """Call after a change of state or limits: notes whether the quick test of a new order can be enough."""
        self.plain = self.state == ACTIVE and not self.max_order_quantity and not self.max_position


class Holding:
    """What one account traded of one instrument, and what its open orders could still trade. All in units.

    The net position is ``bought - sold``; the notionals are price units times quantity units, so that profit and loss
    need no division: ``sold_notional - bought_notional + net * price``.
    """

    __slots__ = (
        "account",
        "bought",
        "bought_notional",
        "instrument_id",
        "open_buy",
        "open_sell",
        "sold",
        "sold_notional",
    )

    def __init__(self, account: Account, instrument_id: int) -> None:
        self.account = account
        self.instrument_id = instrument_id
        self.bought = 0
        self.bought_notional = 0
        self.sold = 0
        self.sold_notional = 0
        self.open_buy = 0
        self.open_sell = 0

    @property
    def net(self) -> int:
        return self.bought - self.sold
