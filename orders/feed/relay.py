"""The feed between processes: an engine's commits to every process that has a hub, one message each, over the channel layer.

Theory of operation
-------------------
* ``Sender`` belongs to an engine. Its ``listener`` only queues: the engine's thread never waits for the network. A loop in a
  thread of its own encodes what is queued and sends it to the group; commits that pile up share a message. What the engine
  says of itself (``orders.status``) goes the same way, at once, and now and then to say that it is there.
* ``Receiver`` belongs to a server's loop. It joins the group and hands commits to the hub, news to ``orders.watching``.
* Nothing here is kept and nothing repeated: what gets lost on the way the hub misses, and reads from the tables. An engine's
  news say how far it is: where its commits have not come that far, the hub is told to look (``suspect``).
* After a while of silence the receiver joins anew: a connection may be dead without anybody having said so.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from channels.layers import get_channel_layer

from orders import meters, status, watching
from orders.feed import relay_wire
from orders.feed.publisher import CommitMessage
from orders.watching import News

log = logging.getLogger(__name__)

GROUP = "oms.feed"
# What Channels calls the kind of a message.
KIND = "feed.commits"
# Commits that may wait to be sent: some seconds of a busy market. The oldest go first, and the hubs read what they miss.
MAX_WAITING = 1_000
# Encoded commits that share a message: bounds what a receiver must take in at once.
MAX_MESSAGE_BYTES = 512 * 1024
# An engine says at least so often how it is.
BEAT_SECONDS = 1.0
# The layer must have taken a message by then.
SEND_SECONDS = 2.0
# Before a layer that failed is tried again.
RETRY_SECONDS = 0.5
# A receiver that hears nothing for so long joins anew.
SILENCE_SECONDS = 5.0
# Joining and leaving: a server that answers does so at once.
JOIN_SECONDS = 3.0
# What an ending engine gives its last messages.
STOP_SECONDS = 2.0


class Sender:
    """An engine's end. ``start``, ``listener`` from the engine's thread, ``stop``."""

    def __init__(self, layer: Any = None) -> None:
        self._layer = layer if layer is not None else get_channel_layer()
        self._waiting: deque[CommitMessage] = deque(maxlen=MAX_WAITING)
        self._states: dict[int, News] = {}
        self._loop = asyncio.new_event_loop()
        self._ending = False
        self._scheduled = False
        self._is_away = False
        self._ended = Event()
        self._wanted: asyncio.Event
        self._thread = Thread(target=self._run, name="relay-sender", daemon=True)

    def start(self) -> None:
        self._wanted = asyncio.Event()
        status.listeners.append(self.state_changed)
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, as long as that does not take too long, then end."""
        with suppress(ValueError):
            status.listeners.remove(self.state_changed)
        self._ending = True
        self._wake()
        self._ended.wait(STOP_SECONDS)

    def listener(self, message: CommitMessage) -> None:
        """Take a commit. Returns at once, whatever the network does."""
        if len(self._waiting) == MAX_WAITING:
            meters.relay_dropped["sender",].inc()
        self._waiting.append(message)
        self._wake()

    def state_changed(self) -> None:
        """A shard of this process has changed: for ``status.listeners``."""
        self._wake()

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            with suppress(RuntimeError):  # the loop is closed: nothing is sent any more
                self._loop.call_soon_threadsafe(self._want)

    def _want(self) -> None:
        self._scheduled = False
        self._wanted.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._send_all())
        finally:
            self._ended.set()
            self._loop.close()

    async def _send_all(self) -> None:
        while not self._ending:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._wanted.wait()
            self._wanted.clear()
            await self._send_waiting()
        await self._send_waiting()
        with suppress(Exception):
            await asyncio.wait_for(self._layer.flush(), JOIN_SECONDS)

    async def _send_waiting(self) -> None:
        """Everything that waits, in as few messages as its size allows; at least how this engine is."""
        states = [relay_wire.encode_news(news) for news in news_of_this_process()]
        first = True
        while first or self._waiting:
            commits: list[bytes] = []
            size = 0
            while self._waiting and size < MAX_MESSAGE_BYTES:
                commits.append(relay_wire.encode_commit(self._waiting.popleft()))
                size += len(commits[-1])
            await self._send(relay_wire.join(commits, states if first else ()), len(commits))
            first = False

    async def _send(self, data: bytes, commits: int) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._layer.group_send(GROUP, {"type": KIND, "data": data})
        except Exception as error:
            meters.relay_dropped["sender",].inc(commits)
            if not self._is_away:
                log.warning("the feed does not reach the web processes: %r; they read the tables meanwhile", error)
            self._is_away = True
            await asyncio.sleep(RETRY_SECONDS)
            return
        meters.relay_sent.inc(commits)
        if self._is_away:
            self._is_away = False
            log.warning("the feed reaches the web processes again")


