"""What clients send over the WebSocket. What they get is in ``docs/websocket.md``."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from orders.schemas.orders import Request, SymbolText

# Channels of one instrument each, and those of an account.
MarketChannel = Literal["book", "trades"]
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


Subscribe = Annotated[SubscribeBook | SubscribeTrades | SubscribeExecutions, Field(discriminator="channel")]
Unsubscribe = Annotated[UnsubscribeMarket | UnsubscribeExecutions, Field(discriminator="channel")]
ClientMessage = (
    Auth | SubscribeBook | SubscribeTrades | SubscribeExecutions | UnsubscribeMarket | UnsubscribeExecutions | Ping
)

_ADAPTER: TypeAdapter[ClientMessage] = TypeAdapter(
    Annotated[Auth | Subscribe | Unsubscribe | Ping, Field(discriminator="op")]
)
_ID: TypeAdapter[int | str | None] = TypeAdapter(MessageId | None, config={"strict": True})


def parse_message(value: Any) -> ClientMessage:
    """A client's message. Raises Pydantic's ``ValidationError``."""
    return _ADAPTER.validate_python(value)


def message_id(value: Any) -> int | str | None:
    """The id of a message that may otherwise be wrong; None where it has none that can be given back."""
    found = value.get("id") if isinstance(value, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | str):
        return None
    if isinstance(found, str):
        return found if len(found) <= 64 else None
    return found if abs(found) <= 2**53 else None
