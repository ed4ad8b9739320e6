"""The hub's tape of one instrument: its latest trades, for those who begin to listen, and the chain of the next ones.

Read from the tables only when somebody listens; a tape without listeners is cold and costs nothing.
"""

from collections import deque
from typing import Any

from orders.feed import frames
from orders.feed.publisher import TradesTold, TradeTold
from orders.selectors import InstrumentInfo

# Trades in a snapshot.
TAPE_LENGTH = 50
# Commits kept while the tape is being read; past this it is read once more.
MAX_KEPT_COMMITS = 10_000


class TradeTape:
    """``live``: the ring is right. ``loading``: commits are kept until it is. Neither: cold."""

    __slots__ = ("epoch", "info", "kept", "live", "loading", "ring", "sequence")

    def __init__(self, info: InstrumentInfo) -> None:
        self.info = info
        self.live = False
        self.loading = False
        self.epoch = 0
        self.sequence = 0
        self.ring: deque[dict[str, Any]] = deque(maxlen=TAPE_LENGTH)
        self.kept: list[TradesTold] = []

    def cool(self) -> None:
        """Nobody listens: forget."""
        self.live = self.loading = False
        self.ring.clear()
        self.kept.clear()

    def distrust(self) -> None:
        """A gap: keep commits until the tape has been read again."""
        self.cool()
        self.loading = True

    def offer(self, told: TradesTold) -> bool:
        """Take a commit while loading. Answers False where it did not fit and the tape must be read anew."""
        if len(self.kept) >= MAX_KEPT_COMMITS:
            self.kept.clear()
            return False
        self.kept.append(told)
        return True

    def fits(self, told: TradesTold) -> bool:
        return told.previous == self.sequence

    def apply(self, told: TradesTold) -> str:
        """Move by one commit that fits; answers the message."""
        rendered = [frames.trade(self.info, trade) for trade in told.trades]
        self.ring.extend(rendered)
        self.sequence = told.trades[-1].sequence
        return frames.trades(
            self.info,
            "update",
            epoch=self.epoch,
            sequence=self.sequence,
            previous=told.previous,
            told=rendered,
        )

    def load(self, trades: list[TradeTold], epoch: int) -> bool:
        """Start from the latest trades of the tables (oldest first), then what was kept. False: read too early."""
        self.ring.clear()
        self.ring.extend(frames.trade(self.info, trade) for trade in trades)
        self.sequence = trades[-1].sequence if trades else 0
        self.epoch = epoch
        for told in self.kept:
            if told.trades[-1].sequence <= self.sequence:
                continue
            if not self.fits(told):
                return False
            self.apply(told)
        self.kept.clear()
        self.loading = False
        self.live = True
        return True

    def snapshot(self) -> str:
        return frames.trades(
            self.info, "snapshot", epoch=self.epoch, sequence=self.sequence, previous=None, told=list(self.ring)
        )
