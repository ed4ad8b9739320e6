"""The hub's copy of where each instrument's session stands: phase, its end, and the indicative uncross of an auction.

What is told is the whole state, so every message stands alone: one that is not newer than what is known is ignored, and one
that got lost is made good by the next, or by reading the tables.
"""

from collections.abc import Callable
from typing import NamedTuple

from matching.auction import Uncross
from orders.feed import frames
from orders.feed.board import Board, Sink
from orders.feed.frames import INSTRUMENTS, Frame
from orders.feed.publisher import CommitMessage, SessionTold
from orders.levels import InstrumentLevels
from orders.selectors import InstrumentInfo


class SessionView(NamedTuple):
    """An instrument's session as of ``sequence``. ``phase_until`` is 0 where the phase does not end by itself.

    ``indicative`` (price, volume and signed surplus in units) is None unless an auction is called and something crosses.
    """

    epoch: int
    sequence: int
    phase: int
    phase_until: int
    indicative: Uncross | None
    at: int


class Session:
    """One instrument. Not ``live`` (before the first load, after a gap) it may be behind."""

    __slots__ = ("info", "live", "view")

    def __init__(self, info: InstrumentInfo, view: SessionView) -> None:
        self.info = info
        self.live = True
        self.view = view

    def is_newer(self, epoch: int, sequence: int) -> bool:
        """Whether something told at this place is newer than what is known."""
        return (epoch, sequence) > (self.view.epoch, self.view.sequence)

    def frame(self, kind: str) -> Frame:
        view = self.view
        return frames.session(self.info, kind, epoch=view.epoch, sequence=view.sequence, session=view, at=view.at)


class Sessions:
    """All sessions of the feed. Under the board's lock; what is put off by ``later`` happens in the loop.

    ``load`` has a shard read from the tables.
    """

    def __init__(self, board: Board, load: Callable[[int], None]) -> None:
        self._board = board
        self._load = load
        self._sessions: dict[int, Session] = {}

    def live(self, instrument_id: int) -> SessionView | None:
        """The session if it can be relied on."""
        session = self._sessions.get(instrument_id)
        return session.view if session is not None and session.live else None

    def absorb(self, message: CommitMessage) -> None:
        """Move the sessions by a commit. Any thread. (An instrument not known here is loaded with its book.)"""
        for told in message.sessions:
            session = self._sessions.get(told.instrument_id)
            if session is not None and session.is_newer(message.epoch, message.sequence):
                session.view = _view(told, message)
                self._tell(session, "update")

    def distrust(self, shard_id: int) -> None:
        """Something may be missing: what the tables say next is told as a snapshot."""
        for session in self._sessions.values():
            if session.info.shard_id == shard_id:
                session.live = False

    def load(self, found: InstrumentLevels, epoch: int, sequence: int, at: int) -> None:
        """What the tables say. Told where it is not what is known already. In the loop."""
        view = SessionView(epoch, sequence, found.phase, found.phase_until, found.indicative, at)
        session = self._sessions.get(found.info.id)
        if session is None:
            session = self._sessions[found.info.id] = Session(found.info, view)
            self._tell(session, "snapshot")
            return
        was_live, session.live = session.live, True
        has_changed = session.view[2:5] != view[2:5] and session.is_newer(epoch, sequence)
        if has_changed or session.view.epoch < epoch:
            session.view = view
        if not was_live or has_changed:
            self._tell(session, "update" if was_live else "snapshot")

    def subscribe(self, sink: Sink, info: InstrumentInfo, detail: int) -> None:
        """A snapshot (at once, or when it is loaded), then updates. In the loop."""
        if not self._board.join(sink, (INSTRUMENTS, info.id, 0)):
            return
        session = self._sessions.get(info.id)
        if session is None or not session.live:
            self._load(info.shard_id)
        else:
            sink.market((INSTRUMENTS, info.id, 0), session.frame("snapshot"))

    def deserted(self, instrument_id: int, detail: int) -> None:
        """Nobody listens any more; it is kept for those who ask."""

    def _tell(self, session: Session, kind: str) -> None:
        key = (INSTRUMENTS, session.info.id, 0)
        if self._board.is_heard(key):
            self._board.later(self._board.send, key, session.frame(kind))


def _view(told: SessionTold, message: CommitMessage) -> SessionView:
    return SessionView(message.epoch, message.sequence, told.phase, told.phase_until, told.indicative, message.at)
