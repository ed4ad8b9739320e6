"""The one place that knows Daphne from inside.

ASGI lets an application close with any code; the library under Daphne (Autobahn) refuses everything but 1000 and 3000 to
4999, so 1001 ("going away") would become an exception and a broken connection. And where a client breaks the protocol or a
bound, it drops the connection without a word instead of closing with a code that says why.
"""

from typing import Any

from daphne import ws_protocol


class WebSocketProtocol(ws_protocol.WebSocketProtocol):
    """Closes with the code it is given, and says why it ends a connection."""

    def onConnect(self, request: Any) -> Any:
        self.failByDrop = False
        return super().onConnect(request)

    def serverClose(self, code: int | None = None) -> None:
        self.sendCloseFrame(code=1000 if code is None else code, isReply=False)


def install() -> None:
    """Have Daphne use it; before the server runs, after Twisted's reactor is chosen."""
    ws_protocol.WebSocketFactory.protocol = WebSocketProtocol
