"""The hub's copy of one book, and what each depth of it must be told.

A change says what some levels are now (absolute sizes) and chains to the change before it by ``previous``. A reader at
depth 10 is told of its window only: the levels of the window that differ from what it was told before (so a level that
comes back because a better one went is told again) and the removal of levels it had. What is pushed out of the window is
not told: readers truncate. Every change is told at every depth, with empty sides where the window stayed as it was, so
that ``sequence`` and ``previous`` are the same at all depths.
"""

from typing import NamedTuple

from matching.levels import LevelReplica, LevelRow
from matching.values import BUY, SELL
from orders.feed import frames
from orders.feed.publisher import BookChange
from orders.selectors import InstrumentInfo, InstrumentLevels

DEPTHS = (10, 25, 100, 500, 1000)

# Changes kept while the levels are being read from the tables. A read takes milliseconds; past this many, what was kept is
# dropped and the levels are read once more.
MAX_KEPT_CHANGES = 10_000


class BookView(NamedTuple):
    """The top of a book: ``bids`` and ``asks`` are (price, quantity, orders) in units, best first; ``at`` microseconds."""

    epoch: int
    sequence: int
    bids: list[LevelRow]
    asks: list[LevelRow]
    checksum: int
    at: int


class Window:
    """What readers at one depth have been told, as price -> level for each side."""

    __slots__ = ("depth", "sides")

    def __init__(self, depth: int, replica: LevelReplica) -> None:
        self.depth = depth
        self.sides = [self._top(replica, side) for side in (BUY, SELL)]

    def move(self, replica: LevelReplica, side: int, removed: set[int]) -> list[LevelRow]:
        """The levels of ``side`` that readers must be told, best first, then those that are gone (quantity 0)."""
        before = self.sides[side]
        after = self.sides[side] = self._top(replica, side)
        told = [row for price, row in after.items() if before.get(price) != row]
        told += [(price, 0, 0) for price in removed if price in before]
        return told

    def _top(self, replica: LevelReplica, side: int) -> dict[int, LevelRow]:
        return {row[0]: row for row in replica.top(side, self.depth)}


class Kept(NamedTuple):
    """A change that waits for the levels it builds upon."""

    change: BookChange
    epoch: int
    at: int


class BookFeed:
    """One instrument's levels. Not ``live`` (before the first load, after a gap) it keeps changes until it is loaded."""

    __slots__ = ("at", "epoch", "info", "kept", "live", "replica", "sequence", "windows")

    def __init__(self, info: InstrumentInfo) -> None:
        self.info = info
        self.live = False
        self.epoch = 0
        self.sequence = 0
        self.at = 0
        self.replica = LevelReplica()
        self.windows: dict[int, Window] = {}
        self.kept: list[Kept] = []

    def view(self, depth: int) -> BookView:
        replica = self.replica
        bids, asks = replica.top(BUY, depth), replica.top(SELL, depth)
        return BookView(self.epoch, self.sequence, bids, asks, replica.checksum(), self.at)

    def snapshot(self, depth: int) -> str:
        """The window of ``depth`` as a message."""
        view = self.view(depth)
        return frames.book_snapshot(
            self.info,
            depth=depth,
            epoch=view.epoch,
            sequence=view.sequence,
            bids=view.bids,
            asks=view.asks,
            checksum=view.checksum,
            at=view.at,
        )

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

    def apply(self, change: BookChange, at: int) -> list[tuple[int, str]]:
        """Move by one change that fits; answers (depth, message) for every open window."""
        replica = self.replica
        removed: tuple[set[int], set[int]] = (set(), set())
        touched = [False, False]
        for side, price, quantity, orders in change.levels:
            replica.set(side, price, quantity, orders)
            touched[side] = True
            if not quantity:
                removed[side].add(price)
        self.sequence = change.sequence
        self.at = at
        if not self.windows:
            return []
        checksum = replica.checksum()
        told = []
        for depth, window in self.windows.items():
            bids, asks = (window.move(replica, side, removed[side]) if touched[side] else [] for side in (BUY, SELL))
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
        for kept in self.kept:
            if kept.epoch != epoch or kept.change.sequence <= self.sequence:
                continue
            if not self.fits(kept.change):
                return False
            self.apply(kept.change, kept.at)
        self.kept.clear()
        self.live = True
        return True
