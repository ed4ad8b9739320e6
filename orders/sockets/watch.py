"""One watch for all sockets of a process: a tick for each of them every second, and every other second the question whether
their keys and sessions are still good.

The question is one look-up for all keys and two for all sessions, in a thread. What was revoked in this process is refused at
once where it matters, at order entry (``keys.generation``); this is for all the rest.
"""

import asyncio
import logging
from time import monotonic_ns, time_ns
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from orders import keys
from orders.actors import Actor
from orders.sockets import origins
from orders.sockets.threads import in_thread

log = logging.getLogger(__name__)

TICK_SECONDS = 1
# Ticks between two looks at the credentials: who lost them is out within three seconds.
TICKS_A_LOOK = 2

# The wall clock as it stood when the process began, and steady since: a clock that is set does not end connections.
_OFFSET_US = (time_ns() - monotonic_ns()) // 1000


def steady_us() -> int:
    """Microseconds since 1970 that never go back nor jump."""
    return monotonic_ns() // 1000 + _OFFSET_US


class Credential(NamedTuple):
    """What a socket was let in with: the digest of a key or the key of a session, and as whom."""

    digest: str | None
    session_key: str | None
    actor: Actor


class Watched(Protocol):
    """A socket."""

    credential: Credential | None

    def tick(self, at: int) -> None: ...

    def revoked(self) -> None:
        """Its credential is no longer good."""


def good(credentials: set[Credential]) -> set[Credential]:
    """Those that still are. Asks the tables."""
    digests = keys.valid_digests({each.digest for each in credentials if each.digest is not None})
    sessions = origins.valid_sessions(
        {(each.session_key, each.actor) for each in credentials if each.session_key is not None}
    )
    return {
        each
        for each in credentials
        if each.digest in digests or (each.session_key is not None and (each.session_key, each.actor) in sessions)
    }


class Watch:
    """Of one loop. Its timer runs while there are sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sockets: dict[Watched, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._looking: asyncio.Task[None] | None = None

    def add(self, socket: Watched) -> None:
        self._sockets[socket] = None
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_SECONDS, self._tick)

    def remove(self, socket: Watched) -> None:
        self._sockets.pop(socket, None)
        if not self._sockets and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)
        at = steady_us()
        for socket in list(self._sockets):
            socket.tick(at)
        self._ticks += 1
        if self._ticks % TICKS_A_LOOK == 0 and self._looking is None:
            self._looking = self._loop.create_task(self._look())

    async def _look(self) -> None:
        try:
            held = {socket.credential for socket in self._sockets if socket.credential is not None}
            lost = held - await in_thread(good, held) if held else held
            for socket in list(self._sockets):
                if socket.credential in lost:
                    socket.revoked()
        except Exception:
            log.exception("the credentials of the open sockets could not be looked at")
        finally:
            self._looking = None


_by_loop: "WeakKeyDictionary[asyncio.AbstractEventLoop, Watch]" = WeakKeyDictionary()


def watch(loop: asyncio.AbstractEventLoop) -> Watch:
    """That of a loop."""
    found = _by_loop.get(loop)
    if found is None:
        found = _by_loop[loop] = Watch(loop)
    return found
