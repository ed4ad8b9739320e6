"""Channels where every message is the whole state: only the newest counts, and one that is lost is made good by the next."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from oms_client.following import Follower
from oms_client.models import Json, Malformed, Position, SessionState, Status, Ticker, build, whole
from oms_client.stats import Stats

State = TypeVar("State", Ticker, SessionState)


class Latest(Follower, Generic[State]):
    """The newest state of one symbol: its ticker, or where its session stands."""

    def __init__(self, symbol: str, kind: type[State], stats: Stats) -> None:
        super().__init__(symbol, stats)
        self.value: State | None = None
        self._kind: type[State] = kind

    def take(self, message: Json) -> Sequence[object]:
        if self._resynced(message):
            return ()
        try:
            value = build(self._kind, message)
        except Malformed as error:
            raise self._broken(error) from None
        if (value.epoch, value.sequence) < (self.epoch, self.sequence):
            self._stats.outdated += 1
            return ()
        self.epoch, self.sequence, self.stale = value.epoch, value.sequence, False
        self.value = value
        return (value,)


class StatusFollower(Follower):
    """The states of the engines."""

    def __init__(self, stats: Stats) -> None:
        super().__init__("", stats)
        self.value: Status | None = None

    def take(self, message: Json) -> Sequence[object]:
        if self._resynced(message):
            return ()
        try:
            value = build(Status, message)
        except Malformed as error:
            raise self._broken(error) from None
        if self.value is not None and not self.stale and value.time < self.value.time:
            self._stats.outdated += 1
            return ()
        self.stale = False
        self.value = value
        return (value,)


class Positions(Follower):
    """The positions of the account, by symbol: a snapshot for each shard, then each one that changed."""

    def __init__(self, stats: Stats) -> None:
        super().__init__("", stats)
        self.by_symbol: dict[str, Position] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def take(self, message: Json) -> Sequence[object]:
        if self._resynced(message):
            return ()
        try:
            place = (whole(message, "epoch"), whole(message, "sequence"))
            is_snapshot = message.get("type") == "snapshot"
            told = message.get("positions") if is_snapshot else [message]
            if not isinstance(told, list):
                raise Malformed("positions: a list was expected")
            positions = [build(Position, item) for item in told]
        except Malformed as error:
            raise self._broken(error) from None
        self.stale = self.stale and not is_snapshot
        return [position for position in positions if self._is_news(position, place)]

    def _is_news(self, position: Position, place: tuple[int, int]) -> bool:
        if place < self._seen.get(position.symbol, (0, 0)):
            self._stats.outdated += 1
            return False
        self._seen[position.symbol] = place
        changed = self.by_symbol.get(position.symbol) != position
        self.by_symbol[position.symbol] = position
        return changed

    def forget(self) -> None:
        super().forget()
        self._seen.clear()
