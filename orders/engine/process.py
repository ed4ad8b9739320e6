"""A shard's engine as a process of its own: stands by, takes over, runs the loop, ends in order.

Theory of operation
-------------------
* The loop runs in the main thread, the lease in one of its own. What ends the owner (a signal, a lost lock, a loop that hangs)
  only asks the loop to stop: the group in hand is committed, answered and published first. The fence makes that harmless.
* The bus keeps what was not carried out, so an engine that ends owes nobody an answer. The next one goes on from the place in
  the shard's row.
* An owner that ends in order says so in its lease and lets the lock go; one that breaks is replaced the same way. The
  process does not come back by itself: whoever supervises it starts it again, as a standby.
"""

import gc
import logging
from collections.abc import Callable
from time import monotonic, sleep
from typing import Protocol

from django.db import DatabaseError, connection

from orders import status
from orders.bus.envelope import Place
from orders.engine.direct import UnsafeDatabase, be_engine, check_database, new_owner
from orders.engine.election import Election, LostShard, Won
from orders.engine.journal import Fenced
from orders.engine.lease import LeaseKeeper
from orders.engine.loop import EngineBus, EngineLoop
from orders.engine.recovery import add_shard, take_over
from orders.engine.standby import Standby
from orders.feed.publisher import Listener

log = logging.getLogger(__name__)

# How long a new owner waits for a batch of the old one's before it ends that one's sessions.
BATCH_SECONDS = 1.0
# Before a database or bus that is away is tried again.
RETRY_SECONDS = 0.25


class KeptBus(EngineBus, Protocol):
    """A bus that keeps what it carries, for whoever runs the shard."""

    def begin(self, place: Place) -> None:
        """Connect and stand there. Raises errors of its own while the other end is away."""

    def disconnect(self) -> None: ...


class ShardProcess:
    """``run`` in the main thread, until ``stop`` (from a signal's handler, or anywhere)."""

    def __init__(
        self,
        shard_id: int,
        bus: KeptBus,
        listeners: list[Listener] | None = None,
        *,
        bus_errors: tuple[type[Exception], ...] = (OSError,),
    ) -> None:
        self.shard_id = shard_id
        self.owner = new_owner()
        be_engine(self.owner)
        self.bus = bus
        self.loop = EngineLoop(shard_id, bus, listeners)
        self.lease: LeaseKeeper | None = None
        # Told when the shard is this process's, before anything is recovered.
        self.on_own: Callable[[], None] = lambda: None
        self._bus_errors = bus_errors
        self._election = Election(shard_id, self.owner)
        self._standby = Standby(self._election)
        self._lost: Exception | None = None

    def stop(self) -> None:
        """Finish what is in hand, then end."""
        self.loop.stopping = True

    def check_database(self, *, allow_unsafe: bool) -> None:
        """Raises ``UnsafeDatabase``, or says so loudly where that is allowed."""
        problems = check_database()
        if problems and not allow_unsafe:
            raise UnsafeDatabase("; ".join(problems))
        if problems:
            log.warning("UNSAFE PostgreSQL, allowed by OMS_ALLOW_UNSAFE_STORAGE: %s", "; ".join(problems))

    def run(self) -> None:
        """Returns when stopped. Raises what ended it otherwise: ``LostShard``, a failed assertion."""
        add_shard(self.shard_id)
        try:
            won = self._standby.wait(lambda: self.loop.stopping, self._say_standby)
            if won is not None:
                self._own(won)
        finally:
            self.bus.disconnect()
            self._election.close()
            connection.close()

    def _say_standby(self) -> None:
        log.info("shard %d: standby", self.shard_id)

    @property
    def standby_sequence(self) -> int:
        """As of which event a standby's copy of the open orders is; 0 where it has none."""
        orders = self._standby.orders
        return 0 if orders is None else orders.sequence

    def _own(self, won: Won) -> None:
        epoch = self._begin_epoch(won)
        if epoch is None:
            return
        self.loop.status.become(status.RECOVERING, epoch=epoch)
        self.on_own()
        self.lease = LeaseKeeper(self._election, self.loop, epoch, self._has_lost)
        self.lease.start()
        try:
            self._begin(epoch)
            while not self.loop.stopping:
                self.loop.run_once()
            if self._lost is not None:
                raise self._lost
        except BaseException as error:
            self.loop.status.become(status.STOPPED, str(error)[:200])
            if isinstance(error, Fenced):
                raise LostShard(str(error)) from error
            raise
        finally:
            self.loop.status.become(status.STOPPED, self.loop.status.detail)
            self.bus.close()
            self.lease.stop()
            self._resign(epoch)

    def _has_lost(self, error: Exception) -> None:
        log.critical("shard %d: %s", self.shard_id, error)
        self._lost = error
        self.loop.stopping = True

    def _begin_epoch(self, won: Won) -> int | None:
        """Fence off whoever was before, even while it writes. None where it is time to stop."""
        while not self.loop.stopping:
            try:
                return take_over(self.shard_id, BATCH_SECONDS)
            except DatabaseError as error:
                log.error("shard %d: the epoch cannot begin yet: %s", self.shard_id, str(error).strip())
                connection.close()
                if won.before and won.before != self.owner:
                    self._election.end_sessions(won.before)
        return None

    def _begin(self, epoch: int) -> None:
        """Recover and stand where the last commit left the stream."""
        self.loop.owned_epoch = epoch
        # Looking through a million new orders for garbage takes a second in which not even the lease is renewed.
        gc.disable()
        try:
            self._load()
            gc.freeze()
        finally:
            gc.enable()
        while not self.loop.stopping:
            try:
                self.bus.begin(self.loop.state.place)
                self.bus.open()
                self.loop.become_open()
                log.info("shard %d: %s, epoch %d", self.shard_id, self.loop.status.state, epoch)
                return
            except self._bus_errors as error:
                if self.loop.status.detail != status.NO_BUS:
                    log.error("shard %d: the bus is away: %s", self.shard_id, error)
                self.loop.status.become(status.RECOVERING, status.NO_BUS)
                self.loop.moved_at = monotonic()
                sleep(RETRY_SECONDS)

    def _load(self) -> None:
        while not self.loop.stopping:
            try:
                self.loop.load(self._standby.orders)
                return
            except DatabaseError as error:
                log.error("shard %d: cannot recover yet: %s", self.shard_id, str(error).strip())
                connection.close()
                sleep(RETRY_SECONDS)
            finally:
                self._standby.orders = None

    def _resign(self, epoch: int) -> None:
        """Let go. Where that cannot be said, PostgreSQL finds out by itself."""
        if isinstance(self._lost, LostShard):
            return
        try:
            self._election.resign(epoch=epoch, state=status.STOPPED, detail=self.loop.status.detail)
        except Exception as error:
            log.warning("shard %d: the lock was not let go in order: %s", self.shard_id, error)
