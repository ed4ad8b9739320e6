"""Copies that an instrument's trades move: read from the tables once somebody wants them, then moved by every commit.

Theory of operation
-------------------
* Tapes, candles and tickers live by the same rules. A copy is made when it is wanted and dropped when it is not.
* Until a copy has been read it keeps what commits say. Then it starts from what was read and carries out what is newer.
* Every commit names the trade before its own (``previous``). Where that is not the last one known, something was lost: who
  listens is told ``resync``, the copy is read anew, a snapshot follows. A read that began before is not waited for: what was
  lost may be missing in it too.
"""

import logging
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from orders import meters
from orders.feed import frames
from orders.feed.board import Board, Key, Sink
from orders.feed.frames import Frame
from orders.feed.publisher import CommitMessage, TradesTold, TradeTold
from orders.selectors import InstrumentInfo

log = logging.getLogger(__name__)

# Commits kept while a copy is being read; past this it is read once more.
MAX_KEPT_COMMITS = 10_000


class Copy:
    """One of them. ``live``: it is right. Else it is being read, by the ``attempt`` that counts, and commits are kept.

    ``sequence`` is that of the last trade in it. Subclasses say what is read, how trades move it, and how it is told.
    """

    __slots__ = ("_snapshot", "attempt", "detail", "epoch", "info", "kept", "live", "sequence")

    def __init__(self, info: InstrumentInfo, detail: int) -> None:
        self.info = info
        self.detail = detail
        self.live = False
        self.attempt = 0
        self.epoch = 0
        self.sequence = 0
        self.kept: list[TradesTold] = []
        # Encoded once, however many come to listen before the next trade.
        self._snapshot: Frame | None = None

    def read(self) -> Any:
        """What ``begin`` wants, from the tables. In a thread of its own."""
        raise NotImplementedError

    def begin(self, answer: Any) -> int:
        """Start from what was read. Answers the sequence of the last trade in it."""
        raise NotImplementedError

    def step(self, trades: Iterable[TradeTold]) -> Any:
        """Move by trades. Answers what ``update`` is to tell."""
        raise NotImplementedError

    def update(self, previous: int, changed: Any) -> Frame:
        """The message of a step."""
        raise NotImplementedError

    def encode(self) -> Frame:
        """The message of everything."""
        raise NotImplementedError

    def snapshot(self) -> Frame:
        if self._snapshot is None:
            self._snapshot = self.encode()
        return self._snapshot

    def distrust(self) -> None:
        """Something was lost: keep commits until it has been read again."""
        self.live = False
        self.kept.clear()

    def offer(self, told: TradesTold) -> bool:
        """Take a commit while it is being read. Answers False where there are too many: it must be read once more."""
        if len(self.kept) >= MAX_KEPT_COMMITS:
            self.kept.clear()
            return False
        self.kept.append(told)
        return True

    def fits(self, told: TradesTold) -> bool:
        return told.previous == self.sequence

    def move(self, told: TradesTold) -> Any:
        """Move by a commit that fits."""
        self._snapshot = None
        self.sequence = told.trades[-1].sequence
        return self.step(told.trades)

    def load(self, answer: Any, epoch: int) -> bool:
        """Start from what was read, then carry out what was kept. Answers False where that left a gap: read too early."""
        self._snapshot = None
        self.epoch = epoch
        self.sequence = self.begin(answer)
        for told in self.kept:
            if told.trades[-1].sequence <= self.sequence:
                continue
            if not self.fits(told):
                return False
            self.move(told)
        self.kept.clear()
        self.live = True
        return True


Kind = TypeVar("Kind", bound=Copy)


