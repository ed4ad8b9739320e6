"""The one place that knows Daphne from inside, with Autobahn and Twisted under it.

* ASGI gives a consumer no backpressure and no way to stop reading. Twisted does: whoever registers as the producer of a
  transport is told to pause when 64 kB wait in its buffer, and to resume when they are gone. Daphne leaves the connection's
  HTTP channel registered there, which has nothing to say any more.
* A frame goes to the transport as it is, made once for all sockets it goes to; Autobahn would make it anew for each.
* ASGI lets an application close with any code; Autobahn refuses everything but 1000 and 3000 to 4999, so 1001 ("going away")
  would become an exception and a broken connection. And where a client breaks the protocol or a bound, it drops the
  connection without a word instead of closing with a code that says why.
"""

import socket
from collections.abc import Callable
from typing import Any

from daphne import server as daphne_server  # first: it chooses Twisted's reactor
from daphne import ws_protocol
from daphne.server import reactor

from orders.feed.frames import Frame
from orders.sockets.transport import EXTENSION

__all__ = ["Server", "reactor"]

# Unsent bytes the kernel takes beyond what is on its way. Without it a reader that falls behind has megabytes of old news
# before it, where they cannot be replaced by newer.
KERNEL_UNSENT_BYTES = 128 * 1024
# Of Linux and macOS; Python names it only where it was built so.
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)

# A whole text message in one frame, unmasked, as RFC 6455 (5.2) has servers send it.
_TEXT = 0x81
_SHORT, _LONG = 126, 65_536


def wire_of(data: bytes) -> bytes:
    """The frame of a text."""
    length = len(data)
    if length < _SHORT:
        return bytes((_TEXT, length)) + data
    if length < _LONG:
        return bytes((_TEXT, 126)) + length.to_bytes(2, "big") + data
    return bytes((_TEXT, 127)) + length.to_bytes(8, "big") + data


class DaphneTransport:
    """A ``Transport`` straight to the socket. Twisted's ``IPushProducer``: its names are not ours."""

    def __init__(self, protocol: "WebSocketProtocol") -> None:
        self.writable = False
        self._protocol = protocol
        self._on_writable: Callable[[], None] = lambda: None

    def attach(self, on_writable: Callable[[], None]) -> None:
        transport = self._protocol.transport
        if _NOTSENT_LOWAT is not None and hasattr(transport, "getHandle"):
            handle = transport.getHandle()
            if getattr(handle, "family", None) in (socket.AF_INET, socket.AF_INET6):
                handle.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, KERNEL_UNSENT_BYTES)
        self._on_writable = on_writable
        self.writable = True
        transport.unregisterProducer()
        transport.registerProducer(self, True)

    def write(self, frame: Frame) -> None:
        protocol = self._protocol
        if protocol.state == protocol.STATE_OPEN:
            wire = frame.wire
            if wire is None:
                wire = frame.wire = wire_of(frame.data)
            protocol.transport.write(wire)

    def close(self, code: int) -> None:
        """Autobahn cuts the connection off where the client does not answer within a second."""
        self._on_writable = lambda: None
        self._protocol.serverClose(code)

    def pause_reading(self) -> None:
        self._protocol.transport.pauseProducing()

    def resume_reading(self) -> None:
        self._protocol.transport.resumeProducing()

    def pauseProducing(self) -> None:
        self.writable = False

    def resumeProducing(self) -> None:
        self.writable = True
        self._on_writable()

    def stopProducing(self) -> None:
        """The connection is lost: what is written goes nowhere, and nobody need wait for it."""
        self.writable = True
        self._on_writable()


class WebSocketProtocol(ws_protocol.WebSocketProtocol):
    """Closes with the code it is given, and says why it ends a connection."""

    def onConnect(self, request: Any) -> Any:
        self.failByDrop = False
        return super().onConnect(request)

    def serverClose(self, code: int | None = None) -> None:
        self.sendCloseFrame(code=1000 if code is None else code, isReply=False)


class Server(daphne_server.Server):
    """Daphne, whose WebSockets are ours and find their transport in the scope."""

    def run(self) -> None:
        ws_protocol.WebSocketFactory.protocol = WebSocketProtocol
        super().run()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if isinstance(protocol, WebSocketProtocol):
            scope["extensions"] = {EXTENSION: DaphneTransport(protocol)}
        return super().create_application(protocol, scope)
