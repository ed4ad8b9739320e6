"""The blocking client: the asynchronous one in a thread of its own, with the same names.

::

    with Client("http://127.0.0.1:8000", key=key) as client:
        order = client.place("ACME-USD", "buy", "10", price="99.98")
        for book in client.books("ACME-USD"):
            ...

Any number of threads may use it. What a slow user loses is the same as there (``streams``).
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack

from oms_client.aio import COMMAND_SECONDS, AsyncClient
from oms_client.errors import ClientError, Stopped
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
from oms_client.stats import Stats
from oms_client.streams import Stream
from oms_client.terms import AmendTerms, NewOrder, Number, OrderTerms

# How long those who wait in other threads may take to hear that it is over.
CLOSE_SECONDS = 1.0

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class BlockingStream(Generic[Item]):
    """A stream that is iterated over with ``for``; ``next`` waits for at most ``timeout`` seconds (``TimeoutError``)."""

    def __init__(self, client: "Client", stream: Stream[Item]) -> None:
        self._client = client
        self._stream = stream

    def __iter__(self) -> "BlockingStream[Item]":
        return self

    def __next__(self) -> Item:
        try:
            return self.next()
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> "BlockingStream[Item]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def next(self, timeout: float | None = None) -> Item:
        return self._client.wait(_within(self._stream, timeout))

    def close(self) -> None:
        self._client.call(self._stream.close)


class Client:
    """As ``AsyncClient``; questions over REST by ``ask``: ``client.ask(lambda rest: rest.book("ACME-USD"))``."""

    def __init__(self, url: str = "http://127.0.0.1:8000", *, key: str | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="oms-client", daemon=True)
        self._thread.start()
        self._client = self.call(lambda: AsyncClient(url, key=key))

    def __enter__(self) -> "Client":
        self.wait(self._client.__aenter__())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self.wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run something asynchronous in the client's thread, and wait for it."""
        if self._loop.is_closed():
            work.close()
            raise Stopped("the client was closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # Interrupted while waiting: nobody waits for it any more.
            future.cancel()
            raise

    async def _end(self) -> None:
        await self._client.close()
        # Whoever still waits in another thread hears that it is over.
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        if waiting:
            await asyncio.wait(waiting, timeout=CLOSE_SECONDS)

    def call(self, function: Callable[[], Answer]) -> Answer:
        """Run a plain function in the client's thread."""

        async def run() -> Answer:
            return function()

        return self.wait(run())

    def ask(self, question: Callable[[Rest], Coroutine[Any, Any, Answer]]) -> Answer:
        return self.wait(question(self._client.rest))

    @property
    def stats(self) -> Stats:
        return self._client.stats

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    # Orders

    def place(
        self,
        symbol: str,
        side: Side,
        quantity: Number,
        *,
        seconds: float = COMMAND_SECONDS,
        **terms: Unpack[OrderTerms],
    ) -> Order:
        return self.wait(self._client.place(symbol, side, quantity, seconds=seconds, **terms))

    def place_batch(self, orders: Sequence[NewOrder], *, seconds: float = COMMAND_SECONDS) -> list[Order | ClientError]:
        return self.wait(self._client.place_batch(orders, seconds=seconds))

    def amend(
        self,
        order_id: str,
        *,
        version: int | None = None,
        seconds: float = COMMAND_SECONDS,
        **terms: Unpack[AmendTerms],
    ) -> Order:
        return self.wait(self._client.amend(order_id, version=version, seconds=seconds, **terms))

    def cancel(
        self, order_id: str | None = None, *, client_order_id: str | None = None, seconds: float = COMMAND_SECONDS
    ) -> Order:
        return self.wait(self._client.cancel(order_id, client_order_id=client_order_id, seconds=seconds))

    def cancel_all(
        self, *, symbol: str | None = None, side: Side | None = None, seconds: float = COMMAND_SECONDS
    ) -> Canceled:
        return self.wait(self._client.cancel_all(symbol=symbol, side=side, seconds=seconds))

    def cancel_after(self, lease_seconds: int, *, seconds: float = COMMAND_SECONDS) -> Lease:
        return self.wait(self._client.cancel_after(lease_seconds, seconds=seconds))

    # Streams

    def book(self, symbol: str) -> BookView | None:
        return self.call(lambda: self._client.book(symbol))

    def books(self, symbol: str, *, depth: int = 25) -> BlockingStream[BookView]:
        return self._open(lambda: self._client.books(symbol, depth=depth))

    def trades(self, symbol: str) -> BlockingStream[Trade | Skipped]:
        return self._open(lambda: self._client.trades(symbol))

    def candles(self, symbol: str, interval: str = "1m") -> BlockingStream[Candle | Skipped]:
        return self._open(lambda: self._client.candles(symbol, interval))

    def ticker(self, symbol: str) -> BlockingStream[Ticker]:
        return self._open(lambda: self._client.ticker(symbol))

    def session(self, symbol: str) -> BlockingStream[SessionState]:
        return self._open(lambda: self._client.session(symbol))

    def status(self) -> BlockingStream[Status]:
        return self._open(lambda: self._client.status())

    def positions(self) -> BlockingStream[Position]:
        return self._open(lambda: self._client.positions())

    def executions(self, *, after: Mapping[int, int] | None = None) -> BlockingStream[Execution]:
        return self._open(lambda: self._client.executions(after=after))

    def _open(self, make: Callable[[], Stream[Item]]) -> BlockingStream[Item]:
        return BlockingStream(self, self.call(make))


async def _within(stream: Stream[Item], timeout: float | None) -> Item:
    async with asyncio.timeout(timeout):
        return await anext(stream)
