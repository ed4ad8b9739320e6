"""What clients of a real server see when it goes: announced, with a code that says why, commands under way answered."""

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from tests.sockets.wire import CLOSE, Wire, frame
from tests.support.server import Server

ORDER = {"op": "place", "symbol": "ACME-USD", "side": "buy", "quantity": "1", "price": "40.00"}


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.manage("seed_demo")
    server.start("--save-interval", "0")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def alice(server) -> Iterator[Wire]:
    key = server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()
    with Wire(server.port) as wire:
        wire.say(op="auth", key=key)
        assert wire.hear()["ok"]
        yield wire


def until_closed(wire: Wire, heard: Callable[[dict], None]) -> int:
    while True:
        opcode, payload = wire.read()
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big")
        heard(json.loads(payload))


def test_a_server_that_stops_answers_what_is_under_way(server, alice):
    data = b"".join(frame(json.dumps({**ORDER, "id": number}).encode()) for number in range(400))
    alice.socket.sendall(data)
    results, others = [], []
    results.append(alice.hear())
    server.process.send_signal(signal.SIGTERM)
    code = until_closed(alice, lambda message: (results if message["op"] == "result" else others).append(message))
    assert code == 1001 and [message["op"] for message in others] == ["server_shutdown"]
    # Some may not have been read any more; those that were are answered, in order.
    assert [result["id"] for result in results] == list(range(len(results)))
    for result in results:
        assert result["ok"] or result["problem"]["code"] == "engine_unavailable", result
    placed = {int(result["order"]["id"]) for result in results if result["ok"]}
    server.stop()
    assert placed == orders_of(server), "every order that is there was answered"


def test_a_server_whose_engine_died_closes_with_restart(server, alice):
    """Another engine has taken the shard: this one is fenced at its next commit and the process ends."""
    with sqlite3.connect(server.database) as database:
        database.execute("UPDATE orders_shard SET epoch = epoch + 1")
    database.close()
    alice.say(**ORDER, id=1)
    heard: list[dict] = []
    assert until_closed(alice, heard.append) == 1012
    (result,) = [message for message in heard if message["op"] == "result"]
    assert result["problem"]["code"] == "engine_unavailable"
    assert "server_shutdown" in [message["op"] for message in heard]
    assert server.process.wait(15) == 1


def orders_of(server: Server) -> set[int]:
    database = sqlite3.connect(server.database)
    try:
        return {row[0] for row in database.execute("SELECT id FROM orders_order")}
    finally:
        database.close()
