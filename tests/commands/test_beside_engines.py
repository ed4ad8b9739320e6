"""Web processes that hold no state, beside engines elsewhere: one order is one order at every door of every process."""

import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from orders.schemas.closing import GOING_AWAY
from tests.conftest import missing
from tests.sockets.wire import CLOSE, Wire, frame
from tests.support.server import ask
from tests.support.services import ServiceMissing
from tests.support.topology import Topology, Web, wait_for

ACME = "/api/v1/instruments/ACME-USD"
WAIT_SECONDS = 15.0


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    try:
        with Topology(
            rest=1, sockets=2, spares=0, durable=False, OMS_ALLOW_UNSAFE_STORAGE="on", OMS_LOG_COMMANDS="on"
        ) as topology:
            topology.start()
            yield topology
    except ServiceMissing as error:
        missing(error)


@pytest.fixture
def place(topology: Topology) -> Callable[..., dict[str, Any]]:
    """Place an order at a web process; the answer must be an order."""

    def place(web: Web, price: str, side: str = "buy", user: str = "alice", **fields: Any) -> dict[str, Any]:
        order = {"symbol": "ACME-USD", "side": side, "type": "limit", "price": price, "quantity": "1", **fields}
        status, body = web.request("POST", "/api/v1/orders", order, key=topology.keys[user])
        assert status == 201, f"{body}\n{topology.tails()}"
        return body

    return place


@pytest.fixture(autouse=True)
def clean(topology: Topology) -> Iterator[None]:
    """No test leaves open orders, and none a wound."""
    for web in topology.web():
        topology.wait_ready(web)
    yield
    with topology.explained():
        topology.wait_open()
        for user in topology.keys:

            def is_empty(user: str = user) -> bool:
                return topology.rest[0].request("DELETE", "/api/v1/orders", key=topology.keys[user])[0] == 200

            wait_for(is_empty, "the orders are not canceled", WAIT_SECONDS, topology.tails)


def best_bid(web: Web) -> list[Any]:
    bids = web.request("GET", f"{ACME}/book?depth=10")[1]["bids"]
    return bids[0] if bids else []


def subscribed(web: Web, channel: str, **fields: Any) -> Wire:
    wire = Wire(web.port)
    wire.say(op="subscribe", id=1, channel=channel, **fields)
    assert wire.hear()["ok"]
    return wire


