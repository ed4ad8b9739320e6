"""What clients send over the WebSocket. What they get is in ``docs/websocket.md``."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from orders.schemas.orders import Request, SymbolText
from orders.schemas.problems import ProblemError, invalid

# Channels of one instrument each, and those of an account.
MarketChannel = Literal["book", "trades", "instruments"]
Depth = Literal[10, 25, 100, 500, 1000]
DEFAULT_DEPTH: Depth = 25

# Symbols one message may name; also the most subscriptions a connection may have.
MAX_SYMBOLS = 200

# The client's own number or word for a message, given back in the answer.
MessageId = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[str, StringConstraints(max_length=64)]
Symbols = Annotated[list[SymbolText], Field(min_length=1, max_length=MAX_SYMBOLS)]
Sequence = Annotated[int, Field(ge=0, lt=2**48)]
# JSON keys are text: shards are told by their number in digits.
ShardText = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,3})$")]


class Message(Request):
    id: MessageId | None = None


class Auth(Message):
    """Say who you are; needed once, before any private channel."""

    op: Literal["auth"]
    key: Annotated[str, StringConstraints(max_length=200)]


class SubscribeBook(Message):
    op: Literal["subscribe"]
    channel: Literal["book"]
    symbols: Symbols
    depth: Depth = DEFAULT_DEPTH


class SubscribeTrades(Message):
    op: Literal["subscribe"]
    channel: Literal["trades"]
    symbols: Symbols


class SubscribeInstruments(Message):
    op: Literal["subscribe"]
    channel: Literal["instruments"]
    symbols: Symbols


class SubscribeExecutions(Message):
    """``after`` maps a shard to the sequence of the last event the client has."""

    op: Literal["subscribe"]
    channel: Literal["executions"]
    after: Annotated[dict[ShardText, Sequence], Field(max_length=64)] | None = None


class UnsubscribeMarket(Message):
    op: Literal["unsubscribe"]
    channel: MarketChannel
    symbols: Symbols


class UnsubscribeExecutions(Message):
    op: Literal["unsubscribe"]
    channel: Literal["executions"]


class Ping(Message):
    op: Literal["ping"]


SubscribeMarket = SubscribeBook | SubscribeTrades | SubscribeInstruments
ClientMessage = Auth | SubscribeMarket | SubscribeExecutions | UnsubscribeMarket | UnsubscribeExecutions | Ping

_BY_OP: dict[str, type[ClientMessage]] = {"auth": Auth, "ping": Ping}
_BY_CHANNEL: dict[str, dict[str, type[ClientMessage]]] = {
    "subscribe": {
        "book": SubscribeBook,
        "trades": SubscribeTrades,
        "instruments": SubscribeInstruments,
        "executions": SubscribeExecutions,
    },
    "unsubscribe": {
        "book": UnsubscribeMarket,
        "trades": UnsubscribeMarket,
        "instruments": UnsubscribeMarket,
        "executions": UnsubscribeExecutions,
    },
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
