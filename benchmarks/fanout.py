"""One book told to a thousand sockets, beside a bare Channels consumer in a bare Daphne process that sends the same bytes.

``python -m benchmarks.fanout [--sockets N] [--rates R,R] [--seconds S] [--rounds N]``

The service runs as ``serve`` runs it, on SQLite; each update is a commit of its own, asked for over a socket. Both servers get
the same client (bare protocols in one other process), in turn: at fixed rates, and each as fast as it can, which is when the
next update is asked for as soon as all sockets have the one before the last. Latency is from the moment of the commit (of
the bare one: from the moment the message was due) to its arrival, at every fiftieth socket; where a server cannot hold the
rate it says nothing but that.
"""

import argparse
import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.flows import Flow
from benchmarks.processes import Peers, cpu_seconds, load_average
from benchmarks.sockets import Socket, Talk, age_ms, keep_speaking, open_sockets, paced, percentiles, spread
from tests.support.server import Server

SYMBOL = "ACME-USD"
SAMPLE_EVERY = 50
# Texts recorded from the service for the bare consumer to repeat.
RECORDED = 200
WARM_UP_SECONDS = 2.0
# How long what is under way when a measurement ends may take to arrive.
QUIET_SECONDS = 60
# Updates under way when a server goes as fast as it can: one being sent, one to go on with.
UNDER_WAY = 2

More = Callable[[], Coroutine[Any, Any, object]]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A measurement: messages a second over all sockets, latencies in milliseconds, the server's processor."""

    commits: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_share: float
    cpu_us: float

    def __str__(self) -> str:
        return (
            f"{self.commits:5} commits {self.per_second:8.0f}/s   p50 {self.p50_ms:7.1f} ms   p99 {self.p99_ms:7.1f} ms   "
            f"processor {self.cpu_share:4.0%}, {self.cpu_us:5.1f} us a message"
        )


class Audience:
    """The sockets that listen to one server."""

    def __init__(self, sockets: list[Socket], pid: int) -> None:
        self.sockets = sockets
        self.texts: list[str] = []
        # Of the sockets that are listened to closely: how many there are, and the updates they were told.
        self.samples = sockets[::SAMPLE_EVERY]
        self.updates = 0
        self._pid = pid
        self._latencies: list[float] = []
        for socket in self.samples:
            socket.on_text = self._sample

    def _sample(self, text: bytes) -> None:
        if b'"update"' in text:
            self.updates += 1
            self._latencies.append(age_ms(text))
            if len(self.texts) < RECORDED:
                self.texts.append(text.decode())

    @property
    def frames(self) -> int:
        return sum(socket.frames for socket in self.sockets)

    async def measure(self, work: Callable[[], Awaitable[int]]) -> Delivered:
        """Deliveries while ``work`` goes on, which answers how many updates it asked for."""
        self._latencies.clear()
        frames, cpu, started = self.frames, cpu_seconds(self._pid), perf_counter()
        updates = await work()
        elapsed, told, used = perf_counter() - started, self.frames - frames, cpu_seconds(self._pid) - cpu
        latencies = percentiles(self._latencies)
        await self.quiet()
        return Delivered(updates, told / elapsed, *latencies, used / elapsed, used / max(told, 1) * 1e6)

    async def quiet(self) -> None:
        """Wait until nothing arrives any more."""
        for _ in range(QUIET_SECONDS):
            before = self.frames
            await asyncio.sleep(1)
            if self.frames == before:
                return
        raise RuntimeError("the server is not done with what it was asked for")

    async def chase(self, more: More, seconds: float) -> int:
        """Ask for one update after the other, as fast as the sockets get them."""
        updates, start, end = 0, self.frames, perf_counter() + seconds
        while perf_counter() < end:
            await more()
            updates += 1
            while self.frames - start < (updates - UNDER_WAY) * len(self.sockets) and perf_counter() < end:
                await asyncio.sleep(0.0005)
        return updates


