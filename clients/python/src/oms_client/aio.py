"""The asynchronous client: a socket, a clock and REST around the session, which decides everything.

::

    async with AsyncClient("http://127.0.0.1:8000", key=key) as client:
        order = await client.place("ACME-USD", "buy", "10", price="99.98")
        async for book in client.books("ACME-USD"):
            ...

Entering waits for nothing: calls and streams wait for the connection themselves, and outlive it. One task connects and
reads, one sends, one tells the session the time; what the session wants read over REST is done by tasks of their own.
"""

import random
from collections.abc import Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import TypeVar, Unpack
from uuid import uuid4

from oms_client.book import Book
from oms_client.commands import Amend, Cancel, CancelAfter, CancelAll, Command, Place, PlaceBatch
from oms_client.errors import ClientError
from oms_client.executions import Executions
from oms_client.latest import Latest, Positions, StatusFollower
from oms_client.line import Topic
from oms_client.models import (
    BookView,
    Canceled,
    Candle,
    Execution,
    Lease,
    Order,
    Position,
    SessionState,
    Side,
    Skipped,
    Status,
    Ticker,
    Trade,
)
from oms_client.rest import Rest
from oms_client.session import Session
from oms_client.shell import Shell
from oms_client.stats import Stats
from oms_client.streams import BookStream, ExecutionStream, KeptStream, NewestStream, Stream
from oms_client.subscriptions import EXECUTIONS
from oms_client.tape import CandleSeries, Tape
from oms_client.terms import AmendTerms, NewOrder, Number, OrderTerms, on_the_wire

# How long a command may take to be settled, unless said otherwise.
COMMAND_SECONDS = 30.0

Result = TypeVar("Result")
Newest = TypeVar("Newest", Ticker, SessionState)


