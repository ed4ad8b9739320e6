"""What the server says over the WebSocket: a model for every message of ``/ws/v1``.

The server itself never makes these models: ``orders.feed.frames`` writes a message as JSON, once. They are the contract. The
AsyncAPI document is made from them, and the tests read every frame that is sent by the model of its kind, which takes no
field that is not here and misses none. What clients send is in ``socket``.

What both doors tell (trades, candles, tickers, positions) has REST's models.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from matching.events import KIND_NAMES
from matching.lifecycle import TRANSITIONS
from matching.values import REASON_NAMES
from orders.schemas.charts import CandleOut
from orders.schemas.holdings import PositionOut
from orders.schemas.market import Level, ShardOut, State, TickerOut, TradeOut
from orders.schemas.orders import OrderStatus, Side
from orders.schemas.socket import Depth, Interval
from orders.schemas.texts import DecimalText, SignedText, TimeText

Count = Annotated[int, Field(ge=0)]
Checksum = Annotated[int, Field(ge=0, lt=2**32)]
OrderId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,18}$")]
# A shard, and the sequence of the maker's event.
TradeId = Annotated[str, StringConstraints(pattern=r"^[0-9]+-[0-9]+$")]

OrderEvent = Literal[tuple(KIND_NAMES[kind] for kind in sorted({kind for _, kind in TRANSITIONS}))]
Reason = Literal[tuple(name for name in REASON_NAMES if name)]


def _more_may_come(schema: dict[str, Any]) -> None:
    """Clients are told what there is, not that there will never be more."""
    del schema["additionalProperties"]


class Shape(BaseModel):
    """What has exactly the fields of its model."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_more_may_come)


class MarketMessage(Shape):
    """How every message about one instrument begins."""

    channel: str
    symbol: str
    type: str
    epoch: Count
    sequence: Count


# Books


class BookSnapshot(MarketMessage):
    """A book's best levels, best first. Comes after subscribing, after a resync, and unasked about once a minute."""

    channel: Literal["book"]
    type: Literal["snapshot"]
    depth: Depth
    previous: None
    bids: list[Level]
    asks: list[Level]
    checksum: Checksum
    time: TimeText


class BookUpdate(MarketMessage):
    """What a commit made of a book's levels: absolute sizes, zero removes. Builds upon the message `previous`."""

    channel: Literal["book"]
    type: Literal["update"]
    previous: Count
    bids: list[Level]
    asks: list[Level]
    checksum: Checksum
    time: TimeText


class Resync(Shape):
    """What was told before is not to be built upon: wait for the snapshot that follows."""

    channel: Literal["book", "trades"]
    symbol: str
    type: Literal["resync"]
    reason: Literal["gap", "epoch", "slow_reader"]


class CandlesResync(Resync):
    """The same of an instrument's candles of one interval."""

    channel: Literal["candles"]
    interval: Interval


# Trades, candles, ticker


class TradesSnapshot(MarketMessage):
    """The latest trades, oldest first. `sequence` is that of the last, 0 where there is none."""

    channel: Literal["trades"]
    type: Literal["snapshot"]
    previous: None
    trades: list[TradeOut]


class TradesUpdate(MarketMessage):
    """A commit's trades in the order they happened. `previous` is the sequence of the trade before the first."""

    channel: Literal["trades"]
    type: Literal["update"]
    previous: Count
    trades: Annotated[list[TradeOut], Field(min_length=1)]


class TradesSkipped(Shape):
    """You read too slowly: `count` trades after `previous`, up to `sequence`, were dropped. The chain goes on from there."""

    channel: Literal["trades"]
    symbol: str
    type: Literal["skipped"]
    count: Annotated[int, Field(ge=1)]
    previous: Count
    sequence: Count


class CandlesSnapshot(MarketMessage):
    """The latest candles, oldest first. `sequence` is that of the instrument's last trade."""

    channel: Literal["candles"]
    interval: Interval
    type: Literal["snapshot"]
    previous: None
    candles: list[CandleOut]


class CandlesUpdate(MarketMessage):
    """The candles that a commit's trades changed or began, whole."""

    channel: Literal["candles"]
    interval: Interval
    type: Literal["update"]
    previous: Count
    candles: Annotated[list[CandleOut], Field(min_length=1)]


class Ticker(Shape, TickerOut):
    """An instrument at a glance, and its last 24 hours to the minute, as over REST. The whole state each time."""

    channel: Literal["ticker"]
    type: Literal["snapshot", "update"]


# Markets and shards


class InstrumentSession(MarketMessage):
    """Where an instrument's session stands, and in an auction what it would come to now. The whole state each time."""

    channel: Literal["instruments"]
    type: Literal["snapshot", "update"]
    state: State
    phase_ends_at: TimeText | None
    indicative_price: DecimalText | None
    indicative_volume: DecimalText | None
    indicative_surplus: SignedText | None
    time: TimeText


class Status(Shape):
    """The state of every shard: at once, then when a state or an epoch changes."""

    channel: Literal["status"]
    type: Literal["snapshot", "update"]
    shards: list[ShardOut]
    time: TimeText


# Private


class ExecutionsSnapshot(Shape):
    """Where the stream of a shard begins: after the account's event `sequence` (0: from its first)."""

    channel: Literal["executions"]
    type: Literal["snapshot"]
    account: str
    shard: Count
    epoch: Count
    sequence: Count
    previous: None


class ExecutionsUpdate(Shape):
    """One step of an order. `previous` is the account's event before it on this shard."""

    channel: Literal["executions"]
    type: Literal["update"]
    epoch: Count
    previous: Count
    shard: Count
    sequence: Count
    event: OrderEvent
    order_id: OrderId
    client_order_id: str | None
    symbol: str
    side: Side
    price: DecimalText | None
    trigger_price: DecimalText | None
    quantity: DecimalText
    filled_quantity: DecimalText
    remaining_quantity: DecimalText
    status: OrderStatus
    reason: Reason | None
    liquidity: Literal["maker", "taker"] | None
    trade_id: TradeId | None
    time: TimeText


class PositionsSnapshot(Shape):
    """The account's positions on one shard."""

    channel: Literal["positions"]
    type: Literal["snapshot"]
    account: str
    shard: Count
    epoch: Count
    sequence: Count
    positions: list[PositionOut]


class PositionsUpdate(Shape, PositionOut):
    """A position that a commit changed, whole."""

    channel: Literal["positions"]
    type: Literal["update"]
    account: str
    shard: Count
    epoch: Count
    sequence: Count
