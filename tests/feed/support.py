"""A hub with an engine and a loop of its own, and sockets that only remember."""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep, time_ns
from typing import Any
from unittest.mock import patch

from orders import selectors
from orders.engine.service import EmbeddedEngine
from orders.feed import books, tickers
from orders.feed.board import Key
from orders.feed.frames import Frame
from orders.feed.hub import Hub, hub
from orders.feed.publisher import CommitMessage
from orders.selectors import InstrumentInfo

WAIT_SECONDS = 10


class LoopThread:
    """An asyncio loop in a thread, as the server's is."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="test-loop", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a plain function in the loop and give back what it answers."""

        async def run() -> Any:
            return function(*arguments)

        return self.run(run())

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_SECONDS)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_SECONDS)
        self.loop.close()


class Recorder:
    """A sink that remembers what it was told, decoded; ``frames`` has it as it came."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.messages: list[dict[str, Any]] = []
        self.closed: int | None = None

    def market(self, key: Key, frame: Frame) -> None:
        self._take(frame)

    def execution(self, frame: Frame, order_id: int) -> None:
        self._take(frame)

    def notice(self, frame: Frame) -> None:
        self._take(frame)

    def close(self, code: int) -> None:
        self.closed = code

    def _take(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.messages.append(json.loads(frame.data))

    def of(self, channel: str, kind: str | None = None) -> list[dict[str, Any]]:
        found = [message for message in self.messages if message.get("channel") == channel]
        return [message for message in found if kind is None or message["type"] == kind]


class Feed:
    """The hub of this process on a loop, and an engine; ``drop`` decides which commit messages get lost on the way.

    ``ahead`` is how many microseconds it is later for both than it really is.
    """

    def __init__(self, loop: LoopThread) -> None:
        self.loop = loop
        self.hub: Hub = hub()
        self.drop: Callable[[CommitMessage], bool] = lambda message: False
        self.heard: list[CommitMessage] = []
        self.ahead = 0
        self.engine: EmbeddedEngine

    def start_engine(self) -> None:
        """The first one, or after a stop the next."""
        self.engine = EmbeddedEngine(0, [self.listener])
        self.engine.__enter__()

    def restart_engine(self) -> None:
        self.engine.stop()
        self.start_engine()

    def now(self) -> int:
        return time_ns() // 1000 + self.ahead

    def pass_time(self, microseconds: int) -> None:
        """Time for an engine is that of the last command, if that is later than its clock."""
        self.ahead += microseconds
        self.engine.loop.state.at = self.now()

    def spoil(self, seed: int) -> None:
        """From now on messages get lost, come twice, come after the next one."""
        chance = random.Random(seed)
        late: list[CommitMessage] = []

        def spoiled(message: CommitMessage) -> bool:
            what = chance.random()
            if what < 0.2:
                if what < 0.1:
                    late.append(message)
                return True
            if what < 0.3:
                self.hub.listener(chance.choice(self.heard))
            self.hub.listener(message)
            while late:
                self.hub.listener(late.pop())
            return True

        self.drop = spoiled

    def mend(self) -> None:
        """From now on all is well."""
        self.drop = lambda message: False

    def listener(self, message: CommitMessage) -> None:
        self.heard.append(message)
        if not self.drop(message):
            self.hub.listener(message)

    def connect(self) -> Recorder:
        sink = Recorder()
        assert self.loop.call(self.hub.connect, sink)
        return sink

    def subscribe(
        self, channel: str, info: InstrumentInfo | None, detail: int = 0, sink: Recorder | None = None
    ) -> Recorder:
        sink = sink or self.connect()
        self.loop.call(self.hub.subscribe, sink, channel, info, detail)
        return sink

    def subscribe_book(self, info: InstrumentInfo, depth: int, sink: Recorder | None = None) -> Recorder:
        return self.subscribe("book", info, depth, sink)

    def subscribe_trades(self, info: InstrumentInfo) -> Recorder:
        return self.subscribe("trades", info)

    def open_executions(self, account: Any, after: dict[int, int] | None = None) -> Recorder:
        sink = self.connect()

        async def open_and_tell() -> None:
            opening = await self.hub.open_executions(sink, account.id, account.name, after)
            opening.tell()

        self.loop.run(open_and_tell())
        return sink

    def open_positions(self, account: Any) -> Recorder:
        sink = self.connect()

        async def open_and_tell() -> None:
            opening = await self.hub.open_positions(sink, account.id, account.name)
            opening.tell()

        self.loop.run(open_and_tell())
        return sink

    def settled(self) -> None:
        """Everything committed so far has been handed out."""
        self.loop.call(lambda: None)
        self.loop.call(lambda: None)


def wait_until(condition: Callable[[], Any], what: str = "it to happen") -> None:
    """Ask again and again; fails after ten seconds."""
    end = monotonic() + WAIT_SECONDS
    while not condition():
        assert monotonic() < end, f"waited in vain for {what}"
        sleep(0.005)


@contextmanager
def running_feed(snapshot_seconds: int = 10**9) -> Iterator[Feed]:
    """Engine and hub on the test database. Books' snapshots come unasked only where a test wants them."""
    loop = LoopThread()
    feed = Feed(loop)
    with patch.object(books, "SNAPSHOT_SECONDS", snapshot_seconds), patch.object(tickers, "now", feed.now):
        yield from _running(feed)


def _running(feed: Feed) -> Iterator[Feed]:
    loop = feed.loop
    selectors.forget_instruments()
    try:
        feed.start_engine()
        feed.hub.start(loop.loop)
        try:
            yield feed
        finally:
            feed.hub.stop()
            loop.call(lambda: None)
            feed.engine.stop()
    finally:
        loop.close()
