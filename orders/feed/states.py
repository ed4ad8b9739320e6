"""What sockets are told of the shards themselves: whether their engines take commands.

``orders.status`` calls when a state or an epoch has changed, in the engine's thread; the loop then tells what it finds, once,
however many changes that were.
"""

from time import time_ns

from orders import status
from orders.feed import frames
from orders.feed.board import Board, Key, Sink
from orders.feed.frames import STATUS, Frame
from orders.selectors import InstrumentInfo

KEY: Key = (STATUS, 0, 0)


class States:
    """The channel ``status``. In the loop, under the board's lock, but for ``changed``."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._told: list[tuple[int, str, int]] = []
        status.listeners.append(self.changed)

    def stop(self) -> None:
        """Listen no more. Any thread."""
        status.listeners.remove(self.changed)

    def changed(self) -> None:
        """A state or an epoch has changed. Any thread."""
        self._board.call_soon(self._tell)

    def subscribe(self, sink: Sink, info: InstrumentInfo | None, detail: int) -> None:
        """How it is, then every change."""
        self._tell()
        if self._board.join(sink, KEY):
            sink.market(KEY, _frame("snapshot"))

    def deserted(self, instrument_id: int, detail: int) -> None:
        """Nobody listens any more: there is nothing to keep."""

    def _tell(self) -> None:
        now = _now()
        if self._board.open and now != self._told:
            self._told = now
            self._board.send(KEY, _frame("update"))


def _now() -> list[tuple[int, str, int]]:
    return [(shard.shard_id, shard.state, shard.epoch) for shard in status.shard_list()]


def _frame(kind: str) -> Frame:
    return frames.status(kind, status.shard_list(), time_ns() // 1000)
