"""What clients send about orders: new ones of every type, amends, cancels, filters.

The terms of an order must make sense together before anything else is looked at: what does not is told field by field
(``invalid_request``), and nothing is kept. What each type does is in ``docs/orders.md``; what we answer in ``answers``.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from orders.schemas.decimals import PercentText, PositiveDecimal
from orders.schemas.misfits import Misfits
from orders.schemas.moments import Moment
from orders.schemas.query import DEFAULT_PAGE, Cursor, Limit

CLIENT_ORDER_ID_PATTERN = r"^[A-Za-z0-9_.:-]{1,36}$"
ClientOrderIdText = Annotated[str, StringConstraints(strict=True, pattern=CLIENT_ORDER_ID_PATTERN)]
# Any printable ASCII: whether such an instrument exists is another question (404, not 400).
SymbolText = Annotated[str, StringConstraints(strict=True, pattern=r"^[!-~]{1,32}$")]
# No control characters: a database may not take them even in a question.
AccountText = Annotated[str, StringConstraints(strict=True, pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market", "stop", "stop_limit", "trailing_stop"]
TimeInForce = Literal["gtc", "ioc", "fok", "day", "gtd"]
SelfTradePrevention = Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
OrderStatus = Literal["new", "partially_filled", "untriggered", "filled", "canceled", "rejected", "expired"]
OrderClass = Literal["simple", "oco", "bracket"]

# Orders one batch may hold: bounds the time one request can occupy the engine to some milliseconds.
MAX_BATCH = 500
# A lease of more than a day is no dead-man's switch any more.
MAX_CANCEL_AFTER_SECONDS = 86_400

IMMEDIATE = ("ioc", "fok")
_PRICES = ("price", "stop_price", "trail_price", "trail_percent")
# The prices each type must have; it may have no others. (Of a trailing stop's two it has one.)
_PRICES_OF: dict[str, tuple[str, ...]] = {
    "limit": ("price",),
    "market": (),
    "stop": ("stop_price",),
    "stop_limit": ("stop_price", "price"),
    "trailing_stop": ("trail_price", "trail_percent"),
}
# How long each type may be asked to live.
_LIVES: dict[str, tuple[str, ...]] = {
    "limit": ("gtc", "ioc", "fok", "day", "gtd"),
    "market": ("gtc", "ioc", "fok", "day"),
    "stop": ("gtc", "day", "gtd"),
    "stop_limit": ("gtc", "ioc", "fok", "day", "gtd"),
    "trailing_stop": ("gtc", "day", "gtd"),
}
_SPOKEN = {
    "limit": "a limit order",
    "market": "a market order",
    "stop": "a stop order",
    "stop_limit": "a stop-limit order",
    "trailing_stop": "a trailing stop",
}


class Request(BaseModel):
    """Unknown fields are errors; nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _examples(*examples: dict[str, Any]) -> ConfigDict:
    """What the documentation shows, and lets one try."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


class TakeProfit(Request):
    """The limit order of a bracket that closes with a gain."""

    price: PositiveDecimal = Field(description="Its limit.")


class StopLoss(Request):
    """The stop of a pair: give one of `stop_price`, `trail_price` and `trail_percent`; `price` makes it a stop-limit."""

    stop_price: PositiveDecimal | None = Field(None, description="It triggers when the last trade is at or through it.")
    price: PositiveDecimal | None = Field(None, description="Its limit once triggered; without one, a market order.")
    trail_price: PositiveDecimal | None = Field(None, description="It follows the last price at this distance.")
    trail_percent: PercentText | None = Field(None, description="It follows at this percentage of the best price.")

    @property
    def type(self) -> str:
        """The type of order that it is."""
        if self.stop_price is None:
            return "trailing_stop"
        return "stop" if self.price is None else "stop_limit"

    @model_validator(mode="after")
    def _is_one_stop(self) -> Self:
        misfits = Misfits()
        given = [name for name in ("stop_price", "trail_price", "trail_percent") if getattr(self, name) is not None]
        if not given:
            misfits.add(
                "stop_price", "stop_price_required", "a stop loss needs stop_price, trail_price or trail_percent"
            )
        for name in given[1:]:
            misfits.add(name, f"{name}_forbidden", f"{name} and {given[0]} exclude each other")
        if self.price is not None and self.stop_price is None:
            misfits.add("price", "price_forbidden", "a trailing stop takes no price: triggered, it is a market order")
        misfits.check(self)
        return self


class PlaceOrder(Request):
    """A new order, or with `order_class` an order and those that are linked to it.

    A market order never rests, whatever its time in force: what cannot trade is canceled. An `oco` is a limit order and,
    in `stop_loss`, a stop on the same side: what one trades, the other loses. The `take_profit` and `stop_loss` of a
    `bracket` are on the other side; they wait until the entry has ended, then stand good till canceled for what it filled.
    """

    model_config = _examples(
        {"symbol": "ACME-USD", "side": "buy", "quantity": "10", "price": "99.98", "client_order_id": "my-1"},
        {"symbol": "ACME-USD", "side": "sell", "type": "market", "quantity": "2.5"},
        {"symbol": "ACME-USD", "side": "sell", "type": "stop", "quantity": "10", "stop_price": "95"},
        {
            **{"symbol": "ACME-USD", "side": "buy", "type": "stop_limit", "quantity": "10", "stop_price": "105"},
            **{"price": "105.5", "time_in_force": "day"},
        },
        {"symbol": "ACME-USD", "side": "sell", "type": "trailing_stop", "quantity": "10", "trail_percent": "2.5"},
        {"symbol": "ACME-USD", "side": "sell", "quantity": "500", "price": "110", "display_quantity": "20"},
        {
            **{"symbol": "ACME-USD", "side": "sell", "quantity": "10", "price": "120", "order_class": "oco"},
            "stop_loss": {"stop_price": "90"},
        },
        {
            **{"symbol": "ACME-USD", "side": "buy", "quantity": "10", "price": "99", "order_class": "bracket"},
            **{"take_profit": {"price": "109"}, "stop_loss": {"stop_price": "94", "price": "93.5"}},
        },
    )

    symbol: SymbolText
    side: Side
    type: OrderType = "limit"
    quantity: PositiveDecimal
    price: PositiveDecimal | None = Field(None, description="The limit: of limit and stop-limit orders.")
    stop_price: PositiveDecimal | None = Field(
        None, description="Stop orders trigger when the last trade is at or through it."
    )
    trail_price: PositiveDecimal | None = Field(
        None, description="A trailing stop's distance from the best last price since it was placed."
    )
    trail_percent: PercentText | None = Field(
        None, description='The same as a percentage of the best last price: "1.5". At most two decimals, below 100.'
    )
    display_quantity: PositiveDecimal | None = Field(
        None, description="Makes an iceberg: so much is shown at a time. For orders that can rest."
    )
    time_in_force: TimeInForce | None = Field(None, description="Unless given: gtc, but ioc for market orders.")
    expires_at: Moment | None = Field(None, description="When a gtd order expires: a time in UTC.")
    post_only: bool = Field(False, description="Refused if any of it would trade at once. For limit orders that rest.")
    self_trade_prevention: SelfTradePrevention = "cancel_newest"
    client_order_id: ClientOrderIdText | None = Field(
        None, description="Unique in the account for life: the same request with the same id is placed once."
    )
    order_class: OrderClass = "simple"
    take_profit: TakeProfit | None = Field(None, description="Of a bracket.")
    stop_loss: StopLoss | None = Field(None, description="Of an oco or a bracket.")

    @property
    def life(self) -> str:
        """The time in force, with its default filled in."""
        return self.time_in_force or ("ioc" if self.type == "market" else "gtc")

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        misfits = Misfits()
        self._prices_fit(misfits)
        self._life_fits(misfits)
        self._quantities_fit(misfits)
        self._links_fit(misfits)
        misfits.check(self)
        return self

    def _prices_fit(self, misfits: Misfits) -> None:
        what, needed = _SPOKEN[self.type], _PRICES_OF[self.type]
        given = [name for name in _PRICES if getattr(self, name) is not None]
        for name in given:
            if name not in needed:
                misfits.add(name, f"{name}_forbidden", f"{what} takes no {name}")
        if self.type == "trailing_stop":
            if self.trail_price is None and self.trail_percent is None:
                misfits.add("trail_price", "trail_price_required", f"{what} needs trail_price or trail_percent")
            elif self.trail_price is not None and self.trail_percent is not None:
                misfits.add("trail_percent", "trail_percent_forbidden", f"{what} takes trail_price or trail_percent")
            return
        for name in needed:
            if name not in given:
                misfits.add(name, f"{name}_required", f"{what} needs a {name}")

    def _life_fits(self, misfits: Misfits) -> None:
        lives = _LIVES[self.type]
        if self.life not in lives:
            message = f"{_SPOKEN[self.type]} may be {', '.join(lives)}"
            misfits.add("time_in_force", "time_in_force_forbidden", message)
        if self.life == "gtd" and self.expires_at is None:
            misfits.add("expires_at", "expires_at_required", "a gtd order needs expires_at")
        if self.life != "gtd" and self.expires_at is not None:
            misfits.add("expires_at", "expires_at_forbidden", "only a gtd order takes expires_at")
        if self.post_only and (self.type != "limit" or self.life in IMMEDIATE):
            misfits.add("post_only", "post_only_forbidden", "only a limit order that rests can be post-only")

    def _quantities_fit(self, misfits: Misfits) -> None:
        if self.display_quantity is None:
            return
        if "price" not in _PRICES_OF[self.type] or self.life in IMMEDIATE:
            message = "only an order that can rest has a part that is displayed"
            misfits.add("display_quantity", "display_quantity_forbidden", message)
        elif Decimal(self.display_quantity) >= Decimal(self.quantity):
            message = "must be less than the quantity: without it, all is displayed"
            misfits.add("display_quantity", "display_quantity_too_large", message)

    def _links_fit(self, misfits: Misfits) -> None:
        takes = {"simple": (), "oco": ("stop_loss",), "bracket": ("take_profit", "stop_loss")}[self.order_class]
        for name in ("take_profit", "stop_loss"):
            given = getattr(self, name) is not None
            if given and name not in takes:
                what = "an oco" if self.order_class == "oco" else "an order of its own"
                misfits.add(name, f"{name}_forbidden", f"{what} takes no {name}")
            if not given and name in takes:
                misfits.add(name, f"{name}_required", f"order_class {self.order_class} needs a {name}")
        if self.order_class == "oco" and (self.type != "limit" or self.life in IMMEDIATE):
            misfits.add("order_class", "order_class_forbidden", "an oco is a limit order that rests, and a stop")
        stop = None if self.stop_loss is None else self.stop_loss.stop_price
        limit = self.price if self.order_class == "oco" else self.take_profit.price if self.take_profit else None
        if not takes or stop is None or limit is None:
            return
        # Who sells by one of the two wants more by the limit than by the stop.
        sells = (self.side == "sell") == (self.order_class == "oco")
        if (Decimal(limit) <= Decimal(stop)) if sells else (Decimal(limit) >= Decimal(stop)):
            which = "price" if self.order_class == "oco" else "take_profit.price"
            word = "below" if sells else "above"
            misfits.add("stop_loss", "stop_loss_beyond_limit", f"its stop_price must be {word} {which}")


class AmendOrder(Request):
    """New terms; what is left out stays. ``quantity`` is the new total, never the remainder."""

    model_config = _examples({"quantity": "8"}, {"price": "99.5"}, {"stop_price": "96"}, {"trail_percent": "3"})

    price: PositiveDecimal | None = None
    quantity: PositiveDecimal | None = None
    stop_price: PositiveDecimal | None = Field(None, description="Of a stop that waits.")
    trail_price: PositiveDecimal | None = Field(None, description="Of a trailing stop; instead of its trail_percent.")
    trail_percent: PercentText | None = Field(None, description="Of a trailing stop; instead of its trail_price.")
    display_quantity: PositiveDecimal | None = Field(None, description="Of an iceberg: shown at once.")
    expires_at: Moment | None = Field(None, description="Of a gtd order: a time to come.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        misfits = Misfits()
        names = tuple(AmendOrder.model_fields)
        if all(getattr(self, name) is None for name in names):
            misfits.add("", "nothing_to_amend", f"give at least one of {', '.join(names)}")
        if self.trail_price is not None and self.trail_percent is not None:
            misfits.add("trail_percent", "trail_percent_forbidden", "give trail_price or trail_percent, not both")
        if (
            self.display_quantity is not None
            and self.quantity is not None
            and Decimal(self.display_quantity) >= Decimal(self.quantity)
        ):
            misfits.add("display_quantity", "display_quantity_too_large", "must be less than the quantity")
        misfits.check(self)
        return self


class PlaceBatch(Request):
    """Up to 500 entries, carried out in order, each on its own: one that is wrong does not stop the others.

    Each is the body of a single order; one with an `order_class` is placed whole or not at all.
    """

    model_config = _examples({"orders": [{"symbol": "ACME-USD", "side": "sell", "quantity": "2.5", "price": "100.02"}]})

    orders: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH)]


class CancelAfter(Request):
    """A lease on the account's open orders: renew it in time, or all of them are canceled. 0 ends it."""

    model_config = _examples({"seconds": 30}, {"seconds": 0})

    seconds: Annotated[int, Field(ge=0, le=MAX_CANCEL_AFTER_SECONDS)]


class CancelFilter(Request):
    """Which open orders to cancel; without any field, all of the account's."""

    symbol: SymbolText | None = None
    side: Side | None = None
    account: AccountText | None = Field(None, description="Another account's name: for the scope `operate`.")


class OrderFilter(Request):
    """Which orders to list."""

    symbol: SymbolText | None = None
    status: Literal["open"] | OrderStatus | None = None
    side: Side | None = None
    client_order_id: ClientOrderIdText | None = None
    group_id: Cursor | None = Field(None, description="The orders that were placed together: the first one's id.")
    cursor: Cursor | None = None
    limit: Limit = DEFAULT_PAGE
