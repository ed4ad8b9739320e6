"""The state of the shards this process knows of: written by the engine, read by ``/readyz``, ``status`` and the feed."""

from dataclasses import dataclass

RECOVERING = "recovering"
OPEN = "open"
STALLED = "stalled"
STOPPED = "stopped"


@dataclass(slots=True)
class ShardStatus:
    """``detail`` says why a shard is not open."""

    shard_id: int
    state: str = STOPPED
    epoch: int = 0
    sequence: int = 0
    detail: str = ""


shards: dict[int, ShardStatus] = {}


def shard_status(shard_id: int) -> ShardStatus:
    """The shard's status, made on first use."""
    return shards.setdefault(shard_id, ShardStatus(shard_id))
