"""What the server says over the WebSocket of a request, and of the connection; and the registry of everything it says.

An answer comes for every request, in the order of the requests of its socket: ``ack`` for those about the connection,
``result`` for those about orders, with the bodies of REST.
"""

from typing import Annotated, Literal

from pydantic import Field

from orders.actors import SCOPES
from orders.schemas import feed
from orders.schemas.answers import AmendedOrderOut, BatchResult, OrderDetailOut, PlacedOrderOut
from orders.schemas.feed import Count, OrderId, Shape
from orders.schemas.orders import MAX_BATCH
from orders.schemas.problems import Problem
from orders.schemas.socket import MessageId, ShardText
from orders.schemas.texts import TimeText

_REPLAYED = "True where the client order id was known: this is the order as it stands now, and all it ever traded."


class Answer(Shape):
    """`id` is the request's, null where it had none that could be read."""

    id: MessageId | None


class Ack(Answer):
    """Done."""

    op: Literal["ack"]
    ok: Literal[True]


class AuthAck(Ack):
    """Whose key it is, and what it may do."""

    account: str
    scopes: list[Literal[SCOPES]]


class AckRefused(Answer):
    """Not done, and why: the same document as over REST."""

    op: Literal["ack"]
    ok: Literal[False]
    problem: Problem


class Pong(Answer):
    """The server's time."""

    op: Literal["pong"]
    time: TimeText


class Result(Answer):
    """A command about orders had its effect."""

    op: Literal["result"]
    ok: Literal[True]


class PlaceResult(Result):
    """The order after matching."""

    order: PlacedOrderOut
    replayed: bool = Field(False, description=_REPLAYED)


class AmendResult(Result):
    """The order as it stands with its new terms."""

    order: AmendedOrderOut


class CancelResult(Result):
    """The order as it ended."""

    order: OrderDetailOut


class CancelAllResult(Result):
    """The orders that it ended."""

    canceled: list[OrderId]
    count: Count


class CancelAfterResult(Result):
    """When the account's open orders will be canceled unless the lease is renewed; null: never."""

    seconds: Count
    expires_at: TimeText | None


class PlacedOrRefused(BatchResult):
    """One of the two: the order after matching, or why there is none."""

    replayed: bool = Field(False, description=_REPLAYED)


class PlaceBatchResult(Result):
    """An order or a problem for each entry, in the order of the request."""

    results: Annotated[list[PlacedOrRefused], Field(min_length=1, max_length=MAX_BATCH)]


class ResultRefused(Answer):
    """Not done, and why: the same document as over REST. `outcome` says what became of the command."""

    op: Literal["result"]
    ok: Literal[False]
    problem: Problem


# The connection


class ShardPlace(Shape):
    """Where a shard stands."""

    epoch: Count
    sequence: Count


class Heartbeat(Shape):
    """Comes every few seconds. Answer it, with any message."""

    op: Literal["heartbeat"]
    time: TimeText
    shards: dict[ShardText, ShardPlace]


class ServerShutdown(Shape):
    """The last message before the server closes. Connect again in a moment."""

    op: Literal["server_shutdown"]
    reason: str


# Every message of a channel, and every one of the connection.
DATA: tuple[type[Shape], ...] = (
    *(feed.BookSnapshot, feed.BookUpdate, feed.TradesSnapshot, feed.TradesUpdate, feed.TradesSkipped, feed.Ticker),
    *(feed.CandlesSnapshot, feed.CandlesUpdate, feed.InstrumentSession, feed.Status, feed.Resync, feed.CandlesResync),
    *(feed.ExecutionsSnapshot, feed.ExecutionsUpdate, feed.PositionsSnapshot, feed.PositionsUpdate),
)
NOTICES: tuple[type[Shape], ...] = (Heartbeat, ServerShutdown)
# What each op of a client is answered with: one of these, in the order of the requests.
ANSWERS: dict[str, tuple[type[Shape], ...]] = {
    "auth": (AuthAck, AckRefused),
    "subscribe": (Ack, AckRefused),
    "unsubscribe": (Ack, AckRefused),
    "ping": (Pong,),
    "place": (PlaceResult, ResultRefused),
    "amend": (AmendResult, ResultRefused),
    "cancel": (CancelResult, ResultRefused),
    "cancel_all": (CancelAllResult, ResultRefused),
    "cancel_after": (CancelAfterResult, ResultRefused),
    "place_batch": (PlaceBatchResult, ResultRefused),
}
SERVER_MESSAGES: tuple[type[Shape], ...] = tuple(dict.fromkeys([*DATA, *NOTICES, *sum(ANSWERS.values(), ())]))
