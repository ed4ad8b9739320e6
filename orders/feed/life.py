"""The hub between a start and the next stop: copies of every book and whatever else is followed, and who is told of it.

Theory of operation
-------------------
* Commit messages come from the engine's thread (``take``) and wait in an inbox. They are absorbed, in order and under
  the lock, by whoever comes first: the server's loop, or a thread that asks for a book (so it sees every commit that was
  answered before). Absorbing moves the copies and encodes what somebody listens to; only the loop hands it to sockets.
* A message is a hint, the tables are the truth. A change that does not chain to what is known (``previous``), or a higher
  epoch, makes a copy distrusted: its readers are told ``resync``, changes are kept, the tables are read in one consistent
  read, and a snapshot follows. An older epoch is ignored.
* The shard's own chain tells of commits that were lost and of which nothing has followed yet: then every copy is compared
  with the tables. One lost without a successor is found by the heartbeat, which compares with where the engine says it stands.
* Everything about subscriptions happens in the loop. Nothing here touches the database except in threads of its own.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from time import time_ns

from orders import status
from orders.feed import frames, reading
from orders.feed.board import Board, Channel, Key, Sink
from orders.feed.books import Books, BookView
from orders.feed.candles import Candles
from orders.feed.following import Followed
from orders.feed.frames import BOOK, CANDLES, INSTRUMENTS, STATUS, TICKER, TRADES
from orders.feed.positions import Positions
from orders.feed.publisher import CommitMessage
from orders.feed.sessions import Sessions, SessionView
from orders.feed.states import States
from orders.feed.streams import Executions
from orders.feed.tapes import Tape
from orders.feed.tickers import Tickers
from orders.levels import InstrumentLevels
from orders.selectors import InstrumentInfo

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5
# After the way of the commits was interrupted: until it must have brought one that was under way.
SUSPECT_SECONDS = 1
# Commits that may wait for the loop. A loop this far behind has lost touch: the oldest go, and everything is read anew.
MAX_WAITING_COMMITS = 10_000


class Life:
    """Made by ``start``, ended by ``stop``; never begun again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, begin_anew: Callable[[], None] = lambda: None) -> None:
        self._begin_anew = begin_anew
        self.board = Board(loop, self._absorb)
        self.sessions = Sessions(self.board, lambda shard_id: self.books.load(shard_id))
        self.books = Books(self.board, self._found)
        self.tapes = Followed(self.board, TRADES, Tape)
        self.candles = Followed(self.board, CANDLES, Candles)
        self.tickers = Tickers(self.board, self.books.live)
        self.states = States(self.board)
        self.executions = Executions(self.board)
        self.positions = Positions(self.board)
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

    def end(self, code: int) -> None:
        self.states.stop()
        with self.board.lock:
            self.board.shut()
            sinks = list(self.board.sinks)
        if self.board.loop.is_running():
            self.board.call_soon(_say_goodbye, sinks, code, self._timer)

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
        if known and shard.heard < message.previous:
            self._miss(message)
        shard.heard = max(shard.heard, message.sequence)
        shard.heard_at = max(shard.heard_at, message.at)
        shard.sequence = max(shard.sequence, message.sequence)
        for instrument_id in message.instruments:
            self._expect_at(instrument_id, message.shard_id)
        self.sessions.absorb(message)
        self.books.absorb(message)
        for followed in (self.tapes, self.candles, self.tickers):
            followed.absorb(message)
        self.tickers.settle(message)
        self.executions.absorb(message, self.books.info)
        self.positions.absorb(message, self.books.info)

    def _miss(self, message: CommitMessage) -> None:
        """A commit is missing before this one.

        What chains sees that by itself if it is about it, but perhaps not for long: so the tables are compared with everything.
        """
        shard_id = message.shard_id
        self.sessions.distrust(shard_id)
        self.executions.distrust(shard_id)
        self.positions.distrust(shard_id)
        self.board.shard(shard_id).missed = message.sequence
        self.board.later(self.books.load, shard_id)

    def _distrust(self, shard_id: int, reason: str) -> None:
        # What is being read right now may be older than what was lost.
        shard = self.board.shard(shard_id)
        shard.missed = shard.sequence
        self.books.distrust(shard_id, reason)
        for followed in (self.tapes, self.candles, self.tickers):
            followed.distrust(shard_id, reason)
        self.sessions.distrust(shard_id)
        self.executions.distrust(shard_id)
        self.positions.distrust(shard_id)

    def _expect_at(self, instrument_id: int, shard_id: int) -> None:
        """Where an instrument is. One that has moved has other numbers from here on, in everything that is kept of it."""
        known = self.books.info(instrument_id)
        if known is not None and known.shard_id != shard_id:
            log.warning("%s has moved to shard %d; the feed begins anew", known.symbol, shard_id)
            self.board.later(self._begin_anew)

    def _found(self, found: InstrumentLevels, epoch: int, sequence: int, at: int) -> None:
        """An instrument has been read, with its book."""
        self._expect_at(found.info.id, found.info.shard_id)
        self.sessions.load(found, epoch, sequence, at)
        if sequence <= self.board.shard(found.info.shard_id).heard:
            for followed in (self.tapes, self.candles, self.tickers):
                followed.compare(found.info.id, found.last_trade_sequence)
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
        """The engine is ahead and nothing has come since the last beat: a message got lost, and none after it.

        Or it is another engine, that has not committed anything yet.
        """
        for shard_id, shard in self.board.shards.items():
            known = status.shards.get(shard_id)
            behind = known is not None and (known.epoch, known.sequence) > (shard.epoch, shard.heard)
            if known is not None and behind and shard.last_beat == shard.heard and not shard.loading:
                log.error("shard %d: nothing was heard of the commits up to %d", shard_id, known.sequence)
                reason = "gap" if known.epoch == shard.epoch else "epoch"
                shard.epoch, shard.heard = known.epoch, known.sequence
                self._distrust(shard_id, reason)
            shard.last_beat = shard.heard

    def suspect(self) -> None:
        """Commits may have been lost, and none has come after them yet: compare with where the engines say they stand."""
        with self.board.lock:
            for shard in self.board.shards.values():
                shard.last_beat = shard.heard
        self.board.loop.call_later(SUSPECT_SECONDS, self._compare)

    def _compare(self) -> None:
        if self.board.open:
            with self.board.lock:
                self.board.catch_up()
                self._look_for_silent_loss()
                self.board.deliver()

    # Readers

    def view(self, instrument_id: int, depth: int) -> BookView | None:
        with self.board.lock:
            self._absorb()
            book = self.books.live(instrument_id)
            return None if book is None else book.view(depth)

    def has_come_to(self, standing: dict[int, int]) -> bool:
        """Whether every commit up to these sequences (by shard) has been taken in, without a hole. Any thread."""
        with self.board.lock:
            self._absorb()
            shards = [(self.board.shard(shard_id), sequence) for shard_id, sequence in standing.items()]
            return all(shard.sequence >= sequence and shard.compared >= shard.missed for shard, sequence in shards)

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
            self.executions.close(sink)
            self.positions.close(sink)

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


def _say_goodbye(sinks: Iterable[Sink], code: int, beat: asyncio.TimerHandle | None) -> None:
    if beat is not None:
        beat.cancel()
    frame = frames.server_shutdown()
    for sink in sinks:
        sink.notice(frame)
        sink.close(code)
