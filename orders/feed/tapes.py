"""The hub's tape of one instrument: its latest trades, for those who begin to listen, and the chain of the next ones.

Read from the tables only when somebody listens; a tape without listeners is cold and costs nothing.
"""

import logging
from collections import deque
from typing import Any

from orders.feed import frames, reading
from orders.feed.board import Board, Sink
from orders.feed.frames import TRADES, Frame
from orders.feed.publisher import TradesTold, TradeTold
from orders.selectors import InstrumentInfo

log = logging.getLogger(__name__)

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

    def apply(self, told: TradesTold) -> Frame:
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

    def snapshot(self) -> Frame:
        return frames.trades(
            self.info, "snapshot", epoch=self.epoch, sequence=self.sequence, previous=None, told=list(self.ring)
        )


class Tapes:
    """All tapes of the feed. Under the board's lock; what is put off by ``later`` happens in the loop."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._tapes: dict[int, TradeTape] = {}

    def absorb(self, told: TradesTold) -> None:
        """Move a tape by the trades of a commit. Any thread."""
        tape = self._tapes.get(told.instrument_id)
        if tape is None or not (tape.live or tape.loading):
            return
        if tape.live and told.trades[-1].sequence <= tape.sequence:
            return
        if tape.live and not tape.fits(told):
            self._distrust(tape, "gap")
        if tape.live:
            self._board.later(self._board.send, (TRADES, told.instrument_id, 0), tape.apply(told))
        elif not tape.offer(told):
            self._board.later(self._load, tape)

    def distrust(self, shard_id: int, reason: str) -> None:
        """Read every tape of a shard anew."""
        for tape in self._tapes.values():
            if tape.live and tape.info.shard_id == shard_id:
                self._distrust(tape, reason)

    def _distrust(self, tape: TradeTape, reason: str) -> None:
        tape.distrust()
        frame = frames.resync(TRADES, tape.info.symbol, reason)
        self._board.later(self._board.send, (TRADES, tape.info.id, 0), frame)
        self._board.later(self._load, tape)

    def subscribe(self, sink: Sink, info: InstrumentInfo) -> None:
        """The latest trades, then updates. In the loop."""
        if not self._board.join(sink, (TRADES, info.id, 0)):
            return
        tape = self._tapes.setdefault(info.id, TradeTape(info))
        if tape.live:
            sink.market((TRADES, info.id, 0), tape.snapshot())
        elif not tape.loading:
            tape.loading = True
            self._load(tape)

    def cool(self, instrument_id: int) -> None:
        """Nobody listens any more."""
        self._tapes[instrument_id].cool()

    def _load(self, tape: TradeTape) -> None:
        self._board.read(
            lambda trades, error: self._loaded(tape, trades, error), reading.latest_trades, tape.info, TAPE_LENGTH
        )

    def _loaded(self, tape: TradeTape, trades: list[TradeTold] | None, error: Exception | None) -> None:
        if not tape.loading:
            return
        if error is not None:
            log.error("%s: its trades cannot be read: %s", tape.info.symbol, error)
        if trades is not None and tape.load(trades, self._board.shard(tape.info.shard_id).epoch):
            self._board.send((TRADES, tape.info.id, 0), tape.snapshot())
        else:
            self._board.again(self._load, tape)
