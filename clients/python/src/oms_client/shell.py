"""Around the session: a socket, a clock and REST. It decides nothing; it carries out what the session puts out.

One task connects and reads, one sends, one tells the session the time; what the session wants read over REST is done by
tasks of their own. All in one event loop.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from oms_client.commands import Command
from oms_client.errors import ClientError, Refused
from oms_client.errors import Stopped as StoppedError
from oms_client.following import Follower
from oms_client.line import (
    Connect,
    Dropped,
    Output,
    ReadEvents,
    ReadOrder,
    Reconnect,
    Send,
    Settled,
    Stopped,
    Told,
    Topic,
)
from oms_client.models import Malformed, Order
from oms_client.rest import Rest
from oms_client.session import Session
from oms_client.streams import ExecutionStream, Stream

TICK_SECONDS = 0.05
# How long opening a connection, and saying goodbye, may take.
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 1.0
# The largest message of the service: a deep book, a batch's answer.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

AnyStream = TypeVar("AnyStream", bound=Stream[Any])


class Shell:
    """Runs a session. ``address`` is the socket's."""

    def __init__(self, address: str, session: Session, rest: Rest) -> None:
        self.session = session
        self._address = address
        self._rest = rest
        self._calls: dict[int, asyncio.Future[object]] = {}
        self._streams: dict[Topic, list[Stream[Any]]] = {}
        self._socket: ClientConnection | None = None
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._delay_seconds = 0.0
        self._is_started = self._is_stopped = False

    def start(self) -> None:
        self._is_started = True
        self._begin(self._stay_connected())
        self._begin(self._tell_time())

    async def stop(self) -> None:
        """End all calls and streams, the connection, every task."""
        self.perform(self.session.stop(StoppedError("the client was closed")))
        if self._socket is not None:
            await self._socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def call(self, command: Command, seconds: float) -> object:
        """Have a command settled: its result, or its error is raised."""
        self._expect_started()
        now = monotonic()
        command_id, outputs = self.session.submit(command, now, now + seconds)
        future = self._calls[command_id] = asyncio.get_running_loop().create_future()
        self.perform(outputs)
        return await future

    def follow(self, topic: Topic, follower: Follower, terms: Mapping[str, object]) -> Follower:
        """Subscribe, unless that was done before; answers the topic's follower."""
        self._expect_started()
        known = self.session.follower(topic)
        if known is not None:
            return known
        self.perform(self.session.subscribe(topic, follower, terms, monotonic()))
        return follower

    def attach(self, topic: Topic, stream: AnyStream) -> AnyStream:
        """A user listens to a topic; the last one to leave ends the subscription."""
        self._streams.setdefault(topic, []).append(stream)
        stream.on_close = lambda: self._detach(topic, stream)
        return stream

    def is_followed(self, topic: Topic) -> bool:
        return topic in self._streams

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            self._perform(output)

    def _perform(self, output: Output) -> None:
        if isinstance(output, Send):
            self._outbox.put_nowait(output.text)
        elif isinstance(output, Told):
            for stream in self._streams.get(output.topic, ()):
                stream.feed(output.items)
        elif isinstance(output, Settled):
            self._settle(output)
        elif isinstance(output, Dropped):
            for stream in self._streams.pop(output.topic, ()):
                stream.fail(output.error)
        elif isinstance(output, Connect):
            self._delay_seconds = output.delay_seconds
        elif isinstance(output, Reconnect):
            if self._socket is not None:
                # No goodbye: whoever does not answer would not answer that either.
                self._socket.transport.abort()
        elif isinstance(output, ReadOrder):
            self._begin(self._read_order(output))
        elif isinstance(output, ReadEvents):
            self._begin(self._read_events(output))
        else:
            assert isinstance(output, Stopped)
            self._is_stopped = True

    def _expect_started(self) -> None:
        if not self._is_started:
            raise RuntimeError("the client works inside `async with` only")

    def _settle(self, settled: Settled) -> None:
        future = self._calls.pop(settled.command_id)
        if future.done():
            return
        if settled.error is not None:
            future.set_exception(settled.error)
        else:
            future.set_result(settled.result)

    def _detach(self, topic: Topic, stream: Stream[Any]) -> None:
        listening = self._streams.get(topic, [])
        if stream in listening:
            listening.remove(stream)
            if not listening:
                del self._streams[topic]
                self.perform(self.session.unsubscribe(topic))

    # Tasks

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that fails has found a bug of ours: then nobody may go on waiting."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.perform(self.session.stop(error))

    async def _tell_time(self) -> None:
        while not self._is_stopped:
            self.perform(self.session.tick(monotonic()))
            await asyncio.sleep(TICK_SECONDS)

    async def _stay_connected(self) -> None:
        while not self._is_stopped:
            await asyncio.sleep(self._delay_seconds)
            code = await self._connect()
            self.perform(self.session.disconnected(monotonic(), code))

    async def _connect(self) -> int | None:
        """One connection, until it ends; answers how it was closed."""
        self._outbox = asyncio.Queue()
        with suppress(OSError, WebSocketException, TimeoutError):
            async with connect(
                self._address,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
                compression=None,
                ping_interval=None,
                proxy=None,
            ) as socket:
                await self._talk(socket)
                return socket.close_code
        return None

    async def _talk(self, socket: ClientConnection) -> None:
        self._socket = socket
        sender = asyncio.create_task(self._send_all(socket, self._outbox))
        try:
            self.perform(self.session.connected(monotonic()))
            while True:
                self.perform(self.session.received(await socket.recv(), monotonic()))
        except ConnectionClosed:
            pass
        finally:
            self._socket = None
            sender.cancel()

    async def _send_all(self, socket: ClientConnection, outbox: asyncio.Queue[str]) -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.send(await outbox.get())

    # Questions

    async def _read_order(self, wanted: ReadOrder) -> None:
        order: Order | None = None
        try:
            if wanted.order_id is not None:
                order = await self._rest.order(wanted.order_id)
            else:
                assert wanted.client_order_id is not None
                order = await self._rest.order_by_client_id(wanted.client_order_id)
        except (ClientError, Malformed) as error:
            if not (isinstance(error, Refused) and error.problem.code == "order_not_found"):
                self.perform(self.session.order_unread(wanted.command_id, monotonic()))
                return
        self.perform(self.session.order_found(wanted.command_id, order, monotonic()))

    async def _read_events(self, wanted: ReadEvents) -> None:
        for stream in self._streams.get(Topic("executions"), ()):
            assert isinstance(stream, ExecutionStream)
            await stream.room()
        try:
            page = await self._rest.events(wanted.shard, wanted.after_sequence)
        except (ClientError, Malformed):
            self.perform(self.session.events_unread(wanted.shard, monotonic()))
        else:
            self.perform(self.session.events_read(wanted.shard, page.events, page.following, monotonic()))
