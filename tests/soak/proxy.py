"""A TCP proxy before a real server that knows WebSocket frames: it cuts, delays, and harms single messages of the server.

What the client sends goes through as it is. Of the server's bytes the answer to a request goes through; after a handshake
they are frames, and each text goes by a ``Line`` (see ``tests.soak.harm``).
"""

import asyncio
import random
from contextlib import suppress

from tests.soak.harm import Harm, Line

CHUNK_BYTES = 64 * 1024
TEXT = 1
# One read in so many is held up for up to so long.
HELD_UP_ONE_IN = 40
HELD_UP_SECONDS = 0.4


class Proxy:
    """``async with Proxy(server_port, ...) as proxy: proxy.port``; ``rough`` while it does harm."""

    def __init__(self, to_port: int, rng: random.Random, harm: Harm) -> None:
        self.rough = False
        self.port = 0
        self._to_port = to_port
        self._rng = rng
        self._harm = harm
        self._connections: set[Connection] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.cut(len(self._connections))

    def cut(self, count: int) -> None:
        """End so many connections, both ways, without a word."""
        connections = list(self._connections)
        self._rng.shuffle(connections)
        for connection in connections[:count]:
            self._harm.cuts += 1
            connection.abort()

    def calm(self) -> None:
        """No more harm; what is late arrives now."""
        self.rough = False
        for connection in self._connections:
            connection.calm()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(self, writer, server_writer, Line(self._rng, self._harm))
        self._connections.add(connection)
        try:
            await asyncio.gather(copy(reader, server_writer), connection.carry(server_reader))
        finally:
            self._connections.discard(connection)
            connection.abort()

    async def hold_up(self) -> None:
        if self.rough and self._rng.randrange(HELD_UP_ONE_IN) == 0:
            await asyncio.sleep(self._rng.random() * HELD_UP_SECONDS)


class Connection:
    """One connection's way from the server to the client."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter, line: Line) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._line = line

    def abort(self) -> None:
        self._client.transport.abort()
        self._server.transport.abort()

    def calm(self) -> None:
        for text in self._line.calm():
            self._client.write(text_frame(text))

    async def carry(self, server: asyncio.StreamReader) -> None:
        """The server's bytes, to their end."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await server.readuntil(b"\r\n\r\n")
            self._client.write(head)
            if not head.startswith(b"HTTP/1.1 101"):
                await copy(server, self._client)
                return
            while True:
                await self._proxy.hold_up()
                await self._frame(server)
        self._client.close()

    async def _frame(self, server: asyncio.StreamReader) -> None:
        head = await server.readexactly(2)
        length = head[1]
        if length >= 126:
            more = await server.readexactly(2 if length == 126 else 8)
            head, length = head + more, int.from_bytes(more, "big")
        payload = await server.readexactly(length)
        if head[0] & 15 != TEXT:
            self._client.write(head + payload)
            return
        self._line.rough = self._proxy.rough
        for text in self._line.carry(payload.decode()):
            self._client.write(text_frame(text))
        await self._client.drain()


def text_frame(text: str) -> bytes:
    """A server's frame."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return bytes((0x80 | TEXT, length)) + payload
    if length < 65_536:
        return bytes((0x80 | TEXT, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | TEXT, 127)) + length.to_bytes(8, "big") + payload


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes as they come, to their end."""
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
