"""What tests with a real server do and compare."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeVar

from oms_client import AsyncClient, Execution, Order, Trade
from oms_client.streams import Stream
from oms_client.terms import NewOrder
from tests.support.server import Server

SYMBOL = "ACME-USD"
WAIT_SECONDS = 20

Item = TypeVar("Item")


def random_order(rng: random.Random, client_order_id: str) -> NewOrder:
    """Around 100, so that about half of them trade."""
    return {
        "symbol": SYMBOL,
        "side": rng.choice(("buy", "sell")),
        "quantity": f"{rng.randrange(1, 9)}.500",
        "price": f"{rng.randrange(9_980, 10_020) / 100:.2f}",
        "self_trade_prevention": "none",
        "client_order_id": client_order_id,
    }


async def trade_at_random(client: AsyncClient, rng: random.Random, count: int, name: str = "t") -> list[Order]:
    """Place orders, a few at a time."""
    places = [random_order(rng, f"{name}-{number}") for number in range(count)]
    orders: list[Order] = []
    for start in range(0, count, 20):
        orders += await asyncio.gather(*(client.place(**body) for body in places[start : start + 20]))
    return orders


async def until(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Wait for something that happens by itself."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def first(stream: Stream[Item], count: int) -> list[Item]:
    """The next items of a stream."""
    async with asyncio.timeout(WAIT_SECONDS):
        return [await anext(stream) for _ in range(count)]


class Collector:
    """Takes everything a stream tells, in a task of its own."""

    def __init__(self, stream: Stream[Any]) -> None:
        self.items: list[Any] = []
        self._task = asyncio.create_task(self._collect(stream))

    async def _collect(self, stream: Stream[Any]) -> None:
        async for item in stream:
            self.items.append(item)

    async def stop(self) -> list[Any]:
        """What was told. What ended the stream, if not we, is raised."""
        if not self._task.done():
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        return self.items


def log_of(server: Server, key: str) -> list[dict[str, Any]]:
    """The account's order events, all of them, over REST."""
    found: list[dict[str, Any]] = []
    after: str | None = "0"
    while after is not None:
        status, page = server.request("GET", f"/api/v1/events?shard=0&after_sequence={after}&limit=500", key=key)
        assert status == 200, page
        found += [event for event in page["results"] if event["order_id"] is not None]
        after = page["next"]
    return found


def as_told(execution: Execution) -> tuple[Any, ...]:
    """An execution in the terms of the log."""
    texts = (execution.quantity, execution.filled_quantity, execution.remaining_quantity)
    return (
        *(execution.sequence, execution.event, execution.order_id, execution.client_order_id, execution.side),
        *(execution.price and str(execution.price), *map(str, texts), execution.status, execution.trade_id),
    )


def as_logged(event: dict[str, Any]) -> tuple[Any, ...]:
    """An event of the log, as ``as_told`` says executions."""
    names = ("sequence", "event", "order_id", "client_order_id", "side", "price", "quantity", "filled_quantity")
    return tuple(event[name] for name in (*names, "remaining_quantity", "status", "trade_id"))


async def all_trades(client: AsyncClient) -> list[Trade]:
    """All trades there are, oldest first."""
    newest_first: AsyncIterator[Trade] = client.rest.trades(SYMBOL)
    return [trade async for trade in newest_first][::-1]
