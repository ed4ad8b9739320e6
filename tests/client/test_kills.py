"""The server is killed at random moments, again and again, while two clients trade and listen: they never notice.

``--client-kills N`` sets how often, ``--seed N`` repeats a run. Every call ends with what really became of it; no order is
lost or doubled; the executions told are the account's log, without a hole.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from oms_client import AsyncClient, ClientError, Order, Refused
from tests.client.trading import SYMBOL, Collector, as_logged, as_told, log_of, random_order, until
from tests.support.server import Server

pytestmark = pytest.mark.slow

WORKERS = 4
# Far longer than the server is ever away: a call that ends as unknown would be a failure.
CALL_SECONDS = 60.0
# What a cancel or an amend may be told of an order that trades meanwhile.
TOO_LATE = {"too_late_to_cancel", "too_late_to_amend", "not_amendable", "version_conflict"}


@dataclass
class Trader:
    """One account's client, and what it believes."""

    name: str
    key: str
    client: AsyncClient
    rng: random.Random
    accepted: dict[str, Order] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    amended: dict[str, Decimal] = field(default_factory=dict)
    calls: int = 0

    async def work(self, worker: int, halt: asyncio.Event) -> None:
        """Place, cancel and amend at random, each order by one worker only."""
        mine: list[str] = []
        while not halt.is_set():
            self.calls += 1
            choice = self.rng.random()
            if choice < 0.6 or not mine:
                await self._place(worker, mine)
            elif choice < 0.7:
                await self._place_batch(worker, mine)
            elif choice < 0.85:
                await self._cancel(mine.pop(self.rng.randrange(len(mine))))
            else:
                await self._amend(self.rng.choice(mine))
            await asyncio.sleep(self.rng.uniform(0, 0.03))

    async def _place(self, worker: int, mine: list[str]) -> None:
        body = random_order(self.rng, f"{self.name}.{worker}.{self.calls}")
        order = await self.client.place(**body, seconds=CALL_SECONDS)
        self._accept(order, mine)

    async def _place_batch(self, worker: int, mine: list[str]) -> None:
        bodies = [random_order(self.rng, f"{self.name}.{worker}.{self.calls}.{index}") for index in range(6)]
        for result in await self.client.place_batch(bodies, seconds=CALL_SECONDS):
            if isinstance(result, ClientError):
                raise result
            self._accept(result, mine)

    def _accept(self, order: Order, mine: list[str]) -> None:
        assert order.client_order_id is not None and order.client_order_id not in self.accepted
        self.accepted[order.client_order_id] = order
        mine.append(order.client_order_id)

    async def _cancel(self, name: str) -> None:
        try:
            order = await self.client.cancel(self.accepted[name].id, seconds=CALL_SECONDS)
        except Refused as refused:
            assert refused.problem.code in TOO_LATE, refused
        else:
            assert order.status == "canceled"
            self.canceled.add(name)

    async def _amend(self, name: str) -> None:
        price = Decimal(self.rng.randrange(9_980, 10_020)) / 100
        try:
            order = await self.client.amend(self.accepted[name].id, price=price, seconds=CALL_SECONDS)
        except Refused as refused:
            assert refused.problem.code in TOO_LATE, refused
        else:
            assert order.price == price
            self.amended[name] = price


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.manage("seed_demo")
    try:
        yield server
    finally:
        server.kill()


def test_clients_survive_kills(server: Server, request: pytest.FixtureRequest) -> None:
    kills = request.config.getoption("--client-kills")
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    names = ("alice", "bob")
    keys = [server.manage("create_api_key", name, "--scopes", "read,trade").stdout.strip() for name in names]
    server.start("--save-interval", "0.5")
    asyncio.run(survive(server, dict(zip(names, keys, strict=True)), kills, random.Random(seed)))
    assert server.stop() == 0
    assert "good" in server.manage("verify_books").stdout


async def survive(server: Server, keys: dict[str, str], kills: int, rng: random.Random) -> None:
    halt = asyncio.Event()
    async with (
        AsyncClient(server.url, key=keys["alice"]) as alice,
        AsyncClient(server.url, key=keys["bob"]) as bob,
        asyncio.TaskGroup() as tasks,
    ):
        clients = {"alice": alice, "bob": bob}
        traders = [Trader(name, keys[name], client, rng) for name, client in clients.items()]
        working: list[asyncio.Task[None]] = []
        executions = [Collector(trader.client.executions(after={0: 0})) for trader in traders]
        for trader in traders:
            trader.client.books(SYMBOL)
            for worker in range(WORKERS):
                working.append(tasks.create_task(trader.work(worker, halt)))
        for _ in range(kills):
            await until(lambda: alice.is_connected and bob.is_connected)
            await asyncio.sleep(rng.uniform(0, 0.8))
            await asyncio.to_thread(restart, server)
        halt.set()
        await asyncio.gather(*working)
        for trader, told in zip(traders, executions, strict=True):
            await check(server, trader, told)
        report(kills, traders)


def restart(server: Server) -> None:
    server.kill()
    server.start("--save-interval", "0.5")


async def check(server: Server, trader: Trader, told: Collector) -> None:
    """What the trader believes is so, and nothing else is."""
    logged = log_of(server, trader.key)
    await until(lambda: len(told.items) >= len(logged))
    executions = await told.stop()
    assert [as_told(execution) for execution in executions] == [as_logged(event) for event in logged]
    placed = [event["client_order_id"] for event in logged if event["event"] == "accepted"]
    assert len(placed) == len(set(placed)), "an order was placed twice"
    assert set(placed) == set(trader.accepted), "an order was lost, or placed though nobody was told"
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for execution in executions:
        if execution.is_fill:
            filled[execution.order_id] += execution.quantity
    orders = {order.client_order_id: order async for order in trader.client.rest.orders()}
    for name, believed in trader.accepted.items():
        order = orders.pop(name)
        assert order.id == believed.id and order.filled_quantity == filled[order.id] >= believed.filled_quantity
        assert name not in trader.canceled or order.status == "canceled"
        assert order.price == trader.amended.get(name, believed.price)
    assert orders == {}
    some = trader.rng.sample(sorted(trader.accepted), min(50, len(trader.accepted)))
    for name in some:
        assert (await trader.client.rest.order_by_client_id(name)).id == trader.accepted[name].id
    book = await trader.client.rest.book(SYMBOL, depth=25)
    await until(lambda: trader.client.book(SYMBOL) == book)


def report(kills: int, traders: list[Trader]) -> None:
    for trader in traders:
        told = f"{trader.calls} calls, {len(trader.accepted)} orders, {len(trader.canceled)} canceled"
        print(f"{kills} kills, {trader.name}: {told}, none lost, none doubled; {trader.client.stats}")
        assert trader.client.stats.disconnects >= kills
