"""SIGKILL at random moments under load, again and again: nothing that was acknowledged is lost or doubled.

``--kills N`` sets how often (10 by default), ``--seed N`` repeats a run.
"""

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT, Server, ask

pytestmark = pytest.mark.slow

CLIENTS = 4
SYMBOL = "ACME-USD"


@dataclass
class Ledger:
    """What one client was told, and what it was not told."""

    placed: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    amended: dict[str, tuple[str, str]] = field(default_factory=dict)


class Client(threading.Thread):
    """Trades at random over one connection until the server goes away."""

    def __init__(self, server: Server, key: str, name: str, rng: random.Random, ledger: Ledger) -> None:
        super().__init__(daemon=True)
        self.server, self.key, self.name_, self.rng, self.ledger = server, key, name, rng, ledger
        self.halt = threading.Event()

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            while not self.halt.is_set():
                self._step(connection)
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()

    def _step(self, connection: HTTPConnection) -> None:
        choice = self.rng.random()
        live = [cid for cid in self.ledger.placed if cid not in self.ledger.ended][-20:]
        if choice < 0.7 or not live:
            self._place(connection)
        elif choice < 0.8:
            self._batch(connection)
        elif choice < 0.9:
            self._cancel(connection, self.rng.choice(live))
        elif choice < 0.98:
            self._amend(connection, self.rng.choice(live))
        else:
            # Mostly renewed; now and then it runs out, perhaps while the server is down.
            seconds = self.rng.choice((60, 60, 60, 1))
            ask(connection, "POST", "/api/v1/cancel-after", {"seconds": seconds}, key=self.key)

    def _new_body(self) -> dict[str, Any]:
        cid = f"{self.name_}-{len(self.ledger.bodies)}"
        body = {
            "symbol": SYMBOL,
            "side": self.rng.choice(("buy", "sell")),
            "type": "limit",
            "price": f"{self.rng.randint(9_990, 10_010) / 100:.2f}",
            "quantity": f"{self.rng.randint(6, 5_000) / 1000:.3f}",
            "client_order_id": cid,
            "self_trade_prevention": "none",
        }
        self.ledger.bodies[cid] = body
        return body

    def _with_terms(self, body: dict[str, Any]) -> None:
        """Make it an order of another kind, now and then: a stop, an iceberg, a dated one, a pair, a bracket."""
        cents, away = round(float(body["price"]) * 100), 6 if body["side"] == "buy" else -6
        beyond, behind = f"{(cents + away) / 100:.2f}", f"{(cents - away) / 100:.2f}"
        soon = datetime.now(UTC) + timedelta(seconds=self.rng.uniform(0, 3))
        terms = self.rng.choice(
            (
                *[{}] * 6,
                {"display_quantity": "0.005"},
                {"time_in_force": "gtd", "expires_at": soon.strftime("%Y-%m-%dT%H:%M:%S.%fZ")},
                {"type": "stop", "price": None, "stop_price": beyond},
                {"type": "stop_limit", "stop_price": body["price"], "price": beyond},
                {"type": "trailing_stop", "price": None, "trail_price": "0.04"},
                {"order_class": "oco", "stop_loss": {"stop_price": beyond}},
                {
                    "order_class": "bracket",
                    **{"take_profit": {"price": beyond}, "stop_loss": {"stop_price": behind, "price": behind}},
                },
            )
        )
        body |= terms
        if body["price"] is None:
            del body["price"]

    def _place(self, connection: HTTPConnection) -> None:
        body = self._new_body()
        self._with_terms(body)
        cid = body["client_order_id"]
        self.ledger.unanswered.append(cid)
        status, answer = ask(connection, "POST", "/api/v1/orders", body, key=self.key)
        self._answered(cid, status, answer)

    def _batch(self, connection: HTTPConnection) -> None:
        bodies = [self._new_body() for _ in range(8)]
        self.ledger.unanswered += [body["client_order_id"] for body in bodies]
        status, answer = ask(connection, "POST", "/api/v1/orders/batch", {"orders": bodies}, key=self.key)
        if status == 200:
            for body, result in zip(bodies, answer["results"], strict=True):
                self._answered(body["client_order_id"], 201, result["order"])

    def _answered(self, cid: str, status: int, answer: Any) -> None:
        if status in (200, 201):
            self.ledger.placed[cid] = answer
            self.ledger.unanswered.remove(cid)
        else:
            assert status in (503, 504), (status, answer)

    def _cancel(self, connection: HTTPConnection, cid: str) -> None:
        order_id = self.ledger.placed[cid]["id"]
        status, _ = ask(connection, "DELETE", f"/api/v1/orders/{order_id}", key=self.key)
        if status in (200, 409):
            self.ledger.ended.add(cid)

    def _amend(self, connection: HTTPConnection, cid: str) -> None:
        order_id = self.ledger.placed[cid]["id"]
        price = f"{self.rng.randint(9_990, 10_010) / 100:.2f}"
        self.ledger.amended.pop(cid, None)
        status, answer = ask(connection, "PATCH", f"/api/v1/orders/{order_id}", {"price": price}, key=self.key)
        if status == 200:
            self.ledger.amended[cid] = (price, answer["quantity"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.manage("seed_demo")
    try:
        yield server
    finally:
        server.kill()


def test_killed_again_and_again(server: Server, request: pytest.FixtureRequest) -> None:
    kills = request.config.getoption("--kills")
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    rng = random.Random(seed)
    keys = [server.manage("create_api_key", name, "--scopes", "read,trade").stdout.strip() for name in ("alice", "bob")]
    ledgers = [Ledger() for _ in range(CLIENTS)]
    server.start("--save-interval", "0.3")
    for number in range(kills):
        clients = [
            Client(server, keys[index % 2], f"{number}.{index}", random.Random(rng.random()), ledgers[index])
            for index in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        time.sleep(rng.uniform(0.05, 0.6))
        server.kill()
        for client in clients:
            client.halt.set()
            client.join(30)
            assert not client.is_alive()
        verification = subprocess.Popen(
            [sys.executable, "manage.py", "verify_books"],
            cwd=ROOT,
            env=server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        server.start("--save-interval", "0.3")
        for index, ledger in enumerate(ledgers):
            check_acknowledged(server, ledger)
            resubmit(server, ledger, keys[index % 2])
        check_book(server)
        output, _ = verification.communicate(timeout=60)
        assert verification.returncode == 0, output.decode()
    assert server.stop() == 0
    assert "good" in server.manage("verify_books").stdout
    placed = sum(len(ledger.placed) for ledger in ledgers)
    print(f"{kills} kills, {placed} orders acknowledged, none lost, none doubled")
    assert placed > kills


def rows(server: Server, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(server.database)
    try:
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.close()


def check_acknowledged(server: Server, ledger: Ledger) -> None:
    """Every order and trade that was told of is there, once, and no younger than told."""
    found: dict[str, tuple[Any, ...]] = {}
    placed = "SELECT client_order_id, id, filled, status, price FROM orders_order WHERE client_order_id IS NOT NULL"
    for row in rows(server, placed):
        assert row[0] not in found, f"{row[0]} is there twice"
        found[row[0]] = row
    trades = {row[0] for row in rows(server, "SELECT id FROM orders_trade")}
    for cid, answer in ledger.placed.items():
        _, order_id, filled, status, price = found[cid]
        assert str(order_id) == answer["id"]
        assert filled >= round(float(answer["filled_quantity"]) * 1000)
        for fill in answer["fills"]:
            shard, sequence = fill["trade_id"].split("-")
            assert int(shard) << 48 | int(sequence) in trades, f"trade {fill['trade_id']} is gone"
        if cid in ledger.ended:
            assert status > 2, f"{cid} was canceled and is open again"
        if cid in ledger.amended:
            assert price == round(float(ledger.amended[cid][0]) * 100), f"the amend of {cid} is gone"


def resubmit(server: Server, ledger: Ledger, key: str) -> None:
    """What was not answered is sent again, twice: both name one order, new or old."""
    for cid in ledger.unanswered:
        first = server.request("POST", "/api/v1/orders", ledger.bodies[cid], key=key)
        second = server.request("POST", "/api/v1/orders", ledger.bodies[cid], key=key)
        assert first[0] in (200, 201) and second[0] == 200, (first, second)
        assert first[1]["id"] == second[1]["id"]
        ledger.placed[cid] = second[1]
    ledger.unanswered.clear()


def check_book(server: Server) -> None:
    """The book the server shows is what the open rows add up to."""
    levels = rows(
        server,
        "SELECT side, price, SUM(remaining - hidden), COUNT(*) FROM orders_order WHERE status < 2 GROUP BY side, price",
    )
    _, book = server.request("GET", f"/api/v1/instruments/{SYMBOL}/book?depth=1000")
    shown = {(side, row[0]): (row[1], row[2]) for side, name in ((0, "bids"), (1, "asks")) for row in book[name]}
    expected = {
        (side, f"{price / 100:.2f}"): (f"{quantity / 1000:.3f}", count) for side, price, quantity, count in levels
    }
    assert shown == expected
