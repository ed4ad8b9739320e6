"""The examples do what they say, against a real server, and across its death."""

import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oms_client import Client
from tests.client.trading import SYMBOL
from tests.support.server import ROOT, Server

EXAMPLES = ROOT / "clients" / "python" / "examples"
WAIT_SECONDS = 30


class Example:
    """A program that runs; ``line`` waits for the next line it prints."""

    def __init__(self, name: str, *arguments: str) -> None:
        command = [sys.executable, str(EXAMPLES / name), *arguments]
        environment = {"PYTHONPATH": str(ROOT / "clients" / "python" / "src")}
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())

    def line(self, containing: str = "") -> str:
        """The next line with a text in it."""
        while True:
            line = self._lines.get(timeout=WAIT_SECONDS)
            if containing in line:
                return line

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(WAIT_SECONDS)


@contextmanager
def running(name: str, *arguments: str) -> Iterator[Example]:
    example = Example(name, *arguments)
    try:
        yield example
    finally:
        example.kill()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str, str]]:
    """A server of its own, because one example is there to see it die; the keys of a maker and a taker."""
    server = Server(tmp_path_factory.mktemp("examples"))
    server.manage("seed_demo")
    maker, taker = (
        server.manage("create_api_key", name, "--scopes", "read,trade").stdout.strip() for name in ("alice", "bob")
    )
    server.start("--save-interval", "0")
    try:
        yield server, maker, taker
    finally:
        server.kill()


def quotes(server: Server, key: str) -> dict[str, str]:
    """Prices of the open orders, by side: one of each at most."""
    _, page = server.request("GET", f"/api/v1/orders?symbol={SYMBOL}&status=open", key=key)
    prices = {order["side"]: order["price"] for order in page["results"]}
    assert len(prices) == len(page["results"])
    return prices


def test_the_market_maker(market):
    server, maker, taker = market
    with running("market_maker.py", "--url", server.url, "--key", maker) as example:
        assert example.line() == "holds 0, quotes 99.90 and 100.11"
        assert quotes(server, maker) == {"buy": "99.90", "sell": "100.11"}
        with Client(server.url, key=taker) as client:
            client.place(SYMBOL, "sell", "5", type="market")
            # It holds five now, and the last price is its bid.
            assert example.line("holds 5.000") == "holds 5.000, quotes 99.79 and 99.99"
            server.kill()
            server.start("--save-interval", "0")
            example.line("holds 5.000")
            client.place(SYMBOL, "buy", "5", type="market")
            example.line("holds 0.000")
        assert set(quotes(server, maker)) == {"buy", "sell"}
    with Client(server.url, key=maker) as client:
        # Killed, it leaves its quotes to the lease: shortened here, or this would take its ten seconds.
        client.cancel_after(1)
        executions = client.executions()
        assert {executions.next(timeout=WAIT_SECONDS).event for _ in range(2)} == {"canceled"}
    assert quotes(server, maker) == {}


def test_the_market_maker_is_short():
    assert len((EXAMPLES / "market_maker.py").read_text().splitlines()) < 60


def test_watching_a_book(market):
    server, _, taker = market
    with Client(server.url, key=taker) as client, running("watch_book.py", "--url", server.url) as example:
        assert example.line().endswith("bid nobody, ask nobody")
        client.place(SYMBOL, "buy", "1", price="20.00")
        assert example.line().endswith("bid 1.000 at 20.00, ask nobody")
        client.cancel_all()
        assert example.line().endswith("bid nobody, ask nobody")


def test_fills_across_runs_of_a_program(market, tmp_path: Path):
    server, maker, taker = market
    place = tmp_path / "place.json"
    seen: list[str] = []
    with Client(server.url, key=taker) as client, Client(server.url, key=maker) as other:

        def trade() -> None:
            client.place(SYMBOL, "buy", "1", price="20.00")
            other.place(SYMBOL, "sell", "1", price="20.00")

        arguments = ("--url", server.url, "--key", taker, "--place", str(place))
        for _ in range(3):
            trade()
            with running("resume_fills.py", *arguments) as example:
                trade()
                while len(seen) == 0 or seen[-1] != last_fill(server, taker):
                    seen.append(example.line().split(":")[0])
                # The place is written after the line.
                while seen[-1].split("-")[1] not in place.read_text():
                    time.sleep(0.01)
    _, page = server.request("GET", "/api/v1/fills?limit=100", key=taker)
    assert seen == [f"{fill['shard']}-{fill['sequence']}" for fill in page["results"]][::-1]


def last_fill(server: Server, key: str) -> str:
    _, page = server.request("GET", "/api/v1/fills?limit=1", key=key)
    return "{shard}-{sequence}".format(**page["results"][0])
