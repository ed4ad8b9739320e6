"""The feed of this process: whom sockets and views ask. What happens between a start and a stop is in ``life``."""

import asyncio
from threading import Lock
from time import monotonic, sleep, time_ns

from orders import selectors
from orders.feed.board import Sink
from orders.feed.books import BookFeed, BookView
from orders.feed.life import Life
from orders.feed.private import Opening
from orders.feed.publisher import CommitMessage
from orders.feed.sessions import SessionView
from orders.feed.tickers import TickerView, ticker_of_tables
from orders.levels import InstrumentLevels, level_list
from orders.schemas.closing import GOING_AWAY, RESTART
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo

# How long a reader waits for a commit that the tables have and the relay has not brought; then it reads the tables.
RELAY_PATIENCE_SECONDS = 0.1
RELAY_LOOK_SECONDS = 0.002


class Hub:
    """One per process: see ``hub()``. It can be started again after a stop."""

    def __init__(self) -> None:
        self._life: Life | None = None
        self._relayed = False
        self._lock = Lock()

    @property
    def running(self) -> bool:
        return self._life is not None

    def start(self, loop: asyncio.AbstractEventLoop, *, relayed: bool = False) -> None:
        """Begin to follow, in ``loop`` (which may not run yet). Levels are read in the background. Any thread.

        ``relayed``: commits come from other processes, perhaps after their answers. Then readers wait for them.
        """
        with self._lock:
            if self._life is not None:
                raise RuntimeError("the hub is running already")
            self._relayed = relayed
            self._life = Life(loop, self._begin_anew)

    def _begin_anew(self) -> None:
        """An instrument has moved to another shard, which is rare: everybody reads everything again. In the loop."""
        with self._lock:
            life = self._life
            if life is None or not life.board.open:
                return
            self._life = Life(life.board.loop, self._begin_anew)
        selectors.forget_instruments()
        life.end(RESTART)

    def stop(self, code: int = GOING_AWAY) -> None:
        """Tell every socket that the server leaves, close them with ``code``, and follow no more. Any thread."""
        with self._lock:
            life, self._life = self._life, None
        if life is not None:
            life.end(code)

    def listener(self, message: CommitMessage) -> None:
        """Take a commit. Any thread; returns at once."""
        life = self._life
        if life is not None:
            life.take(message)

    def suspect(self) -> None:
        """Commits may have been lost before now: look soon. In the loop."""
        life = self._life
        if life is not None:
            life.suspect()

    def book(self, instrument_id: int, depth: int) -> BookView:
        """The top of a book, with every commit in it that was answered before the call. Any thread.

        From the tables where the feed does not run or is reading them itself. Raises ``KeyError`` for an unknown id.
        """
        life = self._caught_up(instrument_id)
        view = None if life is None else life.view(instrument_id, depth)
        return view or _view_from_tables(selectors.instrument_by_id(instrument_id), depth)

    def instrument(self, instrument_id: int) -> SessionView:
        """Where an instrument's session stands, as fresh as ``book``. Any thread. Raises ``KeyError`` for an unknown id."""
        life = self._caught_up(instrument_id)
        view = None if life is None else life.session(instrument_id)
        return view or _session_from_tables(selectors.instrument_by_id(instrument_id))

    def ticker(self, instrument_id: int) -> TickerView:
        """An instrument at a glance, as fresh as ``book``. Any thread but the loop's. Raises ``KeyError`` for an unknown id."""
        return self.tickers([instrument_id])[0]

    def tickers(self, instrument_ids: list[int]) -> list[TickerView]:
        """The same of several."""
        life = self._caught_up(*instrument_ids)
        infos = [selectors.instrument_by_id(instrument_id) for instrument_id in instrument_ids]
        views = [None if life is None else life.tickers.ask(info) for info in infos]
        return [view or ticker_of_tables(info) for view, info in zip(views, infos, strict=True)]

    def _caught_up(self, *instrument_ids: int) -> Life | None:
        """The life, once it has every commit that was answered before the call. None where it does not get there soon."""
        life = self._life
        if life is None or not self._relayed:
            return life
        concerned = {selectors.instrument_by_id(instrument_id).shard_id for instrument_id in instrument_ids}
        standing = {shard.id: shard.last_sequence for shard in selectors.shard_list() if shard.id in concerned}
        end = monotonic() + RELAY_PATIENCE_SECONDS
        while not life.has_come_to(standing):
            if monotonic() > end:
                return None
            sleep(RELAY_LOOK_SECONDS)
        return life

    def heard(self) -> dict[int, tuple[int, int]]:
        """By shard: how far the feed knows, and when the last commit it heard of was (0: none yet). Any thread."""
        life = self._life
        shards = [] if life is None else list(life.board.shards.items())
        return {shard_id: (shard.sequence, shard.heard_at) for shard_id, shard in shards}

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
        return await self._life.executions.open(sink, account_id, account_name, after)

    def close_executions(self, sink: Sink) -> None:
        if self._life is not None:
            self._life.executions.close(sink)

    async def open_positions(self, sink: Sink, account_id: int, account_name: str) -> Opening:
        """The same of the account's positions as they are."""
        if self._life is None:
            raise ProblemError("engine_unavailable", "The server is stopping.")
        return await self._life.positions.open(sink, account_id, account_name)

    def close_positions(self, sink: Sink) -> None:
        if self._life is not None:
            self._life.positions.close(sink)


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


_hub = Hub()


def hub() -> Hub:
    """The feed of this process."""
    return _hub
