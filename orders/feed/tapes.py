"""The hub's tape of one instrument: its latest trades, for those who begin to listen."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from orders.feed import frames, reading
from orders.feed.following import Copy
from orders.feed.frames import Frame
from orders.feed.publisher import TradeTold
from orders.selectors import InstrumentInfo

# Trades in a snapshot.
TAPE_LENGTH = 50


class Tape(Copy):
    """The latest trades, as REST says them."""

    __slots__ = ("ring",)

    def __init__(self, info: InstrumentInfo, detail: int = 0) -> None:
        super().__init__(info, detail)
        self.ring: deque[dict[str, Any]] = deque(maxlen=TAPE_LENGTH)

    def read(self) -> list[TradeTold]:
        return reading.latest_trades(self.info, TAPE_LENGTH)

    def begin(self, answer: list[TradeTold]) -> int:
        self.ring.clear()
        self.step(answer)
        return answer[-1].sequence if answer else 0

    def step(self, trades: Iterable[TradeTold]) -> list[dict[str, Any]]:
        told = [frames.trade(self.info, trade) for trade in trades]
        self.ring.extend(told)
        return told

    def update(self, previous: int, changed: list[dict[str, Any]]) -> Frame:
        return frames.trades(
            self.info, "update", epoch=self.epoch, sequence=self.sequence, previous=previous, told=changed
        )

    def encode(self) -> Frame:
        return frames.trades(
            self.info, "snapshot", epoch=self.epoch, sequence=self.sequence, previous=None, told=list(self.ring)
        )
