"""Orders over WebSocket, beside a bare Channels consumer in a bare Daphne process that echoes the same requests.

``python -m benchmarks.order_entry [--sockets N] [--window N] [--seconds S] [--rounds N]``

Each socket keeps ``--window`` requests under way (target: half of what the echo answers); then one socket, one request at a
time. About half of the orders trade. First it is checked, on sockets that also hear their executions, that answers come in
the order of the requests and that no execution of an order comes before its answer.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.processes import Peers, cpu_seconds, load_average
from benchmarks.rest import order
from benchmarks.sockets import Socket, open_socket, percentiles, spread
from tests.support.server import Server

CHECKED_SECONDS = 2.0
WARM_UP_SECONDS = 1.0
# For what is under way when the time is up.
LAST_ANSWERS_SECONDS = 10

Next = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Answered:
    """A measurement: answers a second over all sockets, latencies in milliseconds, the server's processor."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float

    def __str__(self) -> str:
        return (
            f"{self.per_second:8.0f}/s   p50 {self.p50_ms:7.2f} ms   p99 {self.p99_ms:7.2f} ms   "
            f"processor {self.cpu_us:5.0f} us a message"
        )


def placing(seed: int, run_name: str) -> Next:
    """A stream of requests with one new order each; ids count from 0."""
    rng = random.Random(seed)
    numbers = iter(range(10**9))

    def make() -> bytes:
        number = next(numbers)
        return json.dumps({"op": "place", "id": number, **order(rng, number, run_name)}).encode()

    return make


class Asker:
    """Keeps requests under way on one socket and times the answers, which come in the order of the requests."""

    def __init__(self, socket: Socket, make: Next, window: int) -> None:
        self.socket = socket
        self.latencies: list[float] = []
        self.running = True
        self.done = asyncio.get_running_loop().create_future()
        self._make = make
        self._sent: deque[float] = deque()
        socket.on_text = self.take
        for _ in range(window):
            self._ask()

    def _ask(self) -> None:
        self._sent.append(perf_counter())
        self.socket.say(self._make())

    def take(self, text: bytes) -> None:
        if text.startswith(b'{"op":"heartbeat"'):
            return
        self.latencies.append(perf_counter() - self._sent.popleft())
        if self.running:
            self._ask()
        elif not self._sent:
            self.done.set_result(None)


class Witness(Asker):
    """Reads every message: an answer must be the next one due and ``ok``, executions must follow the answer they belong to."""

    def __init__(self, socket: Socket, make: Next, window: int, run_name: str) -> None:
        self.answers = 0
        self.executions = 0
        self._known: set[str] = set()
        self._mine = f"{run_name}-"
        super().__init__(socket, make, window)

    def take(self, text: bytes) -> None:
        message: dict[str, Any] = json.loads(text)
        if message.get("op") == "result":
            if not message["ok"] or message["id"] != self.answers:
                raise RuntimeError(f"answer {self.answers} is {message}")
            self.answers += 1
            self._known.add(message["order"]["id"])
            super().take(text)
        elif message.get("channel") == "executions" and message["type"] == "update":
            self.executions += 1
            if message["client_order_id"].startswith(self._mine) and message["order_id"] not in self._known:
                raise RuntimeError(f"an execution before the answer: {message}")


class Target:
    """A server to ask: its port and process, the path, a key where it wants one."""

    def __init__(self, port: int, pid: int, path: str, key: str = "") -> None:
        self.port = port
        self.pid = pid
        self.path = path
        self.key = key

    async def open(self, *more: dict[str, Any]) -> Socket:
        """A socket that is signed in; each of ``more`` is said and answered."""
        said: asyncio.Queue[bytes] = asyncio.Queue()
        socket = await open_socket(self.port, self.path, said.put_nowait)
        for message in ({"op": "auth", "key": self.key}, *more) if self.key else ():
            socket.say(message)
            answer: dict[str, Any] = {}
            while "ok" not in answer:
                answer = json.loads(await said.get())
            if not answer["ok"]:
                raise RuntimeError(f"{message['op']} was answered {answer}")
        return socket

    async def ask(self, run_name: str, sockets: int, window: int, seconds: float) -> Answered:
        opened = [await self.open() for _ in range(sockets)]
        cpu, started = cpu_seconds(self.pid), perf_counter()
        askers = [Asker(socket, placing(n, f"{run_name}.{n}"), window) for n, socket in enumerate(opened)]
        await asyncio.sleep(seconds)
        latencies = [latency * 1000 for asker in askers for latency in asker.latencies]
        elapsed, used = perf_counter() - started, cpu_seconds(self.pid) - cpu
        await end(askers)
        return Answered(len(latencies) / elapsed, *percentiles(latencies), used / len(latencies) * 1e6)

    async def check(self, sockets: int, window: int) -> None:
        opened = [await self.open({"op": "subscribe", "channel": "executions"}) for _ in range(sockets)]
        names = [f"check.{number}" for number in range(sockets)]
        witnesses = [
            Witness(socket, placing(number, names[number]), window, names[number])
            for number, socket in enumerate(opened)
        ]
        await asyncio.sleep(CHECKED_SECONDS)
        await end(witnesses)
        answers, executions = sum(w.answers for w in witnesses), sum(w.executions for w in witnesses)
        print(f"  {answers} answers in order, none after its executions ({executions} heard)")
        if not executions:
            raise RuntimeError("no executions were heard")


async def end(askers: list[Any]) -> None:
    """No more requests; wait for the answers due, then close."""
    for asker in askers:
        asker.running = False
    await asyncio.wait_for(asyncio.gather(*(asker.done for asker in askers)), LAST_ANSWERS_SECONDS)
    for asker in askers:
        asker.socket.transport.abort()


async def compare(targets: dict[str, Target], options: argparse.Namespace) -> None:
    service = targets["place"]
    await service.check(options.sockets, options.window)
    for target in targets.values():
        await target.ask("warm", options.sockets, options.window, WARM_UP_SECONDS)
    for sockets, window in ((options.sockets, options.window), (1, 1)):
        print(f"{sockets} sockets, {window} under way on each, {options.rounds} rounds, load {load_average():.1f}")
        found: dict[str, list[Answered]] = {name: [] for name in targets}
        for number in range(options.rounds):
            for name, target in targets.items():
                answered = await target.ask(f"r{sockets}.{number}", sockets, window, options.seconds)
                print(f"  {name:<10} {answered}", flush=True)
                found[name].append(answered)
        for peer in [name for name in targets if name != "place"]:
            both = list(zip(found["place"], found[peer], strict=True))
            shares = [ours.per_second / theirs.per_second for ours, theirs in both]
            costs = [ours.cpu_us / theirs.cpu_us for ours, theirs in both]
            print(f"  answered, of {peer}: {spread(shares)}; processor a message: {spread(costs)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=8)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        server.manage("seed_demo")
        key = server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()
        server.start("--save-interval", "0")
        try:
            with Peers() as peers:
                assert server.process is not None
                targets = {
                    "place": Target(server.port, server.process.pid, "/ws/v1", key),
                    "echo": Target(peers.port, peers.process.pid, "/echo"),
                    "lean echo": Target(peers.port, peers.process.pid, "/lean-echo"),
                }
                asyncio.run(compare(targets, options))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
