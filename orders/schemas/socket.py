"""What clients send over the WebSocket. What they get is in ``feed`` and ``replies``; ``examples`` shows all of it,
``docs/websocket.md`` tells of it.

Order entry has the fields of REST's bodies, by inheritance, so that one request means the same at both doors.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from orders.actors import CANCEL, TRADE
from orders.candles import INTERVALS
from orders.schemas.misfits import Misfits
from orders.schemas.orders import (
    AmendOrder,
    CancelAfter,
    ClientOrderIdText,
    PlaceBatch,
    PlaceOrder,
    Request,
    Side,
    SymbolText,
)
from orders.schemas.problems import ProblemError, invalid

# Channels of one instrument each.
MarketChannel = Literal["book", "trades", "ticker", "instruments"]
# Channels without symbols: of the service, and of an account.
PlainChannel = Literal["status", "executions", "positions"]
Depth = Literal[10, 25, 100, 500, 1000]
DEFAULT_DEPTH: Depth = 25
Interval = Literal[INTERVALS]

# Symbols one message may name; also the most subscriptions a connection may have.
MAX_SYMBOLS = 200

# The client's own number or word for a message, given back in the answer.
MessageId = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[str, StringConstraints(max_length=64)]
Symbols = Annotated[list[SymbolText], Field(min_length=1, max_length=MAX_SYMBOLS)]
Sequence = Annotated[int, Field(ge=0, lt=2**48)]
# JSON keys are text: shards are told by their number in digits.
ShardText = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,3})$")]
OrderIdText = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,18}$")]


class Message(Request):
    id: MessageId | None = None


class Auth(Message):
    """Say who you are; needed once, before any private channel and before orders."""

    op: Literal["auth"]
    key: Annotated[str, StringConstraints(max_length=200)]


class SubscribeBook(Message):
    """The best levels of books, then every change of them. A connection has one depth for each symbol."""

    op: Literal["subscribe"]
    channel: Literal["book"]
    symbols: Symbols
    depth: Depth = DEFAULT_DEPTH


class SubscribeTrades(Message):
    """The latest trades, then every commit's."""

    op: Literal["subscribe"]
    channel: Literal["trades"]
    symbols: Symbols


class SubscribeTicker(Message):
    """Last price, best prices and the last 24 hours."""

    op: Literal["subscribe"]
    channel: Literal["ticker"]
    symbols: Symbols


class SubscribeCandles(Message):
    """Candles of an interval. A connection may have several intervals of an instrument."""

    op: Literal["subscribe"]
    channel: Literal["candles"]
    symbols: Symbols
    interval: Interval


class SubscribeInstruments(Message):
    """Where the sessions of instruments stand."""

    op: Literal["subscribe"]
    channel: Literal["instruments"]
    symbols: Symbols


class SubscribeStatus(Message):
    """The state of every shard."""

    op: Literal["subscribe"]
    channel: Literal["status"]


class SubscribePositions(Message):
    """The account's positions, then every change of one."""

    op: Literal["subscribe"]
    channel: Literal["positions"]


class SubscribeExecutions(Message):
    """Your account's executions. `after` maps a shard to the last event you have of it: what came since is told first."""

    op: Literal["subscribe"]
    channel: Literal["executions"]
    after: Annotated[dict[ShardText, Sequence], Field(max_length=64)] | None = None


class UnsubscribeMarket(Message):
    """Nothing of the channel and symbols after the answer."""

    op: Literal["unsubscribe"]
    channel: MarketChannel
    symbols: Symbols


class UnsubscribeCandles(Message):
    """Without `interval`: all of them."""

    op: Literal["unsubscribe"]
    channel: Literal["candles"]
    symbols: Symbols
    interval: Interval | None = None


class UnsubscribePlain(Message):
    """Nothing of the channel after the answer."""

    op: Literal["unsubscribe"]
    channel: PlainChannel


class Ping(Message):
    """Answers a heartbeat, as any message does."""

    op: Literal["ping"]


# Order entry


class Place(PlaceOrder):
    """A new order, or linked ones: the body of `POST orders`."""

    op: Literal["place"]
    id: MessageId | None = None


class Amend(AmendOrder):
    """New terms for an open order: the body of `PATCH orders/{id}`; `version` in place of `If-Match`."""

    op: Literal["amend"]
    id: MessageId | None = None
    order_id: OrderIdText
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None, description="Amend only the order as it was then."
    )


