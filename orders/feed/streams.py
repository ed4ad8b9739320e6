"""One socket's stream of one account's executions on one shard: nothing is lost, nothing comes twice.

While the tables are being read (at the start, after a gap) live events are kept; then what was read is told, then what
was kept and is newer. Each event chains to the one before it, so a hole is seen at once and read from the tables.
"""

import logging
from typing import Any

from orders.feed import frames, reading
from orders.feed.board import Board, Sink
from orders.feed.publisher import CommitMessage
from orders.feed.reading import Told
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo

log = logging.getLogger(__name__)

# Live events kept while the tables are being read, which takes well under a second.
MAX_KEPT_EVENTS = 10_000
# Close code of a reader that cannot keep up; it resumes by sequence.
SLOW_CONSUMER = 4009


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
        sequence, previous, order_id, frame = told
        if sequence <= self.last:
            return True
        if frame is None or previous != self.last:
            return False
        self.last = sequence
        self.sink.execution(frame, order_id)
        return True


class Opening:
    """Streams whose past has been read, ready to be told."""

    def __init__(self, owner: "Streams", answers: list[tuple[ExecutionStream, int, tuple[int, list[Told]]]]) -> None:
        self._owner = owner
        self._answers = answers

    def tell(self) -> None:
        """Where each stream begins, what was missed, what came meanwhile; from here on it is live. In the loop."""
        for stream, epoch, (start, told) in self._answers:
            snapshot = frames.executions_snapshot(
                account=stream.account_name, shard_id=stream.shard_id, epoch=epoch, sequence=start
            )
            stream.sink.execution(snapshot, 0)
            if not stream.resume(start, told):
                self._owner.reread(stream)


class Streams:
    """All private streams of the feed. Under the board's lock; what is put off by ``later`` happens in the loop."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._streams: dict[int, dict[ExecutionStream, None]] = {}

    def absorb(self, message: CommitMessage, instruments: Any) -> None:
        """Encode the executions of accounts that somebody listens to. Any thread."""
        if not self._streams:
            return
        for told in message.executions:
            if told.account_id in self._streams:
                info: InstrumentInfo | None = instruments(told.instrument_id)
                frame = None
                if info is not None:
                    frame = frames.execution(info, shard_id=message.shard_id, epoch=message.epoch, told=told)
                event = (told.sequence, told.previous, told.order_id, frame)
                self._board.later(self._send, told.account_id, message.shard_id, event)

    def distrust(self, shard_id: int) -> None:
        """Something may be missing: read what the streams of a shard have not been told."""
        self._board.later(self._distrust, shard_id)

    def _distrust(self, shard_id: int) -> None:
        for streams in self._streams.values():
            for stream in streams:
                if stream.shard_id == shard_id and stream.kept is None:
                    stream.kept = []
                    self.reread(stream)

    def _send(self, account_id: int, shard_id: int, told: Told) -> None:
        for stream in self._streams.get(account_id, ()):
            if stream.shard_id == shard_id and not stream.offer(told):
                self.reread(stream)

    async def open(self, sink: Sink, account_id: int, account_name: str, after: dict[int, int] | None) -> Opening:
        """Begin to keep live events, and read the past. Raises ``ProblemError``. In the loop, without the lock."""
        self.close(sink)
        places = after or {}
        known = list(self._board.shards) or await self._board.ask(reading.shard_ids)
        streams = [ExecutionStream(sink, account_id, account_name, shard) for shard in sorted({*places, *known})]
        with self._board.lock:
            self._board.catch_up()
            self._streams.setdefault(account_id, {}).update(dict.fromkeys(streams))
        try:
            answers = []
            for stream in streams:
                shard = self._board.shards.get(stream.shard_id)
                epoch = 0 if shard is None else shard.epoch
                question = (account_id, stream.shard_id, places.get(stream.shard_id), epoch)
                answers.append((stream, epoch, await self._board.ask(reading.executions, *question)))
        except BaseException:
            self.close(sink)
            raise
        return Opening(self, answers)

    def close(self, sink: Sink) -> None:
        """The socket listens to no account any more."""
        with self._board.lock:
            for account_id, streams in list(self._streams.items()):
                for stream in [stream for stream in streams if stream.sink is sink]:
                    del streams[stream]
                if not streams:
                    del self._streams[account_id]

    def reread(self, stream: ExecutionStream) -> None:
        """Read from the tables what a stream misses. Its live events are being kept."""
        if stream in self._streams.get(stream.account_id, ()):
            self._board.read(
                lambda answer, error: self._reread(stream, answer, error),
                reading.executions,
                stream.account_id,
                stream.shard_id,
                stream.last,
                self._board.shard(stream.shard_id).epoch,
            )

    def _reread(self, stream: ExecutionStream, answer: tuple[int, list[Told]] | None, error: Exception | None) -> None:
        if isinstance(error, ProblemError):
            # Too much was missed to be told at once: the client decides how to go on.
            stream.sink.close(SLOW_CONSUMER)
        elif answer is None or not stream.resume(*answer):
            log.warning("the executions of account %d are read once more: %s", stream.account_id, error or "a gap")
            self._board.again(self.reread, stream)
