"""A program that listens: the reference client's session, the service's protocol core, and a bad line between them.

Whatever the session believes is held against the truth after every message: a book that is not ``stale`` and is not what
the engine had at that very number is an undetected gap, and so is a trade or an execution that was left out, doubled or
out of its order.
"""

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from oms_client.book import Book
from oms_client.executions import Executions
from oms_client.following import Follower
from oms_client.latest import Positions
from oms_client.line import Connect, Output, Reconnect, Send, Told, Topic
from oms_client.models import Candle, Execution, Skipped, Trade
from oms_client.session import Session
from oms_client.tape import CandleSeries, Tape
from orders.actors import Actor
from orders.charts import candle_list
from orders.feed.board import Key
from orders.feed.frames import Frame
from orders.models import Position
from orders.sockets.protocol import SocketProtocol
from orders.sockets.tasks import Authenticate, OpenExecutions, OpenPositions, Subscribe, Task
from tests.soak.harm import Harm, Line
from tests.soak.world import SYMBOLS, Levels, World

TRADES = [Topic("trades", symbol) for symbol in SYMBOLS]
EXECUTIONS = Topic("executions")
INTERVAL = "1m"


class UndetectedGap(AssertionError):
    """The client believes what is not so."""


class Served:
    """The server's end: a sink of the hub around the protocol core, which does what the shell of a real socket does."""

    def __init__(self, world: World, actor: Actor) -> None:
        self.world = world
        self.actor = actor
        self.hub = world.hub
        self.protocol = SocketProtocol(actor=None, public_market_data=True, connection_id="soak", at=world.clock())
        self.is_open = self.hub.connect(self)
        self._inbox: deque[str] = deque()
        self._opening: asyncio.Task[None] | None = None

    def receive(self, text: str) -> None:
        """One message of the client, when those before it are done with."""
        self._inbox.append(text)
        self._go_on()

    def _go_on(self) -> None:
        while self._inbox and self._opening is None:
            task = self.protocol.receive(self._inbox.popleft(), self.world.clock())
            if task is not None:
                self._do(task)

    def _do(self, task: Task) -> None:
        if isinstance(task, Authenticate):
            self.protocol.authenticated(task, self.actor)
        elif isinstance(task, Subscribe):
            infos = [info for info in self.world.infos if info.symbol in task.symbols]
            for info in self.protocol.subscribed(task, infos):
                self.hub.subscribe(self, task.channel, info, task.detail)
        else:
            assert isinstance(task, OpenExecutions | OpenPositions), task
            self._opening = self.world.loop.create_task(self._open(task))

    async def _open(self, task: OpenExecutions | OpenPositions) -> None:
        account = (task.actor.account_id, task.actor.account_name)
        if isinstance(task, OpenExecutions):
            opening = await self.hub.open_executions(self, *account, task.after)
            self.protocol.executions_opened(task)
            opening.tell()
            self.protocol.executions_told()
        else:
            opening = await self.hub.open_positions(self, *account)
            self.protocol.positions_opened(task)
            opening.tell()
        self._opening = None
        self._go_on()

    def pump(self) -> Iterator[str]:
        """Everything that waits, as a socket that can be written to takes it."""
        while True:
            while (frame := self.protocol.outbox.take()) is not None:
                yield frame.text
            lost = self.protocol.lost()
            for channel, info, detail in lost:
                self.hub.subscribe(self, channel, info, detail)
            if not lost:
                break

    def tick(self) -> None:
        self.protocol.tick(self.world.clock(), reads=True, writes=True)

    def close_now(self) -> None:
        self.is_open = False
        self.hub.disconnect(self)
        if self._opening is not None:
            self._opening.cancel()

    # A sink

    def market(self, key: Key, frame: Frame) -> None:
        self.protocol.market(key, frame)

    def execution(self, frame: Frame, order_id: int) -> None:
        self.protocol.execution(frame, order_id)

    def notice(self, frame: Frame) -> None:
        self.protocol.notice(frame)

    def close(self, code: int) -> None:
        self.protocol.close(code)


