"""The asynchronous client and a real server: what it tells is what REST says, whatever happens to the connection."""

import asyncio
import random
from decimal import Decimal

import pytest

from oms_client import AsyncClient, NotSent, Refused, Skipped, Stopped, Trade, Unknown, streams
from oms_client import session as sessions
from tests.client.cutter import ENDLESS, Cutter
from tests.client.trading import (
    SYMBOL,
    Collector,
    all_trades,
    as_logged,
    as_told,
    first,
    log_of,
    trade_at_random,
    until,
)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    return random.Random(seed)


async def check_all_told(client, server, key, executions: Collector, trades: Collector) -> None:
    """Book, trades and executions are those of REST, once nothing happens any more."""
    book = await client.rest.book(SYMBOL, depth=25)
    await until(lambda: client.book(SYMBOL) is not None and client.book(SYMBOL).sequence >= book.sequence)
    assert client.book(SYMBOL) == book
    logged = [as_logged(event) for event in log_of(server, key)]
    await until(lambda: len(executions.items) >= len(logged))
    assert [as_told(execution) for execution in await executions.stop()] == logged
    happened = await all_trades(client)
    await until(lambda: trades.items[-1] == happened[-1])
    told = await trades.stop()
    if not any(isinstance(item, Skipped) for item in told):
        assert told == happened[-len(told) :]


def test_what_is_told_is_what_rest_says(server, key, rng):
    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            client.books(SYMBOL)
            executions, trades = Collector(client.executions(after={0: 0})), Collector(client.trades(SYMBOL))
            await trade_at_random(client, rng, 100)
            await check_all_told(client, server, key, executions, trades)
            stats = client.stats
            assert stats.gaps == stats.resubscribes == stats.disconnects == stats.ignored == 0

    asyncio.run(run())


def test_answers_come_before_executions_and_once_for_a_repeated_id(server, key):
    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            executions = client.executions()
            placed = await client.place(SYMBOL, "buy", "1", price="50", client_order_id="once")
            again = await client.place(SYMBOL, "buy", "1", price="50", client_order_id="once")
            assert placed == again and client.stats.replays == 1
            with pytest.raises(Refused) as refused:
                await client.place(SYMBOL, "buy", "2", price="50", client_order_id="once")
            assert refused.value.problem.code == "duplicate_client_order_id"
            (execution,) = await first(executions, 1)
            assert (execution.event, execution.order_id) == ("accepted", placed.id)

    asyncio.run(run())


def test_every_command(server, key):
    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            placed = await client.place(SYMBOL, "buy", Decimal("10"), price=Decimal("50.00"), client_order_id="c-1")
            assert placed.is_open and placed.client_order_id == "c-1"
            amended = await client.amend(placed.id, quantity="8", version=placed.version)
            assert (amended.quantity, amended.priority_kept) == (Decimal(8), True)
            with pytest.raises(Refused) as refused:
                await client.amend(placed.id, quantity="7", version=placed.version)
            assert refused.value.problem.code == "version_conflict"
            assert (await client.cancel(client_order_id="c-1")).status == "canceled"
            with pytest.raises(Refused) as refused:
                await client.cancel(placed.id)
            assert refused.value.problem.code == "too_late_to_cancel"
            stop = {"stop_price": "45"}
            bracket = await client.place(
                SYMBOL, "buy", 3, price="50", order_class="bracket", take_profit={"price": "60"}, stop_loss=stop
            )
            assert {leg.role for leg in bracket.legs} == {"take_profit", "stop_loss"}
            new = {"symbol": SYMBOL, "side": "buy", "quantity": "1"}
            good, bad = await client.place_batch([{**new, "price": "51"}, {**new, "price": "51.005"}])
            assert good.status == "new" and bad.problem.code == "price_not_on_tick"
            lease = await client.cancel_after(60)
            assert lease.expires_at is not None
            assert (await client.cancel_after(0)).expires_at is None
            canceled = await client.cancel_all(symbol=SYMBOL)
            assert {bracket.id, good.id} <= set(canceled.canceled)
            assert [order async for order in client.rest.orders(status="open")] == []
            with pytest.raises(ValueError, match="one of its ids"):
                await client.cancel()

    asyncio.run(run())


