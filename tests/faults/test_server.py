"""A real server meets what operators meet: a second server, a stop, a disk that refuses, a lock that is held."""

import contextlib
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT, Server

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.manage("seed_demo")
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def key(server: Server) -> str:
    return server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()


def order(cid: str, side: str = "buy", price: str = "100", quantity: str = "1") -> dict[str, str]:
    body = {"symbol": "ACME-USD", "side": side, "type": "limit", "price": price, "quantity": quantity}
    return {**body, "client_order_id": cid, "self_trade_prevention": "none"}


def test_one_server_a_database(server: Server, key: str) -> None:
    server.start()
    for command in (("serve", "--port", "1"), ("seed_demo",), ("replay", "examples/flow.csv", "--symbol", "F")):
        second = server.manage(*command, check=False)
        assert second.returncode == 1
        assert "Another server owns this database (process" in second.stderr
        assert "Traceback" not in second.stderr
    assert server.request("POST", "/api/v1/orders", order("still-here"), key=key)[0] == 201
    # beside it: keys, saves, verification
    assert "books saved" in server.manage("save_books", "--once").stdout
    assert "good" in server.manage("verify_books").stdout


def test_a_port_in_use_is_said_so(server: Server, tmp_path: Path) -> None:
    server.start()
    other = Server(tmp_path / "other")
    done = other.manage("serve", "--port", str(server.port), check=False)
    assert done.returncode == 1 and "cannot listen" in done.stderr


def test_stop_answers_what_is_in_hand(server: Server, key: str) -> None:
    """SIGTERM under load: every request that is answered 201 is there, every other was told 503 or cut off."""
    server.start()
    answers: dict[str, int] = {}
    halt = threading.Event()

    def trade(name: str) -> None:
        number = 0
        while not halt.is_set():
            number += 1
            cid = f"{name}-{number}"
            try:
                answers[cid] = server.request("POST", "/api/v1/orders", order(cid), key=key)[0]
            except OSError:
                return

    threads = [threading.Thread(target=trade, args=(f"t{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    assert server.stop() == 0
    halt.set()
    for thread in threads:
        thread.join()
    stored = {row[0] for row in query(server, "SELECT client_order_id FROM orders_order")}
    told = {cid for cid, status in answers.items() if status == 201}
    assert len(told) > 10 and told <= stored
    assert set(answers.values()) <= {201, 503}
    assert "good" in server.manage("verify_books").stdout


def query(server: Server, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(server.database)) as connection:
        return connection.execute(sql).fetchall()


def test_a_disk_that_takes_no_more(server: Server, key: str) -> None:
    """The system refuses every write beyond the files' present size, as a full disk does; then there is room again."""
    server.start("--save-interval", "0")
    assert server.request("POST", "/api/v1/orders", order("before"), key=key)[0] == 201
    assert server.process is not None
    pid = server.process.pid
    size = max(path.stat().st_size for path in server.var_dir.glob("oms.sqlite3*"))
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    statuses = {}
    for number in range(400):
        status, answer = server.request("POST", "/api/v1/orders", order(f"full-{number}"), key=key)
        statuses[f"full-{number}"] = status
        if status != 201:
            assert status == 503 and answer["code"] == "engine_unavailable", answer
            assert answer["outcome"] == "not_accepted" and answer["retryable"] is True
    refused = [cid for cid, status in statuses.items() if status == 503]
    assert refused, "the limit was never reached"
    # reads still work, and what was refused is not there
    assert server.request("GET", "/api/v1/orders?status=open", key=key)[0] == 200
    assert server.request("GET", f"/api/v1/orders/by-client-id/{refused[0]}", key=key)[0] == 404
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    status, answer = server.request("POST", "/api/v1/orders", order(refused[0]), key=key)
    assert status == 201
    assert server.request("GET", "/readyz")[0] == 200
    server.kill()
    server.start()
    for cid, status in statuses.items():
        expected = 200 if status == 201 or cid == refused[0] else 404
        assert server.request("GET", f"/api/v1/orders/by-client-id/{cid}", key=key)[0] == expected
    assert "good" in server.manage("verify_books").stdout


def test_a_database_that_is_locked(server: Server, key: str) -> None:
    """Another program holds SQLite's write lock for longer than the engine waits: 503 and nothing lost."""
    server.start("--save-interval", "0")
    with contextlib.closing(sqlite3.connect(server.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        status, answer = server.request("POST", "/api/v1/orders", order("locked"), key=key)
        assert (status, answer["code"]) in ((503, "engine_unavailable"), (504, "engine_timeout"))
        other.execute("ROLLBACK")
    status, answer = server.request("POST", "/api/v1/orders", order("locked"), key=key)
    assert status == 201
    assert [row[0] for row in query(server, "SELECT COUNT(*) FROM orders_order")] == [1]


def test_a_corrupt_saved_book_is_reported_and_skipped(server: Server, key: str) -> None:
    server.start("--save-interval", "0")
    for number in range(5):
        assert server.request("POST", "/api/v1/orders", order(f"o{number}", price=f"{90 + number}"), key=key)[0] == 201
    server.manage("save_books", "--once")
    book = server.request("GET", "/api/v1/instruments/ACME-USD/book?depth=10")[1]
    server.kill()
    with contextlib.closing(sqlite3.connect(server.database)) as connection:
        connection.execute("UPDATE orders_booksnapshot SET data = zeroblob(50)")
        connection.commit()
    verification = server.manage("verify_books", check=False)
    assert verification.returncode == 1 and "DIFFERENCE saved books" in verification.stderr
    server.start("--save-interval", "0")
    assert "is corrupt" in server.tail() and "skipped" in server.tail()
    again = server.request("GET", "/api/v1/instruments/ACME-USD/book?depth=10")[1]
    assert (again["bids"], again["checksum"], again["sequence"]) == (book["bids"], book["checksum"], book["sequence"])
    assert again["epoch"] == book["epoch"] + 1


def test_simulated_traders_make_a_market(server: Server, key: str) -> None:
    server.start()
    done = server.manage(
        "simulate", "--url", server.url, "--key", key, "--rate", "200", "--seconds", "4", "--seed", "1"
    )
    assert "orders placed" in done.stdout
    book = server.request("GET", "/api/v1/instruments/ACME-USD/book?depth=25")[1]
    assert book["bids"] and book["asks"]
    assert server.request("GET", "/api/v1/instruments/ACME-USD/trades")[1]["results"]
    assert "good" in server.manage("verify_books").stdout


def test_simulate_says_what_is_wrong(server: Server) -> None:
    server.start()
    done = server.manage("simulate", "--url", server.url, "--key", "oms_wrong", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.strip()


def test_save_books_runs_until_it_is_stopped(server: Server, key: str) -> None:
    server.start("--save-interval", "0")
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "save_books", "--interval", "0.2", "--keep", "2"],
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "books saved" in process.stdout.readline()
        for number in range(3):
            server.request("POST", "/api/v1/orders", order(f"s{number}", price=f"{90 + number}"), key=key)
            assert "1 books saved" in process.stdout.readline()
    finally:
        process.kill()
        process.wait()
    counts = query(server, "SELECT COUNT(*) FROM orders_booksnapshot GROUP BY instrument_id ORDER BY 1")
    assert counts[-1] == (2,)
