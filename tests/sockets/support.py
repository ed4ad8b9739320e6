"""Sockets of the test client, on the hub's loop."""

import json
from typing import Any

from channels.testing import WebsocketCommunicator

from orders import keys
from orders.sockets.routing import websocket_application
from tests.feed.support import Feed
from tests.support.market import make_account, make_user

HOST = (b"host", b"localhost:8000")


class Socket:
    """A client whose calls run in the hub's loop."""

    def __init__(self, feed: Feed, *headers: tuple[bytes, bytes], path: str = "/ws/v1") -> None:
        self._feed = feed
        self._communicator = WebsocketCommunicator(websocket_application, path, [HOST, *headers])
        self._communicator.scope["client"] = ["203.0.113.5", 50000]

    def connect(self) -> bool:
        accepted, _ = self._feed.loop.run(self._communicator.connect(timeout=5))
        return accepted

    def say(self, **message: object) -> None:
        self._feed.loop.run(self._communicator.send_to(text_data=json.dumps(message)))

    def say_bytes(self, data: bytes) -> None:
        self._feed.loop.run(self._communicator.send_to(bytes_data=data))

    def hear(self) -> dict[str, Any]:
        """The next message that is not a heartbeat."""
        while True:
            message = json.loads(self._feed.loop.run(self._communicator.receive_from(timeout=5)))
            if message.get("op") != "heartbeat":
                return message

    def ask(self, **message: object) -> dict[str, Any]:
        self.say(**message)
        return self.hear()

    def close_code(self) -> int:
        """Of the end, past what is said before it."""
        while True:
            output = self._feed.loop.run(self._communicator.receive_output(timeout=5))
            if output["type"] == "websocket.close":
                return output["code"]

    def is_silent(self) -> bool:
        return self._feed.loop.run(self._communicator.receive_nothing(timeout=0.2))

    def disconnect(self) -> None:
        self._feed.loop.run(self._communicator.disconnect())


def key_of(name: str, *scopes: str, **fields: Any) -> str:
    """A new key of the user for the account of that name."""
    account = make_account(name)
    _, key = keys.create_key(user=make_user(name), account=account, scopes=list(scopes), **fields)
    return key
