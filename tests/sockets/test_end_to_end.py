"""A real server in its own process, a real socket, orders over REST: the feed and REST tell the same story."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from orders.sockets.protocol import MAX_MESSAGE_BYTES
from tests.feed.client import BookClient
from tests.support import messages
from tests.support.server import Server

BOOK = "/api/v1/instruments/ACME-USD/book?depth=25"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("sockets"))
    server.manage("seed_demo")
    server.start("--save-interval", "0")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def keys(server) -> dict[str, str]:
    made = {name: server.manage("create_api_key", name, "--scopes", "read,trade") for name in ("alice", "bob")}
    return {name: done.stdout.strip() for name, done in made.items()}


def open_socket(server: Server, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/ws/v1", max_size=None, **options)


def hear(socket: ClientConnection) -> dict[str, Any]:
    """The next message that is not a heartbeat. All are as the models say."""
    while True:
        message = messages.told(socket.recv(timeout=10))
        if message.get("op") != "heartbeat":
            return message


def ask(socket: ClientConnection, **message: Any) -> dict[str, Any]:
    socket.send(json.dumps(message))
    return hear(socket)


def trade_at_random(server: Server, keys: dict[str, str], count: int) -> None:
    chance = random.Random(17)
    for _ in range(count):
        order = {
            "symbol": "ACME-USD",
            "side": chance.choice(("buy", "sell")),
            "quantity": f"{chance.randrange(1, 9)}.500",
            "price": f"{chance.randrange(9980, 10020) / 100:.2f}",
        }
        status, placed = server.request("POST", "/api/v1/orders", order, key=keys[chance.choice(("alice", "bob"))])
        assert status == 201, placed


def test_what_is_placed_over_rest_is_told_on_the_socket(server, keys):
    with open_socket(server) as socket:
        assert ask(socket, op="auth", id=1, key=keys["alice"])["account"] == "alice"
        assert ask(socket, op="subscribe", id=2, channel="executions")["ok"]
        last = hear(socket)["sequence"]
        assert ask(socket, op="subscribe", id=3, channel="trades", symbols=["ACME-USD"])["ok"]
        assert hear(socket)["type"] == "snapshot"
        assert ask(socket, op="subscribe", id=4, channel="book", symbols=["ACME-USD"], depth=25)["ok"]
        client = BookClient(25)
        client.take(hear(socket))
        trade_at_random(server, keys, 60)
        _, book = server.request("GET", BOOK)
        traded, told = [], []
        while client.sequence != book["sequence"] or not told:
            message = hear(socket)
            if message["channel"] == "book":
                client.take(message)
            elif message["channel"] == "trades":
                traded += message["trades"]
            else:
                assert message["previous"] == last
                last = message["sequence"]
                told.append(message)
    assert (client.bids, client.asks) == (book["bids"], book["asks"])
    _, trades = server.request("GET", "/api/v1/instruments/ACME-USD/trades?limit=500")
    newest_first = trades["results"]
    assert traded[::-1] == newest_first[len(newest_first) - len(traded) :]
    _, events = server.request("GET", "/api/v1/events?shard=0&after_sequence=0", key=keys["alice"])
    by_rest = {event["sequence"]: event for event in events["results"]}
    for message in told:
        event = by_rest[message["sequence"]]
        assert {name: message[name] for name in event if name != "actor"} == {
            name: value for name, value in event.items() if name != "actor"
        }


def test_the_origin_decides(server):
    with open_socket(server, origin=server.url) as socket:
        assert ask(socket, op="ping")["op"] == "pong"
    with pytest.raises(InvalidStatus) as refused:
        open_socket(server, origin="https://evil.example")
    assert refused.value.response.status_code == 403


def test_messages_that_are_too_large_end_the_connection(server):
    with open_socket(server) as socket:
        socket.send(json.dumps({"op": "ping", "x": "x" * MAX_MESSAGE_BYTES}))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
    assert closed.value.rcvd.code == 1009


def test_a_wrong_key_is_closed_with_4001(server):
    with open_socket(server) as socket:
        assert not ask(socket, op="auth", key="oms_" + "x" * 43)["ok"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
    assert closed.value.rcvd.code == 4001


def test_after_a_restart_executions_resume_and_the_book_begins_anew(server, keys):
    with open_socket(server) as socket:
        ask(socket, op="auth", key=keys["bob"])
        ask(socket, op="subscribe", channel="executions")
        last = hear(socket)["sequence"]
        ask(socket, op="subscribe", channel="book", symbols=["ACME-USD"])
        before = hear(socket)
        assert server.stop() == 0
        assert hear(socket)["op"] == "server_shutdown"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd.code == 1001
    server.start("--save-interval", "0")
    order = {"symbol": "ACME-USD", "side": "buy", "quantity": "1", "price": "50.00"}
    assert server.request("POST", "/api/v1/orders", order, key=keys["bob"])[0] == 201
    with open_socket(server) as socket:
        ask(socket, op="auth", key=keys["bob"])
        assert ask(socket, op="subscribe", channel="executions", after={"0": last})["ok"]
        assert hear(socket)["sequence"] == last
        missed = hear(socket)
        assert (missed["previous"], missed["price"]) == (last, "50.00")
        ask(socket, op="subscribe", channel="book", symbols=["ACME-USD"])
        after = hear(socket)
    assert after["epoch"] == before["epoch"] + 1
    assert [level for level in after["bids"] if level not in before["bids"]] == [["50.00", "1.000", 1]]
