"""The state of the shards this process knows of, read by ``/readyz``, ``status``, the feed and a bus to engines elsewhere.

Written by the engine of this process; where engines are processes of their own, by ``orders.watching``. Who wants to know at
once puts a function into ``listeners``: it is called in the writer's thread whenever a state or an epoch has changed, and must
return at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

RECOVERING = "recovering"  # an engine is reading the tables
OPEN = "open"
CANCEL_ONLY = "cancel_only"  # an operator has it take cancels and configuration only
STALLED = "stalled"  # the database does not take writes
STOPPED = "stopped"  # no engine runs

# Why, as anybody may read it. Errors in their own words name hosts and users: they belong into the log.
NO_WRITES = "The database does not take writes."
NO_BUS = "Redis cannot be reached."

STATES = (RECOVERING, OPEN, CANCEL_ONLY, STALLED, STOPPED)


@dataclass(slots=True)
class ShardStatus:
    """``detail`` says why a shard is not open, to the public; ``waiting`` how many commands wait for its engine (0 where that
    is in this process: its bus knows). ``sequence`` and ``waiting`` may be set alone; everything else by ``become``.
    """

    shard_id: int
    state: str = STOPPED
    epoch: int = 0
    sequence: int = 0
    detail: str = ""
    waiting: int = 0

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