class Reader:
    """One client: books of both instruments at ``depth``, trades, candles, and the account's streams where ``private``."""

    def __init__(
        self, world: World, rng: random.Random, harm: Harm, actor: Actor, depth: int, *, private: bool, book: type[Book]
    ) -> None:
        self.world = world
        self.rng = rng
        self.harm = harm
        self.actor = actor
        self.session = Session(key="secret", jitter=rng.random)
        stats = self.session.stats
        self.books = [book(symbol, depth, stats) for symbol in SYMBOLS]
        self.tapes = [Tape(symbol, stats) for symbol in SYMBOLS]
        self.candles = [CandleSeries(symbol, stats) for symbol in SYMBOLS]
        self.positions = Positions(stats)
        self.depth = depth
        self.private = private
        # Where each tape is in the truth's list of trades; -1: nothing told yet.
        self._trades_told = [-1, -1]
        self.executions: list[int] = []
        self.served: Served | None = None
        self.line = Line(rng, harm)
        self.slow_for = 0
        self._connect_at: float | None = world.loop.now
        self._checked: list[tuple[int, int]] = [(-1, -1)] * len(self.books)
        for follower in self.books:
            self._subscribe(Topic("book", follower.symbol), follower, depth=depth)
        for follower in self.tapes:
            self._subscribe(Topic("trades", follower.symbol), follower)
        for follower in self.candles:
            self._subscribe(Topic("candles", follower.symbol, INTERVAL), follower, interval=INTERVAL)
        if private:
            self._subscribe(EXECUTIONS, Executions({0: 0}, stats))
            self._subscribe(Topic("positions"), self.positions)

    def _subscribe(self, topic: Topic, follower: Follower, **terms: object) -> None:
        self._do(self.session.subscribe(topic, follower, terms, self.now))

    @property
    def now(self) -> float:
        return self.world.loop.now

    # What happens

    def step(self) -> None:
        """Connect, read, as far as the reader is not slow just now."""
        if self.served is None:
            if self._connect_at is not None and self.now >= self._connect_at:
                self._connect()
        elif self.slow_for:
            self.slow_for -= 1
        else:
            self.read()

    def read(self) -> None:
        served = self.served
        if served is None:
            return
        for sent in served.pump():
            for text in self.line.carry(sent):
                self._receive(text)
                if self.served is not served:
                    return
        if served.protocol.is_over:
            self._disconnected(served.protocol.close_code)

    def tick(self) -> None:
        self._do(self.session.tick(self.now))
        if self.served is not None:
            self.served.tick()

    def cut(self) -> None:
        """The connection breaks, and what was on its way is gone."""
        if self.served is not None:
            self.harm.cuts += 1
            self._disconnected(None)

    def calm(self) -> None:
        """A quick reader on a good line, from now on."""
        self.slow_for = 0
        for text in self.line.calm():
            self._receive(text)

    def _connect(self) -> None:
        served = Served(self.world, self.actor)
        if not served.is_open:
            self._disconnected(None)
            return
        self._connect_at = None
        self.served = served
        self._do(self.session.connected(self.now))

    def _disconnected(self, close_code: int | None) -> None:
        if self.served is not None:
            self.served.close_now()
            self.served = None
            self.line = Line(self.rng, self.harm, rough=self.line.rough)
        self._do(self.session.disconnected(self.now, close_code))

    def _receive(self, text: str) -> None:
        self._do(self.session.received(text, self.now))
        for place, book in enumerate(self.books):
            if not book.stale and (book.epoch, book.sequence) != self._checked[place]:
                self._checked[place] = (book.epoch, book.sequence)
                self.check(book)

    def _do(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                if self.served is not None:
                    self.served.receive(output.text)
            elif isinstance(output, Told):
                self._told(output.topic, output.items)
            elif isinstance(output, Connect):
                self._connect_at = self.now + output.delay_seconds
            elif isinstance(output, Reconnect):
                self._disconnected(None)
            else:
                raise AssertionError(output)

    # The truth

    def check(self, book: Book) -> None:
        """The book as believed against the book as it was."""
        try:
            truth = self.world.truth.book(book.symbol, book.sequence)
        except KeyError:
            raise UndetectedGap(f"{book.symbol} never was at {book.sequence}") from None
        believed = units(book.bids), units(book.asks)
        expected = truth[0][: self.depth], truth[1][: self.depth]
        if believed != expected:
            raise UndetectedGap(f"{book.symbol} at {book.sequence}, depth {self.depth}: {believed}, was {expected}")

    def _told(self, topic: Topic, items: Iterable[Any]) -> None:
        if topic in TRADES:
            self._trades(TRADES.index(topic), items)
        elif topic == EXECUTIONS:
            for item in items:
                assert isinstance(item, Execution)
                self.executions.append(item.sequence)

    def _trades(self, place: int, items: Iterable[Any]) -> None:
        """Trades must be all there are, in order; what is skipped is said to be."""
        truth = self.world.truth.trades[SYMBOLS[place]]
        for item in items:
            at = self._trades_told[place] + 1
            if isinstance(item, Skipped):
                first = at
                while at < len(truth) and truth[at] <= item.sequence:
                    at += 1
                assert item.count in (None, at - first), f"{at - first} trades were skipped: {item}"
                self._trades_told[place] = at - 1
                continue
            assert isinstance(item, Trade)
            if not at and self._trades_told[place] < 0:
                at = truth.index(item.sequence)
            if at >= len(truth) or truth[at] != item.sequence:
                raise UndetectedGap(
                    f"trade {item.sequence} of {SYMBOLS[place]} came where {truth[at : at + 3]} is next"
                )
            self._trades_told[place] = at

    def check_streams(self) -> None:
        """Everything there is has been told: what tables say of trades, candles and positions."""
        for place, info in enumerate(self.world.infos):
            trades = self.world.truth.trades[info.symbol]
            assert self._trades_told[place] == len(trades) - 1, f"the last trades of {info.symbol} were not told"
            believed = [candle_units(candle) for candle in self.candles[place].latest]
            logged = candle_list(info, INTERVAL, None, None, len(believed))
            assert believed == [candle[:6] for candle in logged], f"candles of {info.symbol}"
            if self.private:
                position = self.positions.by_symbol[info.symbol]
                row = Position.objects.get(account_id=self.actor.account_id, instrument_id=info.id)
                assert (row.bought, row.sold) == tuple(int(part * 1_000) for part in (position.bought, position.sold))


def candle_units(candle: Candle) -> tuple[int, ...]:
    """Start in microseconds, open, high, low, close, volume."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    return (
        int(candle.time.timestamp()) * 1_000_000,
        *(int(price * 100) for price in prices),
        int(candle.volume * 1_000),
    )


def units(rows: list[tuple[str, str, int]]) -> Levels:
    """Levels as sent, in units."""
    return tuple(
        (int(price.replace(".", "")), int(quantity.replace(".", "")), orders) for price, quantity, orders in rows
    )