def test_states_and_candles(server, key, rng):
    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            await trade_at_random(client, rng, 40)
            tickers, candles = client.ticker(SYMBOL), client.candles(SYMBOL, "1m")
            positions, status, session = client.positions(), client.status(), client.session(SYMBOL)
            (ticker,) = await first(tickers, 1)
            rest = await client.rest.ticker(SYMBOL)
            assert (ticker.last, ticker.volume, ticker.bid) == (rest.last, rest.volume, rest.bid)
            told = await first(candles, len(await client.rest.candles(SYMBOL, "1m", limit=100)))
            assert told[-1].close == ticker.last
            (position,) = await first(positions, 1)
            assert position.symbol == SYMBOL
            assert (await first(status, 1))[0].open
            assert (await first(session, 1))[0].state == "continuous"
            await trade_at_random(client, rng, 40, "more")
            assert (await first(tickers, 1))[0].trades > ticker.trades
            assert (await first(candles, 1))[0].volume > 0
            (by_rest,) = [position async for position in client.rest.positions()]
            await until(lambda: client._session.follower(("positions", "", "")).by_symbol[SYMBOL] == by_rest)

    asyncio.run(run())


def test_connections_cut_at_random_bytes(server, key, rng):
    """Half of the cuts hit what the client sends, half what it is sent; every order is there once."""

    async def run() -> None:
        budgets = [
            (rng.randrange(300, 3_000), ENDLESS) if rng.random() < 0.5 else (ENDLESS, rng.randrange(200, 20_000))
            for _ in range(30)
        ]
        async with Cutter(server.port, budgets) as cutter, AsyncClient(cutter.url, key=key) as client:
            client.books(SYMBOL)
            executions, trades = Collector(client.executions(after={0: 0})), Collector(client.trades(SYMBOL))
            orders = await trade_at_random(client, rng, 300)
            assert len({order.id for order in orders}) == len(orders)
            await check_all_told(client, server, key, executions, trades)
            placed = [event["client_order_id"] for event in log_of(server, key) if event["event"] == "accepted"]
            assert sorted(placed) == sorted(f"t-{number}" for number in range(300))
            print(f"{cutter.cuts} cuts: {client.stats}")
            assert cutter.cuts > 5 and client.stats.repeats > 0

    asyncio.run(run())


def test_cancels_and_amends_whose_answers_get_lost(server, key, rng):
    async def run() -> None:
        async with Cutter(server.port) as cutter, AsyncClient(cutter.url, key=key) as client:
            orders = await asyncio.gather(
                *(client.place(SYMBOL, "buy", "5", price=f"{price}.00") for price in range(20, 40))
            )
            work = [
                client.cancel(order.id) if number % 2 else client.amend(order.id, quantity="3", price="19.00")
                for number, order in enumerate(orders)
            ]
            tasks = [asyncio.create_task(one) for one in work]
            for _ in range(5):
                await asyncio.sleep(rng.uniform(0, 0.03))
                cutter.cut()
            for number, task in enumerate(tasks):
                done = await task
                assert (done.status, str(done.quantity)) == (("canceled", "5.000"), ("new", "3.000"))[number % 2 == 0]
            for order in orders:
                steps = [event["event"] for event in log_of(server, key) if event["order_id"] == order.id]
                assert len(steps) == 2, steps

    asyncio.run(run())


def test_a_connection_that_hangs_is_given_up(server, key, monkeypatch):
    monkeypatch.setattr(sessions, "SILENCE_SECONDS", 6.0)

    async def run() -> None:
        async with Cutter(server.port) as cutter, AsyncClient(cutter.url, key=key) as client:
            books = client.books(SYMBOL)
            await first(books, 1)
            cutter.hold()
            task = asyncio.create_task(client.place(SYMBOL, "buy", "1", price="30"))
            await until(lambda: client.stats.silences == 1)
            cutter.release()
            assert (await task).status == "new"

    asyncio.run(run())


def test_deadlines_without_a_server(unused_url):
    async def run() -> None:
        async with AsyncClient(unused_url, key="oms_x") as client:
            with pytest.raises(NotSent):
                await client.place(SYMBOL, "buy", "1", price="30", seconds=0.3)

    asyncio.run(run())


