"""What an account has, on the wire: positions and money."""

from pydantic import BaseModel, Field

from orders.schemas.answers import LimitsOut
from orders.schemas.orders import SymbolText
from orders.schemas.query import PageQuery
from orders.schemas.texts import DecimalText, SignedText


class PositionQuery(PageQuery):
    """Which of the account's positions."""

    symbol: SymbolText | None = None


class PositionOut(BaseModel):
    """What the account has of an instrument, by the average-cost method. Money has price's and quantity's decimals together."""

    symbol: str
    quantity: SignedText = Field(description="The net position; below zero when sold short.")
    bought: DecimalText
    sold: DecimalText
    bought_notional: DecimalText
    sold_notional: DecimalText
    average_price: DecimalText | None = Field(
        description="With four decimals more than a price; null where the position is zero."
    )
    realized_pnl: SignedText
    mark_price: DecimalText | None = Field(description="The last price.")
    unrealized_pnl: SignedText | None = Field(description="At the mark price.")


class PositionPage(BaseModel):
    results: list[PositionOut]
    next: str | None


class BalanceOut(BaseModel):
    """Money of one currency on one shard: what was paid in and traded, and what resting orders hold of it.

    Only the orders of a funded account hold anything; of others this is an account of what they traded.
    """

    currency: str
    shard: int
    total: SignedText
    held: DecimalText
    available: SignedText


class AccountOut(LimitsOut):
    """The account, its limits, its money, and what the credentials of this request may do."""

    scopes: list[str]
    balances: list[BalanceOut]
