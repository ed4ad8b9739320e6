"""The last 24 hours of an instrument's trades, to the minute, as sums that move.

The window is 1,440 minutes, the one that runs included. Sums are kept running; high and low are the fronts of two monotonic
queues, in which a price waits only while no later one has outdone it (Lemire 2006, "Streaming maximum-minimum filter"): so a
trade and a minute that falls out cost the same however many minutes there are.
"""

from collections import deque

from orders.candles import Candle

MINUTE_US = 60_000_000
WINDOW_US = 24 * 60 * MINUTE_US


def window_start(at: int) -> int:
    """The first minute of the window that ends with the minute of ``at``."""
    return minute_of(at) - WINDOW_US + MINUTE_US


def minute_of(at: int) -> int:
    """The start of the minute that a moment lies in."""
    return at - at % MINUTE_US


class Minute:
    """What must be known of a minute when it falls out of the window."""

    __slots__ = ("notional", "open", "start", "trades", "volume")

    def __init__(self, start: int, price: int) -> None:
        self.start = start
        self.open = price
        self.volume = 0
        self.notional = 0
        self.trades = 0


class RollingDay:
    """Minutes come in by ``add``, trades by ``trade``, both in the order they happened; ``advance`` lets time pass.

    Prices, ``volume`` and ``notional`` in units; prices are None where nothing traded.
    """

    __slots__ = ("_highs", "_lows", "_minutes", "notional", "trades", "volume")

    def __init__(self) -> None:
        self.volume = 0
        self.notional = 0
        self.trades = 0
        self._minutes: deque[Minute] = deque()
        # (start of the minute, price), the best first.
        self._highs: deque[tuple[int, int]] = deque()
        self._lows: deque[tuple[int, int]] = deque()

    @property
    def open(self) -> int | None:
        """The price of the first trade."""
        return self._minutes[0].open if self._minutes else None

    @property
    def high(self) -> int | None:
        return self._highs[0][1] if self._highs else None

    @property
    def low(self) -> int | None:
        return self._lows[0][1] if self._lows else None

    def add(self, candle: Candle) -> None:
        """A minute later than those known."""
        minute = Minute(candle.start, candle.open)
        self._minutes.append(minute)
        self._count(minute, candle.volume, candle.notional, candle.trades)
        self._outdo(candle.start, candle.high, candle.low)

    def trade(self, at: int, price: int, quantity: int) -> None:
        """One more trade."""
        start = minute_of(at)
        minutes = self._minutes
        if not minutes or minutes[-1].start != start:
            minutes.append(Minute(start, price))
        self._count(minutes[-1], quantity, price * quantity, 1)
        self._outdo(start, price, price)

    def advance(self, at: int) -> bool:
        """It is ``at`` now. Answers whether anything fell out of the window."""
        first = window_start(at)
        minutes = self._minutes
        if not minutes or minutes[0].start >= first:
            return False
        while minutes and minutes[0].start < first:
            gone = minutes.popleft()
            self.volume -= gone.volume
            self.notional -= gone.notional
            self.trades -= gone.trades
        for queue in (self._highs, self._lows):
            while queue and queue[0][0] < first:
                queue.popleft()
        return True

    def _count(self, minute: Minute, volume: int, notional: int, trades: int) -> None:
        for of in (self, minute):
            of.volume += volume
            of.notional += notional
            of.trades += trades

    def _outdo(self, start: int, high: int, low: int) -> None:
        highs, lows = self._highs, self._lows
        while highs and highs[-1][1] <= high:
            highs.pop()
        highs.append((start, high))
        while lows and lows[-1][1] >= low:
            lows.pop()
        lows.append((start, low))
