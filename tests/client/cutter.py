"""A TCP proxy that ends each connection after so many bytes, or holds its breath: for answers that get lost on the way."""

import asyncio
import itertools
from collections.abc import Iterable
from contextlib import suppress

CHUNK_BYTES = 16 * 1024
ENDLESS = 1 << 62


class Cutter:
    """``async with Cutter(port, budgets) as cutter: cutter.url``; ``budgets`` gives each connection to a socket its bytes.

    A budget is (bytes from the client, bytes from the server); whichever is used up first ends the connection both ways,
    with what has passed until then delivered. Requests over REST pass, and use up nothing.
    """

    def __init__(self, to_port: int, budgets: Iterable[tuple[int, int]] = ()) -> None:
        self.port = 0
        self.cuts = 0
        self.connections = 0
        self._to_port = to_port
        self._budgets = itertools.chain(budgets, itertools.repeat((ENDLESS, ENDLESS)))
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "Cutter":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End all connections there are."""
        for writer in self._open:
            writer.transport.abort()

    def hold(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            with_server = await asyncio.open_connection("127.0.0.1", self._to_port)
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
            return
        server_reader, server_writer = with_server
        self._open.add(server_writer)
        budget = (ENDLESS, ENDLESS)
        if b"upgrade: websocket" in head.lower():
            self.connections += 1
            budget = next(self._budgets)
        server_writer.write(head)
        ways = (self._carry(reader, server_writer, budget[0]), self._carry(server_reader, writer, budget[1]))
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, server_writer):
            # What has passed is delivered, then the end comes.
            end.close()
            self._open.discard(end)
        await asyncio.wait(tasks, timeout=5)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int) -> None:
        with suppress(OSError):
            while data := await reader.read(min(CHUNK_BYTES, budget)):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
                budget -= len(data)
                if not budget:
                    self.cuts += 1
                    return
