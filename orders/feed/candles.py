"""The hub's candles of one instrument and interval: the latest, for those who begin to listen, and those that trades change.

A commit's trades change the candle that runs, or begin another one: ``at`` never goes back in a shard. What is told is each
changed candle as a whole, so it equals the one that REST combines of the table's rows.
"""

from collections import deque
from collections.abc import Iterable

from orders.candles import INTERVALS, Candle, bucket_start, extend
from orders.charts import Chart, latest_candles
from orders.feed import frames
from orders.feed.following import Copy
from orders.feed.frames import Frame
from orders.feed.publisher import TradeTold
from orders.selectors import InstrumentInfo

# Candles in a snapshot.
CHART_LENGTH = 100


class Candles(Copy):
    """The latest candles; ``detail`` is the interval's place in ``INTERVALS``."""

    __slots__ = ("interval", "ring")

    def __init__(self, info: InstrumentInfo, detail: int) -> None:
        super().__init__(info, detail)
        self.interval = INTERVALS[detail]
        self.ring: deque[Candle] = deque(maxlen=CHART_LENGTH)

    def read(self) -> Chart:
        return latest_candles(self.info, self.interval, CHART_LENGTH)

    def begin(self, answer: Chart) -> int:
        self.ring.clear()
        self.ring.extend(answer.candles)
        return answer.sequence

    def step(self, trades: Iterable[TradeTold]) -> list[Candle]:
        ring = self.ring
        changed: dict[int, Candle] = {}
        at = start = -1
        for trade in trades:
            if trade.at != at:  # mostly once: what a commit trades, it trades at one moment
                at, start = trade.at, bucket_start(self.interval, trade.at)
            known = ring.pop() if ring and ring[-1].start == start else None
            candle = changed[start] = extend(known, start, trade.price, trade.quantity, trade.sequence)
            ring.append(candle)
        return list(changed.values())

    def update(self, previous: int, changed: list[Candle]) -> Frame:
        return self._frame("update", previous, changed)

    def encode(self) -> Frame:
        return self._frame("snapshot", None, self.ring)

    def _frame(self, kind: str, previous: int | None, told: Iterable[Candle]) -> Frame:
        return frames.candles(
            self.info, self.interval, kind, epoch=self.epoch, sequence=self.sequence, previous=previous, told=told
        )
