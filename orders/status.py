"""The state of the shards this process knows of: written by the engine, read by ``/readyz``, ``status`` and the feed.

Who wants to know at once puts a function into ``listeners``: it is called in the engine's thread whenever a state or an epoch
has changed, and must return at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

RECOVERING = "recovering"
OPEN = "open"
STALLED = "stalled"
STOPPED = "stopped"


@dataclass(slots=True)
class ShardStatus:
    """``detail`` says why a shard is not open. ``sequence`` may be set alone; everything else by ``become``."""

    shard_id: int
    state: str = STOPPED
    epoch: int = 0
    sequence: int = 0
    detail: str = ""

    def become(self, state: str, detail: str = "", *, epoch: int | None = None) -> None:
        """Another state, with its reason, and perhaps another epoch: told once."""
        epoch = self.epoch if epoch is None else epoch
        has_changed = (state, epoch) != (self.state, self.epoch)
        self.state, self.detail, self.epoch = state, detail, epoch
        if has_changed:
            for listener in tuple(listeners):
                listener()


shards: dict[int, ShardStatus] = {}
listeners: list[Callable[[], None]] = []


def shard_status(shard_id: int) -> ShardStatus:
    """The shard's status, made on first use."""
    return shards.setdefault(shard_id, ShardStatus(shard_id))


def shard_list() -> list[ShardStatus]:
    """All of them, by number."""
    return [shards[shard_id] for shard_id in sorted(shards)]
