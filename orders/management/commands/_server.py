"""What commands share that run the engine themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandError, call_command

from orders.engine.ownership import AlreadyOwned
from orders.engine.service import EmbeddedEngine


@contextmanager
def owned_engine() -> Iterator[EmbeddedEngine]:
    """Take the lock, migrate, then run the engine; refuses, saying why, while a server owns the database."""
    engine = EmbeddedEngine()
    try:
        engine.acquire()
    except AlreadyOwned as error:
        raise CommandError(str(error)) from None
    try:
        call_command("migrate", interactive=False, verbosity=0)
        engine.start()
        yield engine
    finally:
        engine.stop()
