"""What would become of an order: the answer of ``orders/validate``."""

from pydantic import BaseModel, Field

from orders.schemas.answers import Role
from orders.schemas.orders import OrderStatus
from orders.schemas.texts import DecimalText, TimeText


class CheckOut(BaseModel):
    """One rung of the ladder of checks: what is allowed, what the order has, and whether that passes.

    Prices, quantities and values are decimals, counts whole numbers, states their names; null where there is none.
    """

    check: str = Field(description="The code with which the order would be refused.")
    limit: str | None
    value: str | None
    passed: bool


class ExpectedFillOut(BaseModel):
    """What the order would trade at once at one price."""

    price: DecimalText
    quantity: DecimalText


class QueueOut(BaseModel):
    """Where what is left would stand: behind everything displayed at its price."""

    price: DecimalText
    quantity_ahead: DecimalText
    orders_ahead: int


class LegTrialOut(BaseModel):
    """The checks of another order of the group."""

    role: Role
    accepted: bool
    reason: str | None
    checks: list[CheckOut]


class TrialOut(BaseModel):
    """What placing this order now would do, as far as the displayed book tells. Nothing was placed.

    `checks` are those that apply, in order: the first that fails is the `reason`. With a `client_order_id` that is known,
    `replayed` is true and the rest is the stored order as it stands.
    """

    accepted: bool
    reason: str | None = Field(description="Why it would be refused.")
    checks: list[CheckOut]
    fills: list[ExpectedFillOut] = Field(description="By price, in the order of trading.")
    filled_quantity: DecimalText
    average_price: DecimalText | None
    remaining_quantity: DecimalText
    status: OrderStatus
    canceled_reason: str | None = Field(description="Why what is left would end at once.")
    self_trade: list[str] = Field(description="The account's own orders that it would meet.")
    queue: QueueOut | None = Field(description="Null where it would not rest.")
    triggered: bool = Field(description="Whether a stop would fire at once.")
    legs: list[LegTrialOut]
    replayed: bool
    order_id: str | None = Field(description="The stored order, where it is replayed.")
    sequence: int = Field(description="The shard's last event that is taken into account.")
    truncated: bool = Field(description="The order would meet more orders than were looked at.")
    time: TimeText