def hear_until(wire: Wire, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        message = wire.hear()
        if condition(message):
            return message
    raise AssertionError("waited in vain")


def test_an_order_over_rest_is_seen_on_every_socket(topology, place):
    (rest,), sockets = topology.rest, topology.sockets
    wires = [subscribed(web, "book", symbols=["ACME-USD"], depth=10) for web in sockets]
    for wire in wires:
        hear_until(wire, lambda message: message.get("type") == "snapshot")
    order = place(rest, "41.00")
    for wire in wires:
        told = hear_until(wire, lambda message: message.get("type") == "update")
        assert told["bids"] == [["41.00", "1.000", 1]] and told["sequence"] == order["sequence"]
        wire.close()


def test_whoever_asks_after_an_answer_sees_it(topology, place):
    """At every process, whichever placed it: rows, book and ticker."""
    for number, web in enumerate([*topology.web()] * 3):
        order = place(web, f"{42 + number}.00")
        for other in topology.web():
            seen = other.request("GET", f"/api/v1/orders/{order['id']}", key=topology.keys["alice"])
            assert (seen[0], seen[1]["sequence"]) == (200, order["sequence"])
            assert best_bid(other) == [f"{42 + number}.00", "1.000", 1]
            assert other.request("GET", f"{ACME}/ticker")[1]["bid"] == f"{42 + number}.00"


def test_an_order_over_a_socket_trades_with_one_over_rest(topology, place):
    here, there = topology.sockets
    bob = subscribed(there, "status")
    hear_until(bob, lambda message: message.get("type") == "snapshot")
    bob.say(op="auth", id=2, key=topology.keys["bob"])
    hear_until(bob, lambda message: message.get("id") == 2 and message["ok"])
    bob.say(op="subscribe", id=3, channel="executions")
    place(topology.rest[0], "60.00", "sell", "bob")
    with Wire(here.port) as alice:
        alice.say(op="auth", id=1, key=topology.keys["alice"])
        assert alice.hear()["ok"]
        alice.say(op="place", id=2, symbol="ACME-USD", side="buy", type="limit", price="60.00", quantity="1.000")
        result = hear_until(alice, lambda message: message.get("op") == "result")
        assert result["order"]["status"] == "filled"
    fill = hear_until(bob, lambda message: message.get("status") == "filled")
    assert fill["sequence"] == result["order"]["sequence"] - 1
    bob.close()


def test_cancels_only_is_told_everywhere(topology, place):
    order = place(topology.rest[0], "43.00")
    watcher = subscribed(topology.sockets[0], "status")
    hear_until(watcher, lambda message: message.get("type") == "snapshot")
    assert "shard 0: cancel_only" in topology.manage("shard_mode", "0", "cancel_only").stdout
    try:
        told = hear_until(watcher, lambda message: message.get("channel") == "status")
        assert [shard["state"] for shard in told["shards"]] == ["cancel_only"]
        for web in topology.web():
            wait_for(lambda web=web: state_of(web) == "cancel_only", "not told", 2, topology.tails)
            assert web.request("GET", "/readyz")[0] == 200
            body = {"symbol": "ACME-USD", "side": "buy", "type": "limit", "price": "1", "quantity": "1"}
            status, problem = web.request("POST", "/api/v1/orders", body, key=topology.keys["alice"])
            assert (status, problem["detail"], problem["retryable"]) == (503, "Only cancels are taken now.", True)
        canceled = topology.sockets[1].request("DELETE", f"/api/v1/orders/{order['id']}", key=topology.keys["alice"])
        assert canceled[0] == 200
    finally:
        topology.manage("shard_mode", "0", "open")
    hear_until(watcher, lambda message: [shard["state"] for shard in message.get("shards", ())] == ["open"])
    watcher.close()


def state_of(web: Web) -> str:
    return web.request("GET", "/api/v1/status")[1]["shards"][0]["state"]


def test_an_engine_that_dies_is_told_of_and_so_is_the_next(topology, place):
    watcher = subscribed(topology.sockets[0], "status")
    first = hear_until(watcher, lambda message: message.get("type") == "snapshot")["shards"][0]
    book = subscribed(topology.sockets[1], "book", symbols=["ACME-USD"], depth=10)
    topology.engines[0][0].kill()
    wait_for(lambda: topology.epoch() > first["epoch"], "no next engine", WAIT_SECONDS, topology.tails)
    with topology.explained():
        told = hear_until(watcher, lambda message: message.get("shards", [{}])[0].get("epoch", 0) > first["epoch"])
        if told["shards"][0]["state"] != "open":
            hear_until(watcher, lambda message: message.get("shards", [{}])[0].get("state") == "open")
        for web in topology.web():
            topology.wait_ready(web)
        order = place(topology.rest[0], "44.00")
        hear_until(book, lambda message: ["44.00", "1.000", 1] in message.get("bids", ()))
    assert best_bid(topology.sockets[1]) == ["44.00", "1.000", 1] and order["status"] == "new"
    watcher.close()
    book.close()


def test_a_redis_that_dies_costs_no_order_and_no_reader(topology, place):
    book = subscribed(topology.sockets[0], "book", symbols=["ACME-USD"], depth=10)
    hear_until(book, lambda message: message.get("type") == "snapshot")
    place(topology.rest[0], "45.00")
    topology.redis.kill()
    for web in topology.web():
        body = {"symbol": "ACME-USD", "side": "buy", "type": "limit", "price": "2", "quantity": "1"}
        status, problem = web.request("POST", "/api/v1/orders", body, key=topology.keys["alice"])
        assert status in (503, 504), problem
        assert best_bid(web) == ["45.00", "1.000", 1]
    topology.redis.start()

    def is_taken() -> bool:
        body = {"symbol": "ACME-USD", "side": "buy", "type": "limit", "price": "46.00", "quantity": "1"}
        return topology.rest[0].request("POST", "/api/v1/orders", body, key=topology.keys["alice"])[0] == 201

    wait_for(is_taken, "no order is taken", WAIT_SECONDS, topology.tails)
    with topology.explained():
        hear_until(book, lambda message: message.get("bids", [[""]])[:1] == [["46.00", "1.000", 1]])
    book.close()


def test_a_server_that_stops_answers_what_is_under_way(topology):
    web = topology.sockets[1]
    order = {"op": "place", "symbol": "ACME-USD", "side": "buy", "quantity": "1", "price": "40.00", "type": "limit"}
    with Wire(web.port) as alice:
        alice.say(op="auth", id=1, key=topology.keys["alice"])
        assert alice.hear()["ok"]
        alice.socket.sendall(b"".join(frame(json.dumps({**order, "id": n}).encode()) for n in range(300)))
        results = [alice.hear()]
        began = time.monotonic()
        web.wanted = False
        web.send(15)
        while True:
            opcode, payload = alice.read()
            if opcode == CLOSE:
                assert int.from_bytes(payload[:2], "big") == GOING_AWAY
                break
            message = json.loads(payload)
            if message["op"] == "result":
                results.append(message)
    assert web.stop() == 0 and time.monotonic() - began < 12
    web.start()
    assert [result["id"] for result in results] == list(range(len(results)))
    placed = {int(result["order"]["id"]) for result in results if result["ok"]}
    open_now = topology.rows("SELECT id FROM orders_order WHERE price = 4000 AND status < 2")
    assert placed == {row[0] for row in open_now}, topology.tails()
    topology.wait_ready(web)


def test_a_request_is_found_in_the_log(topology):
    body = {"symbol": "ACME-USD", "side": "buy", "type": "limit", "price": "3", "quantity": "1"}
    web = topology.rest[0]
    plain = HTTPConnection("127.0.0.1", web.port, timeout=30)
    headers = {"X-Request-ID": "find-me-7"}
    status, order = ask(plain, "POST", "/api/v1/orders", body, key=topology.keys["alice"], headers=headers)
    plain.close()
    assert status == 201
    assert f"[find-me-7] Order {order['id']}: done after" in web.tail()


def test_keepers_and_savers_beside_engines(topology, place):
    place(topology.rest[0], "47.00")
    assert "schedule is" in topology.manage("run_calendar", "--once").stdout
    assert "books saved" in topology.manage("save_books", "--once").stdout
    assert "good" in topology.manage("verify_books").stdout
    refused = topology.manage("seed_demo", check=False)
    assert refused.returncode == 1 and "OMS_ENGINE=embedded" in refused.stderr


@pytest.mark.parametrize("arguments", [("serve",), ("run_calendar", "--once"), ("run_engine", "--shard", "0")])
def test_tables_that_are_not_up_to_date_are_told_of(topology, arguments):
    with topology.postgres.connect("postgres") as connection:
        connection.execute("DROP DATABASE IF EXISTS bare")
        connection.execute("CREATE DATABASE bare")
    url = topology.postgres.url.rpartition("/")[0] + "/bare"
    refused = topology.manage(*arguments, check=False, DATABASE_URL=url)
    assert refused.returncode == 1 and "run `manage.py migrate` once" in refused.stderr
