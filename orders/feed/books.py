"""The hub's copy of one book, and what each depth of it must be told.

A change says what some levels are now (absolute sizes) and chains to the change before it by ``previous``. A reader at
depth 10 is told of its window only: the levels of the window that differ from what it was told before (so a level that
comes back because a better one went is told again) and the removal of levels it had. What is pushed out of the window is
not told: readers truncate. Every change is told at every depth, with empty sides where the window stayed as it was, so
that ``sequence`` and ``previous`` are the same at all depths.
"""

import logging
from collections.abc import Callable
from time import time_ns
from typing import NamedTuple

from matching.levels import LevelReplica, LevelRow
from matching.values import BUY, SELL
from orders import meters
from orders.feed import frames, reading
from orders.feed.board import Board, Sink
from orders.feed.frames import BOOK, Frame
from orders.feed.publisher import BookChange, CommitMessage
from orders.levels import InstrumentLevels
from orders.selectors import InstrumentInfo

log = logging.getLogger(__name__)

# Changes kept while the levels are being read from the tables. A read takes milliseconds; past this many, what was kept is
# dropped and the levels are read once more.
MAX_KEPT_CHANGES = 10_000
# Every so many seconds readers get a snapshot unasked, each instrument in a second of its own: so they do not come in bursts.
SNAPSHOT_SECONDS = 60


class BookView(NamedTuple):
    """The top of a book: ``bids`` and ``asks`` are (price, quantity, orders) in units, best first; ``at`` microseconds."""

    epoch: int
    sequence: int
    bids: list[LevelRow]
    asks: list[LevelRow]
    checksum: int
    at: int


# The levels of one side that a change touched: key -> what the level was before, None where there was none.
Touched = dict[int, LevelRow | None]


class Window:
    """What readers at one depth have: everything down to ``worst`` (a key for each side, None for all)."""

    __slots__ = ("depth", "worst")

    def __init__(self, depth: int, levels: LevelReplica) -> None:
        self.depth = depth
        self.worst = [levels.worst(side, depth) for side in (BUY, SELL)]

    def move(self, levels: LevelReplica, side: int, touched: Touched) -> list[LevelRow]:
        """The levels of ``side`` that readers must be told, best first; those that are gone with a quantity of 0."""
        before = self.worst[side]
        after = self.worst[side] = levels.worst(side, self.depth)
        told: dict[int, LevelRow] = {}
        for key, was in touched.items():
            now = levels.get(key)
            had = was is not None and (before is None or key >= before)
            if now is None:
                if had:
                    told[key] = (abs(key), 0, 0)
            elif (after is None or key >= after) and not (had and now == was):
                told[key] = now
        if before is not None and (after is None or after < before):
            for key in levels.between(side, self.depth, before):
                row = levels.get(key)
                assert row is not None, "a key without a level"
                told[key] = row
        return [told[key] for key in sorted(told, reverse=True)]


class Kept(NamedTuple):
    """A change that waits for the levels it builds upon."""

    change: BookChange
    epoch: int
    at: int