class Service:
    """The real server and those who listen to it."""

    def __init__(self, server: Server, flow: Flow, audience: Audience) -> None:
        self.server = server
        self.flow = flow
        self.audience = audience

    @classmethod
    async def open(cls, server: Server, key: str, count: int) -> "Service":
        assert server.process is not None
        flow = Flow(await Talk.open(server.port, key), SYMBOL)
        await flow.fill()
        sockets = await open_sockets(server.port, "/ws/v1", count)
        for socket in sockets:
            socket.say({"op": "subscribe", "channel": "book", "symbols": [SYMBOL], "depth": 25})
        audience = Audience(sockets, server.process.pid)
        await audience.quiet()
        return cls(server, flow, audience)

    def commits(self) -> int:
        """Groups committed so far, by the fence that counts them."""
        with sqlite3.connect(self.server.database) as connection:
            return int(connection.execute("SELECT batch FROM orders_shard").fetchone()[0])

    async def at_rate(self, rate: float, seconds: float) -> Delivered:
        """Checks on the way that each commit was one message on each socket."""
        commits, updates = self.commits(), self.audience.updates
        found = await self.audience.measure(lambda: paced(self.flow.change, rate, seconds))
        committed, told = self.commits() - commits, self.audience.updates - updates
        if committed * len(self.audience.samples) != told:
            raise RuntimeError(f"{committed} commits, and yet {told} updates on {len(self.audience.samples)} sockets")
        return replace(found, commits=committed)

    async def at_most(self, seconds: float) -> Delivered:
        return await self.audience.measure(lambda: self.audience.chase(self.flow.change, seconds))


class Bare:
    """The bare consumer and those who listen to it: the same bytes, the same client."""

    def __init__(self, audience: Audience) -> None:
        self.audience = audience
        self._speaker = audience.sockets[0]

    @classmethod
    async def open(cls, peers: Peers, count: int, texts: list[str]) -> "Bare":
        audience = Audience(await open_sockets(peers.port, "/fanout", count), peers.process.pid)
        audience.sockets[0].say({"texts": texts})
        return cls(audience)

    async def at_rate(self, rate: float, seconds: float) -> Delivered:
        async def work() -> int:
            self._speaker.say({"rate": rate, "seconds": seconds})
            await asyncio.sleep(seconds)
            return int(rate * seconds)

        return await self.audience.measure(work)

    async def at_most(self, seconds: float) -> Delivered:
        async def more() -> None:
            self._speaker.say(b"{}")

        return await self.audience.measure(lambda: self.audience.chase(more, seconds))


async def compare(server: Server, key: str, peers: Peers, options: argparse.Namespace) -> None:
    service = await Service.open(server, key, options.sockets)
    speaking = asyncio.create_task(keep_speaking([*service.audience.sockets, service.flow.talk.socket]))
    rates = [float(rate) for rate in options.rates.split(",")]
    await service.at_rate(rates[0], WARM_UP_SECONDS)
    bare = await Bare.open(peers, options.sockets, service.audience.texts)
    await bare.at_rate(rates[0], WARM_UP_SECONDS)
    print(f"{options.sockets} sockets, {options.rounds} rounds of {options.seconds:g} s, load {load_average():.1f}")
    for rate in (*rates, None):
        name = "as fast as it can" if rate is None else f"{rate:g} updates/s"
        shares, costs = [], []
        for _ in range(options.rounds):
            ours, theirs = [await measured(side, rate, options.seconds) for side in (service, bare)]
            print(f"  {name:<18} service {ours}\n  {'':<18} bare    {theirs}", flush=True)
            shares.append(ours.per_second / theirs.per_second)
            costs.append(ours.cpu_us / theirs.cpu_us)
        print(f"  delivered, of the bare one: {spread(shares)} (target 0.90); processor a message: {spread(costs)}")
    speaking.cancel()


async def measured(side: Service | Bare, rate: float | None, seconds: float) -> Delivered:
    return await (side.at_most(seconds) if rate is None else side.at_rate(rate, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--rates", default="10,50", help="updates a second")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        server.manage("seed_demo")
        key = server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()
        server.start("--save-interval", "0")
        try:
            with Peers() as peers:
                asyncio.run(compare(server, key, peers, options))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
