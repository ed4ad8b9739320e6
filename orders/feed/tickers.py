"""The hub's tickers: what an instrument trades at, and its last 24 hours to the minute.

* The best bid and ask are the book's, the rest a rolling day that trades and time move. Both move by the same commit, under
  one lock: so what is told is one moment's.
* Every message is the whole state, told once for each commit that changed any of it, and when a minute falls out of the day.
* A ticker exists while somebody listens, or has asked over REST lately: a day holds up to 1,440 minutes, and most instruments
  are never looked at.
"""

from collections.abc import Callable, Iterable
from time import monotonic, time_ns
from typing import Any, NamedTuple

from matching.levels import LevelRow
from matching.values import BUY, SELL
from orders.charts import Chart
from orders.feed import frames, reading
from orders.feed.board import Board, Sink
from orders.feed.books import BookFeed
from orders.feed.following import Copy, Followed
from orders.feed.frames import TICKER, Frame
from orders.feed.publisher import CommitMessage, TradeTold
from orders.feed.rolling import RollingDay, minute_of, window_start
from orders.selectors import InstrumentInfo

# How long a ticker is kept that nobody listens to and nobody asks for.
IDLE_SECONDS = 600


def now() -> int:
    """Microseconds since 1970."""
    return time_ns() // 1000


class TickerView(NamedTuple):
    """A ticker in units. ``sequence`` is the larger of the book's and the last trade's; None where there is nothing.

    ``open`` to ``trades`` are of the last 24 hours; ``at`` is the moment it is true for.
    """

    epoch: int
    sequence: int
    last: int | None
    bid: LevelRow | None
    ask: LevelRow | None
    open: int | None
    high: int | None
    low: int | None
    volume: int
    notional: int
    trades: int
    at: int

    @property
    def state(self) -> tuple[Any, ...]:
        """What is worth telling."""
        return self[2:-1]


class Ticker(Copy):
    """The trades' side of it. ``told``: the state last told, None where a snapshot is due."""

    __slots__ = ("asked_at", "at", "day", "encoded", "last", "told")

    def __init__(self, info: InstrumentInfo, detail: int = 0) -> None:
        super().__init__(info, detail)
        self.day = RollingDay()
        self.last: int | None = None
        self.at = 0
        self.told: tuple[Any, ...] | None = None
        self.asked_at = monotonic()
        self.encoded: tuple[TickerView | None, Frame | None] = (None, None)

    def read(self) -> "Past":
        return past_of(reading.last_day(self.info, window_start(now())))

    def begin(self, answer: "Past") -> int:
        self.day, self.last, sequence = answer
        self.at = now()
        self.pass_time(self.at)
        return sequence

    def step(self, trades: Iterable[TradeTold]) -> None:
        for trade in trades:
            self.day.trade(trade.at, trade.price, trade.quantity)
            self.last = trade.price
        self.day.advance(trade.at)

    def pass_time(self, at: int) -> None:
        """It is ``at`` now."""
        if self.day.advance(at):
            self.at = max(self.at, at)

    def view(self, book: BookFeed) -> TickerView:
        bids, asks = book.replica.top(BUY, 1), book.replica.top(SELL, 1)
        day = self.day
        return TickerView(
            max(self.epoch, book.epoch),
            max(self.sequence, book.sequence),
            self.last,
            bids[0] if bids else None,
            asks[0] if asks else None,
            day.open,
            day.high,
            day.low,
            day.volume,
            day.notional,
            day.trades,
            self.at,
        )

    def snapshot_of(self, view: TickerView) -> Frame:
        """Encoded once, however many come to listen before it changes."""
        known, frame = self.encoded
        if frame is None or known != view:
            frame = frames.ticker(self.info, "snapshot", view)
            self.encoded = (view, frame)
        return frame


def ticker_of_tables(info: InstrumentInfo) -> TickerView:
    """The same where no hub follows the instrument."""
    levels, epoch, chart = reading.glance(info, window_start(now()))
    ticker, book = Ticker(info), BookFeed(info)
    ticker.load(past_of(chart), epoch)
    book.load(levels, epoch, ticker.at)
    return ticker.view(book)


class Past(NamedTuple):
    """Where a ticker starts from, added up already: that takes milliseconds, and is done where it was read."""

    day: RollingDay
    last: int | None
    sequence: int


