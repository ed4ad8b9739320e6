"""What the parts of the hub share: the loop, the lock, who listens to what, what is to be sent, reads in threads.

The lock guards the copies and the outbox, which any thread may move and fill. Only the loop empties the outbox, changes
who listens, and talks to sockets.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import RLock
from typing import Any, Protocol

from orders import status
from orders.feed import reading
from orders.feed.frames import BOOK, Frame

log = logging.getLogger(__name__)

# Threads that read for the feed: one for a long read of levels, others for those who join meanwhile.
READ_THREADS = 3
# Before a read that failed, or came too early, is tried again.
RETRY_SECONDS = 0.25


# What a message is about, or what a socket listens to: channel, instrument id, and a detail: the depth of a book, the index
# of a candle's interval, otherwise 0.
Key = tuple[str, int, int]


def told_as(key: Key) -> Key:
    """How a message is named to a socket: a socket has each book at one depth, so the depth is 0 there."""
    return (BOOK, key[1], 0) if key[0] == BOOK else key


class Sink(Protocol):
    """A socket, as the feed sees it. Called in the server's loop; must not block."""

    def market(self, key: Key, frame: Frame) -> None:
        """A message that a newer one, or a new snapshot, can stand for; named as ``told_as`` says."""

    def execution(self, frame: Frame, order_id: int) -> None:
        """A step of an order of the account (0: where the stream begins): must not be dropped."""

    def notice(self, frame: Frame) -> None:
        """A message of the connection itself."""

    def close(self, code: int) -> None:
        """End the connection once what waits is sent."""


class Channel(Protocol):
    """A channel of the hub that anybody may listen to. In the loop, under the board's lock."""

    def subscribe(self, sink: Sink, info: Any, detail: int) -> None:
        """A snapshot (at once, or when it has been read), then updates."""

    def deserted(self, instrument_id: int, detail: int) -> None:
        """Nobody listens any more."""


class ShardView:
    """Where a shard stands as far as the feed has heard, and whether its levels are being read."""

    __slots__ = ("compared", "epoch", "heard", "heard_at", "last_beat", "loading", "missed", "sequence")

    def __init__(self) -> None:
        self.epoch = 0
        self.sequence = 0
        # The last commit that was heard of; what is read may be ahead of it.
        self.heard = 0
        # Its time, microseconds since 1970.
        self.heard_at = 0
        # The same at the last heartbeat.
        self.last_beat = -1
        # The last commit about an instrument not known here, or after a gap: what was read before it is not enough.
        self.missed = 0
        # How far everything has been compared with the tables.
        self.compared = 0
        self.loading = False


class Board:
    """Made for one life of the hub, from ``start`` to ``stop``. ``settle`` takes in what waits; called under the lock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settle: Callable[[], None]) -> None:
        self.loop = loop
        self.lock = RLock()
        self.open = True
        self.shards: dict[int, ShardView] = {}
        self.sinks: dict[Sink, set[Key]] = {}
        # Take in what waits. Under the lock, any thread.
        self.settle = settle
        # Whom to call for each key.
        self._readers: dict[Key, dict[Sink, Callable[[Key, Frame], None]]] = {}
        self._outbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._pool = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="feed-read")

    def shut(self) -> None:
        """No more reads, no more messages."""
        self.open = False
        self._pool.shutdown(wait=False, cancel_futures=True)

    def shard(self, shard_id: int) -> ShardView:
        return self.shards.setdefault(shard_id, ShardView())

    def epoch(self, shard_id: int) -> int:
        """What is told of a shard's owner: as the feed has heard or, before it has heard anything, as the process knows."""
        heard, known = self.shards.get(shard_id), status.shards.get(shard_id)
        return (heard.epoch if heard else 0) or (known.epoch if known else 0)

    # Out

    def later(self, action: Callable[..., None], *arguments: Any) -> None:
        """What only the loop may do, in its turn among the messages. Under the lock, any thread."""
        self._outbox.append((action, arguments))

    def deliver(self) -> None:
        """Do what was put off. In the loop, under the lock."""
        while self._outbox:
            action, arguments = self._outbox.popleft()
            action(*arguments)

    def catch_up(self) -> None:
        """Take in and hand out everything that waits, so that what follows fits to it. In the loop, under the lock."""
        self.settle()
        self.deliver()

    def flush(self) -> None:
        """The same for who does not hold the lock. In the loop."""
        with self.lock:
            self.catch_up()

    def send(self, key: Key, frame: Frame) -> None:
        """To everybody who listens to ``key``. In the loop.

        A socket that finds itself dead may leave meanwhile: so a copy of who listens is gone through, made at once.
        """
        readers = self._readers.get(key)
        if readers:
            name = told_as(key)
            for tell in tuple(readers.values()):
                tell(name, frame)

    # Readers (in the loop, under the lock)

    def join(self, sink: Sink, key: Key) -> bool:
        """Answers False for a socket that is gone."""
        if sink not in self.sinks:
            return False
        self.sinks[sink].add(key)
        self._readers.setdefault(key, {})[sink] = sink.market
        return True

    def leave(self, sink: Sink, key: Key) -> bool:
        """Answers whether nobody listens to ``key`` any more."""
        self.sinks.get(sink, set()).discard(key)
        readers = self._readers.get(key)
        if readers is None:
            return False
        readers.pop(sink, None)
        if readers:
            return False
        del self._readers[key]
        return True

    def is_heard(self, key: Key) -> bool:
        """Whether somebody listens to ``key``."""
        return key in self._readers

    def depths(self, channel: str, instrument_id: int) -> list[int]:
        """The depths at which somebody listens."""
        return [depth for its, of, depth in self._readers if its == channel and of == instrument_id]

    # Reads

    def read(
        self, done: Callable[[Any, Exception | None], None], question: Callable[..., Any], *arguments: Any
    ) -> None:
        """Ask the tables in a thread, then ``done(answer, error)`` in the loop, under the lock, all caught up."""
        if self.open:
            future = self._pool.submit(reading.in_thread, question, *arguments)
            future.add_done_callback(lambda answered: self._answered(done, answered))

    async def ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """The same for those who wait. In the loop."""
        return await self.loop.run_in_executor(self._pool, reading.in_thread, question, *arguments)

    def again(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do it after a moment."""
        if self.open:
            self.loop.call_later(RETRY_SECONDS, self._once_more, action, arguments)

    def call_soon(self, action: Callable[..., None], *arguments: Any) -> None:
        """Have the loop do it. Any thread."""
        try:
            self.loop.call_soon_threadsafe(action, *arguments)
        except RuntimeError:
            log.info("the server's loop is closed; the feed ends")

    def _once_more(self, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self.open:
            with self.lock:
                action(*arguments)

    def _answered(self, done: Callable[..., None], future: "Future[Any]") -> None:
        if self.open and not future.cancelled():
            self.call_soon(self._hand_over, done, future)

    def _hand_over(self, done: Callable[..., None], future: "Future[Any]") -> None:
        if not self.open:
            return
        error = future.exception()
        with self.lock:
            self.catch_up()
            done(None if error else future.result(), error)
            self.deliver()
