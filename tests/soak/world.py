"""A whole service in one thread, driven step by step: engine and tables, hub, and a loop whose time is the test's.

Nothing happens by itself and nothing waits: ``commit`` carries out one group of random orders, ``turn`` lets the loop do what
is due, ``read`` answers one of the hub's questions to the tables (in a thread, as always, but when the test says so). The
same random numbers give the same course of events, which no test with threads of its own can promise.

``Truth`` remembers each book as the engine's own memory had it at every change of it: what any reader, anywhere, may
believe at that number.
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from matching.commands import Amend, Cancel, Command, DefineInstrument
from matching.order import Conditions, Order
from matching.values import BUY, IOC, MARKET, SELL, STP_NONE
from orders import gateway, selectors
from orders.bus.envelope import Envelope
from orders.bus.memory import MemoryBus
from orders.engine.loop import EngineLoop
from orders.engine.recovery import take_over
from orders.feed.hub import Hub
from orders.feed.publisher import CommitMessage
from tests.support.market import make_account

SYMBOLS = ("ACME-USD", "BOND-USD")
MIDDLE = 10_000
# Prices within this of the middle: more levels than the narrow windows show, and few enough to be compared always.
SPREAD = 40
DEEPEST = 1_000
# The more orders are open, the likelier are cancels: about a third of so many stay.
OPEN_ORDERS = 600
# Changes of a book that are remembered: a reader is never so far behind.
REMEMBERED = 20_000
START_US = 1_700_000_000_000_000

# A level as the truth has it: price, quantity, orders, in units.
Levels = tuple[tuple[int, int, int], ...]


class StepLoop(asyncio.SelectorEventLoop):
    """A loop with a clock that only ``turn`` moves; what goes wrong in it goes wrong in the test."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.failures: list[BaseException] = []
        super().__init__()
        self.set_exception_handler(lambda loop, context: self.failures.append(_failure(context)))

    def time(self) -> float:
        return self.now

    def turn(self, seconds: float = 0.0, passes: int = 2) -> None:
        """Let time pass, then do what is due."""
        self.now += seconds
        for _ in range(passes):
            self.stop()
            self.run_forever()
        if self.failures:
            raise self.failures[0]


def _failure(context: dict[str, Any]) -> BaseException:
    return context.get("exception") or RuntimeError(context["message"])


