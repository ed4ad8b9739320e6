"""Waits for a shard to be free, and meanwhile keeps what recovery would have to read first: the open orders."""

import gc
import logging
from collections.abc import Callable
from time import monotonic, sleep

import psycopg
from django.db import DatabaseError, connection

from orders import selectors, snapshots
from orders.engine.election import Election, Won
from orders.models import Shard
from orders.open_orders import OpenOrders

log = logging.getLogger(__name__)

# Between two tries to take the lock: most of what a takeover costs after a death.
TRY_SECONDS = 0.1
# Between two looks at the owner's lease.
LOOK_SECONDS = 0.25
# Between two readings of what has changed: what is left to read at a takeover is about half of that.
FOLLOW_SECONDS = 0.5
# A database that is there again has cost the owner its lock as well: it is given the first try.
DATABASE_AWAY_SECONDS = 1.0


class Standby:
    """One process that would like to be a shard's engine."""

    def __init__(self, election: Election) -> None:
        self.shard_id = election.shard_id
        # Open orders as of a moment ago; None until they were read.
        self.orders: OpenOrders | None = None
        self._election = election
        self._looked_at = self._followed_at = 0.0
        self._trouble = ""

    def wait(self, is_stopping: Callable[[], bool], on_wait: Callable[[], None]) -> Won | None:
        """Until the shard is won (or, None, it is time to stop). ``on_wait`` is told once, where it is not won at once."""
        is_waiting = False
        while not is_stopping():
            try:
                won = self._election.win()
                if won is not None:
                    return won
                if not is_waiting:
                    is_waiting = True
                    on_wait()
                self._do_meanwhile()
                self._trouble = ""
                sleep(TRY_SECONDS)
            except (psycopg.Error, DatabaseError) as error:
                if not self._trouble:
                    log.error("shard %d: the standby cannot ask the database: %s", self.shard_id, str(error).strip())
                self._trouble = str(error)
                self._election.close()
                connection.close()
                sleep(DATABASE_AWAY_SECONDS)
        return None

    def _do_meanwhile(self) -> None:
        now = monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            if self._election.depose_silent_owner():
                return  # the lock is free in a moment
        if now - self._followed_at >= FOLLOW_SECONDS:
            self.follow()
            self._followed_at = monotonic()

    def follow(self) -> None:
        """Bring the copy of the open orders up to date with the tables, in one consistent read."""
        with selectors.consistent_read():
            shard = Shard.objects.get(id=self.shard_id)
            if self.orders is None:
                self._load(shard)
            else:
                self.orders.advance(shard.last_sequence)
                self.orders.changed.clear()

    def _load(self, shard: Shard) -> None:
        # None of a million new objects is garbage.
        gc.disable()
        try:
            loaded = snapshots.load_latest(shard.id)
            orders = OpenOrders(shard.id)
            if loaded is not None and loaded[0].sequence:
                orders = loaded[0]
                orders.advance(shard.last_sequence)
            else:
                orders.load_rows(shard.last_sequence)
            self.orders = orders
            gc.freeze()
        finally:
            gc.enable()