class Cancel(Message):
    """Cancel an open order, by one of its two ids."""

    op: Literal["cancel"]
    order_id: OrderIdText | None = None
    client_order_id: ClientOrderIdText | None = None

    @model_validator(mode="after")
    def _names_one_order(self) -> Self:
        misfits = Misfits()
        if self.order_id is None and self.client_order_id is None:
            misfits.add("order_id", "order_id_required", "give order_id or client_order_id")
        if self.order_id is not None and self.client_order_id is not None:
            misfits.add("client_order_id", "client_order_id_forbidden", "give order_id or client_order_id, not both")
        misfits.check(self)
        return self


class CancelAll(Message):
    """Cancel all open orders of the account that match."""

    op: Literal["cancel_all"]
    symbol: SymbolText | None = None
    side: Side | None = None


class ArmCancelAfter(CancelAfter):
    """A lease on the account's open orders: the body of `POST cancel-after`."""

    op: Literal["cancel_after"]
    id: MessageId | None = None


class PlaceMany(PlaceBatch):
    """Up to 500 orders, each on its own: the body of `POST orders/batch`."""

    op: Literal["place_batch"]
    id: MessageId | None = None


SubscribeMarket = SubscribeBook | SubscribeTrades | SubscribeTicker | SubscribeCandles | SubscribeInstruments
Subscription = SubscribeMarket | SubscribeStatus | SubscribePositions | SubscribeExecutions
Unsubscription = UnsubscribeMarket | UnsubscribeCandles | UnsubscribePlain
OrderEntry = Place | Amend | Cancel | CancelAll | ArmCancelAfter | PlaceMany
ClientMessage = Auth | Subscription | Unsubscription | Ping | OrderEntry

_BY_OP: dict[str, type[Any]] = {
    "auth": Auth,
    "ping": Ping,
    "place": Place,
    "amend": Amend,
    "cancel": Cancel,
    "cancel_all": CancelAll,
    "cancel_after": ArmCancelAfter,
    "place_batch": PlaceMany,
}
_BY_CHANNEL: dict[str, dict[str, type[Any]]] = {
    "subscribe": {
        "book": SubscribeBook,
        "trades": SubscribeTrades,
        "ticker": SubscribeTicker,
        "candles": SubscribeCandles,
        "instruments": SubscribeInstruments,
        "status": SubscribeStatus,
        "executions": SubscribeExecutions,
        "positions": SubscribePositions,
    },
    "unsubscribe": {
        "book": UnsubscribeMarket,
        "trades": UnsubscribeMarket,
        "ticker": UnsubscribeMarket,
        "candles": UnsubscribeCandles,
        "instruments": UnsubscribeMarket,
        "status": UnsubscribePlain,
        "executions": UnsubscribePlain,
        "positions": UnsubscribePlain,
    },
}
# Operations whose answer is a ``result``, not an ``ack``, and their scopes: any one of them will do.
ORDER_ENTRY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("place", "amend", "place_batch"), (TRADE,)),
    **dict.fromkeys(("cancel", "cancel_all", "cancel_after"), (CANCEL, TRADE)),
}
_OPS = ", ".join((*_BY_OP, *_BY_CHANNEL))
_ID: TypeAdapter[int | str | None] = TypeAdapter(MessageId | None, config=ConfigDict(strict=True))


def parse_message(value: Any) -> ClientMessage:
    """A client's message from its JSON value.

    Raises ``ProblemError`` where it is not clear what is meant, Pydantic's ``ValidationError`` where it is wrong.
    """
    if not isinstance(value, dict):
        raise ProblemError("invalid_request", "A message is a JSON object.")
    op = value.get("op")
    if isinstance(op, str) and op in _BY_OP:
        return _BY_OP[op].model_validate(value)
    if not isinstance(op, str) or op not in _BY_CHANNEL:
        raise invalid("op", f"must be one of {_OPS}", "unknown_op")
    channels = _BY_CHANNEL[op]
    channel = value.get("channel")
    if not isinstance(channel, str) or channel not in channels:
        raise invalid("channel", f"must be one of {', '.join(channels)}", "unknown_channel")
    return channels[channel].model_validate(value)


def message_id(value: Any) -> int | str | None:
    """The id of a message that may otherwise be wrong; None where it has none that can be given back."""
    try:
        return _ID.validate_python(value.get("id") if isinstance(value, dict) else None)
    except ValidationError:
        return None
