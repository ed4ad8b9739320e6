"""What commands share that serve, or run an engine themselves."""

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from orders.engine.ownership import AlreadyOwned
from orders.engine.service import EmbeddedEngine

log = logging.getLogger(__name__)

# How long a busy thread may keep the interpreter: with the default of 5 ms a commit waits behind request handling.
SWITCH_INTERVAL_SECONDS = 0.001
# Young objects between collections. The books are long-lived and hold no cycles worth looking for at every turn.
GC_THRESHOLDS = (50_000, 20, 50)


def tune_interpreter() -> None:
    """Threads and garbage collection as an engine wants them: for processes that run one."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.set_threshold(*GC_THRESHOLDS)


def migrate_if_needed() -> None:
    """Bring the tables up to date. Asking first is ten times as fast as a migration that has nothing to do."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def refuse_to_start_unmigrated() -> None:
    """For processes that share the tables with others: raises ``CommandError`` where tables are not up to date.

    A database that is away is no reason: it may come back, and requests are told meanwhile.
    """
    try:
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError as error:
        log.warning("whether the tables are up to date is not known: %s", error)
        return
    finally:
        connection.close()
    if is_behind:
        raise CommandError("The tables are not up to date: run `manage.py migrate` once, then start this again.")


@contextmanager
def owned_engine() -> Iterator[EmbeddedEngine]:
    """Take the lock, migrate, then run the engine; refuses, saying why, while a server owns the database."""
    tune_interpreter()
    engine = EmbeddedEngine()
    try:
        engine.acquire()
    except AlreadyOwned as error:
        raise CommandError(str(error)) from None
    try:
        migrate_if_needed()
        engine.start()
        yield engine
    finally:
        engine.stop()