def past_of(chart: Chart) -> Past:
    day = RollingDay()
    for candle in chart.candles:
        day.add(candle)
    return Past(day, chart.candles[-1].close if chart.candles else None, chart.sequence)


class Tickers(Followed[Ticker]):
    """All tickers of the feed. ``live_book`` answers a book that can be relied on."""

    def __init__(self, board: Board, live_book: Callable[[int], BookFeed | None]) -> None:
        super().__init__(board, TICKER, Ticker)
        self._live_book = live_book
        # When time was last let pass.
        self._minute = 0

    # What moves them

    def settle(self, message: CommitMessage) -> None:
        """Books and trades of a commit are taken in: tell what it changed. Any thread."""
        if self._copies:
            touched = {change.instrument_id for change in message.books}
            touched.update(told.instrument_id for told in message.trades)
            for instrument_id in sorted(touched):
                copy = self.find(instrument_id)
                if copy is not None:
                    copy.at = max(copy.at, message.at)
                    self._tell(copy)

    def book_loaded(self, instrument_id: int) -> None:
        """A book can be relied on again."""
        copy = self.find(instrument_id)
        if copy is not None:
            self._tell(copy)

    def pass_time(self) -> None:
        """Called every second; what is to do, is once a minute. In the loop."""
        at, moment = now(), monotonic()
        if minute_of(at) == self._minute:
            return
        self._minute = minute_of(at)
        for copy in self.all():
            if not self.board.is_heard(self.key(copy)):
                if moment - copy.asked_at > IDLE_SECONDS:
                    self.drop(copy.info.id)
            elif copy.live:
                copy.pass_time(at)
                self._tell(copy)

    def moved(self, copy: Ticker, previous: int, changed: Any) -> None:
        """``settle`` tells it, with what the commit made of the book."""

    def lost(self, copy: Ticker, reason: str) -> None:
        """Nothing builds upon what was told; a snapshot follows."""
        copy.told = None

    def loaded(self, copy: Ticker) -> None:
        self._tell(copy)

    def _tell(self, copy: Ticker) -> None:
        """To those who listen, where it is not what they know."""
        key = self.key(copy)
        view = self._view(copy) if self.board.is_heard(key) else None
        if view is not None and view.state != copy.told:
            kind = "snapshot" if copy.told is None else "update"
            copy.told = view.state
            self.board.later(self.board.send, key, frames.ticker(copy.info, kind, view))

    def _view(self, copy: Ticker) -> TickerView | None:
        book = self._live_book(copy.info.id)
        return copy.view(book) if book is not None and copy.live else None

    # Readers

    def subscribe(self, sink: Sink, info: InstrumentInfo, detail: int) -> None:
        """A snapshot (at once, or when it has been read), then updates. In the loop."""
        copy = self.find(info.id)
        if copy is None:
            self._load(copy := self.want(info))
        self._tell(copy)
        self.board.deliver()
        if self.board.join(sink, self.key(copy)):
            view = self._view(copy)
            copy.told = None if view is None else view.state
            if view is not None:
                sink.market(self.key(copy), copy.snapshot_of(view))

    def deserted(self, instrument_id: int, detail: int) -> None:
        """Nobody listens any more: kept for a while, for those who ask."""
        copy = self.find(instrument_id)
        if copy is not None:
            copy.asked_at = monotonic()

    def ask(self, info: InstrumentInfo) -> TickerView | None:
        """As it stands, read now where it has not been; None where the book cannot be relied on. Any thread but the loop's."""
        with self.board.lock:
            if self._live_book(info.id) is None:
                return None
            copy = self.want(info)
            copy.asked_at = monotonic()
            copy.attempt += not copy.live
            attempt, is_live = copy.attempt, copy.live
        answer, error = (None, None) if is_live else _read(copy)
        with self.board.lock:
            self.board.settle()
            if not is_live:
                self.read(copy, attempt, answer, error)
                self.board.call_soon(self.board.flush)
            copy.pass_time(now())
            return self._view(copy)


def _read(ticker: Ticker) -> tuple[Past | None, Exception | None]:
    try:
        return ticker.read(), None
    except Exception as error:
        return None, error
