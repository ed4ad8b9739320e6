"""The blocking client says what the asynchronous one says, to any number of threads."""

import threading
from decimal import Decimal

import pytest

from oms_client import Client, Refused, Stopped
from tests.client.trading import SYMBOL, as_logged, as_told, log_of


def test_orders_books_and_executions(server, key):
    with Client(server.url, key=key) as client:
        executions = client.executions(after={0: 0})
        books = client.books(SYMBOL)
        before = books.next(timeout=20)
        placed = client.place(SYMBOL, "buy", "1", price="41.00")
        assert client.amend(placed.id, price="42.00").price == Decimal("42.00")
        book = next(books)
        while book.sequence <= before.sequence or all(level.price != 42 for level in book.bids):
            book = books.next(timeout=20)
        assert client.book(SYMBOL).sequence >= book.sequence
        assert client.ask(lambda rest: rest.order(placed.id)).version == 2
        with pytest.raises(Refused):
            client.cancel("1")
        (refused,) = client.place_batch([{"symbol": "NOPE", "side": "buy", "quantity": 1, "price": "1"}])
        assert refused.problem.code == "unknown_symbol"
        assert client.cancel_all(side="buy").canceled == (placed.id,)
        logged = [as_logged(event) for event in log_of(server, key)]
        assert [as_told(executions.next(timeout=20)) for _ in logged] == logged
        with pytest.raises(TimeoutError):
            executions.next(timeout=0.05)
        assert client.is_connected and client.stats.gaps == 0
    with pytest.raises(Stopped):
        next(books)


def test_other_channels(server, key):
    with Client(server.url, key=key) as client:
        assert client.ticker(SYMBOL).next(timeout=20).symbol == SYMBOL
        assert client.session(SYMBOL).next(timeout=20).state == "continuous"
        assert client.status().next(timeout=20).open
        assert client.cancel_after(0).expires_at is None
        client.place(SYMBOL, "buy", "1", price="43.00")
        client.place(SYMBOL, "sell", "1", price="43.00", self_trade_prevention="none")
        with client.trades(SYMBOL) as trades, client.candles(SYMBOL, "1h") as candles, client.positions() as positions:
            assert trades.next(timeout=20).quantity > 0
            assert candles.next(timeout=20).trades > 0
            assert positions.next(timeout=20).symbol == SYMBOL
        assert list(trades) == []


def test_many_threads(server, key):
    with Client(server.url, key=key) as client:
        placed: list[str] = []

        def place(name: int) -> None:
            for number in range(10):
                order = client.place(SYMBOL, "buy", "1", price="30", client_order_id=f"{name}.{number}")
                placed.append(order.id)

        threads = [threading.Thread(target=place, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(set(placed)) == 80 == client.cancel_all().count


def test_closing_ends_what_other_threads_wait_for(server, key):
    client = Client(server.url, key=key)
    ended = threading.Event()
    with client:
        executions = client.executions()

        def listen() -> None:
            with pytest.raises(Stopped):
                next(executions)
            ended.set()

        thread = threading.Thread(target=listen)
        thread.start()
        client.cancel_after(0)
    assert ended.wait(20)
    client.close()
