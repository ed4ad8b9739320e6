"""Connections of an engine to PostgreSQL: direct, named after their owner, and dead within seconds of its death.

Also what PostgreSQL must be like for an answer to mean that an order is kept.
"""

import os
import re
import secrets
import socket
from typing import Any

import psycopg
from django.db import connection

# An engine that is frozen in a transaction must not hold the shard's row, or client order ids other shards want, for longer.
IDLE_IN_TRANSACTION_MS = 5_000
# Nothing an engine waits for is held longer by a healthy one; what times out is found out and taken again.
LOCK_TIMEOUT_MS = 5_000
CONNECT_SECONDS = 3
# The other end is dead when it has not acknowledged anything for about so long.
UNACKNOWLEDGED_MS = 5_000
# PostgreSQL cuts application names there.
MAX_NAME = 63

_WANTED_ON = ("fsync", "full_page_writes", "track_activities")


class UnsafeDatabase(Exception):
    """This PostgreSQL may lose what was answered, or cannot tell who is alive; the message says what to change."""


class Pooled(Exception):
    """Something between the engine and PostgreSQL shares out its connections."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The engine's connection goes through a pooler ({found}). Locks and sessions are not its own there: point the "
            "engine's DATABASE_URL straight at PostgreSQL; web processes may use the pooler."
        )


def new_owner() -> str:
    """``host:process:random``: a name no other engine process has, of characters that PostgreSQL keeps."""
    tail = f":{os.getpid()}:{secrets.token_hex(4)}"
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "unknown"
    return host[: MAX_NAME - len(tail)] + tail


def be_engine(owner: str) -> None:
    """Every connection this process makes from now on is an engine's."""
    timeouts = {
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
        "lock_timeout": LOCK_TIMEOUT_MS,
    }
    connection.close()
    connection.settings_dict["OPTIONS"].update(
        application_name=owner,
        connect_timeout=CONNECT_SECONDS,
        keepalives=1,
        keepalives_idle=2,
        keepalives_interval=1,
        keepalives_count=3,
        tcp_user_timeout=UNACKNOWLEDGED_MS,
        options=" ".join(f"-c {name}={value}" for name, value in timeouts.items()),
    )


def _parameters() -> dict[str, Any]:
    return {**connection.get_connection_params(), "cursor_factory": psycopg.Cursor}


def connect() -> psycopg.Connection[Any]:
    """A session of its own beside Django's, each statement its own transaction. Raises ``Pooled``, ``psycopg.Error``."""
    try:
        session: psycopg.Connection[Any] = psycopg.connect(**_parameters(), autocommit=True)
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" in str(error):
            raise Pooled(str(error).strip()) from None
        raise
    pid = session.execute("SELECT pg_backend_pid()").fetchone()
    # A pooler makes up the number it tells its client.
    if pid is None or pid[0] != session.info.backend_pid:
        session.close()
        raise Pooled("the process that answers is not the one that was connected to")
    return session


def check_database() -> list[str]:
    """Why this PostgreSQL is not fit to keep orders; nothing where it is. Raises ``Pooled``, ``psycopg.Error``."""
    with connect() as session:
        names = [*_WANTED_ON, "synchronous_commit", "transaction_read_only", "in_hot_standby"]
        found = dict(session.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names]).fetchall())
    problems = [f"{name} is off: set it to on" for name in _WANTED_ON if found[name] != "on"]
    if found["synchronous_commit"] == "off":
        problems.append("synchronous_commit is off: an answered order may be lost")
    if found["in_hot_standby"] == "on":
        problems.append("it is a replica: point DATABASE_URL at the primary")
    elif found["transaction_read_only"] == "on":
        problems.append("it is read-only (default_transaction_read_only)")
    return problems
