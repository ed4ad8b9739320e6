"""The feed of this process: keeps a copy of every book's levels and tells each socket what it asked for.

Theory of operation
-------------------
* Commit messages come from the engine's thread (``listener``) and wait in an inbox. They are absorbed, in order and under
  the lock, by whoever comes first: the server's loop, or a thread that asks for a book (so it sees every commit that was
  answered before). Absorbing moves the copies and encodes what somebody listens to; only the loop hands it to sockets.
* A message is a hint, the tables are the truth. A change that does not chain to what is known (``previous``), or a higher
  epoch, makes a book distrusted: its readers are told ``resync``, changes are kept, the levels are read from the tables in
  one consistent read, and a snapshot follows. An older epoch is ignored.
* A message lost without a successor is found by the heartbeat, which compares with where the engine says it stands.
* Everything about subscriptions happens in the loop. Nothing here touches the database except in threads of its own.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from threading import Lock
from time import time_ns

from orders import selectors, status
from orders.feed import frames, reading
from orders.feed.board import Board, Channel, Key, Sink
from orders.feed.books import BookFeed, Books, BookView
from orders.feed.candles import Candles
from orders.feed.following import Followed
from orders.feed.frames import BOOK, CANDLES, INSTRUMENTS, STATUS, TICKER, TRADES
from orders.feed.publisher import CommitMessage
from orders.feed.sessions import Sessions, SessionView
from orders.feed.states import States
from orders.feed.streams import Opening, Streams
from orders.feed.tapes import Tape
from orders.feed.tickers import Tickers, TickerView, ticker_of_tables
from orders.levels import InstrumentLevels, level_list
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5
# Commits that may wait for the loop. A loop this far behind has lost touch: the oldest go, and everything is read anew.
MAX_WAITING_COMMITS = 10_000
GOING_AWAY = 1001


class Hub:
    """One per process: see ``hub()``. It can be started again after a stop."""

    def __init__(self) -> None:
        self._life: Life | None = None
        self._lock = Lock()

    @property
    def running(self) -> bool:
        return self._life is not None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to follow, in ``loop`` (which may not run yet). Levels are read in the background. Any thread."""
        with self._lock:
            if self._life is not None:
                raise RuntimeError("the hub is running already")
            self._life = Life(loop)

    def stop(self) -> None:
        """Tell every socket that the server leaves, and follow no more. Any thread."""
        with self._lock:
            life, self._life = self._life, None
        if life is not None:
            life.end()

    def listener(self, message: CommitMessage) -> None:
        """Take a commit. Any thread; returns at once."""
        life = self._life
        if life is not None:
            life.take(message)

    def book(self, instrument_id: int, depth: int) -> BookView:
        """The top of a book, with every commit in it that was answered before the call. Any thread.

        From the tables where the feed does not run or is reading them itself. Raises ``KeyError`` for an unknown id.
        """
        life = self._life
        view = None if life is None else life.view(instrument_id, depth)
        return view or _view_from_tables(selectors.instrument_by_id(instrument_id), depth)

    def instrument(self, instrument_id: int) -> SessionView:
        """Where an instrument's session stands, as fresh as ``book``. Any thread. Raises ``KeyError`` for an unknown id."""
        life = self._life
        view = None if life is None else life.session(instrument_id)
        return view or _session_from_tables(selectors.instrument_by_id(instrument_id))

    def ticker(self, instrument_id: int) -> TickerView:
        """An instrument at a glance, as fresh as ``book``. Any thread but the loop's. Raises ``KeyError`` for an unknown id."""
        info = selectors.instrument_by_id(instrument_id)
        life = self._life
        view = None if life is None else life.tickers.ask(info)
        return view or ticker_of_tables(info)

    # For sockets, in the loop

    def find(self, symbol: str) -> InstrumentInfo | None:
        """What is known here of a symbol."""
        return None if self._life is None else self._life.books.instrument(symbol)

    def connect(self, sink: Sink) -> bool:
        """A socket opens: it gets heartbeats from here on. Answers False while the hub does not run."""
        return self._life is not None and self._life.connect(sink)

    def disconnect(self, sink: Sink) -> None:
        """A socket is gone, and with it all it listened to."""
        if self._life is not None:
            self._life.disconnect(sink)

    def subscribe(self, sink: Sink, channel: str, info: InstrumentInfo | None, detail: int = 0) -> None:
        """A snapshot (at once, or when it has been read), then updates. Asking again gives a new snapshot.

        ``info`` is None for ``status``. ``detail`` is the depth of a book (a socket has each book at one depth), the index of a
        candle's interval, otherwise 0.
        """
        if self._life is not None:
            self._life.subscribe(sink, channel, info, detail)

    def unsubscribe(self, sink: Sink, channel: str, instrument_id: int, detail: int | None = None) -> None:
        """Tell no more of it: with None, in whatever detail."""
        if self._life is not None:
            self._life.unsubscribe(sink, channel, instrument_id, detail)

    async def open_executions(
        self, sink: Sink, account_id: int, account_name: str, after: dict[int, int] | None
    ) -> Opening:
        """Read where the account's streams stand, or what it missed since ``after`` (shard -> sequence).

        Live events are kept from now on; ``Opening.tell`` sends it all. Raises ``ProblemError``.
        """
        if self._life is None:
            raise ProblemError("engine_unavailable", "The server is stopping.")
        return await self._life.streams.open(sink, account_id, account_name, after)

    def close_executions(self, sink: Sink) -> None:
        if self._life is not None:
            self._life.streams.close(sink)


