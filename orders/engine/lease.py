"""Keeps an owner's lease renewed, as long as the owner's loop moves, and finds out when the shard is lost."""

import logging
import os
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic

import psycopg

from orders import status
from orders.engine.direct import Pooled
from orders.engine.election import Election, LostShard
from orders.engine.loop import EngineLoop

log = logging.getLogger(__name__)

RENEW_SECONDS = 1.0
# After the session was lost: until it is tried again, so that this one is quicker than a standby that has lost its own too.
AGAIN_SECONDS = 0.1
# A loop that has not moved for so long is taken for hung. Generous: a group takes milliseconds, a look at a database that is
# away some seconds; and a slow database must not end an engine.
HUNG_SECONDS = 60.0
# The first recovery reads everything, without moving.
RECOVERY_SECONDS = 900.0


class LeaseKeeper(Thread):
    """``start`` once the shard is won, ``stop`` before resigning. ``on_lost`` is told, in this thread, why the owner must end.

    The session of ``election`` belongs to this thread in between.
    """

    def __init__(self, election: Election, loop: EngineLoop, epoch: int, on_lost: Callable[[Exception], None]) -> None:
        super().__init__(name=f"lease-{loop.shard_id}", daemon=True)
        # When (monotonic) the lease was last renewed.
        self.renewed_at = monotonic()
        self._election = election
        self._loop = loop
        self._epoch = epoch
        self._on_lost = on_lost
        self._news = Event()
        self._ending = False
        self._has_session = True

    def start(self) -> None:
        status.listeners.append(self._news.set)
        super().start()

    def stop(self) -> None:
        self._ending = True
        self._news.set()
        self.join()
        status.listeners.remove(self._news.set)

    def run(self) -> None:
        try:
            while not self._ending:
                self._news.clear()
                self._watch()
                self._keep()
                self._news.wait(RENEW_SECONDS if self._has_session else AGAIN_SECONDS)
        except Exception as error:
            self._on_lost(error)

    def _watch(self) -> None:
        """A loop that hangs (a deadlock, a command without end) must not look alive, and can be ended in one way only."""
        is_recovering = self._loop.status.state == status.RECOVERING
        seconds = monotonic() - self._loop.moved_at
        if seconds > (RECOVERY_SECONDS if is_recovering else HUNG_SECONDS):
            log.critical("shard %d: the engine has not moved for %.0f s: leaving", self._loop.shard_id, seconds)
            logging.shutdown()
            os._exit(1)

    def _keep(self) -> None:
        """Renew, or find a new session. Raises ``LostShard``."""
        state = self._loop.status
        try:
            if not self._has_session:
                self._has_session = self._election.win_again(self._epoch)
            if self._has_session:
                self._election.renew(
                    epoch=self._epoch, state=state.state, detail=state.detail, waiting=self._loop.bus.waiting_commands
                )
                self.renewed_at = monotonic()
        except (LostShard, Pooled):
            raise
        except psycopg.Error as error:
            if self._has_session:
                log.error("shard %d: the lease was not renewed: %s", self._loop.shard_id, str(error).strip())
            self._has_session = self._has_session and self._election.has_session
