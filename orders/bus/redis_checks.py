"""What a Redis must be like to carry commands: it never evicts, and it keeps what it was given over a restart.

Asked by ``INFO``, which managed servers allow where they forbid ``CONFIG``.
"""

import logging
from typing import Any

from orders.bus.link import Link, checked

log = logging.getLogger(__name__)


class UnsafeRedis(Exception):
    """This Redis may forget commands that it has accepted."""


def check(link: Link, *, allow_unsafe: bool = False) -> None:
    """Raises ``UnsafeRedis``, or says so loudly where that is allowed."""
    problems = problems_of(link)
    if not problems:
        return
    if not allow_unsafe:
        raise UnsafeRedis("; ".join(problems))
    log.warning("UNSAFE Redis, allowed by OMS_ALLOW_UNSAFE_STORAGE: %s", "; ".join(problems))


def problems_of(link: Link) -> list[str]:
    """Why this Redis is not fit to carry commands; nothing where it is. Raises ``RedisError`` where it cannot be asked."""
    memory, persistence, replication = map(_read, checked(link.call(*[("INFO", part) for part in _PARTS])))
    problems = []
    if int(memory["maxmemory"]) and memory["maxmemory_policy"] != "noeviction":
        problems.append(
            f"it evicts keys when its memory is full: set maxmemory-policy to noeviction, not {memory['maxmemory_policy']}"
        )
    if persistence["aof_enabled"] != "1":
        problems.append("it does not keep an append-only file: set appendonly to yes")
    elif persistence.get("aof_last_write_status", "ok") != "ok":
        problems.append("it cannot write its append-only file")
    if replication["role"] != "master":
        problems.append("it is a replica, which takes no commands")
    return problems


_PARTS = ("memory", "persistence", "replication")


def _read(answer: Any) -> dict[str, str]:
    lines = (line.partition(":") for line in answer.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}
