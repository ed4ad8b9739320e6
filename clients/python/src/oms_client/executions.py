"""The account's executions: each exactly once, in order, without a hole, over any number of connections.

A shard's executions are a chain of numbers. The last one told of each shard is where the next subscription resumes; what
was told already and comes again is left out, and where the chain has a hole the stream is resumed from before it. What
is too long ago for the socket is read from ``GET events``, which is the same log.

After ``resume`` every shard begins with a snapshot that must name the very number asked for. A lower one means that the
service does not know what it told us before: that is said twice before it is believed, then ``ResumeImpossible``.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from oms_client.errors import ResumeImpossible
from oms_client.following import REMEMBERED, Broken, Follower
from oms_client.models import Execution, Json, Malformed, build, whole
from oms_client.stats import Stats


class Executions(Follower):
    """``after`` has the number of the last execution told of each shard."""

    def __init__(self, after: Mapping[int, int] | None, stats: Stats) -> None:
        super().__init__("", stats)
        self.after: dict[int, int] = dict(after or {})
        # Shards whose place the service has confirmed; the others' are the user's word, perhaps between two executions.
        self._confirmed: set[int] = set()
        # Shards that have begun since the last ``resume``.
        self._live: set[int] = set()
        self._recent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._begun = False
        self._was_denied = False

    def resume(self) -> dict[str, int] | None:
        """Where to subscribe from: None is from now on. What still comes of the old stream is ignored."""
        self._live.clear()
        return {str(shard): sequence for shard, sequence in self.after.items()} or None

    def disconnected(self) -> None:
        super().disconnected()
        self._live.clear()

    def doubts(self, epoch: int, sequence: int) -> bool:
        """The chain and ``resume`` are stricter than a heartbeat."""
        return False

    def take(self, message: Json) -> Sequence[object]:
        """Raises ``Broken``, and ``ResumeImpossible`` where the service does not know our past."""
        try:
            if self._resynced(message):
                return ()
            shard, sequence = whole(message, "shard"), whole(message, "sequence")
            if message.get("type") == "snapshot":
                self._snapshot(shard, sequence)
                return ()
            return self._update(message, shard, sequence)
        except (Malformed, Broken) as error:
            self._live.clear()
            raise self._broken(error) from None

    def read(self, shard: int, events: Sequence[object]) -> list[Execution]:
        """A page of ``GET events`` after ``after[shard]``. Raises ``Malformed``."""
        told = []
        for event in events:
            if isinstance(event, Mapping) and event.get("order_id") is not None:
                execution = build(Execution, event)
                if execution.sequence > self.after[shard]:
                    self._tell(execution)
                    told.append(execution)
        self._confirmed.add(shard)
        self._stats.events_read += len(told)
        return told

    def _snapshot(self, shard: int, sequence: int) -> None:
        # Of a shard that came while we were away nothing has been told.
        known = self.after.setdefault(shard, 0 if self._begun else sequence)
        if shard in self._live and sequence < known:
            self._stats.duplicates += 1
            return
        if sequence < known and shard in self._confirmed:
            if self._was_denied:
                raise ResumeImpossible(f"shard {shard} knows no execution {known}, only {sequence} before it")
            self._was_denied = True
            raise Broken("contradiction", f"shard {shard} begins at {sequence}, not at {known}")
        if sequence > known:
            raise Broken("gap", f"shard {shard} begins at {sequence}, not at {known}")
        self.after[shard] = sequence
        self._begun = True
        self._was_denied = self.stale = False
        self._confirmed.add(shard)
        self._live.add(shard)

    def _update(self, message: Json, shard: int, sequence: int) -> Sequence[object]:
        if shard not in self._live:
            self._stats.ignored += 1
            return ()
        if (shard, sequence) in self._recent:
            self._stats.duplicates += 1
            return ()
        last = self.after[shard]
        if whole(message, "previous") != last or sequence <= last:
            raise Broken("gap", f"shard {shard}: {sequence} came after {last}")
        execution = build(Execution, message)
        self._tell(execution)
        return (execution,)

    def _tell(self, execution: Execution) -> None:
        self.after[execution.shard] = execution.sequence
        self._recent.append((execution.shard, execution.sequence))
