"""Who may run a shard's engine: one process at a time.

The lock elects the owner and is let go by the operating system the moment the owner dies. It is *not* the fence: that is
the compare-and-set on the shard's row which every batch begins with (``orders.engine.journal``).
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

# The first half of the PostgreSQL advisory lock's key; the second is the shard.
ADVISORY_LOCK_CLASS = 20_406


class AlreadyOwned(Exception):
    """Another process runs this engine; the message says which and what to do."""


class FileLock:
    """An exclusive lock on a file beside the SQLite database; the file names the owner's process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None

    def acquire(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self._path, "a+")  # noqa: SIM115 (held open for as long as the lock)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise AlreadyOwned(
                f"Another server owns this database (process {owner}, lock file {self._path}). Stop it first, "
                "or point DATABASE_URL at another database."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class AdvisoryLock:
    """A PostgreSQL session lock, on the connection of the thread that takes it."""

    def __init__(self, shard_id: int) -> None:
        self._shard_id = shard_id
        self._connection: Any = None

    def acquire(self) -> None:
        # A connection of its own, so that nothing else that happens on one ends the lock.
        self._connection = connection.copy()
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [ADVISORY_LOCK_CLASS, self._shard_id])
            if not cursor.fetchone()[0]:
                self.release()
                raise AlreadyOwned(
                    f"Another server owns shard {self._shard_id} of this database. Stop it first, or point "
                    "DATABASE_URL at another database."
                )

    def release(self) -> None:
        if self._connection is not None:
            # Closing ends the lock too, but only when the server notices: the next owner would find it taken.
            with suppress(DatabaseError), self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection = None


def shard_lock(shard_id: int) -> FileLock | AdvisoryLock:
    """The lock that fits the configured database, not yet acquired."""
    if connection.vendor == "sqlite":
        database = Path(settings.DATABASES["default"]["NAME"])
        return FileLock(database.with_name(f"{database.name}.shard{shard_id}.lock"))
    return AdvisoryLock(shard_id)