class Life:
    """The hub between a start and the next stop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.board = Board(loop, self._absorb)
        self.sessions = Sessions(self.board, lambda shard_id: self.books.load(shard_id))
        self.books = Books(self.board, self._found)
        self.tapes = Followed(self.board, TRADES, Tape)
        self.candles = Followed(self.board, CANDLES, Candles)
        self.tickers = Tickers(self.board, self.books.live)
        self.states = States(self.board)
        self.streams = Streams(self.board)
        self._channels: dict[str, Channel] = {
            BOOK: self.books,
            TRADES: self.tapes,
            TICKER: self.tickers,
            CANDLES: self.candles,
            INSTRUMENTS: self.sessions,
            STATUS: self.states,
        }
        self._inbox: deque[CommitMessage] = deque(maxlen=MAX_WAITING_COMMITS)
        self._scheduled = False
        self._lost = False
        # Seconds since the beginning, and what counts them.
        self._seconds = 0
        self._timer: asyncio.TimerHandle | None = None
        self.board.call_soon(self._begin)

    def _begin(self) -> None:
        if self.board.open:
            self._find_shards()
            self._timer = self.board.loop.call_later(1, self._second)

    def end(self) -> None:
        self.states.stop()
        with self.board.lock:
            self.board.shut()
            sinks = list(self.board.sinks)
        if self.board.loop.is_running():
            self.board.call_soon(_say_goodbye, sinks, self._timer)

    def _find_shards(self) -> None:
        self.board.read(self._shards_found, reading.shard_ids)

    def _shards_found(self, shard_ids: list[int] | None, error: Exception | None) -> None:
        if not shard_ids:
            log.error("the shards cannot be read: %s", error or "there are none yet")
            self.board.again(self._find_shards)
        for shard_id in shard_ids or ():
            self.books.load(shard_id)

    # Commits

    def take(self, message: CommitMessage) -> None:
        if len(self._inbox) == MAX_WAITING_COMMITS:
            self._lost = True
        self._inbox.append(message)
        if not self._scheduled:
            self._scheduled = True
            self.board.call_soon(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        self.board.flush()

    def _absorb(self) -> None:
        """Move the copies by everything that waits. Under the lock, any thread."""
        while self._inbox:
            message = self._inbox.popleft()
            try:
                self._absorb_commit(message)
            except Exception:
                log.exception("a commit message could not be taken in; everything is read anew")
                self._lost = True
        if self._lost:
            self._lost = False
            for shard_id in list(self.board.shards):
                self._distrust(shard_id, "gap")

    def _absorb_commit(self, message: CommitMessage) -> None:
        shard = self.board.shard(message.shard_id)
        if message.epoch < shard.epoch:
            return
        known, shard.epoch = shard.epoch, message.epoch
        if known and known < message.epoch:
            self._distrust(message.shard_id, "epoch")
        if known and shard.sequence < message.previous:
            # A commit is missing. Books, tapes and streams see that by themselves, where it is about them.
            self.sessions.distrust(message.shard_id)
            shard.missed = message.sequence
            self.board.later(self.books.load, message.shard_id)
        shard.sequence = max(shard.sequence, message.sequence)
        self.sessions.absorb(message)
        self.books.absorb(message)
        for followed in (self.tapes, self.candles, self.tickers):
            followed.absorb(message)
        self.tickers.settle(message)
        self.streams.absorb(message, self.books.info)

    def _distrust(self, shard_id: int, reason: str) -> None:
        # What is being read right now may be older than what was lost.
        shard = self.board.shard(shard_id)
        shard.missed = shard.sequence
        self.books.distrust(shard_id, reason)
        for followed in (self.tapes, self.candles, self.tickers):
            followed.distrust(shard_id, reason)
        self.sessions.distrust(shard_id)
        self.streams.distrust(shard_id)

    def _found(self, found: InstrumentLevels, epoch: int, sequence: int, at: int) -> None:
        """An instrument has been read."""
        self.sessions.load(found, epoch, sequence, at)
        self.tickers.book_loaded(found.info.id)

    # Time

    def _second(self) -> None:
        if not self.board.open:
            return
        self._timer = self.board.loop.call_later(1, self._second)
        self._seconds += 1
        with self.board.lock:
            self.board.catch_up()
            self.books.remind(self._seconds)
            self.tickers.pass_time()
            self.board.deliver()
        if self._seconds % HEARTBEAT_SECONDS == 0:
            self._heartbeat()

    def _heartbeat(self) -> None:
        with self.board.lock:
            self.board.catch_up()
            self._look_for_silent_loss()
            self.board.deliver()
            places = {number: (shard.epoch, shard.sequence) for number, shard in self.board.shards.items()}
            frame = frames.heartbeat(places, time_ns() // 1000)
            for sink in self.board.sinks:
                sink.notice(frame)

    def _look_for_silent_loss(self) -> None:
        """The engine is ahead and nothing has come since the last beat: a message got lost, and none after it."""
        for shard_id, shard in self.board.shards.items():
            known = status.shards.get(shard_id)
            behind = known is not None and known.epoch == shard.epoch and known.sequence > shard.sequence
            if known is not None and behind and shard.last_beat == shard.sequence and not shard.loading:
                log.error("shard %d: nothing was heard of the commits up to %d", shard_id, known.sequence)
                self._distrust(shard_id, "gap")
            shard.last_beat = shard.sequence

    # Readers

    def view(self, instrument_id: int, depth: int) -> BookView | None:
        with self.board.lock:
            self._absorb()
            book = self.books.live(instrument_id)
            return None if book is None else book.view(depth)

    def session(self, instrument_id: int) -> SessionView | None:
        with self.board.lock:
            self._absorb()
            return self.sessions.live(instrument_id)

    def connect(self, sink: Sink) -> bool:
        with self.board.lock:
            self.board.sinks[sink] = set()
        return True

    def disconnect(self, sink: Sink) -> None:
        with self.board.lock:
            for key in list(self.board.sinks.get(sink, ())):
                self._leave(sink, key)
            self.board.sinks.pop(sink, None)
            self.streams.close(sink)

    def subscribe(self, sink: Sink, channel: str, info: InstrumentInfo | None, detail: int) -> None:
        with self.board.lock:
            self.board.catch_up()
            if channel == BOOK and info is not None:
                self.unsubscribe(sink, channel, info.id, None)
            self._channels[channel].subscribe(sink, info, detail)

    def unsubscribe(self, sink: Sink, channel: str, instrument_id: int, detail: int | None) -> None:
        with self.board.lock:
            self.board.catch_up()
            for key in list(self.board.sinks.get(sink, ())):
                if key[:2] == (channel, instrument_id) and detail in (None, key[2]):
                    self._leave(sink, key)

    def _leave(self, sink: Sink, key: Key) -> None:
        """What nobody reads any more is no longer encoded."""
        if self.board.leave(sink, key):
            channel, instrument_id, detail = key
            self._channels[channel].deserted(instrument_id, detail)


def _from_tables(info: InstrumentInfo) -> tuple[InstrumentLevels, int, int]:
    epoch, sequence, found = level_list(shard_id=info.shard_id, instrument_id=info.id)
    return found[0], epoch, sequence


def _view_from_tables(info: InstrumentInfo, depth: int) -> BookView:
    found, epoch, _ = _from_tables(info)
    book = BookFeed(info)
    book.load(found, epoch, time_ns() // 1000)
    return book.view(depth)


def _session_from_tables(info: InstrumentInfo) -> SessionView:
    found, epoch, sequence = _from_tables(info)
    return SessionView(epoch, sequence, found.phase, found.phase_until, found.indicative, time_ns() // 1000)


def _say_goodbye(sinks: Iterable[Sink], beat: asyncio.TimerHandle | None) -> None:
    if beat is not None:
        beat.cancel()
    frame = frames.server_shutdown()
    for sink in sinks:
        sink.notice(frame)
        sink.close(GOING_AWAY)


_hub = Hub()


def hub() -> Hub:
    """The feed of this process."""
    return _hub