class Followed(Generic[Kind]):
    """All copies of one channel. Under the board's lock; what is put off by ``later`` happens in the loop."""

    def __init__(self, board: Board, channel: str, kind: type[Kind]) -> None:
        self.board = board
        self.channel = channel
        self._kind = kind
        # By instrument, then by detail.
        self._copies: dict[int, dict[int, Kind]] = {}

    def key(self, copy: Kind) -> Key:
        return self.channel, copy.info.id, copy.detail

    def find(self, instrument_id: int, detail: int = 0) -> Kind | None:
        return self._copies.get(instrument_id, {}).get(detail)

    def _has(self, copy: Kind) -> bool:
        """Whether it has not been dropped meanwhile."""
        return self.find(copy.info.id, copy.detail) is copy

    def all(self) -> list[Kind]:
        return [copy for copies in self._copies.values() for copy in copies.values()]

    # Commits (any thread)

    def absorb(self, message: CommitMessage) -> None:
        """Move the copies by the trades of a commit."""
        for told in message.trades:
            for copy in self._copies.get(told.instrument_id, {}).values():
                self._absorb(copy, told)

    def _absorb(self, copy: Kind, told: TradesTold) -> None:
        if copy.live and told.trades[-1].sequence <= copy.sequence:
            return
        if copy.live and not copy.fits(told):
            self._distrust(copy, "gap")
        if copy.live:
            self.moved(copy, told.previous, copy.move(told))
        elif not copy.offer(told):
            self.board.later(self._load, copy)

    def distrust(self, shard_id: int, reason: str) -> None:
        """Read every copy of a shard anew."""
        for copy in self.all():
            if copy.info.shard_id == shard_id:
                self._distrust(copy, reason)

    def compare(self, instrument_id: int, sequence: int) -> None:
        """The instrument's last trade, of which a commit has told: a copy that does not have it has lost it."""
        for copy in self._copies.get(instrument_id, {}).values():
            if copy.live and copy.sequence < sequence:
                self._distrust(copy, "gap")

    def _distrust(self, copy: Kind, reason: str) -> None:
        if copy.live:
            self.lost(copy, reason)
        copy.distrust()
        self.board.later(self._load, copy)

    # What is told: a channel may do otherwise

    def moved(self, copy: Kind, previous: int, changed: Any) -> None:
        """A commit has moved a copy."""
        self.board.later(self.board.send, self.key(copy), copy.update(previous, changed))

    def lost(self, copy: Kind, reason: str) -> None:
        """What was told of a copy is not to be built upon."""
        meters.resyncs[self.channel, reason].inc()
        resync = frames.resync(self.channel, copy.info.symbol, reason, copy.detail)
        self.board.later(self.board.send, self.key(copy), resync)

    def loaded(self, copy: Kind) -> None:
        """A copy has been read."""
        self.board.later(self.board.send, self.key(copy), copy.snapshot())

    # Readers (in the loop)

    def subscribe(self, sink: Sink, info: InstrumentInfo, detail: int) -> None:
        """A snapshot (at once, or when it has been read), then updates."""
        if not self.board.join(sink, (self.channel, info.id, detail)):
            return
        copy = self.find(info.id, detail)
        if copy is None:
            self._load(self.want(info, detail))
        elif copy.live:
            sink.market(self.key(copy), copy.snapshot())

    def deserted(self, instrument_id: int, detail: int) -> None:
        """Nobody listens any more."""
        self.drop(instrument_id, detail)

    def drop(self, instrument_id: int, detail: int = 0) -> None:
        copies = self._copies.get(instrument_id, {})
        copies.pop(detail, None)
        if not copies:
            self._copies.pop(instrument_id, None)

    # Reading

    def want(self, info: InstrumentInfo, detail: int = 0) -> Kind:
        """The copy, made where there is none; a new one has to be read."""
        return self._copies.setdefault(info.id, {}).setdefault(detail, self._kind(info, detail))

    def _load(self, copy: Kind) -> None:
        if self._has(copy):
            copy.attempt += 1
            attempt = copy.attempt
            self.board.read(lambda answer, error: self.read(copy, attempt, answer, error), copy.read)

    def read(self, copy: Kind, attempt: int, answer: Any, error: Exception | None = None) -> None:
        """What the tables say. Any thread."""
        if attempt != copy.attempt or copy.live or not self._has(copy):
            return
        if error is not None:
            log.error("%s of %s cannot be read: %s", self.channel, copy.info.symbol, error)
        if error is None and copy.load(answer, self.board.epoch(copy.info.shard_id)):
            self.loaded(copy)
        else:
            self.board.call_soon(self.board.again, self._load, copy)
