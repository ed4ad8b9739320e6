"""Questions over REST: everything that is read, not streamed.

Questions change nothing, so one that finds no connection, or a service that is busy or away, is asked again until its time
is up, as late as ``Retry-After`` says. What the service refuses raises ``Refused`` with its problem; what it does not
answer in time, ``Unreachable``; an answer of another shape, ``Malformed``. Commands go over the socket, where unanswered
ones are resolved (``commands``).
"""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from oms_client.book import Book
from oms_client.errors import ClientError, Refused, Unreachable
from oms_client.following import Broken
from oms_client.line import Patience
from oms_client.models import (
    BookView,
    Candle,
    Execution,
    Fill,
    Instrument,
    Json,
    Malformed,
    Order,
    Position,
    Problem,
    Status,
    Ticker,
    Trade,
    build,
)
from oms_client.stats import Stats

# How long one attempt may take, and all of them together.
ATTEMPT_SECONDS = 10.0
QUESTION_SECONDS = 30.0
# Answers that say "later".
PATIENT_STATUSES = (429, 502, 503, 504)
PAGE = 500

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events as sent, oldest first; ``following`` is where the next page begins, None where there is none yet."""

    events: list[Json]
    following: int | None


class Rest:
    """``url`` is the service's (``http://127.0.0.1:8000``); usable inside ``async with``."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/api/v1/", headers=headers, timeout=ATTEMPT_SECONDS, trust_env=False
        )

    async def __aenter__(self) -> "Rest":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # The market

    async def status(self) -> Status:
        return build(Status, await self.get("status"))

    async def instruments(self) -> list[Instrument]:
        return [item async for item in self._pages("instruments", Instrument)]

    async def instrument(self, symbol: str) -> Instrument:
        return build(Instrument, await self.get(f"instruments/{_path(symbol)}"))

    async def book(self, symbol: str, *, depth: int = 50, sequence: int | None = None) -> BookView:
        """The book now, or as it stood at a ``sequence``; its checksum is verified."""
        message = await self.get(f"instruments/{_path(symbol)}/book", depth=depth, sequence=sequence)
        book = Book(symbol, depth, Stats())
        try:
            book.take({**message, "type": "snapshot"})
        except Broken as error:
            raise ClientError(f"the service sent no proper book: {error}") from None
        view = book.view()
        assert view is not None
        return view

    def trades(self, symbol: str) -> AsyncIterator[Trade]:
        """All trades, newest first."""
        return self._pages(f"instruments/{_path(symbol)}/trades", Trade)

    async def candles(
        self,
        symbol: str,
        interval: str = "1m",
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
    ) -> list[Candle]:
        """Oldest first."""
        rows = await self.get(
            f"instruments/{_path(symbol)}/candles", interval=interval, start=_time(start), end=_time(end), limit=limit
        )
        return [build(Candle, row) for row in rows]

    async def ticker(self, symbol: str) -> Ticker:
        return build(Ticker, await self.get(f"instruments/{_path(symbol)}/ticker"))

    async def tickers(self) -> list[Ticker]:
        return [item async for item in self._pages("tickers", Ticker)]

    # The account

    async def order(self, order_id: str) -> Order:
        return build(Order, await self.get(f"orders/{_path(order_id)}"))

    async def order_by_client_id(self, client_order_id: str) -> Order:
        return build(Order, await self.get(f"orders/by-client-id/{_path(client_order_id)}"))

    def orders(
        self, *, symbol: str | None = None, status: str | None = None, side: str | None = None
    ) -> AsyncIterator[Order]:
        """Orders of the account, newest first; ``status="open"`` are those that can still trade."""
        return self._pages("orders", Order, symbol=symbol, status=status, side=side)

    async def order_events(self, order_id: str) -> list[Execution]:
        """The whole life of an order, oldest first."""
        answer = await self.get(f"orders/{_path(order_id)}/events")
        return [build(Execution, event) for event in answer["results"]]

    def fills(self, *, symbol: str | None = None) -> AsyncIterator[Fill]:
        """Fills of the account, newest first."""
        return self._pages("fills", Fill, symbol=symbol)

    def positions(self) -> AsyncIterator[Position]:
        return self._pages("positions", Position)

    async def events(self, shard: int, after_sequence: int) -> EventPage:
        """A page of the account's log on a shard, oldest first."""
        answer = await self.get("events", shard=shard, after_sequence=after_sequence, limit=PAGE)
        following = answer["next"]
        return EventPage(answer["results"], None if following is None else int(following))

    # Asking

    async def get(self, path: str, **query: object) -> Any:
        """The decoded answer to a question; parameters that are None are left out."""
        parameters = {name: str(value) for name, value in query.items() if value is not None}
        deadline = monotonic() + QUESTION_SECONDS
        patience = Patience(random.random)
        while True:
            try:
                response = await self._http.get(path, params=parameters)
            except httpx.TransportError as error:
                reason, wait = repr(error), patience.next()
            else:
                if response.status_code not in PATIENT_STATUSES:
                    return _content(response)
                reason, wait = f"HTTP {response.status_code}", max(_retry_after(response), patience.next())
            if monotonic() + wait >= deadline:
                raise Unreachable(f"GET {path}: {reason}")
            await asyncio.sleep(wait)

    async def _pages(self, path: str, kind: type[Item], **query: object) -> AsyncIterator[Item]:
        cursor: object = None
        while True:
            answer = await self.get(path, **query, cursor=cursor)
            for row in answer["results"]:
                yield build(kind, row)
            cursor = answer["next"]
            if cursor is None:
                return


def _content(response: httpx.Response) -> Any:
    try:
        content = response.json()
    except ValueError:
        raise ClientError(f"GET {response.url}: HTTP {response.status_code} without JSON") from None
    if response.is_success:
        return content
    try:
        raise Refused(build(Problem, content))
    except Malformed:
        raise ClientError(f"GET {response.url}: HTTP {response.status_code} without a problem") from None


def _retry_after(response: httpx.Response) -> float:
    """Seconds the service asks to wait; it only ever says a number of them."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def _path(part: str) -> str:
    return quote(part, safe="")


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
