"""A client that does not read for a while, over a real socket: the server waits with it, within bounds, and loses nothing it
may not lose."""

import json
import threading
from collections.abc import Iterator

import pytest

from tests.feed.client import BookClient
from tests.sockets.wire import Wire, frame
from tests.support.server import Server

# Fewer executions than may wait, more bytes than any buffer on the way takes.
ROUNDS = 80
ORDERS = 25
# Pairs sent one order at a time, each a commit of its own: more changes of the book than may wait.
SINGLES = 150
TRADES = ROUNDS * ORDERS + SINGLES


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("slow"))
    server.manage("seed_demo")
    server.start("--save-interval", "0")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def key(server) -> str:
    return server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()


def signed_in(server: Server, key: str, **options: int) -> Wire:
    wire = Wire(server.port, **options)
    wire.say(op="auth", key=key)
    assert wire.hear()["ok"]
    return wire


def trade_much(server: Server, key: str) -> None:
    """Commits with many trades each, at changing prices, then many commits."""
    with signed_in(server, key) as wire:
        for number in range(ROUNDS + SINGLES):
            pairs = ORDERS if number < ROUNDS else 1
            wire.socket.sendall(b"".join(order(number, side) for _ in range(pairs) for side in ("buy", "sell")))
            for _ in range(2 * pairs):
                assert wire.hear()["ok"]


def order(number: int, side: str) -> bytes:
    terms = {"symbol": "ACME-USD", "side": side, "price": f"{90 + number % 20}.00", "quantity": "1"}
    return frame(json.dumps({"op": "place", "self_trade_prevention": "none", **terms}).encode())


def test_what_may_be_dropped_is_and_the_rest_is_whole(server, key):
    reader = signed_in(server, key, receive_bytes=4096)
    book, trades, last_trade, last_execution, executions, skipped = BookClient(10), 0, None, None, 0, 0
    with reader:
        reader.say(op="subscribe", channel="executions")
        reader.say(op="subscribe", channel="book", symbols=["ACME-USD"], depth=10)
        reader.say(op="subscribe", channel="trades", symbols=["ACME-USD"])
        trade_much(server, key)
        _, end = server.request("GET", "/api/v1/instruments/ACME-USD/book?depth=10")
        _, newest = server.request("GET", "/api/v1/instruments/ACME-USD/trades?limit=1")
        target = newest["results"][0]["sequence"]
        while last_trade != target or book.sequence != end["sequence"]:
            message = reader.hear()
            channel, kind = message.get("channel"), message.get("type")
            if channel == "book":
                book.take(message)
            elif channel == "executions":
                assert last_execution is None or message["previous"] == last_execution
                last_execution = message["sequence"]
                executions += kind == "update"
            elif channel == "trades":
                assert kind == "snapshot" or message["previous"] == last_trade, message
                last_trade = message["sequence"]
                trades += message["count"] if kind == "skipped" else len(message["trades"])
                skipped += kind == "skipped"
    assert (book.bids, book.asks) == (end["bids"], end["asks"])
    assert "slow_reader" in book.resyncs
    # Two orders a pair: each accepted, each filled.
    assert executions == TRADES * 4 and trades == TRADES


def test_a_slow_reader_does_not_slow_down_others(server, key):
    """Beside sockets that read nothing, one that works is answered."""
    idle = [signed_in(server, key, receive_bytes=4096) for _ in range(5)]
    for wire in idle:
        wire.say(op="subscribe", channel="book", symbols=["ACME-USD"], depth=1000)
        wire.say(op="subscribe", channel="executions")
    worker = threading.Thread(target=trade_much, args=(server, key), daemon=True)
    worker.start()
    worker.join(60)
    assert not worker.is_alive()
    for wire in idle:
        wire.close()
