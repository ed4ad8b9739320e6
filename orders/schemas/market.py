"""Instruments, books, trades and what the service says of itself, on the wire."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from orders.schemas.orders import Side, SymbolText
from orders.schemas.query import DEFAULT_PAGE, Cursor, Limit, PageQuery, Query, WholeNumber
from orders.schemas.texts import DecimalText, SignedText, TimeText

# The depths of the feed, and 50, which only makes sense for a single look.
BOOK_DEPTHS = (10, 25, 50, 100, 500, 1000)
DEFAULT_DEPTH = 50


def _offered_depth(depth: int) -> int:
    if depth not in BOOK_DEPTHS:
        raise PydanticCustomError("depth", "must be one of {depths}", {"depths": ", ".join(map(str, BOOK_DEPTHS))})
    return depth


class BookQuery(Query):
    """How many levels a side: 10, 25, 50, 100, 500 or 1000. With ``sequence``: as it stood after that event."""

    depth: Annotated[WholeNumber, AfterValidator(_offered_depth)] = DEFAULT_DEPTH
    sequence: WholeNumber | None = None


class TradeQuery(PageQuery):
    """Which page of an instrument's trades."""


class FillQuery(PageQuery):
    """Which of the account's fills."""

    symbol: SymbolText | None = None
    order_id: Cursor | None = None


class EventQuery(Query):
    """The account's events on a shard, after a sequence."""

    shard: WholeNumber = 0
    after_sequence: WholeNumber = 0
    limit: Limit = DEFAULT_PAGE


class SnapshotQuery(PageQuery):
    """Which saved books."""

    symbol: SymbolText | None = None


class TimeOut(BaseModel):
    time: TimeText


class ShardOut(BaseModel):
    """One engine: ``open`` takes commands, ``cancel_only`` cancels; ``detail`` says why it does not take more."""

    shard: int
    state: Literal["recovering", "open", "cancel_only", "stalled", "stopped"]
    epoch: int
    sequence: int
    detail: str | None


class StatusOut(BaseModel):
    """``open`` only where every shard is."""

    status: Literal["open", "unavailable"]
    time: TimeText
    shards: list[ShardOut]


State = Literal["closed", "pre_open", "auction", "continuous", "halted", "no_cancel"]


class PhaseChangeOut(BaseModel):
    """A state that the instrument will enter by its schedule."""

    at: TimeText
    state: State


class IndicativeOut(BaseModel):
    """What an auction would come to if it ended now; the surplus is what stays unfilled, negative on the sell side."""

    price: DecimalText
    volume: DecimalText
    surplus: SignedText


class InstrumentOut(BaseModel):
    """What can be traded, and its rules. ``price_collar`` is a fraction of the reference price; null means no limit."""

    symbol: str
    base: str
    quote: str
    state: State
    phase_ends_at: TimeText | None = Field(description="When it opens by itself; null where it does not.")
    price_decimals: int
    quantity_decimals: int
    price_tick: DecimalText
    quantity_step: DecimalText
    min_quantity: DecimalText
    max_quantity: DecimalText
    max_notional: DecimalText | None
    price_collar: DecimalText | None
    reference_price: DecimalText | None
    circuit_breaker_seconds: int | None = Field(description="How long an auction is called when the collar is met.")
    last_price: DecimalText | None
    schedule: list[PhaseChangeOut] = Field(description="The next changes of state.")
    indicative: IndicativeOut | None = Field(description="In an auction: where it stands. Null where nothing crosses.")


class InstrumentPage(BaseModel):
    results: list[InstrumentOut]
    next: str | None


Level = tuple[DecimalText, DecimalText, int]


class BookOut(BaseModel):
    """A book's best levels as ``[price, quantity, orders]``; ``sequence`` is that of its last displayed change."""

    symbol: str
    epoch: int
    sequence: int
    checksum: int
    time: TimeText
    bids: list[Level]
    asks: list[Level]


class TradeOut(BaseModel):
    id: str
    sequence: int
    price: DecimalText
    quantity: DecimalText
    taker_side: Side
    time: TimeText


class TradePage(BaseModel):
    results: list[TradeOut]
    next: str | None


class TickerOut(BaseModel):
    """An instrument at a glance. Null where there is nothing: no order on a side, no trade yet, none in the last 24 hours.

    `open` to `trades` are of the last 24 hours; `change` is `last` less `open`.
    """

    symbol: str
    epoch: int
    sequence: int = Field(description="The larger one of the book's and the last trade's.")
    last: DecimalText | None
    bid: DecimalText | None
    bid_quantity: DecimalText | None
    ask: DecimalText | None
    ask_quantity: DecimalText | None
    open: DecimalText | None
    high: DecimalText | None
    low: DecimalText | None
    volume: DecimalText
    vwap: DecimalText | None = Field(description="The average price by quantity, rounded half up.")
    change: SignedText | None
    change_percent: SignedText | None
    trades: int
    time: TimeText


class TickerPage(BaseModel):
    results: list[TickerOut]
    next: str | None


class SnapshotOut(BaseModel):
    """A saved book: true from event ``sequence`` of its shard at least through ``saved_through``."""

    id: str
    symbol: str
    shard: int
    epoch: int
    sequence: int
    saved_through: int
    schema_version: int
    orders: int
    bid_levels: int
    ask_levels: int
    best_bid: DecimalText | None
    best_ask: DecimalText | None
    checksum: str
    time: TimeText


class SnapshotPage(BaseModel):
    results: list[SnapshotOut]
    next: str | None
