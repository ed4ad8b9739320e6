"""What needs the database runs in a thread of its own, which closes its connection: never in the sockets' loop."""

from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

Answer = TypeVar("Answer")


async def in_thread(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """Run it there; gives back what it answers, or raises what it raises."""

    def run() -> Answer:
        try:
            return function(*arguments)
        finally:
            connection.close()

    return await sync_to_async(run, thread_sensitive=False)()
