"""The reference client against a real server behind a bad proxy, while the server is killed again and again.

For ``--soak-seconds N`` (60 by default) two clients trade and three only watch. After each kill (SIGKILL at a random moment)
the market pauses, the proxy does no harm, and every client's books must become what REST says. At the end no order is lost
or there twice, and the executions each trader heard are the account's whole log. ``--seed N`` repeats a run's dice.
"""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from oms_client import AsyncClient, Execution, Order, Refused, Unknown
from tests.soak.harm import Harm
from tests.soak.proxy import Proxy
from tests.support.server import Server

pytestmark = pytest.mark.slow

SYMBOL = "ACME-USD"
# Between a quiet point and the next kill.
LIVELY_SECONDS = (0.5, 5.0)
# After a kill and the restart everybody must agree within this: a client that waits for a lost snapshot asks again after 10 s.
AGREE_SECONDS = 25
# Longer than any restart takes.
COMMAND_SECONDS = 60
WATCHED_DEPTHS = (10, 25, 100)


class Trader:
    """Places, amends and cancels at random through a client; remembers what it was told."""

    def __init__(self, name: str, client: AsyncClient, rng: random.Random) -> None:
        self.name = name
        self.client = client
        self.rng = rng
        self.placed: dict[str, Order] = {}
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.heard: list[Execution] = []
        self.paused = asyncio.Event()
        self._numbers = 0
        self._alive: list[str] = []

    async def listen(self) -> None:
        async for execution in self.client.executions(after={0: 0}):
            self.heard.append(execution)

    async def trade(self, until: float) -> None:
        """Until ``until``; every call is awaited, so that none is under way afterwards."""
        while monotonic() < until:
            try:
                await self._step()
            except Refused as error:
                # Filled or canceled meanwhile; the other trader's doing.
                assert error.problem.status in (409, 422), error
            await asyncio.sleep(self.rng.random() * 0.02)

    async def _step(self) -> None:
        rng = self.rng
        roll = rng.random()
        if roll < 0.6 or not self._alive:
            await self._place()
            return
        order_id = rng.choice(self._alive)
        if roll < 0.8:
            await self.client.amend(order_id, price=self._price(), seconds=COMMAND_SECONDS)
        else:
            self._alive.remove(order_id)
            await self.client.cancel(order_id, seconds=COMMAND_SECONDS)

    async def _place(self) -> None:
        self._numbers += 1
        name = f"{self.name}-{self._numbers}"
        side = self.rng.choice(("buy", "sell"))
        quantity = f"{self.rng.randint(1, 5_000) / 1000:.3f}"
        try:
            order = await self.client.place(
                SYMBOL, side, quantity, price=self._price(), client_order_id=name, seconds=COMMAND_SECONDS
            )
        except Refused:
            self.refused.add(name)
            raise
        except Unknown:
            self.unknown.add(name)
            raise
        self.placed[name] = order
        if order.is_open:
            self._alive.append(order.id)
            del self._alive[:-30]

    def _price(self) -> str:
        return f"{self.rng.randint(9_960, 10_040) / 100:.2f}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.manage("seed_demo")
    try:
        yield server
    finally:
        server.kill()


