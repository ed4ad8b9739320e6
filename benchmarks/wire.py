"""HTTP load from one thread over raw sockets and ``epoll``: about a third of what asyncio costs, which matters where the
generator shares the machine with everything it measures.

``closed``: each connection always has one request under way. ``at_rate``: requests fall due at a steady rate whether or not
those before them are answered, and a latency begins when its request was due (so a server that stops is seen to have).
"""

import select
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter, sleep

from benchmarks.load import Load

Next = Callable[[], bytes]
LAST_ANSWERS_SECONDS = 15.0


@dataclass(slots=True)
class _Connection:
    """A socket with at most one request under way; ``since`` is when that was sent, or was due."""

    socket: socket.socket
    since: float = 0.0
    received: bytes = b""


@dataclass(slots=True)
class _Run:
    connections: dict[int, _Connection]
    poll: select.epoll
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def receive(self, timeout: float, on_answer: Callable[[_Connection], None]) -> None:
        """Wait for what comes in; ``on_answer`` is called with each connection whose answer is complete."""
        for number, _ in self.poll.poll(timeout):
            connection = self.connections[number]
            data = connection.socket.recv(1 << 18)
            if not data:
                raise ConnectionError("the server has closed a connection")
            connection.received += data
            status = _status_of_whole(connection.received)
            if status:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                self.latencies.append(perf_counter() - connection.since)
                connection.received = b""
                on_answer(connection)

    def result(self, elapsed: float, count: int) -> Load:
        ordered = sorted(self.latencies)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 if ordered else 0.0 for share in (0.5, 0.99))
        return Load(count / elapsed, p50, p99, self.statuses)


def _status_of_whole(received: bytes) -> int:
    """The status of a complete answer, else 0."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return 0
    lower = head.lower()
    at = lower.index(b"content-length:") + 15
    end = lower.find(b"\r\n", at)
    return int(head[9:12]) if len(body) >= int(lower[at : end if end > 0 else None]) else 0


def _connect(ports: list[int], count: int) -> _Run:
    """``count`` connections, to each of the ports in turn."""
    poll = select.epoll()
    connections = {}
    for port, _ in zip(cycle(ports), range(count), strict=False):
        made = socket.create_connection(("127.0.0.1", port), timeout=30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[made.fileno()] = _Connection(made)
        poll.register(made, select.EPOLLIN)
    return _Run(connections, poll)


def _say(connection: _Connection, request: bytes, since: float) -> None:
    connection.since = since
    connection.socket.sendall(request)


def closed(ports: list[int], connections: int, seconds: float, next_request: Next) -> Load:
    """``connections`` closed loops for ``seconds``."""
    run = _connect(ports, connections)
    idle: list[_Connection] = []

    def again(connection: _Connection) -> None:
        _say(connection, next_request(), perf_counter())

    started = perf_counter()
    for connection in run.connections.values():
        again(connection)
    while perf_counter() - started < seconds:
        run.receive(0.05, again)
    count, elapsed = len(run.latencies), perf_counter() - started
    deadline = perf_counter() + LAST_ANSWERS_SECONDS
    while len(idle) < connections and perf_counter() < deadline:
        run.receive(0.05, idle.append)
    return _end(run, elapsed, count)


def at_rate(ports: list[int], connections: int, rate: float, seconds: float, next_request: Next) -> Load:
    """``rate`` requests a second for ``seconds``; past ``connections`` under way they queue here, which counts as latency."""
    run = _connect(ports, connections)
    idle = deque(run.connections.values())
    total, sent = int(rate * seconds), 0
    started = perf_counter()
    deadline = started + seconds + LAST_ANSWERS_SECONDS
    while len(run.latencies) < total and perf_counter() < deadline:
        now = perf_counter()
        while idle and sent < total and started + sent / rate <= now:
            _say(idle.popleft(), next_request(), started + sent / rate)
            sent += 1
        until_due = started + sent / rate - perf_counter() if sent < total and idle else 0.05
        if len(idle) == connections:  # epoll's clock ticks in milliseconds
            sleep(max(0.0, until_due))
        else:
            run.receive(max(0.0, min(until_due, 0.05)), idle.append)
    return _end(run, seconds, len(run.latencies))


def _end(run: _Run, elapsed: float, count: int) -> Load:
    for connection in run.connections.values():
        connection.socket.close()
    run.poll.close()
    return run.result(elapsed, count)
