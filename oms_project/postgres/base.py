"""Connections to PostgreSQL that outlive a request, whichever thread it ran in.

A connection costs some milliseconds: more than most requests. Django keeps one a thread (``CONN_MAX_AGE``), and a web process
has hundreds of threads that mostly wait for an engine. Here a closed connection is laid aside instead, up to a number that the
process has asked for (``keep_connections``; none at first), and the next thread that connects takes it up.

Only what is as good as new is kept: outside of a transaction, nothing unread. Before it is taken up again its socket is looked
at: a server that ended the session has said so there. Engines keep none: their sessions are told apart by name.
"""

import os
import select
from collections import deque
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

# For so long a connection may be taken up again: the servers behind an address change now and then.
MAX_AGE_SECONDS = 600.0
# What a web process keeps: as many as can be at their tables at the same time in one interpreter.
KEPT_BY_WEB_PROCESSES = 8


class Kept(NamedTuple):
    connection: Any
    until: float


_idle: deque[Kept] = deque()
# Until when each connection that was kept once may be.
_until: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
_limit = 0


def keep_connections(limit: int = KEPT_BY_WEB_PROCESSES) -> None:
    """Keep up to so many of this process's connections from now on."""
    global _limit
    _limit = limit
    while len(_idle) > limit:
        _idle.pop().connection.close()


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, but for where a connection comes from and where it goes."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        while _idle:
            try:
                kept = _idle.pop()
            except IndexError:  # another thread was quicker
                break
            if kept.until > monotonic() and _is_for(kept.connection, conn_params) and _is_alive(kept.connection):
                self.isolation_level = base.IsolationLevel.READ_COMMITTED
                return kept.connection
            kept.connection.close()
        return super().get_new_connection(conn_params)

    def _close(self) -> None:
        connection = self.connection
        if connection is None or len(_idle) >= _limit or not _is_as_new(connection):
            super()._close()
            return
        until = _until.setdefault(connection, monotonic() + MAX_AGE_SECONDS)
        _idle.append(Kept(connection, until))


def _is_as_new(connection: Any) -> bool:
    return not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE


def _is_for(connection: Any, conn_params: dict[str, Any]) -> bool:
    """Whether it leads to this database: tests have several in a process."""
    found = connection.info
    wanted = conn_params.get("dbname"), conn_params.get("port")
    return wanted[0] == found.dbname and wanted[1] in (None, str(found.port), found.port)


def _is_alive(connection: Any) -> bool:
    """Nothing has come that nobody asked for: the end of the session, or the news that it is about to end."""
    if connection.closed:
        return False
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not socket.poll(0)


def _forget() -> None:
    """In a forked process: the sockets are the parent's, too."""
    _idle.clear()


os.register_at_fork(after_in_child=_forget)
