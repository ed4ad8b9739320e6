"""Who runs a shard's engine where several processes could: one owner, and standbys that wait for it to end.

Theory of operation
-------------------
* The owner holds an advisory lock. PostgreSQL lets it go the moment the owner's session ends, so a standby that keeps trying
  has it a moment after a death.
* A frozen owner keeps its lock. So the session that holds it also renews a *lease*, a row with the database's clock. A
  standby that sees the lease grow old, while that very session asks for nothing, ends every session of that owner.
* A slow database is no frozen owner: there the session is busy, namely with the renewal. Clocks do not matter: the age is
  told by the database's, and the row must have stood unchanged by the standby's own too.
* Lock and lease only elect. What keeps two engines from writing is the epoch (``journal.Fenced``), which a new owner advances
  before it reads anything: whoever was replaced finds out at its next batch, however it got there.
"""

import logging
from time import monotonic
from typing import Any, NamedTuple

import psycopg

from orders.engine.direct import connect
from orders.engine.ownership import ADVISORY_LOCK_CLASS

log = logging.getLogger(__name__)

# A lease is renewed every second; one that was not for so long is a dead or frozen owner's.
LEASE_SECONDS = 3
# By the standby's own clock that may be less, since a standby that has just begun should not have to wait as long again: two
# renewals, in any case, did not come.
WATCH_SECONDS = 2

_HELD = (
    "locktype = 'advisory' AND classid = %(lock)s AND objid = %(shard)s AND objsubid = 2 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# Lock and lease at once, so that no owner can be frozen between them. Tells who had the lease before.
_WIN = """
    WITH won AS MATERIALIZED (SELECT pg_try_advisory_lock(%(lock)s, %(shard)s) AS yes)
    INSERT INTO orders_enginelease (shard_id, owner, epoch, state, detail, waiting, renewed_at)
    SELECT id, %(owner)s, epoch, 'recovering', '', 0, clock_timestamp() FROM orders_shard, won WHERE id = %(shard)s AND yes
    ON CONFLICT (shard_id) DO UPDATE SET owner = excluded.owner, epoch = excluded.epoch, state = excluded.state,
        detail = excluded.detail, waiting = excluded.waiting, renewed_at = excluded.renewed_at
    RETURNING epoch, (SELECT owner FROM orders_enginelease WHERE shard_id = %(shard)s)
"""
_RENEW = f"""
    UPDATE orders_enginelease SET epoch = %(epoch)s, state = %(state)s, detail = %(detail)s, waiting = %(waiting)s,
        renewed_at = clock_timestamp()
    WHERE shard_id = %(shard)s AND owner = %(owner)s
        AND EXISTS (SELECT FROM pg_locks WHERE {_HELD} AND pid = pg_backend_pid())
"""
_HOLDER = f"SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE {_HELD}"
# The owner, if it is one that writes leases: what its lock's session does, and how old its lease is.
_LOOK = f"""
    SELECT lease.owner, lease.renewed_at::text, session.state_change::text,
        session.state = 'idle' AND greatest(lease.renewed_at, session.state_change)
            < clock_timestamp() - make_interval(secs => %(seconds)s)
    FROM pg_locks JOIN pg_stat_activity AS session USING (pid)
        JOIN orders_enginelease AS lease ON lease.shard_id = %(shard)s AND lease.owner = session.application_name
    WHERE {_HELD}
"""
_END_SESSIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = %(other)s AND datname = current_database() AND pid <> pg_backend_pid()
"""


class LostShard(Exception):
    """Another process has the shard, or must be taken to have it: this one must stop."""


class Won(NamedTuple):
    """The epoch of the shard when its lock was taken, and who had written the lease before ("" for nobody)."""

    epoch: int
    before: str


class Sight(NamedTuple):
    """What a standby sees of the owner. Two equal ones: it has done nothing in between."""

    owner: str
    renewed_at: str
    session_changed_at: str
    is_silent: bool


class Election:
    """One process's part in it: a session of its own, for one thread at a time. All raise ``psycopg.Error``, ``Pooled``."""

    def __init__(self, shard_id: int, owner: str) -> None:
        self.shard_id = shard_id
        self.owner = owner
        self._connect = connect
        self._session: psycopg.Connection[Any] | None = None
        self._seen: Sight | None = None
        self._seen_at = 0.0

    def win(self) -> Won | None:
        """Take the lock if it is free, and write the lease. The shard's row must be there."""
        row = self._ask(_WIN)
        return None if row is None else Won(row[0], row[1] or "")

    def renew(self, *, epoch: int, state: str, detail: str, waiting: int) -> None:
        """Say that the owner lives, and how it is. Raises ``LostShard`` where this session does not hold the lock."""
        told = {"epoch": epoch, "state": state, "detail": detail, "waiting": waiting}
        if self._execute(_RENEW, **told).rowcount != 1:
            raise LostShard(f"this process no longer holds the lock of shard {self.shard_id}")

    def win_again(self, epoch: int) -> bool:
        """After the session was lost: take the lock again. False while it is still taken by what was our session.

        Raises ``LostShard`` where another process has it, or has had it.
        """
        won = self.win()
        if won is not None:
            if won.before != self.owner or won.epoch != epoch:
                raise LostShard(f"shard {self.shard_id} was another process's meanwhile")
            return True
        row = self._ask(_HOLDER)
        if row is not None and row[1] != self.owner:
            raise LostShard(f"shard {self.shard_id} is now {row[1]}'s")
        if row is not None:
            self._ask("SELECT pg_terminate_backend(%(pid)s)", pid=row[0])
        return False

    def depose_silent_owner(self) -> str:
        """End the sessions of an owner that does not move. Call again and again. Returns its name where that was done."""
        row = self._ask(_LOOK, seconds=LEASE_SECONDS)
        sight = None if row is None else Sight(*row)
        now = monotonic()
        if sight is None or self._seen is None or sight[:3] != self._seen[:3]:
            self._seen, self._seen_at = sight, now
            return ""
        if not sight.is_silent or now - self._seen_at < WATCH_SECONDS:
            return ""
        self._seen = None
        log.error(
            "shard %d: %s has not moved since %s: ending its sessions", self.shard_id, sight.owner, sight.renewed_at
        )
        self.end_sessions(sight.owner)
        return sight.owner

    def end_sessions(self, owner: str) -> int:
        """Have PostgreSQL end every session of an owner but this one. Returns how many there were."""
        row = self._ask(_END_SESSIONS, other=owner)
        return 0 if row is None else row[0]

    def resign(self, *, epoch: int, state: str, detail: str) -> None:
        """Say that the owner is gone, and let the lock go: the next one need not wait."""
        self.renew(epoch=epoch, state=state, detail=detail, waiting=0)
        self._ask("SELECT pg_advisory_unlock(%(lock)s, %(shard)s)")
        self.close()

    @property
    def has_session(self) -> bool:
        """Whether there is one still, after an error: only with it goes the lock."""
        return self._session is not None

    def close(self) -> None:
        """End the session; the lock goes with it."""
        self._seen = None
        if self._session is not None:
            self._session.close()
            self._session = None

    def _ask(self, statement: str, **parameters: Any) -> Any:
        return self._execute(statement, **parameters).fetchone()

    def _execute(self, statement: str, **parameters: Any) -> psycopg.Cursor[Any]:
        if self._session is None:
            self._session = self._connect()
        fixed = {"lock": ADVISORY_LOCK_CLASS, "shard": self.shard_id, "owner": self.owner}
        try:
            return self._session.execute(statement, {**fixed, **parameters})
        except psycopg.Error:
            if self._session.closed:
                self.close()
            raise
