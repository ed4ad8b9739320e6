"""What operators measure: counters of this process, in Prometheus' terms. Whoever serves ``/metrics`` shows ``REGISTRY``.

Theory of operation
-------------------
* What happens is counted where it happens anyway: a request in the outermost middleware, a group in the engine's ``on_commit``,
  a state in ``orders.status``, a problem where it is told, a message in the socket that writes it. The core counts nothing.
* What merely is (a state, a length, an age) is asked for when somebody scrapes: ``orders.api.metrics``.
* Values of labels are of closed sets: routes, never addresses; codes of our registries; numbers of shards.
"""

from collections.abc import Callable, Iterator
from threading import Lock
from time import monotonic
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orders import status
from orders.codes import CODES

# When a counter began is a series more for each, and Prometheus does without.
disable_created_metrics()

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

# Seconds. An empty view takes about a millisecond; ten seconds is how long a caller waits for the engine.
HTTP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# Commands, up to the engine's largest group (a batch request may be half of it).
GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Series(dict[tuple[str, ...], Any]):
    """The series of a metric by the values of its labels: the library's own look-up costs more than the counting."""

    def __init__(self, metric: Counter | Histogram) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, values: tuple[str, ...]) -> Any:
        found = self[values] = self._metric.labels(*values)
        return found


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(name, about, labels, registry=REGISTRY)


def _histogram(name: str, about: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(name, about, labels, buckets=buckets, registry=REGISTRY)


requests = Series(
    _histogram(
        "oms_http_request_seconds",
        "HTTP requests by route, from the first middleware to the answer.",
        *("route", "method", "status"),
        buckets=HTTP_BUCKETS,
    )
)
requests_turned_away = _counter("oms_http_turned_away_total", "HTTP requests told that too many are in flight.")
problems = Series(_counter("oms_problems_total", "Problems told to clients, on every door, by code.", "code"))
resyncs = Series(
    _counter(
        "oms_feed_resyncs_total", "Copies of the feed, or of a slow reader, that began anew.", *("channel", "reason")
    )
)
relay_sent = _counter("oms_relay_sent_total", "Commits sent to the web processes.")
relay_received = _counter("oms_relay_received_total", "Commits received from engines.")
relay_messages = _counter("oms_relay_messages_total", "Messages received from engines, with and without commits.")
relay_dropped = Series(
    _counter(
        "oms_relay_dropped_total", "What did not get through: an engine's commits, messages not understood.", "end"
    )
)
saves_failed = _counter("oms_saves_failed_total", "Saves of books that the database did not let happen.")

_groups = _histogram(
    "oms_engine_group_commands", "Commands in a group that was carried out.", "shard", buckets=GROUP_BUCKETS
)
_commits = _histogram(
    "oms_engine_commit_seconds", "A group, from its matching to the end of its commit.", "shard", buckets=COMMIT_BUCKETS
)
_states = _counter("oms_engine_state_changes_total", "Times a shard came into a state.", "shard", "state")

# A refusal that has not happened yet is a zero, so that the first one is seen as a rise.
for _code in CODES:
    problems[_code,]
for _end in ("sender", "receiver"):
    relay_dropped[_end,]


class ShardMeter:
    """Counts what one shard's engine does. ``committed`` is for its ``on_commit``, ``state_changed`` for the status."""

    def __init__(self, shard_id: int) -> None:
        self._shard_id = shard_id
        self._seconds = _commits.labels(str(shard_id))
        self._commands = _groups.labels(str(shard_id))
        self._states = {name: _states.labels(str(shard_id), name) for name in status.STATES}
        self._state = status.shard_status(shard_id).state
        self._lock = Lock()

    def committed(self, commands: int, seconds: float) -> None:
        """A group was carried out. In the engine's thread, behind the answers."""
        self._commands.observe(commands)
        self._seconds.observe(seconds)

    def state_changed(self) -> None:
        """Some shard has changed, perhaps this one. In an engine's thread."""
        with self._lock:
            state = status.shard_status(self._shard_id).state
            if state != self._state:
                self._state = state
                self._states[state].inc()


class SocketMeter:
    """The open sockets, each of which counts what it writes in ``sent``, and what became of those that are closed."""

    def __init__(self) -> None:
        self._open: set[Any] = set()
        self._sent = 0
        self._closes: dict[str, int] = {}
        self._lock = Lock()

    def opened(self, socket: Any) -> None:
        with self._lock:
            self._open.add(socket)

    def closed(self, socket: Any, code: int | None) -> None:
        """With our code, or None where the client left or the connection broke."""
        with self._lock:
            self._open.discard(socket)
            self._sent += socket.sent
            name = "client" if code is None else str(code)
            self._closes[name] = self._closes.get(name, 0) + 1

    def read(self) -> tuple[int, int, dict[str, int]]:
        """How many are open, how many messages were written, and how many were closed by code. Any thread."""
        with self._lock:
            return len(self._open), self._sent + sum(socket.sent for socket in self._open), dict(self._closes)


class SaveMeter:
    """When the books of each shard were last saved or found unchanged, and at which sequence."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._saves: dict[int, tuple[int, float]] = {}

    def saved(self, shard_id: int, sequence: int) -> None:
        self._saves[shard_id] = (sequence, self._clock())

    def read(self) -> list[tuple[int, int, float]]:
        """Shard, sequence, age in seconds."""
        now = self._clock()
        return [(shard_id, sequence, now - at) for shard_id, (sequence, at) in sorted(self._saves.items())]


sockets = SocketMeter()
saves = SaveMeter()


class SaveGauges(Collector):
    """The same at each scrape, for a process that only saves."""

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from save_gauges()


def save_gauges() -> Iterator[Metric]:
    """What this process has saved of the books."""
    sequence = GaugeMetricFamily(
        "oms_saved_books_sequence", "The event as of which books were last saved here.", labels=("shard",)
    )
    age = GaugeMetricFamily(
        "oms_saved_books_age_seconds", "Since books were saved here or found unchanged.", labels=("shard",)
    )
    for shard_id, number, seconds in saves.read():
        sequence.add_metric([str(shard_id)], number)
        age.add_metric([str(shard_id)], seconds)
    yield from (sequence, age)
