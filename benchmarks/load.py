"""A small HTTP load generator: some connections, each with one request under way, for some seconds.

Written against bare asyncio protocols so that it costs a fraction of what it measures.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Load:
    """What a run came to: answers a second, latencies in milliseconds, statuses seen."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]


class _Connection(asyncio.Protocol):
    """Keeps one request under way until told to stop."""

    def __init__(self, next_request: Callable[[], bytes], latencies: list[float], statuses: dict[int, int]) -> None:
        self.next_request = next_request
        self.latencies = latencies
        self.statuses = statuses
        self.closed = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.started = perf_counter()
        self.transport.write(self.next_request())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        end = lower.find(b"\r\n", at)
        length = int(lower[at : end if end > 0 else None])
        if len(body) < length:
            return
        self.buffer = b""
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies.append(perf_counter() - self.started)
        if self.running:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def _run(port: int, connections: int, seconds: float, next_request: Callable[[], bytes]) -> Load:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    started = perf_counter()
    made = [
        (await loop.create_connection(lambda: _Connection(next_request, latencies, statuses), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    count = len(latencies)
    elapsed = perf_counter() - started
    for connection in made:
        connection.running = False
    await asyncio.wait([connection.closed for connection in made], timeout=10)
    ordered = sorted(latencies)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    return Load(count / elapsed, p50, p99, statuses)


def run(port: int, connections: int, seconds: float, next_request: Callable[[], bytes]) -> Load:
    """``connections`` closed loops for ``seconds``; ``next_request`` gives the bytes of each request."""
    return asyncio.run(_run(port, connections, seconds, next_request))


def post(path: str, key: str, body: bytes) -> bytes:
    """The bytes of one JSON request on a kept connection."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