class Soak:
    """The course of events."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.rng = random.Random(seed)
        self.harm = Harm()
        self.kills = 0
        self.agreed = 0
        self.traders: list[Trader] = []
        self.watchers: list[AsyncClient] = []

    async def run(self, keys: dict[str, str], seconds: float) -> None:
        async with AsyncExitStack() as stack:
            self.proxy = await stack.enter_async_context(Proxy(self.server.port, self.rng, self.harm))
            url = f"http://127.0.0.1:{self.proxy.port}"
            for name, key in keys.items():
                client = await stack.enter_async_context(AsyncClient(url, key=key))
                self.traders.append(Trader(name, client, random.Random(self.rng.random())))
            for depth in WATCHED_DEPTHS:
                client = await stack.enter_async_context(AsyncClient(url))
                client.books(SYMBOL, depth=depth)
                self.watchers.append(client)
            listening = [asyncio.create_task(trader.listen()) for trader in self.traders]
            end = monotonic() + seconds
            while monotonic() < end:
                await self.lively(min(end, monotonic() + self.rng.uniform(*LIVELY_SECONDS)))
                await self.quiet()
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def lively(self, until: float) -> None:
        """Orders on a bad line until the server is killed; then it starts again, and what is under way comes to its end."""
        self.proxy.rough = True
        trading = [asyncio.create_task(trader.trade(until + 0.5)) for trader in self.traders]
        while monotonic() < until:
            await asyncio.sleep(self.rng.uniform(0.1, 1.0))
            self.proxy.cut(self.rng.choice((0, 1, 1, 3)))
        self.server.kill()
        self.kills += 1
        await asyncio.to_thread(self.server.start, "--save-interval", "0.5")
        await asyncio.gather(*trading)

    async def quiet(self) -> None:
        """Everybody's book becomes the one of REST, and everybody's executions the log."""
        self.proxy.calm()
        # Whoever has lost the last message of a stream learns so by the next one.
        for trader, side in zip(self.traders, ("buy", "sell"), strict=True):
            await trader.client.place(SYMBOL, side, "0.001", price="100.00", self_trade_prevention="none")
        end = monotonic() + AGREE_SECONDS
        while not await asyncio.to_thread(self._agree):
            assert monotonic() < end, self._difference()
            await asyncio.sleep(0.1)
        self.agreed += 1

    def _agree(self) -> bool:
        return not self._difference()

    def _difference(self) -> str:
        """Who believes something else than REST says, or has not heard all; "" where nobody does."""
        for depth, client in zip(WATCHED_DEPTHS, self.watchers, strict=True):
            _, told = self.server.request("GET", f"/api/v1/instruments/{SYMBOL}/book?depth={depth}")
            book = client.book(SYMBOL)
            if book is None or book.sequence != told["sequence"]:
                return f"depth {depth}: {book and book.sequence}, REST is at {told['sequence']}"
            for side in ("bids", "asks"):
                believed = [[str(level.price), str(level.quantity), level.orders] for level in getattr(book, side)]
                assert believed == told[side], f"an undetected gap: {believed}, REST says {told[side]}"
        for trader in self.traders:
            logged = self.rows(
                "SELECT e.id & 281474976710655 FROM orders_event e JOIN orders_account a ON a.id = e.account_id "
                "WHERE a.name = ? AND e.order_id IS NOT NULL ORDER BY e.id",
                trader.name,
            )
            heard = [execution.sequence for execution in trader.heard]
            assert heard == [sequence for (sequence,) in logged][: len(heard)], f"{trader.name} heard something else"
            if len(heard) < len(logged):
                return f"{trader.name} has heard {len(heard)} of {len(logged)} executions"
        return ""

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.server.database)
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.close()

    def check_orders(self) -> None:
        """What was acknowledged is there, once; nothing else is, but what was refused or is honestly unknown."""
        for trader in self.traders:
            found = self.rows(
                "SELECT o.client_order_id, o.id FROM orders_order o JOIN orders_account a ON a.id = o.account_id "
                "WHERE a.name = ? AND o.client_order_id LIKE ?",
                trader.name,
                f"{trader.name}-%",
            )
            by_name = dict(found)
            assert len(by_name) == len(found), "an order is there twice"
            for name, order in trader.placed.items():
                assert str(by_name.pop(name)) == order.id
            assert by_name.keys() <= trader.refused | trader.unknown


def test_a_minute_of_trouble(request: pytest.FixtureRequest, server: Server) -> None:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    keys = {
        name: server.manage("create_api_key", name, "--scopes", "read,trade").stdout.strip()
        for name in ("alice", "bob")
    }
    server.start("--save-interval", "0.5")
    soak = Soak(server, seed)
    asyncio.run(soak.run(keys, request.config.getoption("--soak-seconds")))
    soak.check_orders()
    stats = [client.stats for client in (*soak.watchers, *(trader.client for trader in soak.traders))]
    placed = sum(len(trader.placed) for trader in soak.traders)
    print(f"{soak.kills} kills, {soak.agreed} times everybody agreed; {placed} orders placed; {soak.harm}")
    print(*stats, sep="\n")
    assert soak.kills and soak.harm.lost and soak.harm.late and placed > soak.kills
    assert sum(one.gaps for one in stats) and not sum(one.malformed for one in stats)
    assert server.stop() == 0
    assert "good" in server.manage("verify_books").stdout
