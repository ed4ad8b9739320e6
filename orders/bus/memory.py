"""The in-process bus: a bounded queue from any thread to the engine's."""

from collections import deque
from threading import Condition
from time import monotonic

from orders.bus.envelope import Envelope

# Commands that may wait. At the slowest rate measured here a full queue is some seconds of work: whoever comes later is
# better told "busy" at once.
MAX_WAITING_COMMANDS = 20_000
# What cancels may use beyond that: a cancel gets through when orders no longer do.
RESERVED_FOR_CANCELS = 5_000


class BusFull(Exception):
    """The engine has more to do than it should have. Nothing was queued."""


class BusClosed(Exception):
    """No engine takes commands. Nothing was queued."""


class MemoryBus:
    """First in, first out; closed until an engine opens it."""

    # Whether what was taken and not answered comes again, after ``rewind`` or to the next engine.
    keeps = False

    def __init__(
        self, capacity: int = MAX_WAITING_COMMANDS, reserve: int = RESERVED_FOR_CANCELS, shard_id: int = 0
    ) -> None:
        self._shard_id = shard_id
        self._capacity = capacity
        self._reserve = reserve
        self._queue: deque[Envelope] = deque()
        self._waiting = 0
        self._open = False
        self._changed = Condition()

    @property
    def is_open(self) -> bool:
        return self._open

    @property
    def waiting_commands(self) -> int:
        return self._waiting

    def node(self) -> int:
        """The number for order ids: nobody else makes any."""
        return 0

    def open(self) -> None:
        with self._changed:
            self._open = True

    def close(self) -> list[Envelope]:
        """Take no more, wake the engine, and hand back what was not taken."""
        with self._changed:
            self._open = False
            left = list(self._queue)
            self._queue.clear()
            self._waiting = 0
            self._changed.notify_all()
            return left

    def submit(self, envelope: Envelope, *, shard_id: int = 0, reserved: bool = False) -> None:
        """Queue an envelope. Raises ``BusFull`` or ``BusClosed``; ``reserved`` is for cancels.

        There is one engine here: any other shard's is not running.
        """
        count = len(envelope.commands)
        with self._changed:
            if not self._open or shard_id != self._shard_id:
                raise BusClosed
            if self._waiting + count > self._capacity + (self._reserve if reserved else 0):
                raise BusFull
            if not self._queue:
                self._changed.notify()  # the engine waits for nothing else
            self._queue.append(envelope)
            self._waiting += count

    def take(self, max_commands: int, timeout_seconds: float) -> list[Envelope]:
        """All that waits, up to about ``max_commands``; waits up to ``timeout_seconds`` for the first."""
        with self._changed:
            end = monotonic() + timeout_seconds
            while not self._queue:
                left = end - monotonic()
                if left <= 0 or not self._open:
                    return []
                self._changed.wait(left)
            taken = []
            count = 0
            while self._queue and (not taken or count + len(self._queue[0].commands) <= max_commands):
                envelope = self._queue.popleft()
                taken.append(envelope)
                count += len(envelope.commands)
            self._waiting -= count
            return taken

    def flush(self) -> None:
        """Send the answers that were given: here each went by itself."""