class AsyncClient:
    """``url`` is the service's; without a ``key``, public channels and questions only."""

    def __init__(self, url: str = "http://127.0.0.1:8000", *, key: str | None = None) -> None:
        self.rest = Rest(url, key=key)
        self._session = Session(key=key, jitter=random.random)
        self._shell = Shell(url.rstrip("/").replace("http", "ws", 1) + "/ws/v1", self._session, self.rest)

    async def __aenter__(self) -> "AsyncClient":
        self._shell.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """End every call and stream, and the connection. Orders stay where they are."""
        await self._shell.stop()
        await self.rest.close()

    @property
    def stats(self) -> Stats:
        """What went wrong so far, and what was done about it."""
        return self._session.stats

    @property
    def is_connected(self) -> bool:
        """Whether a command would be sent at once."""
        return self._session.is_ready

    # Orders

    async def place(
        self,
        symbol: str,
        side: Side,
        quantity: Number,
        *,
        seconds: float = COMMAND_SECONDS,
        **terms: Unpack[OrderTerms],
    ) -> Order:
        """Place one order, or with ``order_class`` several that are linked, exactly once; the answer is as of after matching.

        Raises ``Refused``, or after ``seconds`` ``Unknown`` (it may be there: look for its ``client_order_id``) or
        ``NotSent``.
        """
        body = _placing({"symbol": symbol, "side": side, "quantity": quantity, **terms})
        return await self._do(Place(body), Order, seconds)

    async def place_batch(
        self, orders: Sequence[NewOrder], *, seconds: float = COMMAND_SECONDS
    ) -> list[Order | ClientError]:
        """Place many, each on its own: in their order either the order, or the error that ``place`` would have raised."""
        if not orders:
            return []
        command = PlaceBatch({"orders": [_placing(order) for order in orders]})
        results: list[Order | ClientError] = await self._do(command, list, seconds)
        return results

    async def amend(
        self,
        order_id: str,
        *,
        version: int | None = None,
        seconds: float = COMMAND_SECONDS,
        **terms: Unpack[AmendTerms],
    ) -> Order:
        """Give an open order new terms. With a ``version``, only if it is still that of the order."""
        body = {"order_id": order_id, **on_the_wire(terms)}
        if version is not None:
            body["version"] = version
        return await self._do(Amend(body), Order, seconds)

    async def cancel(
        self, order_id: str | None = None, *, client_order_id: str | None = None, seconds: float = COMMAND_SECONDS
    ) -> Order:
        """Cancel an open order, named by one of its ids; answers it as it ended."""
        if (order_id is None) == (client_order_id is None):
            raise ValueError("name the order by one of its ids")
        body = on_the_wire({"order_id": order_id, "client_order_id": client_order_id})
        return await self._do(Cancel(body), Order, seconds)

    async def cancel_all(
        self, *, symbol: str | None = None, side: Side | None = None, seconds: float = COMMAND_SECONDS
    ) -> Canceled:
        """Cancel all open orders of the account that match."""
        return await self._do(CancelAll(on_the_wire({"symbol": symbol, "side": side})), Canceled, seconds)

    async def cancel_after(self, lease_seconds: int, *, seconds: float = COMMAND_SECONDS) -> Lease:
        """The dead-man's switch: all open orders are canceled unless this is called again in time; 0 ends it."""
        return await self._do(CancelAfter({"seconds": lease_seconds}), Lease, seconds)

    async def _do(self, command: Command, kind: type[Result], seconds: float) -> Result:
        result = await self._shell.call(command, seconds)
        assert isinstance(result, kind)
        return result

    # Streams

    def book(self, symbol: str) -> BookView | None:
        """The book as it is now; None where it is not subscribed to, or cannot be trusted just now."""
        follower = self._session.follower(Topic("book", symbol))
        return follower.view() if isinstance(follower, Book) else None

    def books(self, symbol: str, *, depth: int = 25) -> Stream[BookView]:
        """The verified book: each time it has changed, as it is by then."""
        topic = Topic("book", symbol)
        book = self._shell.follow(topic, Book(symbol, depth, self.stats), {"depth": depth})
        assert isinstance(book, Book)
        if book.depth != depth:
            raise ValueError(f"the book of {symbol} is followed at a depth of {book.depth} already")
        return self._shell.attach(topic, BookStream(book))

    def trades(self, symbol: str) -> Stream[Trade | Skipped]:
        """The latest trades, then every one; where some were missed, a ``Skipped`` in their place."""
        topic = Topic("trades", symbol)
        tape = self._shell.follow(topic, Tape(symbol, self.stats), {})
        assert isinstance(tape, Tape)
        stream = KeptStream(symbol, Trade)
        stream.feed(list(tape.latest))
        return self._shell.attach(topic, stream)

    def candles(self, symbol: str, interval: str = "1m") -> Stream[Candle | Skipped]:
        """The latest candles, then each again whenever it has changed, and the new ones."""
        topic = Topic("candles", symbol, interval)
        series = self._shell.follow(topic, CandleSeries(symbol, self.stats), {"interval": interval})
        assert isinstance(series, CandleSeries)
        stream = KeptStream(symbol, Candle)
        stream.feed(series.latest)
        return self._shell.attach(topic, stream)

    def ticker(self, symbol: str) -> Stream[Ticker]:
        """The last 24 hours, whenever that changed."""
        return self._newest("ticker", symbol, Ticker)

    def session(self, symbol: str) -> Stream[SessionState]:
        """Where the instrument's session stands: open, halted, in an auction and what that would come to."""
        return self._newest("instruments", symbol, SessionState)

    def status(self) -> Stream[Status]:
        """The states of the engines."""
        topic = Topic("status")
        follower = self._shell.follow(topic, StatusFollower(self.stats), {})
        assert isinstance(follower, StatusFollower)
        stream = NewestStream(Status, lambda status: None)
        stream.feed([follower.value])
        return self._shell.attach(topic, stream)

    def positions(self) -> Stream[Position]:
        """Each position of the account, then each that changed."""
        topic = Topic("positions")
        follower = self._shell.follow(topic, Positions(self.stats), {})
        assert isinstance(follower, Positions)
        stream = NewestStream(Position, lambda position: position.symbol)
        stream.feed(list(follower.by_symbol.values()))
        return self._shell.attach(topic, stream)

    def executions(self, *, after: Mapping[int, int] | None = None) -> Stream[Execution]:
        """Every step of every order of the account: exactly once, in order, without a hole, however often connected.

        From now on, or from the ``after`` of each shard: keep ``{execution.shard: execution.sequence}`` to go on there in
        another run. A client has one such stream at a time.
        """
        if self._shell.is_followed(EXECUTIONS):
            raise ValueError("the executions are being listened to already")
        self._shell.follow(EXECUTIONS, Executions(after, self.stats), {})
        stream = ExecutionStream(self._pause, self._resume)
        return self._shell.attach(EXECUTIONS, stream)

    def _newest(self, channel: str, symbol: str, kind: type[Newest]) -> Stream[Newest]:
        topic = Topic(channel, symbol)
        follower = self._shell.follow(topic, Latest(symbol, kind, self.stats), {})
        assert isinstance(follower, Latest)
        stream = NewestStream(kind, lambda item: None)
        stream.feed([follower.value])
        return self._shell.attach(topic, stream)

    def _pause(self) -> None:
        self._shell.perform(self._session.pause_executions())

    def _resume(self) -> None:
        self._shell.perform(self._session.resume_executions(monotonic()))


def _placing(order: Mapping[str, object]) -> dict[str, object]:
    """A body that can be sent again: with a client order id, made here where the caller has none."""
    return {"client_order_id": uuid4().hex, **on_the_wire(order)}
