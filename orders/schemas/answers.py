"""Orders on the wire, as we tell them: with their fills, their legs, their events. What clients send is in ``orders``."""

from typing import Literal

from pydantic import BaseModel, Field

from orders.schemas.orders import OrderClass, OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce
from orders.schemas.problems import Problem
from orders.schemas.texts import DecimalText, TimeText

Role = Literal["oco_limit", "oco_stop", "entry", "take_profit", "stop_loss"]


class FillOut(BaseModel):
    """One trade, seen from one of its orders."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price: DecimalText
    quantity: DecimalText
    liquidity: Literal["maker", "taker"]
    shard: int
    sequence: int
    time: TimeText


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
    price: DecimalText | None
    stop_price: DecimalText | None = Field(
        description="Of a trailing stop: where it stands now, null before the first trade."
    )
    trail_price: DecimalText | None
    trail_percent: DecimalText | None
    quantity: DecimalText
    display_quantity: DecimalText | None
    expires_at: TimeText | None
    self_trade_prevention: SelfTradePrevention
    order_class: OrderClass
    group_id: str | None = Field(description="The id of the first of the orders that were placed together.")
    role: Role | None = Field(description="What it is among them.")
    filled_quantity: DecimalText
    remaining_quantity: DecimalText
    canceled_quantity: DecimalText
    average_price: DecimalText | None
    status: OrderStatus
    reason: str | None
    version: int
    sequence: int
    created_at: TimeText
    updated_at: TimeText


class OrderDetailOut(OrderOut):
    """One order; with the others of its group where it is the first of one."""

    legs: list[OrderOut]


class PlacedOrderOut(OrderDetailOut):
    """The answer to a new order: with what it traded at once."""

    fills: list[FillOut]


class AmendedOrderOut(PlacedOrderOut):
    """The answer to an amend: whether the order kept its place, and what it traded."""

    priority_kept: bool


class CanceledOut(BaseModel):
    """Which orders a cancel by filter ended."""

    canceled: list[str]
    count: int


class CancelAfterOut(BaseModel):
    """When the account's open orders will be canceled unless the lease is renewed; null: never."""

    seconds: int
    expires_at: TimeText | None


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
    price: DecimalText | None
    trigger_price: DecimalText | None = Field(
        description="Of a stop: its stop price when it is accepted (a trailing one has none yet), "
        "when it is triggered the last price that did it."
    )
    quantity: DecimalText | None
    filled_quantity: DecimalText | None
    remaining_quantity: DecimalText | None
    status: OrderStatus | None
    reason: str | None
    liquidity: Literal["maker", "taker"] | None
    trade_id: str | None
    actor: str | None
    time: TimeText


class EventPage(BaseModel):
    results: list[EventOut]
    next: str | None


class LimitsOut(BaseModel):
    """What the account may do. Quantities are whole units, whatever an instrument's decimals; null means no limit."""

    account: str
    state: Literal["active", "reducing_only", "halted"]
    max_open_orders: int
    open_orders: int
    max_order_quantity: DecimalText | None
    max_position: DecimalText | None
    max_rate: int | None = Field(description="Messages a second.")
    funded: bool = Field(description="Whether it can only trade what it can pay for.")
    cancel_after_expires_at: TimeText | None = Field(description="When its open orders are canceled unless renewed.")
