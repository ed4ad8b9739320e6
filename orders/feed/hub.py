"""The feed of this process: keeps a copy of every book's levels and tells each socket what it asked for.

Theory of operation
-------------------
* Commit messages come from the engine's thread (``listener``) and wait in ``_inbox``. They are absorbed, in order and under
  the lock, by whoever comes first: the server's loop, or a thread that asks for a book (so it sees every commit that was
  answered before). Absorbing moves the copies and encodes what somebody listens to into ``_outbox``; only the loop empties
  that into sockets.
* A message is a hint, the tables are the truth. A change that does not chain to what is known (``previous``), or a higher
  epoch, makes a book distrusted: its readers are told ``resync``, changes are kept, the levels are read from the tables in
  one consistent read, and a snapshot follows. An older epoch is ignored.
* A message lost without a successor is found by the heartbeat, which compares with where the engine says it stands.
* Everything about subscriptions happens in the loop; nothing here touches the database except in ``_pool``'s threads.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import RLock
from time import time_ns
from typing import Any

from orders import selectors, status
from orders.feed import frames, reading
from orders.feed.books import BookFeed, BookView
from orders.feed.frames import BOOK, TRADES
from orders.feed.publisher import BookChange, CommitMessage, TradesTold
from orders.feed.streams import ExecutionStream, Sink
from orders.feed.tapes import TAPE_LENGTH, TradeTape
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo, InstrumentLevels

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5
# Commits that may wait for the loop. A loop this far behind has lost touch: the oldest go, and everything is read anew.
MAX_WAITING_COMMITS = 10_000
# Threads that read for the feed: one for a long read of levels, others for those who join meanwhile.
READ_THREADS = 3
# Before a read that failed, or came too early, is tried again.
RETRY_SECONDS = 0.25
GOING_AWAY = 1001

# What a socket listens to: (channel, instrument id, depth); the depth of trades is 0.
Key = tuple[str, int, int]


class ShardView:
    """Where a shard stands as far as the feed has heard, and whether its levels are being read."""

    __slots__ = ("epoch", "last_beat", "loading", "missed", "sequence")

    def __init__(self) -> None:
        self.epoch = 0
        self.sequence = 0
        # The last commit that changed a book not known here: levels read before it are of no use.
        self.missed = 0
        self.last_beat = -1
        self.loading = False


class Hub:
    """One per process: see ``hub()``. Methods say in which thread they may be called."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor
        self._reset()

    def _reset(self) -> None:
        self._inbox: deque[CommitMessage] = deque(maxlen=MAX_WAITING_COMMITS)
        self._outbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._scheduled = False
        self._lost = False
        self._shards: dict[int, ShardView] = {}
        self._books: dict[int, BookFeed] = {}
        self._tapes: dict[int, TradeTape] = {}
        self._symbols: dict[str, InstrumentInfo] = {}
        self._readers: dict[Key, dict[Sink, None]] = {}
        self._streams: dict[int, dict[ExecutionStream, None]] = {}
        self._sinks: dict[Sink, set[Key]] = {}
        self._beat: asyncio.TimerHandle | None = None

    # Life

    @property
    def running(self) -> bool:
        return self._loop is not None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to follow, in ``loop`` (which may not run yet). Levels are read in the background. Any thread."""
        with self._lock:
            if self._loop is not None:
                raise RuntimeError("the hub is running already")
            self._reset()
            self._pool = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="feed-read")
            self._loop = loop
        loop.call_soon_threadsafe(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is loop:
            self._read(reading.shard_ids, (), self._shards_found)
            self._beat = loop.call_later(HEARTBEAT_SECONDS, self._heartbeat)

    def stop(self) -> None:
        """Tell every socket that the server leaves, and follow no more. Any thread."""
        with self._lock:
            loop, sinks, beat = self._loop, list(self._sinks), self._beat
            if loop is None:
                return
            self._loop = None
            self._reset()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if loop.is_running():
            loop.call_soon_threadsafe(_say_goodbye, sinks, beat)

    # Commits

    def listener(self, message: CommitMessage) -> None:
        """Take a commit. Any thread; returns at once."""
        loop = self._loop
        if loop is None:
            return
        if len(self._inbox) == MAX_WAITING_COMMITS:
            self._lost = True
        self._inbox.append(message)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(loop, self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        with self._lock:
            self._absorb()
            self._deliver()

    def _absorb(self) -> None:
        """Move the copies by everything that waits. Under the lock, any thread."""
        while self._inbox:
            message = self._inbox.popleft()
            try:
                self._absorb_commit(message)
            except Exception:
                log.exception("a commit message could not be taken in; reading everything anew")
                self._lost = True
        if self._lost:
            self._lost = False
            self._distrust_everything("gap")

    def _absorb_commit(self, message: CommitMessage) -> None:
        shard = self._shards.setdefault(message.shard_id, ShardView())
        if message.epoch < shard.epoch:
            return
        if message.epoch > shard.epoch:
            self._begin_epoch(message.shard_id, message.epoch)
        shard.sequence = max(shard.sequence, message.sequence)
        for change in message.books:
            self._absorb_change(message, change)
        for told in message.trades:
            self._absorb_trades(told)
        for execution in message.executions:
            if execution.account_id in self._streams:
                book = self._books.get(execution.instrument_id)
                frame = None
                if book is not None:
                    frame = frames.execution(book.info, shard_id=message.shard_id, epoch=message.epoch, told=execution)
                told_once = (execution.sequence, execution.previous, frame)
                self._later(self._send_execution, execution.account_id, message.shard_id, told_once)
        if any(instrument_id not in self._books for instrument_id in message.instruments):
            self._later(self._load, message.shard_id)

    def _absorb_change(self, message: CommitMessage, change: BookChange) -> None:
        book = self._books.get(change.instrument_id)
        if book is None:
            self._shards[message.shard_id].missed = message.sequence
            return
        if book.live and change.sequence <= book.sequence:
            return
        if book.live and not book.fits(change):
            self._distrust_book(book, "gap")
        if book.live:
            for depth, frame in book.apply(change, message.at):
                self._later(self._send_market, (BOOK, change.instrument_id, depth), frame)
        elif not book.offer(change, message.epoch, message.at):
            self._later(self._load, message.shard_id)

    def _absorb_trades(self, told: TradesTold) -> None:
        tape = self._tapes.get(told.instrument_id)
        if tape is None or not (tape.live or tape.loading):
            return
        if tape.live and told.trades[-1].sequence <= tape.sequence:
            return
        if tape.live and not tape.fits(told):
            self._distrust_tape(tape, "gap")
        if tape.live:
            self._later(self._send_market, (TRADES, told.instrument_id, 0), tape.apply(told))
        elif not tape.offer(told):
            self._later(self._load_tape, tape)

    # Distrust

    def _begin_epoch(self, shard_id: int, epoch: int) -> None:
        """Another engine owns the shard: nothing known before is built upon."""
        shard = self._shards[shard_id]
        known, shard.epoch = shard.epoch, epoch
        if known:
            self._distrust_everything("epoch", shard_id)

    def _distrust_everything(self, reason: str, shard_id: int | None = None) -> None:
        for book in self._books.values():
            if shard_id is None or book.info.shard_id == shard_id:
                self._distrust_book(book, reason)
        for tape in self._tapes.values():
            if tape.live and (shard_id is None or tape.info.shard_id == shard_id):
                self._distrust_tape(tape, reason)
        if reason == "gap":
            for streams in self._streams.values():
                for stream in streams:
                    self._later(self._distrust_stream, stream)
        for known in self._shards:
            if shard_id is None or known == shard_id:
                self._later(self._load, known)

    def _distrust_book(self, book: BookFeed, reason: str) -> None:
        if book.live:
            frame = frames.resync(BOOK, book.info.symbol, reason)
            for depth in book.windows:
                self._later(self._send_market, (BOOK, book.info.id, depth), frame)
        book.distrust()
        self._later(self._load, book.info.shard_id)

    def _distrust_tape(self, tape: TradeTape, reason: str) -> None:
        tape.distrust()
        self._later(self._send_market, (TRADES, tape.info.id, 0), frames.resync(TRADES, tape.info.symbol, reason))
        self._later(self._load_tape, tape)

    # Out

    def _later(self, action: Callable[..., None], *arguments: Any) -> None:
        """What only the loop may do, in its turn among the messages."""
        self._outbox.append((action, arguments))

    def _deliver(self) -> None:
        """Hand out what was encoded. In the loop, under the lock."""
        while self._outbox:
            action, arguments = self._outbox.popleft()
            action(*arguments)

    def _send_market(self, key: Key, frame: str) -> None:
        told_as = key[:2]
        for sink in self._readers.get(key, ()):
            sink.market(told_as, frame)

    def _send_execution(self, account_id: int, shard_id: int, told: reading.Told) -> None:
        for stream in self._streams.get(account_id, ()):
            if stream.shard_id == shard_id and not stream.offer(told):
                self._reread(stream)

    def _heartbeat(self) -> None:
        loop = self._loop
        if loop is None:
            return
        self._beat = loop.call_later(HEARTBEAT_SECONDS, self._heartbeat)
        with self._lock:
            self._absorb()
            self._deliver()
            self._look_for_silent_loss()
            places = {shard_id: (shard.epoch, shard.sequence) for shard_id, shard in self._shards.items()}
            frame = frames.heartbeat(places, time_ns() // 1000)
            for sink in self._sinks:
                sink.notice(frame)

    def _look_for_silent_loss(self) -> None:
        """The engine is ahead and nothing has come since the last beat: a message got lost, and none after it."""
        for shard_id, shard in self._shards.items():
            known = status.shards.get(shard_id)
            behind = known is not None and known.epoch == shard.epoch and known.sequence > shard.sequence
            if behind and shard.last_beat == shard.sequence and not shard.loading:
                log.error("shard %d: commits up to %d were not heard of", shard_id, known.sequence if known else 0)
                self._distrust_everything("gap", shard_id)
            shard.last_beat = shard.sequence
        self._deliver()

    # Reading from the tables

    def _read(self, read: Callable[..., Any], arguments: tuple[Any, ...], done: Callable[..., None]) -> None:
        """Read in a thread, then ``done(answer, error, *arguments)`` in the loop, unless the hub was stopped meanwhile."""
        loop = self._loop
        if loop is None:
            return

        def finished(future: "Future[Any]") -> None:
            if not future.cancelled() and self._loop is loop:
                self._call_soon(loop, self._finish, loop, future, done, arguments)

        self._pool.submit(reading.in_thread, read, *arguments).add_done_callback(finished)

    def _finish(
        self, loop: object, future: "Future[Any]", done: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        if self._loop is not loop:
            return
        error = future.exception()
        with self._lock:
            self._absorb()
            self._deliver()
            done(None if error else future.result(), error, *arguments)
            self._deliver()

    def _call_soon(self, loop: asyncio.AbstractEventLoop, action: Callable[..., None], *arguments: Any) -> None:
        try:
            loop.call_soon_threadsafe(action, *arguments)
        except RuntimeError:
            log.info("the server's loop is closed; the feed ends")

    def _again(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None:
            self._loop.call_later(RETRY_SECONDS, action, *arguments)

    def _shards_found(self, shard_ids: list[int] | None, error: Exception | None) -> None:
        if error is not None or not shard_ids:
            log.error("the shards cannot be read: %s", error or "there are none yet")
            self._again(self._read, reading.shard_ids, (), self._shards_found)
        for shard_id in shard_ids or ():
            self._shards.setdefault(shard_id, ShardView())
            self._load(shard_id)

    def _load(self, shard_id: int) -> None:
        """Read the levels of a shard unless that is being done. In the loop, under the lock."""
        shard = self._shards.setdefault(shard_id, ShardView())
        if not shard.loading and self._loop is not None:
            shard.loading = True
            self._read(reading.levels, (shard_id,), self._loaded)

    def _loaded(
        self,
        answer: tuple[int, int, list[InstrumentLevels]] | None,
        error: Exception | None,
        shard_id: int,
    ) -> None:
        shard = self._shards[shard_id]
        shard.loading = False
        if answer is None or answer[0] < shard.epoch or answer[1] < shard.missed:
            if error is not None:
                log.error("shard %d: its levels cannot be read: %s", shard_id, error)
            self._again(self._load, shard_id)
            return
        epoch, sequence, levels = answer
        if epoch > shard.epoch:
            self._begin_epoch(shard_id, epoch)
            self._deliver()
        shard.sequence = max(shard.sequence, sequence)
        now = time_ns() // 1000
        for found in levels:
            book = self._book(found.info)
            if not book.live and book.load(found, epoch, now):
                self._tell_snapshots(book)
        if any(not book.live for book in self._books.values() if book.info.shard_id == shard_id):
            self._again(self._load, shard_id)

    def _tell_snapshots(self, book: BookFeed) -> None:
        for channel, instrument_id, depth in list(self._readers):
            if channel == BOOK and instrument_id == book.info.id:
                book.open_window(depth)
                self._send_market((BOOK, instrument_id, depth), book.snapshot(depth))

    def _load_tape(self, tape: TradeTape) -> None:
        self._read(reading.latest_trades, (tape.info, TAPE_LENGTH), lambda *answer: self._tape_loaded(tape, *answer))

    def _tape_loaded(self, tape: TradeTape, trades: Any, error: Exception | None, *_: object) -> None:
        if not tape.loading:
            return
        if trades is not None and tape.load(trades, self._shards[tape.info.shard_id].epoch):
            self._send_market((TRADES, tape.info.id, 0), tape.snapshot())
            return
        if error is not None:
            log.error("%s: its trades cannot be read: %s", tape.info.symbol, error)
        self._again(self._load_tape, tape)

    def _distrust_stream(self, stream: ExecutionStream) -> None:
        if stream.distrust():
            self._reread(stream)

    def _reread(self, stream: ExecutionStream) -> None:
        """Read from the tables what a stream misses. Its live events are being kept."""
        if stream in self._streams.get(stream.account_id, ()):
            epoch = self._shards[stream.shard_id].epoch
            self._read(
                reading.executions,
                (stream.account_id, stream.shard_id, stream.last, epoch),
                lambda answer, error, *_: self._stream_read(stream, answer, error),
            )

    def _stream_read(self, stream: ExecutionStream, answer: Any, error: Exception | None) -> None:
        if isinstance(error, ProblemError):
            stream.sink.close(GOING_AWAY)
        elif answer is None or not stream.resume(*answer):
            self._again(self._reread, stream)

    # Readers

    def book(self, instrument_id: int, depth: int) -> BookView:
        """The top of a book, with every commit in it that was answered before the call. Any thread.

        From the tables where the feed does not run or is reading them itself. Raises ``KeyError`` for an unknown id.
        """
        if self._loop is not None:
            with self._lock:
                self._absorb()
                book = self._books.get(instrument_id)
                if book is not None and book.live:
                    return book.view(depth)
        return _view_from_tables(selectors.instrument_by_id(instrument_id), depth)

    def instrument(self, symbol: str) -> InstrumentInfo | None:
        """What is known here of a symbol."""
        return self._symbols.get(symbol)

    def connect(self, sink: Sink) -> None:
        """A socket opens: it gets heartbeats from here on. In the loop, like everything below."""
        self._sinks[sink] = set()

    def disconnect(self, sink: Sink) -> None:
        """A socket is gone, and with it all it listened to."""
        with self._lock:
            for key in list(self._sinks.pop(sink, ())):
                self._leave(sink, key)
            self._close_streams(sink)

    def subscribe_book(self, sink: Sink, info: InstrumentInfo, depth: int) -> None:
        """A snapshot (at once, or when the levels are loaded), then updates. Asking again gives a new snapshot."""
        with self._lock:
            self._absorb()
            self._deliver()
            key = (BOOK, info.id, depth)
            self._join(sink, key)
            book = self._book(info)
            if book.live:
                book.open_window(depth)
                sink.market(key[:2], book.snapshot(depth))
            else:
                self._load(info.shard_id)

    def subscribe_trades(self, sink: Sink, info: InstrumentInfo) -> None:
        """The latest trades, then updates."""
        with self._lock:
            self._absorb()
            self._deliver()
            self._join(sink, (TRADES, info.id, 0))
            tape = self._tapes.setdefault(info.id, TradeTape(info))
            if tape.live:
                sink.market((TRADES, info.id), tape.snapshot())
            elif not tape.loading:
                tape.loading = True
                self._load_tape(tape)

    def unsubscribe(self, sink: Sink, channel: str, instrument_id: int) -> None:
        """At whatever depth."""
        with self._lock:
            for key in list(self._sinks.get(sink, ())):
                if key[:2] == (channel, instrument_id):
                    self._sinks[sink].discard(key)
                    self._leave(sink, key)

    async def open_executions(
        self, sink: Sink, account_id: int, account_name: str, after: dict[int, int] | None
    ) -> "Opening":
        """Read where the account's streams stand (or what it missed since ``after``, shard -> sequence).

        Live events are kept from now on; ``Opening.tell`` sends it all. Raises ``ProblemError``.
        """
        loop = self._loop
        if loop is None:
            raise ProblemError("engine_unavailable", "The server is stopping.")
        self.close_executions(sink)
        known = self._shards or await loop.run_in_executor(self._pool, reading.in_thread, reading.shard_ids)
        asked = set(after or ()) | set(known)
        streams = [ExecutionStream(sink, account_id, account_name, shard_id) for shard_id in sorted(asked)]
        with self._lock:
            self._absorb()
            self._deliver()
            self._streams.setdefault(account_id, {}).update(dict.fromkeys(streams))
        try:
            answers = []
            for stream in streams:
                epoch = self._shards[stream.shard_id].epoch if stream.shard_id in self._shards else 0
                place = (after or {}).get(stream.shard_id)
                arguments = (account_id, stream.shard_id, place, epoch)
                answer = await loop.run_in_executor(self._pool, reading.in_thread, reading.executions, *arguments)
                answers.append((stream, epoch, answer))
        except BaseException:
            self.close_executions(sink)
            raise
        return Opening(self, answers)

    def close_executions(self, sink: Sink) -> None:
        with self._lock:
            self._close_streams(sink)

    def _book(self, info: InstrumentInfo) -> BookFeed:
        book = self._books.get(info.id)
        if book is None:
            book = self._books[info.id] = BookFeed(info)
            self._symbols[info.symbol] = info
        return book

    def _join(self, sink: Sink, key: Key) -> None:
        self.unsubscribe(sink, key[0], key[1])
        self._sinks[sink].add(key)
        self._readers.setdefault(key, {})[sink] = None

    def _leave(self, sink: Sink, key: Key) -> None:
        """Stop encoding what nobody reads any more."""
        readers = self._readers.get(key, {})
        readers.pop(sink, None)
        if readers:
            return
        self._readers.pop(key, None)
        channel, instrument_id, depth = key
        if channel == BOOK:
            self._books[instrument_id].close_window(depth)
        else:
            self._tapes[instrument_id].cool()

    def _close_streams(self, sink: Sink) -> None:
        for account_id, streams in list(self._streams.items()):
            for stream in [stream for stream in streams if stream.sink is sink]:
                del streams[stream]
            if not streams:
                del self._streams[account_id]


class Opening:
    """Streams whose past has been read."""

    def __init__(self, owner: Hub, answers: list[tuple[ExecutionStream, int, tuple[int, list[reading.Told]]]]) -> None:
        self._owner = owner
        self._answers = answers

    def tell(self) -> None:
        """Where each stream begins, what was missed, what came meanwhile; from here on it is live. In the loop."""
        for stream, epoch, (start, told) in self._answers:
            snapshot = frames.executions_snapshot(
                account=stream.account_name, shard_id=stream.shard_id, epoch=epoch, sequence=start
            )
            stream.sink.execution(snapshot)
            if not stream.resume(start, told):
                self._owner._reread(stream)


def _view_from_tables(info: InstrumentInfo, depth: int) -> BookView:
    epoch, _, found = selectors.level_list(shard_id=info.shard_id, instrument_id=info.id)
    book = BookFeed(info)
    book.load(found[0], epoch, time_ns() // 1000)
    return book.view(depth)


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