class BookFeed:
    """One instrument's levels. Not ``live`` (before the first load, after a gap) it keeps changes until it is loaded."""

    __slots__ = ("_snapshots", "at", "epoch", "info", "kept", "live", "replica", "sequence", "windows")

    def __init__(self, info: InstrumentInfo) -> None:
        self.info = info
        self.live = False
        self.epoch = 0
        self.sequence = 0
        self.at = 0
        self.replica = LevelReplica()
        self.windows: dict[int, Window] = {}
        self.kept: list[Kept] = []
        # Encoded snapshots by depth, as of ``sequence``: a thousand sockets that come at once cost one encoding.
        self._snapshots: dict[int, Frame] = {}

    def view(self, depth: int) -> BookView:
        replica = self.replica
        bids, asks = replica.top(BUY, depth), replica.top(SELL, depth)
        return BookView(self.epoch, self.sequence, bids, asks, replica.checksum(), self.at)

    def snapshot(self, depth: int) -> Frame:
        """The window of ``depth`` as a message."""
        known = self._snapshots.get(depth)
        if known is None:
            view = self.view(depth)
            known = self._snapshots[depth] = frames.book_snapshot(
                self.info,
                depth=depth,
                epoch=view.epoch,
                sequence=view.sequence,
                bids=view.bids,
                asks=view.asks,
                checksum=view.checksum,
                at=view.at,
            )
        return known

    def open_window(self, depth: int) -> None:
        """From now on changes are told at this depth too."""
        if depth not in self.windows:
            self.windows[depth] = Window(depth, self.replica)

    def close_window(self, depth: int) -> None:
        self.windows.pop(depth, None)

    def distrust(self) -> None:
        """What is known is not to be built upon: keep changes until ``load``."""
        self.live = False
        self.kept.clear()

    def offer(self, change: BookChange, epoch: int, at: int) -> bool:
        """Take a change while not live. Answers False where it did not fit and the levels must be read anew."""
        if len(self.kept) >= MAX_KEPT_CHANGES:
            self.kept.clear()
            return False
        self.kept.append(Kept(change, epoch, at))
        return True

    def fits(self, change: BookChange) -> bool:
        """Whether the change builds upon what is known."""
        return change.previous == self.sequence

    def apply(self, change: BookChange, at: int) -> list[tuple[int, Frame]]:
        """Move by one change that fits; answers (depth, message) for every open window."""
        replica = self.replica
        touched: tuple[Touched, Touched] = ({}, {})
        for side, price, quantity, orders in change.levels:
            key = price if side == BUY else -price
            touched[side][key] = replica.get(key)
            replica.set(side, price, quantity, orders)
        self.sequence = change.sequence
        self.at = at
        self._snapshots.clear()
        if not self.windows:
            return []
        checksum = replica.checksum()
        told = []
        for depth, window in self.windows.items():
            bids, asks = (window.move(replica, side, touched[side]) for side in (BUY, SELL))
            update = frames.book_update(
                self.info,
                epoch=self.epoch,
                sequence=change.sequence,
                previous=change.previous,
                bids=bids,
                asks=asks,
                checksum=checksum,
                at=at,
            )
            told.append((depth, update))
        return told

    def load(self, levels: InstrumentLevels, epoch: int, at: int) -> bool:
        """Start from levels as the tables have them, then carry out what was kept meanwhile.

        Answers False where that left a gap: then the levels were read too early and must be read again.
        """
        self.replica = replica = LevelReplica()
        for side, price, quantity, orders in levels.levels:
            replica.set(side, price, quantity, orders)
        self.epoch, self.sequence, self.at = epoch, levels.sequence, at
        self.windows = {}
        self._snapshots.clear()
        for kept in self.kept:
            if kept.epoch != epoch or kept.change.sequence <= self.sequence:
                continue
            if not self.fits(kept.change):
                return False
            self.apply(kept.change, kept.at)
        self.kept.clear()
        self.live = True
        return True


