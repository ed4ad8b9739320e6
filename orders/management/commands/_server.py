"""What commands share that serve, or run an engine themselves."""

import gc
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import CommandError, CommandParser, call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from orders import watching
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


def add_metrics_arguments(parser: CommandParser) -> None:
    """Of commands that go on for long and serve no requests: where their metrics are."""
    parser.add_argument("--metrics-port", type=int, default=0, help="port of /metrics (default: none)")
    parser.add_argument("--metrics-host", default="127.0.0.1", help="address of /metrics (default 127.0.0.1)")


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set: for commands that go on until they are told to end. In the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def owned_engine() -> Iterator[EmbeddedEngine]:
    """Take the lock, migrate, then run the engine; refuses, saying why, while a server owns the database."""
    if settings.OMS_ENGINE == "remote":
        raise CommandError("This runs an engine of its own: stop the others, and give it OMS_ENGINE=embedded.")
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


@contextmanager
def through_the_gateway() -> Iterator[None]:
    """Have an engine to talk to: the shards' own where these are processes, else one under the lock as ``owned_engine``."""
    if settings.OMS_ENGINE == "remote":
        refuse_to_start_unmigrated()
        watching.shards()
        yield
    else:
        with owned_engine():
            yield