class Questions:
    """Stands for the hub's pool of threads: what is asked waits until the test lets one be answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.waiting: deque[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._thread = ThreadPoolExecutor(1)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.waiting.append((future, function, arguments))
        return future

    def answer(self) -> bool:
        """The oldest one. Answers whether there was any."""
        if not self.waiting:
            return False
        future, function, arguments = self.waiting.popleft()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(self._thread.submit(function, *arguments).result())
            except Exception as error:
                future.set_exception(error)
        return True

    def shutdown(self, *arguments: Any, **options: Any) -> None:
        for future, _, _ in self.waiting:
            future.cancel()
        self.waiting.clear()
        self._thread.shutdown()


class Truth:
    """Every book at every number it ever had, and the trades."""

    def __init__(self) -> None:
        self._books: OrderedDict[tuple[str, int], tuple[Levels, Levels]] = OrderedDict()
        self.trades: dict[str, list[int]] = {symbol: [] for symbol in SYMBOLS}

    def remember(self, symbol: str, sequence: int, sides: tuple[Levels, Levels]) -> None:
        self._books[symbol, sequence] = sides
        if len(self._books) > REMEMBERED:
            self._books.popitem(last=False)

    def book(self, symbol: str, sequence: int) -> tuple[Levels, Levels]:
        """Bids and asks, best first, all of them. Raises ``KeyError`` where the book never had that number."""
        return self._books[symbol, sequence]


class World:
    """Engine, tables, hub. ``lose`` says which commits the hub does not hear of."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.loop = StepLoop()
        self.hub = Hub()
        self.truth = Truth()
        self.commits = 0
        self.heard = 0
        self.lose: Callable[[CommitMessage], bool] = lambda message: False
        self._open: list[Order] = []
        self.accounts = [make_account("alice"), make_account("bob")]
        self.start_engine()
        for number, symbol in enumerate(SYMBOLS, 1):
            base, _, quote = symbol.partition("-")
            self.submit([DefineInstrument(number, symbol, base, quote, 2, 3)])
        self.infos = [selectors.instrument_by_symbol(symbol) for symbol in SYMBOLS]
        for info in self.infos:
            self.truth.remember(info.symbol, 0, ((), ()))
        self.hub.start(self.loop)

    # The engine

    def start_engine(self) -> None:
        """Another epoch; whatever the engine before it knew is read from the tables again."""
        take_over(0)
        self.engine = EngineLoop(0, MemoryBus(), listeners=[self._publish], clock=self.clock)
        self.engine.recover()
        self.engine.bus.open()

    def clock(self) -> int:
        return START_US + int(self.loop.now * 1e6)

    def _publish(self, message: CommitMessage) -> None:
        self.heard += 1
        for change in message.books:
            book = self.engine.state.engine.instruments[change.instrument_id].book
            sides = tuple(book.top(BUY, DEEPEST)), tuple(book.top(SELL, DEEPEST))
            self.truth.remember(SYMBOLS[change.instrument_id - 1], change.sequence, sides)
        for told in message.trades:
            self.truth.trades[SYMBOLS[told.instrument_id - 1]] += [trade.sequence for trade in told.trades]
        if not self.lose(message):
            self.hub.listener(message)

    def submit(self, commands: list[Command]) -> None:
        """Carry out one group, in one commit."""
        envelope = Envelope(commands, actor_id=None, received_at=self.clock())
        self.engine.bus.submit(envelope)
        assert self.engine.run_once()
        envelope.future.result(0)

    def commit(self) -> None:
        """One group of one to four random commands."""
        commands = [self.command() for _ in range(self.rng.choice((1, 1, 1, 2, 4)))]
        self.submit(commands)
        self._open += [command for command in commands if isinstance(command, Order)]
        self.commits += 1

    def trade_everywhere(self) -> None:
        """A trade of each instrument, with news for each account: then no stream's last message is lost for good."""
        for info in self.infos:
            for account, way in zip(self.accounts, (BUY, SELL), strict=True):
                order = Order(gateway.order_ids.next(), account.id, info.id, way, MIDDLE, 1)
                order.self_trade_prevention = STP_NONE
                self.submit([order])
                self.commits += 1

    def command(self) -> Command:
        rng = self.rng
        orders = self.engine.state.engine.orders
        while self._open and rng.random() < min(0.75, len(self._open) / OPEN_ORDERS / 2):
            at = rng.randrange(len(self._open))
            order = self._open[at]
            if order.order_id not in orders:
                self._open[at] = self._open[-1]
                self._open.pop()
            elif rng.random() < 0.4:
                return Amend(order.order_id, order.account_id, price=self.price(), quantity=rng.randint(1, 9_000))
            else:
                return Cancel(order.order_id, order.account_id)
        return self.order()

    def order(self) -> Order:
        rng = self.rng
        order = Order(
            gateway.order_ids.next(),
            rng.choice(self.accounts).id,
            rng.choice(self.infos).id,
            rng.choice((BUY, SELL)),
            self.price(),
            rng.randint(1, 9_000),
        )
        roll = rng.random()
        if roll < 0.05:
            order.type, order.time_in_force, order.price = MARKET, IOC, 0
        elif roll < 0.12:
            order.conditions = Conditions(display_quantity=rng.randint(1, order.quantity))
        return order

    def price(self) -> int:
        return MIDDLE + round(self.rng.gauss(0, SPREAD / 3)) % SPREAD * self.rng.choice((-1, 1))

    # The hub

    def questions(self) -> Questions:
        life = self.hub._life
        assert life is not None
        return life.board._pool  # type: ignore[return-value]

    def read(self) -> bool:
        """Answer one of the hub's questions. Answers whether there was any."""
        answered = self.questions().answer()
        if answered:
            self.loop.turn()
        return answered

    def settle(self) -> None:
        """Answer everything and wait out every second try."""
        for _ in range(1_000):
            self.loop.turn(0.3)
            if not self.read():
                return
        raise AssertionError("the hub asks for ever")

    def restart_hub(self) -> None:
        """As if the web process had ended and begun again: sockets are told, or just hear nothing more."""
        if self.rng.random() < 0.5:
            self.loop.call_soon(self.hub.stop)
        else:
            # Outside the loop there is nobody to say goodbye.
            self.hub.stop()
        self.loop.turn()
        self.hub = Hub()
        self.hub.start(self.loop)
        self.loop.turn()

    def close(self) -> None:
        self.hub.stop()
        self.loop.turn()
        self.loop.close()