class Books:
    """All books of the feed. Under the board's lock; what is put off by ``later`` happens in the loop.

    ``found`` is told what else a read of the levels says of an instrument, with epoch, sequence and time.
    """

    def __init__(self, board: Board, found: Callable[[InstrumentLevels, int, int, int], None]) -> None:
        self._board = board
        self._found = found
        self._books: dict[int, BookFeed] = {}
        self._symbols: dict[str, InstrumentInfo] = {}

    def instrument(self, symbol: str) -> InstrumentInfo | None:
        return self._symbols.get(symbol)

    def info(self, instrument_id: int) -> InstrumentInfo | None:
        book = self._books.get(instrument_id)
        return None if book is None else book.info

    def live(self, instrument_id: int) -> BookFeed | None:
        """The book if it can be relied on."""
        book = self._books.get(instrument_id)
        return book if book is not None and book.live else None

    # Commits

    def absorb(self, message: CommitMessage) -> None:
        """Move the books by a commit. Any thread."""
        for change in message.books:
            self._absorb_change(message, change)
        if any(instrument_id not in self._books for instrument_id in message.instruments):
            self._board.shard(message.shard_id).missed = message.sequence
            self._board.later(self.load, message.shard_id)

    def _absorb_change(self, message: CommitMessage, change: BookChange) -> None:
        book = self._books.get(change.instrument_id)
        if book is None:
            return  # new: ``absorb`` has it loaded
        if book.live and change.sequence <= book.sequence:
            return
        if book.live and not book.fits(change):
            self._distrust(book, "gap")
        if book.live:
            for depth, frame in book.apply(change, message.at):
                self._board.later(self._board.send, (BOOK, change.instrument_id, depth), frame)
        elif not book.offer(change, message.epoch, message.at):
            self._board.later(self.load, message.shard_id)

    def distrust(self, shard_id: int, reason: str) -> None:
        """Read every book of a shard anew."""
        for book in self._books.values():
            if book.info.shard_id == shard_id:
                self._distrust(book, reason)
        self._board.later(self.load, shard_id)

    def _distrust(self, book: BookFeed, reason: str) -> None:
        self._lose(book, reason)
        self._board.later(self.load, book.info.shard_id)

    def _lose(self, book: BookFeed, reason: str) -> None:
        if book.live:
            frame = frames.resync(BOOK, book.info.symbol, reason)
            meters.resyncs[BOOK, reason].inc()
            for depth in book.windows:
                self._board.later(self._board.send, (BOOK, book.info.id, depth), frame)
        book.distrust()

    # Readers (in the loop)

    def subscribe(self, sink: Sink, info: InstrumentInfo, detail: int) -> None:
        """A snapshot (at once, or when the levels are loaded), then updates, at the depth ``detail``."""
        if not self._board.join(sink, (BOOK, info.id, detail)):
            return
        book = self._book(info)
        if book.live:
            book.open_window(detail)
            sink.market((BOOK, info.id, 0), book.snapshot(detail))
        else:
            self.load(info.shard_id)

    def deserted(self, instrument_id: int, detail: int) -> None:
        """Nobody listens at this depth any more."""
        self._books[instrument_id].close_window(detail)

    def remind(self, second: int) -> None:
        """Tell the books whose turn it is in this second of the round as they stand: clients compare."""
        for book in self._books.values():
            if book.live and (book.info.id + second) % SNAPSHOT_SECONDS == 0:
                for depth in tuple(book.windows):
                    self._board.send((BOOK, book.info.id, depth), book.snapshot(depth))

    # Loading (in the loop)

    def load(self, shard_id: int) -> None:
        """Read the levels of a shard unless that is being done."""
        shard = self._board.shard(shard_id)
        if not shard.loading:
            shard.loading = True
            self._board.read(lambda answer, error: self._loaded(shard_id, answer, error), reading.levels, shard_id)

    def _loaded(
        self, shard_id: int, answer: tuple[int, int, list[InstrumentLevels]] | None, error: Exception | None
    ) -> None:
        shard = self._board.shard(shard_id)
        shard.loading = False
        if answer is None or answer[0] < shard.epoch or answer[1] < shard.missed:
            if error is not None:
                log.error("shard %d: its levels cannot be read: %s", shard_id, error)
            self._board.again(self.load, shard_id)
            return
        epoch, sequence, levels = answer
        if epoch > shard.epoch:
            known, shard.epoch = shard.epoch, epoch
            if known:
                self.distrust(shard_id, "epoch")
        shard.sequence = max(shard.sequence, sequence)
        shard.heard = shard.heard or sequence
        self._take(levels, epoch, sequence, sequence <= shard.heard)
        if sequence <= shard.heard:
            shard.compared = sequence
        books = [book for book in self._books.values() if book.info.shard_id == shard_id]
        if shard.compared < shard.missed or not all(book.live for book in books):
            self._board.again(self.load, shard_id)

    def _take(self, levels: list[InstrumentLevels], epoch: int, sequence: int, all_heard: bool) -> None:
        """What was read. Where all commits in it were heard of, a book that does not have them has lost one."""
        for found in levels:
            book = self._book(found.info)
            if all_heard and book.live and book.sequence < found.sequence:
                self._lose(book, "gap")
        self._board.deliver()
        now = time_ns() // 1000
        for found in levels:
            book = self._book(found.info)
            if not book.live and book.load(found, epoch, now):
                self._tell_snapshots(book)
            self._found(found, epoch, sequence, now)

    def _tell_snapshots(self, book: BookFeed) -> None:
        for depth in self._board.depths(BOOK, book.info.id):
            book.open_window(depth)
            self._board.send((BOOK, book.info.id, depth), book.snapshot(depth))

    def _book(self, info: InstrumentInfo) -> BookFeed:
        book = self._books.get(info.id)
        if book is None:
            book = self._books[info.id] = BookFeed(info)
            self._symbols[info.symbol] = info
        return book
