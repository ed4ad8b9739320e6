"""A lean WebSocket client for load: bare asyncio protocols that count frames and bytes, and read a text only where asked.

A thousand of these cost a fraction of what they measure: no library, no task and no queue a connection.
"""

import asyncio
import base64
import json
import os
from collections.abc import Callable, Coroutine
from datetime import datetime
from statistics import median
from time import perf_counter, time
from typing import Any

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
FINAL = 0x80
# A mask of zeros changes nothing: it is lawful and spares the client the work.
MASKED_ZERO = b"\x00\x00\x00\x00"
OPEN_SECONDS = 30
# Sockets that connect at a time: a thousand at once would overflow any backlog.
CONNECT_AT_ONCE = 50
# A message of a channel has at least so many bytes, a pong or a heartbeat fewer.
DATA_BYTES = 150
# The service closes a socket that says nothing for 30 s.
SPEAK_SECONDS = 8


def frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame."""
    length = len(payload)
    if length < 126:
        head = bytes((FINAL | opcode, FINAL | length))
    elif length < 65_536:
        head = bytes((FINAL | opcode, FINAL | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((FINAL | opcode, FINAL | 127)) + length.to_bytes(8, "big")
    return head + MASKED_ZERO + payload


class Socket(asyncio.Protocol):
    """One connection. ``on_text`` is called with each text; without it texts are only counted: ``frames`` are those of
    ``DATA_BYTES`` or more."""

    def __init__(self, port: int, path: str, on_text: Callable[[bytes], None] | None = None) -> None:
        self.on_text = on_text
        self.frames = 0
        self.close_code: int | None = None
        loop = asyncio.get_running_loop()
        self.opened = loop.create_future()
        self.closed = loop.create_future()
        self.transport: Any = None
        self._buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    def say(self, message: dict[str, Any] | bytes) -> None:
        text = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.transport.write(frame(TEXT, text))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            data = self._shake_hands(self._buffer + data)
        elif self._buffer:
            data = self._buffer + data
        self._buffer = self._take_frames(data) if self.opened.done() else data

    def _shake_hands(self, data: bytes) -> bytes:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            return data
        if not head.startswith(b"HTTP/1.1 101"):
            self.opened.set_exception(ConnectionError(head.decode()))
            return b""
        self.opened.set_result(None)
        return rest

    def _take_frames(self, data: bytes) -> bytes:
        """Take all whole frames; answers what is left."""
        start, end = 0, len(data)
        on_text = self.on_text
        while end - start >= 2:
            length, at = data[start + 1], start + 2
            if length == 126:
                at = start + 4
                length = int.from_bytes(data[start + 2 : at], "big")
            elif length == 127:
                at = start + 10
                length = int.from_bytes(data[start + 2 : at], "big")
            if at + length > end:
                break
            opcode = data[start] & 15
            if opcode == TEXT:
                self.frames += length >= DATA_BYTES
                if on_text is not None:
                    on_text(data[at : at + length])
            else:
                self._control(opcode, data[at : at + length])
            start = at + length
        return data[start:]

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("closed before it was open"))
        if not self.closed.done():
            self.closed.set_result(None)


async def open_socket(port: int, path: str, on_text: Callable[[bytes], None] | None = None) -> Socket:
    """Connect and shake hands."""
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(lambda: Socket(port, path, on_text), "127.0.0.1", port)
    await asyncio.wait_for(socket.opened, OPEN_SECONDS)
    return socket


async def open_sockets(port: int, path: str, count: int) -> list[Socket]:
    """Many, some at a time."""
    sockets: list[Socket] = []
    while len(sockets) < count:
        wave = min(CONNECT_AT_ONCE, count - len(sockets))
        sockets += await asyncio.gather(*(open_socket(port, path) for _ in range(wave)))
    return sockets


async def keep_speaking(sockets: list[Socket]) -> None:
    """Show the server that they live, until canceled; spread out, so that it is no burst."""
    while True:
        for socket in list(sockets):
            if not socket.closed.done():
                socket.say(b'{"op":"ping"}')
            await asyncio.sleep(SPEAK_SECONDS / len(sockets))


class Talk:
    """A socket to ask and be answered on: answers are found by their ``id``."""

    def __init__(self) -> None:
        self.socket: Socket
        self.others: Callable[[dict[str, Any]], None] = lambda message: None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0

    @classmethod
    async def open(cls, port: int, key: str = "") -> "Talk":
        talk = cls()
        talk.socket = await open_socket(port, "/ws/v1", talk._take)
        if key:
            await talk.ask(op="auth", key=key)
        return talk

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Send, wait, and insist on ``ok``."""
        self._last += 1
        answer = self._waiting[self._last] = asyncio.get_running_loop().create_future()
        self.socket.say({**message, "id": self._last})
        found = await asyncio.wait_for(answer, OPEN_SECONDS)
        if not found.get("ok"):
            raise RuntimeError(f"{message} was answered {found}")
        return found

    def _take(self, text: bytes) -> None:
        message = json.loads(text)
        waiting = self._waiting.pop(message.get("id"), None)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(message)
        else:
            self.others(message)


def age_ms(text: bytes) -> float:
    """How long ago the ``time`` in a message was: the moment of the commit, on the same machine's clock."""
    at = text.rindex(b'"time":"') + 8
    return (time() - datetime.fromisoformat(text[at : at + 27].decode()).timestamp()) * 1000


async def paced(more: Callable[[], Coroutine[Any, Any, object]], rate: float, seconds: float) -> int:
    """Begin it ``rate`` times a second, without waiting for the one before; answers how often, when all have ended."""
    started = perf_counter()
    begun = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - perf_counter()))
        begun.append(asyncio.create_task(more()))
    await asyncio.sleep(max(0.0, started + seconds - perf_counter()))
    await asyncio.gather(*begun)
    return len(begun)


def percentiles(values: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile; not a number where there is nothing."""
    if not values:
        return float("nan"), float("nan")
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def spread(values: list[float]) -> str:
    """The median, the lowest and the highest."""
    return f"median {median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