def news_of_this_process() -> list[News]:
    """How the shards stand whose engines run here."""
    return [
        News(shard.shard_id, shard.epoch, shard.sequence, shard.state, shard.detail) for shard in status.shard_list()
    ]


class Receiver:
    """A server's end. ``take`` gets every commit, ``told`` what engines say, both in the server's loop."""

    def __init__(
        self,
        take: Callable[[CommitMessage], None],
        told: Callable[[News], None] | None = None,
        suspect: Callable[[], None] = lambda: None,
        layer: Any = None,
    ) -> None:
        self._take = take
        self._told = told
        # Called where commits may have been lost: before it had joined, or because an engine is further.
        self._suspect = suspect
        self._heard: dict[int, int] = {}
        self._layer = layer if layer is not None else get_channel_layer()
        self._task: asyncio.Task[None] | None = None
        self._is_away = False
        self._is_strange = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, as soon as the loop runs. In the loop, or before it runs."""
        self._task = loop.create_task(self._receive_for_ever(), name="relay-receiver")

    def stop(self) -> None:
        """In the loop."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _receive_for_ever(self) -> None:
        while True:
            try:
                channel = await asyncio.wait_for(self._join(), JOIN_SECONDS)
                await self._receive(channel)
            except Exception as error:
                if not self._is_away:
                    log.warning("the feed of the engines is away: %r; what it misses comes from the tables", error)
                self._is_away = True
            finally:
                with suppress(Exception):
                    await asyncio.wait_for(self._layer.flush(), JOIN_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)

    async def _join(self) -> str:
        channel: str = await self._layer.new_channel("oms.feed.")
        await self._layer.group_add(GROUP, channel)
        return channel

    async def _receive(self, channel: str) -> None:
        """Until nothing has come for long."""
        if self._is_away:
            log.warning("the feed of the engines is back")
        self._is_away = False
        self._suspect()
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    message = await self._layer.receive(channel)
            except TimeoutError:
                log.debug("no engine has been heard of: joining the feed anew")
                return
            self.deliver(message)

    def deliver(self, message: Any) -> None:
        """Hand on what a message brings. Never raises: what cannot be read is told of once, and missed."""
        try:
            relayed = relay_wire.decode(message["data"])
        except (relay_wire.RelayError, KeyError, TypeError) as error:
            meters.relay_dropped["receiver",].inc()
            if not self._is_strange:
                log.error("a message of the feed is ignored, and others like it: %s", error)
            self._is_strange = True
            return
        meters.relay_messages.inc()
        meters.relay_received.inc(len(relayed.commits))
        self._hand_on(relayed.commits, relayed.news)

    def _hand_on(self, commits: Iterable[CommitMessage], news: Iterable[News]) -> None:
        heard = self._heard
        for commit in commits:
            heard[commit.shard_id] = max(commit.sequence, heard.get(commit.shard_id, 0))
            self._take(commit)
        told = self._told or watching.start().told
        for item in news:
            told(item)
            if item.sequence > heard.get(item.shard_id, 0):
                heard[item.shard_id] = item.sequence
                self._suspect()
