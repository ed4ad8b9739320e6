"""One socket's view of one account's positions on one shard: all of them, then each that a commit changed, whole.

They are numbered by the account's order events, like its executions: what is told as of event 1042 has all in it that the
events up to 1042 traded. Every message says what is, not what has changed, so the newest counts and nothing chains; a lost
commit is seen by the shard's own chain, and all is read and told anew.
"""

from collections.abc import Callable
from typing import Any

from orders.feed import frames, reading
from orders.feed.board import Board, Key, Sink
from orders.feed.frames import POSITIONS, Frame
from orders.feed.private import AccountStream, AccountStreams
from orders.feed.publisher import CommitMessage
from orders.schemas.render import position_out
from orders.selectors import InstrumentInfo

# A changed position: its instrument, the account's event it is as of, the message (None where it must be read).
Changed = tuple[int, int, Frame | None]


class PositionStream(AccountStream):
    """``sequence`` is that of the newest state told; ``kept`` has the newest of each instrument while tables are read."""

    __slots__ = ("kept", "sequence")

    def __init__(self, sink: Sink, account_id: int, account_name: str, shard_id: int) -> None:
        super().__init__(sink, account_id, account_name, shard_id)
        self.sequence = 0
        self.kept: dict[int, Changed] | None = {}

    def question(self, epoch: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return reading.positions, (self.account_id, self.shard_id)

    def keep(self) -> None:
        if self.kept is None:
            self.kept = {}

    def offer(self, told: Changed) -> bool:
        instrument_id, sequence, frame = told
        if self.kept is not None:
            known = self.kept.get(instrument_id)
            if known is None or known[1] <= sequence:
                self.kept[instrument_id] = told
        elif frame is None:
            return False
        elif sequence >= self.sequence:
            # Several positions may be as of the same event; one told twice does no harm.
            self.sequence = sequence
            self.sink.market((POSITIONS, instrument_id, 0), frame)
        return True

    def begin(self, answer: tuple[int, int, list[dict[str, Any]]], epoch: int) -> bool:
        return self.resume(answer)

    def resume(self, answer: tuple[int, int, list[dict[str, Any]]]) -> bool:
        """All positions as the tables have them, then those that are newer."""
        epoch, self.sequence, told = answer
        key: Key = (POSITIONS, 0, self.shard_id)
        snapshot = frames.positions_snapshot(
            account=self.account_name, shard_id=self.shard_id, epoch=epoch, sequence=self.sequence, told=told
        )
        self.sink.market(key, snapshot)
        kept, self.kept = self.kept or {}, None
        newer = [changed for changed in kept.values() if changed[1] > answer[1]]
        whole = True
        for changed in sorted(newer, key=lambda changed: changed[1]):
            whole &= self.offer(changed)
        return whole


class Positions(AccountStreams[PositionStream]):
    """The channel ``positions``."""

    def __init__(self, board: Board) -> None:
        super().__init__(board, PositionStream)

    def absorb(self, message: CommitMessage, instruments: Callable[[int], InstrumentInfo | None]) -> None:
        """Encode the positions of accounts that somebody listens to. Any thread."""
        if not self.streams:
            return
        for told in message.positions:
            streams = self.streams.get(told.account_id)
            if streams:
                info = instruments(told.instrument_id)
                frame = None
                if info is not None:
                    frame = frames.position(
                        account=next(iter(streams)).account_name,
                        shard_id=message.shard_id,
                        epoch=message.epoch,
                        sequence=told.sequence,
                        told=position_out(told, info, told.last_price),
                    )
                self.tell(told.account_id, message.shard_id, (told.instrument_id, told.sequence, frame))
