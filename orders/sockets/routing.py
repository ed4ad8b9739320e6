"""The WebSocket side of the ASGI application: one path, foreign pages refused."""

from typing import Any

from orders.sockets import origins
from orders.sockets.consumer import SocketConsumer

PATH = "/ws/v1"

_consumer = SocketConsumer.as_asgi()


async def websocket_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse (HTTP 403) another path or a foreign Origin; let everything else in, with a session only from a browser."""
    origin = origins.header(scope, b"origin")
    if scope["path"] != PATH or (origin is not None and not origins.is_allowed(scope, origin)):
        await receive()
        await send({"type": "websocket.close"})
        return
    found = None if origin is None else origins.session_key(scope)
    await _consumer({**scope, "session_key": found}, receive, send)
