"""What users iterate over: bounded queues between the session, which never waits, and a user, who may.

What a slow user loses is a matter of the channel: of books and other states only the newest counts; of trades and
candles the oldest go and a ``Skipped`` says so; of executions nothing goes, their stream is left and resumed.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

from oms_client.book import Book
from oms_client.models import BookView, Candle, Execution, Skipped, Trade

Item = TypeVar("Item")
Kept = TypeVar("Kept", Trade, Candle)

# Trades or candles that may wait for the user.
MAX_KEPT = 10_000
# Executions that may wait: past that their stream is left, below the lower mark it is resumed.
MAX_EXECUTIONS = 10_000
FEW_EXECUTIONS = 1_000


class Stream(ABC, Generic[Item]):
    """An asynchronous iterator. It ends when it is left (``close``, ``async with``); what ended it otherwise is raised."""

    def __init__(self) -> None:
        self.on_close: Callable[[], None] = lambda: None
        self._arrived = asyncio.Event()
        self._error: Exception | None = None
        self._is_left = False

    def __aiter__(self) -> "Stream[Item]":
        return self

    async def __anext__(self) -> Item:
        while not self._is_left:
            item = self._pop()
            if item is not None:
                return item
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        raise StopAsyncIteration

    async def __aenter__(self) -> "Stream[Item]":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave it."""
        self._is_left = True
        self._arrived.set()
        self.on_close()

    def feed(self, items: Sequence[object]) -> None:
        """News from the session; none: something else about the topic has changed."""
        self._push(items)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """The last thing that comes."""
        self._error = self._error or error
        self._arrived.set()

    @abstractmethod
    def _push(self, items: Sequence[object]) -> None: ...

    @abstractmethod
    def _pop(self) -> Item | None: ...


class BookStream(Stream[BookView]):
    """The book whenever it has changed since the user looked, as it is then. Nothing while it cannot be trusted."""

    def __init__(self, book: Book) -> None:
        super().__init__()
        self._book = book
        self._shown: tuple[int, int] | None = None

    def _push(self, items: Sequence[object]) -> None:
        pass

    def _pop(self) -> BookView | None:
        place = (self._book.epoch, self._book.sequence)
        if self._book.stale or place == self._shown:
            return None
        self._shown = place
        return self._book.view()


class NewestStream(Stream[Item]):
    """The newest state of each thing (told by ``key``) that has changed since the user looked."""

    def __init__(self, kind: type[Item], key: Callable[[Item], Hashable]) -> None:
        super().__init__()
        self._kind = kind
        self._key = key
        self._waiting: dict[Hashable, Item] = {}

    def _push(self, items: Sequence[object]) -> None:
        for item in items:
            if isinstance(item, self._kind):
                self._waiting[self._key(item)] = item

    def _pop(self) -> Item | None:
        return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None


class KeptStream(Stream[Kept | Skipped]):
    """Every item in order; where the user is too slow the oldest go, and a ``Skipped`` stands for them."""

    def __init__(self, symbol: str, kind: type[Kept]) -> None:
        super().__init__()
        self._symbol = symbol
        self._kind: type[Kept] = kind
        self._waiting: deque[Kept | Skipped] = deque()
        self._dropped = 0

    def _push(self, items: Sequence[object]) -> None:
        self._waiting.extend(item for item in items if isinstance(item, self._kind | Skipped))
        while len(self._waiting) > MAX_KEPT:
            self._waiting.popleft()
            self._dropped += 1

    def _pop(self) -> Kept | Skipped | None:
        if self._dropped:
            count, self._dropped = self._dropped, 0
            return Skipped(self._symbol, count=count)
        return self._waiting.popleft() if self._waiting else None


class ExecutionStream(Stream[Execution]):
    """Every execution. ``on_full`` and ``on_drained`` have the session leave and resume their stream."""

    def __init__(self, on_full: Callable[[], None], on_drained: Callable[[], None]) -> None:
        super().__init__()
        self._waiting: deque[Execution] = deque()
        self._on_full, self._on_drained = on_full, on_drained
        self._has_room = asyncio.Event()
        self._has_room.set()

    def close(self) -> None:
        super().close()
        self._has_room.set()

    async def room(self) -> None:
        """Wait until the user has taken enough."""
        await self._has_room.wait()

    def _push(self, items: Sequence[object]) -> None:
        self._waiting.extend(item for item in items if isinstance(item, Execution))
        if len(self._waiting) >= MAX_EXECUTIONS and self._has_room.is_set():
            self._has_room.clear()
            self._on_full()

    def _pop(self) -> Execution | None:
        item = self._waiting.popleft() if self._waiting else None
        if len(self._waiting) <= FEW_EXECUTIONS and not self._has_room.is_set():
            self._has_room.set()
            self._on_drained()
        return item
