"""One socket's stream of one account's executions on one shard: nothing is lost, nothing comes twice.

While the tables are being read (at the start, after a gap) live events are kept; then what was read is told, then what
was kept and is newer. Each event chains to the one before it, so a hole is seen at once and read from the tables.
"""

from typing import Protocol

from orders.feed.reading import Told

# Live events kept while the tables are being read, which takes well under a second.
MAX_KEPT_EVENTS = 10_000
# Close code of a reader that cannot keep up; it resumes by sequence.
SLOW_CONSUMER = 4009


class Sink(Protocol):
    """A socket, as the feed sees it. Called in the server's loop; must not block."""

    def market(self, key: tuple[str, int], frame: str) -> None:
        """A message of a public channel; ``key`` is the channel and the instrument."""

    def execution(self, frame: str) -> None:
        """A message of the private channel: must not be dropped."""

    def notice(self, frame: str) -> None:
        """A message of the connection itself."""

    def close(self, code: int) -> None:
        """End the connection once what waits is sent."""


class ExecutionStream:
    """``last`` is the number of the account's last event told; ``kept`` is a list while the tables are being read."""

    __slots__ = ("account_id", "account_name", "kept", "last", "shard_id", "sink")

    def __init__(self, sink: Sink, account_id: int, account_name: str, shard_id: int) -> None:
        self.sink = sink
        self.account_id = account_id
        self.account_name = account_name
        self.shard_id = shard_id
        self.last = 0
        self.kept: list[Told] | None = []

    def offer(self, told: Told) -> bool:
        """A live event. Answers False where the tables must be read from ``last`` on."""
        if self.kept is not None:
            if len(self.kept) >= MAX_KEPT_EVENTS:
                self.sink.close(SLOW_CONSUMER)
            else:
                self.kept.append(told)
            return True
        if self._tell(told):
            return True
        self.kept = [told]
        return False

    def distrust(self) -> bool:
        """Something may be missing: keep what comes. Answers whether the tables must be read (False: they are)."""
        if self.kept is not None:
            return False
        self.kept = []
        return True

    def resume(self, start: int, told: list[Told]) -> bool:
        """What the tables say since ``start``, then what was kept. Answers False where they must be read again."""
        self.last = start
        for event in told:
            self._tell(event)
        kept, self.kept = self.kept or [], None
        for place, event in enumerate(kept):
            if not self._tell(event):
                self.kept = kept[place:]
                return False
        return True

    def _tell(self, told: Told) -> bool:
        sequence, previous, frame = told
        if sequence <= self.last:
            return True
        if frame is None or previous != self.last:
            return False
        self.last = sequence
        self.sink.execution(frame)
        return True
