"""One socket's stream of one account's executions on one shard: nothing is lost, nothing comes twice.

Each event chains to the one before it, so a hole is seen at once and read from the tables.
"""

from collections.abc import Callable
from typing import Any

from orders.feed import frames, reading
from orders.feed.board import Board, Sink
from orders.feed.private import AccountStream, AccountStreams
from orders.feed.publisher import CommitMessage
from orders.feed.reading import Told
from orders.schemas.closing import SLOW_CONSUMER
from orders.selectors import InstrumentInfo

# Live events kept while the tables are being read, which takes well under a second.
MAX_KEPT_EVENTS = 10_000


class ExecutionStream(AccountStream):
    """``last`` is the number of the account's last event told, or the place to resume after (None: from now on).

    ``kept`` is a list while the tables are being read.
    """

    __slots__ = ("kept", "last")

    def __init__(self, sink: Sink, account_id: int, account_name: str, shard_id: int, after: int | None = None) -> None:
        super().__init__(sink, account_id, account_name, shard_id)
        self.last = after
        self.kept: list[Told] | None = []

    def question(self, epoch: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return reading.executions, (self.account_id, self.shard_id, self.last, epoch)

    def keep(self) -> None:
        if self.kept is None:
            self.kept = []

    def offer(self, told: Told) -> bool:
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

    def begin(self, answer: tuple[int, list[Told]], epoch: int) -> bool:
        """Where the stream begins, what was missed, what came meanwhile."""
        snapshot = frames.executions_snapshot(
            account=self.account_name, shard_id=self.shard_id, epoch=epoch, sequence=answer[0]
        )
        self.sink.execution(snapshot, 0)
        return self.resume(answer)

    def resume(self, answer: tuple[int, list[Told]]) -> bool:
        self.last, told = answer
        for event in told:
            self._tell(event)
        kept, self.kept = self.kept or [], None
        for place, event in enumerate(kept):
            if not self._tell(event):
                self.kept = kept[place:]
                return False
        return True

    def _tell(self, told: Told) -> bool:
        sequence, previous, order_id, frame = told
        assert self.last is not None
        if sequence <= self.last:
            return True
        if frame is None or previous != self.last:
            return False
        self.last = sequence
        self.sink.execution(frame, order_id)
        return True


class Executions(AccountStreams[ExecutionStream]):
    """The channel ``executions``."""

    def __init__(self, board: Board) -> None:
        super().__init__(board, ExecutionStream)

    def absorb(self, message: CommitMessage, instruments: Callable[[int], InstrumentInfo | None]) -> None:
        """Encode the executions of accounts that somebody listens to. Any thread."""
        if not self.streams:
            return
        for told in message.executions:
            if told.account_id in self.streams:
                info = instruments(told.instrument_id)
                frame = None
                if info is not None:
                    frame = frames.execution(info, shard_id=message.shard_id, epoch=message.epoch, told=told)
                self.tell(told.account_id, message.shard_id, (told.sequence, told.previous, told.order_id, frame))

    def _make(
        self, sink: Sink, account_id: int, account_name: str, shard_id: int, places: dict[int, int]
    ) -> ExecutionStream:
        return ExecutionStream(sink, account_id, account_name, shard_id, places.get(shard_id))