def test_an_answer_that_never_comes_ends_as_unknown(server, key):
    async def run() -> None:
        async with Cutter(server.port) as cutter, AsyncClient(cutter.url, key=key) as client:
            await until(lambda: client.is_connected)
            cutter.hold()
            with pytest.raises(Unknown) as unknown:
                await client.place(SYMBOL, "buy", "1", price="30", seconds=0.5, client_order_id="lost")
            assert unknown.value.client_order_ids == ("lost",)

    asyncio.run(run())


def test_a_wrong_key_and_a_closed_client_end_calls_and_streams(server):
    async def run() -> None:
        async with AsyncClient(server.url, key="oms_" + "x" * 43) as client:
            executions = client.executions()
            with pytest.raises(Refused):
                await anext(executions)
            with pytest.raises(Stopped):
                await client.place(SYMBOL, "buy", "1", price="30")
        client = AsyncClient(server.url)
        async with client:
            books = client.books("ACME-USD")
        with pytest.raises(Stopped):
            async for _ in books:
                pass

    asyncio.run(run())


def test_a_client_that_was_not_entered_says_so(unused_url):
    async def run() -> None:
        client = AsyncClient(unused_url)
        with pytest.raises(RuntimeError, match="async with"):
            client.books(SYMBOL)
        with pytest.raises(RuntimeError, match="async with"):
            await client.cancel_all()

    asyncio.run(run())


def test_a_bug_of_the_client_ends_every_wait(server, key):
    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            books = client.books(SYMBOL)
            await first(books, 1)
            client._session.received = lambda text, at: 1 // 0
            with pytest.raises((Unknown, ZeroDivisionError)):
                await client.place(SYMBOL, "buy", "1", price="30")
            with pytest.raises(ZeroDivisionError):
                async for _ in books:
                    pass

    asyncio.run(run())


def test_a_stream_that_is_left_is_not_sent_any_more(server, key):
    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            async with client.books(SYMBOL) as one, client.books(SYMBOL) as two:
                assert await first(one, 1) == await first(two, 1)
                with pytest.raises(ValueError, match="depth of 25"):
                    client.books(SYMBOL, depth=10)
            assert client.book(SYMBOL) is None
            async with client.books(SYMBOL, depth=10) as books:
                assert len((await first(books, 1))[0].bids) <= 10
            with pytest.raises(Refused) as refused:
                await anext(client.books("NOPE-USD"))
            assert refused.value.problem.code == "unknown_symbol"

    asyncio.run(run())


def test_a_user_who_is_slow_misses_no_execution(server, key, rng, monkeypatch):
    monkeypatch.setattr(streams, "MAX_EXECUTIONS", 20)
    monkeypatch.setattr(streams, "FEW_EXECUTIONS", 5)
    monkeypatch.setattr(streams, "MAX_KEPT", 10)

    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            executions, trades = client.executions(after={0: 0}), client.trades(SYMBOL)
            await trade_at_random(client, rng, 200)
            logged = [as_logged(event) for event in log_of(server, key)]
            assert [as_told(execution) for execution in await first(executions, len(logged))] == logged
            assert client.stats.resumes > 2
            missed, *kept = await first(trades, 11)
            assert isinstance(missed, Skipped) and missed.count and all(isinstance(item, Trade) for item in kept)

    asyncio.run(run())


@pytest.mark.slow
def test_more_than_the_socket_resumes_is_read_over_rest(server, key, rng):
    async def run() -> None:
        async with AsyncClient(server.url, key=key) as client:
            new = {"symbol": SYMBOL, "side": "buy", "quantity": "0.010", "price": "10"}
            for _ in range(21):
                results = await client.place_batch([new] * 500)
                assert all(result.status == "new" for result in results)
            await client.cancel_all()
            executions = client.executions(after={0: 0})
            logged = [as_logged(event) for event in log_of(server, key)]
            told = [as_told(execution) for execution in await first(executions, len(logged))]
            assert told == logged and client.stats.events_read > 10_000
            last = await client.place(**new)
            assert (await first(executions, 1))[0].order_id == last.id

    asyncio.run(run())
