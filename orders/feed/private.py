"""What the private channels have in common: streams of one account to one socket, each about one shard.

While the tables are being read (at the start, when something was lost) a stream keeps what commits say; then what was read is
told, then what was kept and is newer. A read that began before something was lost may miss it: then it is told, and read once
more.
"""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from orders.feed import reading
from orders.feed.board import Board, Sink
from orders.schemas.closing import SLOW_CONSUMER
from orders.schemas.problems import ProblemError

log = logging.getLogger(__name__)


class AccountStream:
    """One of them. ``attempt`` counts the reads; only the last one's answer is enough. ``opening`` until it is first told."""

    __slots__ = ("account_id", "account_name", "attempt", "opening", "shard_id", "sink")

    def __init__(self, sink: Sink, account_id: int, account_name: str, shard_id: int) -> None:
        self.sink = sink
        self.account_id = account_id
        self.account_name = account_name
        self.shard_id = shard_id
        self.attempt = 0
        self.opening = True

    def question(self, epoch: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What to read, and its arguments."""
        raise NotImplementedError

    def keep(self) -> None:
        """The tables are being read: keep what commits say."""
        raise NotImplementedError

    def offer(self, told: Any) -> bool:
        """What a commit says. Answers False where the tables must be read."""
        raise NotImplementedError

    def begin(self, answer: Any, epoch: int) -> bool:
        """What was read first, then what was kept. Answers False where it must be read again."""
        raise NotImplementedError

    def resume(self, answer: Any) -> bool:
        """The same of what was read again."""
        raise NotImplementedError


Kind = TypeVar("Kind", bound=AccountStream)


class Opening(Generic[Kind]):
    """Streams whose past has been read, ready to be told."""

    def __init__(self, owner: "AccountStreams[Kind]", answers: list[tuple[Kind, int, int, Any]]) -> None:
        self._owner = owner
        self._answers = answers

    def tell(self) -> None:
        """What was read, what came meanwhile; from here on it is live. In the loop."""
        for stream, attempt, epoch, answer in self._answers:
            stream.opening = False
            if not stream.begin(answer, epoch) or stream.attempt != attempt:
                self._owner.reread(stream)


class AccountStreams(Generic[Kind]):
    """All streams of a private channel. Under the board's lock; what is put off by ``later`` happens in the loop."""

    def __init__(self, board: Board, kind: type[Kind]) -> None:
        self.board = board
        self._kind = kind
        self.streams: dict[int, dict[Kind, None]] = {}

    def tell(self, account_id: int, shard_id: int, told: Any) -> None:
        """What a commit says to the streams of an account. Any thread."""
        self.board.later(self._tell, account_id, shard_id, told)

    def _tell(self, account_id: int, shard_id: int, told: Any) -> None:
        for stream in tuple(self.streams.get(account_id, ())):
            if stream.shard_id == shard_id and not stream.offer(told):
                self.reread(stream)

    def distrust(self, shard_id: int) -> None:
        """Something may be missing: read what the streams of a shard have not been told. Any thread."""
        self.board.later(self._distrust, shard_id)

    def _distrust(self, shard_id: int) -> None:
        for streams in tuple(self.streams.values()):
            for stream in tuple(streams):
                if stream.shard_id == shard_id:
                    self.reread(stream)

    async def open(
        self, sink: Sink, account_id: int, account_name: str, after: dict[int, int] | None = None
    ) -> Opening[Kind]:
        """Begin to keep what commits say, and read the past. Raises ``ProblemError``. In the loop, without the lock."""
        self.close(sink)
        places = after or {}
        known = list(self.board.shards) or await self.board.ask(reading.shard_ids)
        streams = [self._make(sink, account_id, account_name, shard, places) for shard in sorted({*places, *known})]
        with self.board.lock:
            self.board.catch_up()
            self.streams.setdefault(account_id, {}).update(dict.fromkeys(streams))
        try:
            answers = []
            for stream in streams:
                epoch = self.board.epoch(stream.shard_id)
                attempt = stream.attempt
                question, arguments = stream.question(epoch)
                answers.append((stream, attempt, epoch, await self.board.ask(question, *arguments)))
        except BaseException:
            self.close(sink)
            raise
        return Opening(self, answers)

    def _make(self, sink: Sink, account_id: int, account_name: str, shard_id: int, places: dict[int, int]) -> Kind:
        return self._kind(sink, account_id, account_name, shard_id)

    def close(self, sink: Sink) -> None:
        """The socket listens to no account any more."""
        with self.board.lock:
            for account_id, streams in list(self.streams.items()):
                for stream in [stream for stream in streams if stream.sink is sink]:
                    del streams[stream]
                if not streams:
                    del self.streams[account_id]

    def reread(self, stream: Kind) -> None:
        """Read from the tables what a stream misses; one that is being opened is read again when it is told."""
        stream.attempt += 1
        if not stream.opening and stream in self.streams.get(stream.account_id, ()):
            stream.keep()
            attempt = stream.attempt
            question, arguments = stream.question(self.board.epoch(stream.shard_id))
            self.board.read(lambda answer, error: self._reread(stream, attempt, answer, error), question, *arguments)

    def _reread(self, stream: Kind, attempt: int, answer: Any, error: Exception | None) -> None:
        if attempt != stream.attempt:
            return
        if isinstance(error, ProblemError):
            # Too much was missed to be told at once: the client decides how to go on.
            stream.sink.close(SLOW_CONSUMER)
        elif answer is None or not stream.resume(answer):
            log.warning("an account's stream is read once more: %d: %s", stream.account_id, error or "a gap")
            self.board.again(self.reread, stream)
