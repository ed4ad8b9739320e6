"""How frames leave, and how a client is kept from sending more than is taken: the shell's side of a server.

A server that lets us near its socket (``orders.sockets.daphne``) puts such a ``Transport`` into the scope. With any other, and
with Channels' test client, ``AsgiTransport`` makes the best of ASGI: one message at a time, each awaited.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from orders.feed.frames import Frame

log = logging.getLogger(__name__)

# Where it is found among the scope's extensions.
EXTENSION = "oms.transport"


class Transport(Protocol):
    """``writable`` says whether a frame written now leaves soon; what is written otherwise waits without bound."""

    writable: bool

    def attach(self, on_writable: Callable[[], None]) -> None:
        """The connection is open. ``on_writable`` is called in the loop whenever it can be written to again."""

    def write(self, frame: Frame) -> None: ...

    def close(self, code: int) -> None:
        """Behind what was written. A client that does not take even that is cut off after a moment."""

    def pause_reading(self) -> None:
        """Leave what the client sends to the network, which makes it wait."""

    def resume_reading(self) -> None: ...


class AsgiTransport:
    """Through ``send``. A server that awaits its socket there gives backpressure; reading stops by not asking for more."""

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self.writable = False
        self._send = send
        self._on_writable: Callable[[], None] = lambda: None
        self._messages: deque[dict[str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None

    def attach(self, on_writable: Callable[[], None]) -> None:
        self._on_writable = on_writable
        self.writable = True

    def write(self, frame: Frame) -> None:
        self._put({"type": "websocket.send", "text": frame.text})

    def close(self, code: int) -> None:
        self._on_writable = lambda: None
        self._put({"type": "websocket.close", "code": code})

    def pause_reading(self) -> None:
        """Nothing to do: nobody asks for the next message."""

    def resume_reading(self) -> None:
        """Nothing to do."""

    def _put(self, message: dict[str, Any]) -> None:
        self.writable = False
        self._messages.append(message)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._messages:
                message = self._messages.popleft()
                await self._send(message)
                if not self._messages and message["type"] == "websocket.send":
                    self.writable = True
                    self._on_writable()
        except Exception:
            log.exception("a WebSocket could not be sent to")
        finally:
            self._task = None
