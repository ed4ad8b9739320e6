"""A gateway and an engine without anything behind them: commands are answered by number."""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

from matching.commands import Cancel
from orders.bus import wire
from orders.bus.envelope import DONE, Envelope, Outcome, Place
from orders.bus.stream import COMMANDS_KEY, COUNT, DATA, StreamBus

GATEWAY = "00000000000000aa"
SHARD = 3
KEY = COMMANDS_KEY.format(SHARD)


def envelope(*numbers: int, **fields: Any) -> Envelope:
    """Cancels of the orders of these numbers."""
    return Envelope([Cancel(number) for number in numbers], **{"actor_id": 1, "received_at": 2, **fields})


def numbers(envelopes: list[Envelope]) -> list[int]:
    return [command.order_id for each in envelopes for command in each.commands]


def put(store: Any, *envelopes: Envelope, gateway: str = GATEWAY, at: str = "*", key: str = KEY) -> str:
    """One entry of these, as a gateway would write it; their correlations count from 1."""
    data = wire.encode_entry(gateway, [wire.encode_envelope(each, number) for number, each in enumerate(envelopes, 1)])
    return store.xadd(key, {DATA: data, COUNT: sum(len(each.commands) for each in envelopes)}, id=at).decode()


def reader(url: str, place: Place | None = None, shard_id: int = SHARD) -> StreamBus:
    """An open bus that stands at ``place``."""
    bus = StreamBus(shard_id, url, allow_unsafe=True)
    bus.begin(place or Place("0-0"))
    bus.open()
    return bus


def take_all(bus: StreamBus, count: int, seconds: float = 5.0) -> list[Envelope]:
    """Envelopes as they come, until they have ``count`` commands."""
    taken: list[Envelope] = []
    end = monotonic() + seconds
    while len(numbers(taken)) < count and monotonic() < end:
        taken += bus.take(1_024, 0.05)
    return taken


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for a condition; returns what it gave."""
    end = monotonic() + seconds
    while not (found := condition()):
        assert monotonic() < end, "in vain"
        sleep(0.01)
    return found


class Answering:
    """An engine's thread that answers every command with DONE and its order id, and remembers the numbers."""

    def __init__(self, url: str, shard_id: int = SHARD) -> None:
        self.seen: list[int] = []
        self.place = Place("0-0")
        self.frozen = Event()
        self._bus = reader(url, shard_id=shard_id)
        self._stopping = False
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            if self.frozen.is_set():
                sleep(0.01)
                continue
            for each in self._bus.take(1_024, 0.05):
                self.seen += numbers([each])
                assert each.place is not None
                self.place = each.place
                each.future.set_result([Outcome(DONE, order_id=command.order_id) for command in each.commands])
            self._bus.flush()

    def __enter__(self) -> "Answering":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping = True
        self._bus.close()
        self._thread.join()
        self._bus.disconnect()
