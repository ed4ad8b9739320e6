"""What the sockets are compared with: bare Channels consumers in a bare Daphne process.

``python -m benchmarks.peers PORT``. ``/echo`` says what it is told, as Channels does it; ``/lean-echo`` without Channels'
hop to a thread at every message; ``/fanout`` sends a text to every socket connected to it, when told how (see ``Fanout``).
"""

import asyncio
import json
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

if not settings.configured:
    settings.configure()

from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

TIME = re.compile(r'"time":"[^"]*"')


class Echo(AsyncWebsocketConsumer):
    """As the tutorial has it."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


class LeanEcho(AsyncWebsocketConsumer):
    """The fastest a consumer can be without leaving the public interface."""

    async def dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.receive":
            await AsyncConsumer.send(self, {"type": "websocket.send", "text": message["text"]})
        else:
            await super().dispatch(message)


class Fanout(AsyncWebsocketConsumer):
    """``{"texts":[...],"rate":R,"seconds":S}``: the texts in turn, R times a second. ``{"texts":[...]}``: one more at every
    further message, for a client that paces. In place of its time each says when it was due."""

    members: set["Fanout"] = set()
    texts: list[str] = []
    sent = 0

    async def connect(self) -> None:
        await self.accept()
        self.members.add(self)

    async def disconnect(self, code: int) -> None:
        self.members.discard(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        told = json.loads(text_data or "")
        if "texts" in told:
            Fanout.texts = told["texts"]
        if "rate" in told:
            asyncio.get_running_loop().create_task(self.broadcast(told["rate"], told["seconds"]))
        elif "texts" not in told:
            await self.tell_all(time.time())

    @classmethod
    async def broadcast(cls, rate: float, seconds: float) -> None:
        started = time.time()
        for number in range(int(rate * seconds)):
            due = started + number / rate
            # Always through the loop: sockets must get their turn to write, however late it is.
            await asyncio.sleep(max(0.0, due - time.time()))
            await cls.tell_all(due)

    @classmethod
    async def tell_all(cls, due: float) -> None:
        said = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        text = TIME.sub(f'"time":"{said}"', cls.texts[cls.sent % len(cls.texts)])
        cls.sent += 1
        for member in list(cls.members):
            await member.send(text_data=text)


PATHS = {"/echo": Echo.as_asgi(), "/lean-echo": LeanEcho.as_asgi(), "/fanout": Fanout.as_asgi()}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await PATHS[scope["path"]](scope, receive, send)


def main() -> None:
    from daphne.server import Server
    from twisted.internet import reactor

    endpoint = f"tcp:port={sys.argv[1]}:interface=127.0.0.1:backlog=1024"
    server = Server(application, endpoints=[endpoint], signal_handlers=False, verbosity=0)
    reactor.callWhenRunning(print, "ready", flush=True)
    server.run()


if __name__ == "__main__":
    main()
