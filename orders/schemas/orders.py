"""Orders on the wire: what clients send and what they get."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from orders.schemas.decimals import PositiveDecimal
from orders.schemas.problems import Problem
from orders.schemas.query import DEFAULT_PAGE, Cursor, Limit

CLIENT_ORDER_ID_PATTERN = r"^[A-Za-z0-9_.:-]{1,36}$"
ClientOrderIdText = Annotated[str, StringConstraints(strict=True, pattern=CLIENT_ORDER_ID_PATTERN)]
# Any printable ASCII: whether such an instrument exists is another question (404, not 400).
SymbolText = Annotated[str, StringConstraints(strict=True, pattern=r"^[!-~]{1,32}$")]

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["gtc", "ioc", "fok"]
SelfTradePrevention = Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
OrderStatus = Literal["new", "partially_filled", "untriggered", "filled", "canceled", "rejected", "expired"]

# Orders one batch may hold: bounds the time one request can occupy the engine to some milliseconds.
MAX_BATCH = 500


class Request(BaseModel):
    """Unknown fields are errors; nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _example(**fields: Any) -> ConfigDict:
    """What the documentation shows, and lets one try."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class PlaceOrder(Request):
    """A new order. ``time_in_force`` is gtc for limit orders and ioc for market orders unless said otherwise.

    A market order never rests, whatever its time in force: what cannot trade is canceled.
    """

    model_config = _example(symbol="ACME-USD", side="buy", quantity="10", price="99.98", client_order_id="my-1")

    symbol: SymbolText
    side: Side
    type: OrderType = "limit"
    quantity: PositiveDecimal
    price: PositiveDecimal | None = None
    time_in_force: TimeInForce | None = None
    post_only: bool = False
    self_trade_prevention: SelfTradePrevention = "cancel_newest"
    client_order_id: ClientOrderIdText | None = None

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        if self.type == "limit" and self.price is None:
            raise PydanticCustomError("price_required", "a limit order needs a price")
        if self.type == "market" and self.price is not None:
            raise PydanticCustomError("price_forbidden", "a market order takes no price")
        if self.post_only and (self.type == "market" or self.time_in_force in ("ioc", "fok")):
            raise PydanticCustomError("post_only_forbidden", "an order that never rests cannot be post-only")
        return self


class AmendOrder(Request):
    """New terms. ``quantity`` is the new total, never the remainder."""

    model_config = _example(quantity="8")

    price: PositiveDecimal | None = None
    quantity: PositiveDecimal | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.price is None and self.quantity is None:
            raise PydanticCustomError("nothing_to_amend", "give a price, a quantity or both")
        return self


class PlaceBatch(Request):
    """Up to 500 orders, carried out in order, each on its own: one that is wrong does not stop the others."""

    model_config = _example(orders=[{"symbol": "ACME-USD", "side": "sell", "quantity": "2.5", "price": "100.02"}])

    orders: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH)]


class CancelFilter(Request):
    """Which open orders to cancel; without any field, all of the account's."""

    symbol: SymbolText | None = None
    side: Side | None = None


class OrderFilter(Request):
    """Which orders to list."""

    symbol: SymbolText | None = None
    status: Literal["open"] | OrderStatus | None = None
    side: Side | None = None
    client_order_id: ClientOrderIdText | None = None
    cursor: Cursor | None = None
    limit: Limit = DEFAULT_PAGE


class FillOut(BaseModel):
    """One trade, seen from one of its orders."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price: str
    quantity: str
    liquidity: Literal["maker", "taker"]
    shard: int
    sequence: int
    time: str


class OrderOut(BaseModel):
    """An order as it stands. Decimals have the instrument's fixed decimals; ``reason`` says why it ended unfilled."""

    id: str
    client_order_id: str | None
    account: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price: str | None
    stop_price: str | None
    quantity: str
    display_quantity: str | None
    expires_at: str | None
    self_trade_prevention: SelfTradePrevention
    filled_quantity: str
    remaining_quantity: str
    canceled_quantity: str
    average_price: str | None
    status: OrderStatus
    reason: str | None
    version: int
    sequence: int
    created_at: str
    updated_at: str


class PlacedOrderOut(OrderOut):
    """The answer to a new order: with what it traded at once."""

    fills: list[FillOut]


class AmendedOrderOut(PlacedOrderOut):
    """The answer to an amend: whether the order kept its place, and what it traded."""

    priority_kept: bool


class CanceledOut(BaseModel):
    """Which orders a cancel by filter ended."""

    canceled: list[str]
    count: int


class BatchResult(BaseModel):
    """One of the two."""

    order: PlacedOrderOut | None = None
    problem: Problem | None = None


class BatchOut(BaseModel):
    """Results in the order of the request."""

    results: list[BatchResult]


class OrderPage(BaseModel):
    results: list[OrderOut]
    next: str | None


class FillPage(BaseModel):
    results: list[FillOut]
    next: str | None


class EventOut(BaseModel):
    """One step of an order's life. ``price`` and ``quantity`` are those of the step."""

    shard: int
    sequence: int
    event: str
    order_id: str | None
    client_order_id: str | None
    symbol: str | None
    side: Side | None
    price: str | None
    quantity: str | None
    filled_quantity: str | None
    remaining_quantity: str | None
    status: OrderStatus | None
    reason: str | None
    liquidity: Literal["maker", "taker"] | None
    trade_id: str | None
    actor: str | None
    time: str


class EventPage(BaseModel):
    results: list[EventOut]
    next: str | None
