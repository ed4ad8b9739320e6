"""Sockets that stop reading, among others that read: what they cost the server, and the others.

``python -m benchmarks.slow_readers [--slow N] [--readers N] [--rate R] [--seconds S] [--rounds N]``

All hear the books of three instruments and the executions of the account that trades. First only those that read are there;
then as many again come, and read nothing from a moment on. Told are the growth of the server's memory (the highest of ten
looks a second), when the server had let go of all of them (by the kernel's table of connections), and the latency of the
others, from the commit to the arrival of its book update.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.flows import Flow
from benchmarks.processes import held_peers, load_average, rss_mb
from benchmarks.sockets import Socket, Talk, age_ms, keep_speaking, open_socket, paced, percentiles
from tests.support.server import Server

# symbol, middle price, step between two levels, price decimals
MARKETS = (("ACME-USD", 100.0, 0.05, 2), ("BTC-USD", 100.0, 0.05, 2), ("EUR-USD", 1.1, 0.0005, 5))
DEPTH = 100
LOOK_SECONDS = 0.1
# What a server takes for itself in its first moments is not the slow ones' doing.
WARM_UP_SECONDS = 5.0
# The server must have let go of a socket that does not read by then.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Found:
    """A measurement: latency of those who read, the server's growth, when it let go of the slow ones."""

    p50_ms: float
    p99_ms: float
    alone_p50_ms: float
    alone_p99_ms: float
    growth_mb: float
    alone_growth_mb: float
    first_closed_seconds: float
    closed_seconds: float
    lost_readers: int

    def __str__(self) -> str:
        return (
            f"memory {self.growth_mb:+.1f} MB (before: {self.alone_growth_mb:+.1f}), "
            f"closed from {self.first_closed_seconds:.1f} to {self.closed_seconds:.1f} s, "
            f"the others: p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms "
            f"(alone: {self.alone_p50_ms:.1f}, {self.alone_p99_ms:.1f}), {self.lost_readers} of them lost"
        )


class Crowd:
    """Sockets that hear everything of an account, and how late."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key
        self.sockets: list[Socket] = []
        self.latencies: list[float] = []

    async def gather(self, count: int) -> None:
        self.sockets = await asyncio.gather(*(self._open() for _ in range(count)))

    async def _open(self) -> Socket:
        said: asyncio.Queue[bytes] = asyncio.Queue()
        socket = await open_socket(self.port, "/ws/v1", said.put_nowait)
        symbols = [market[0] for market in MARKETS]
        for message in (
            {"op": "auth", "key": self.key},
            {"op": "subscribe", "channel": "book", "symbols": symbols, "depth": DEPTH},
            {"op": "subscribe", "channel": "executions"},
        ):
            socket.say(message)
            while (answer := json.loads(await said.get())).get("op") != "ack":
                pass
            if not answer["ok"]:
                raise RuntimeError(f"{message['op']} was answered {answer}")
        socket.on_text = self._hear
        return socket

    def _hear(self, text: bytes) -> None:
        if text.startswith(b'{"channel":"book"') and b'"update"' in text:
            self.latencies.append(age_ms(text))

    def stop_reading(self) -> set[int]:
        """From now on. Answers the ports by which the kernel knows them."""
        for socket in self.sockets:
            socket.transport.pause_reading()
        return {socket.transport.get_extra_info("sockname")[1] for socket in self.sockets}


class Market:
    """Books that change, ``rate`` times a second each, until stopped."""

    def __init__(self, flows: list[Flow], rate: float) -> None:
        self._tasks = [asyncio.create_task(paced(flow.change, rate, 1e6)) for flow in flows]

    @classmethod
    async def open(cls, port: int, key: str, rate: float) -> "Market":
        talk = await Talk.open(port, key)
        flows = [Flow(talk, *market) for market in MARKETS]
        for flow in flows:
            await flow.fill()
        return cls(flows, rate)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


async def watch(pid: int, port: int, slow: set[int], start_mb: float) -> tuple[float, float, float]:
    """Growth in MB, and seconds until the server let go of the first and the last of the ``slow``."""
    started = perf_counter()
    highest, first = 0.0, 0.0
    while perf_counter() - started < PATIENCE_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        highest = max(highest, rss_mb(pid))
        held = slow & held_peers(port)
        if len(held) < len(slow):
            first = first or perf_counter() - started
        if not held:
            return highest - start_mb, first, perf_counter() - started
    return highest - start_mb, first or float("inf"), float("inf")


async def measure(server: Server, key: str, *, slow: int, readers: int, rate: float, seconds: float) -> Found:
    """``readers`` alone for ``seconds``, then together with ``slow`` others until those are closed."""
    assert server.process is not None
    pid, port = server.process.pid, server.port
    market = await Market.open(port, key, rate)
    reading, stalled = Crowd(port, key), Crowd(port, key)
    await reading.gather(readers)
    speaking = asyncio.create_task(keep_speaking(reading.sockets))
    await asyncio.sleep(WARM_UP_SECONDS)
    reading.latencies.clear()
    alone_mb = rss_mb(pid)
    await asyncio.sleep(seconds)
    alone = percentiles(reading.latencies)
    start_mb = rss_mb(pid)
    await stalled.gather(slow)
    ports = stalled.stop_reading()
    reading.latencies.clear()
    growth, first, last = await watch(pid, port, ports, start_mb)
    together = percentiles(reading.latencies)
    lost = sum(socket.closed.done() for socket in reading.sockets)
    market.stop()
    speaking.cancel()
    for socket in (*reading.sockets, *stalled.sockets):
        socket.transport.abort()
    return Found(*together, *alone, growth, start_mb - alone_mb, first, last, lost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", type=int, default=50)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--rate", type=float, default=15.0, help="changes a second of each of three books")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the readers alone")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{options.readers} readers, then {options.slow} that stop reading, {options.rate:g} changes/s on three books"
    )
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(Path(folder))
            server.manage("seed_demo")
            key = server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()
            server.start("--save-interval", "0")
            try:
                found = asyncio.run(
                    measure(
                        server,
                        key,
                        slow=options.slow,
                        readers=options.readers,
                        rate=options.rate,
                        seconds=options.seconds,
                    )
                )
            finally:
                server.stop()
        print(f"  {found} (load {load_average():.1f}; at most 50 MB, 35 s)", flush=True)


if __name__ == "__main__":
    main()
