"""The thin shell around the protocol: moves texts and frames between an ASGI server and the core, and does what the core asks.

Theory of operation
-------------------
* A message is taken when the one before it is done, so a client's messages are carried out in the order they came. Nearly all
  are done at once; an order is done when it is submitted, not when it is answered. What needs the database is awaited in a
  thread, and reading pauses meanwhile.
* Answers of the engine, messages of the feed and ticks come as plain calls in the loop. Whatever they leave in the outbox is
  written at once as long as the transport takes it: no task and no queue of tasks. When it does not, the outbox has its
  policies, and the transport says when to go on.
* A Channels consumer with a loop of its own: Channels' would make a task for every message, and close old database connections
  in a thread before each. Nothing here holds a connection in the loop.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings

from orders import keys, meters, selectors
from orders.bus.envelope import Outcome
from orders.feed.board import Key
from orders.feed.frames import CANDLES, POSITIONS, Frame
from orders.feed.hub import hub
from orders.schemas.closing import GOING_AWAY
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo
from orders.sockets import commands
from orders.sockets.answers import Finish, answers
from orders.sockets.origins import actor_of_session, client_of
from orders.sockets.protocol import SocketProtocol
from orders.sockets.tasks import (
    Authenticate,
    ClosePrivate,
    Command,
    OpenExecutions,
    OpenPositions,
    Subscribe,
    Task,
    Unsubscribe,
)
from orders.sockets.threads import in_thread
from orders.sockets.transport import EXTENSION, AsgiTransport, Transport
from orders.sockets.watch import Credential, good, steady_us, watch
from orders.submission import Submission

Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)

# Outcomes answered in the loop; the texts of a larger batch are made in a thread, so that other sockets do not wait for them.
MAX_QUICK_OUTCOMES = 20


class SocketConsumer(AsyncConsumer):
    """One WebSocket. Also a ``Sink`` of the hub, an ``Asker`` of the engine's answers, and ``Watched``."""

    protocol: SocketProtocol

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        """From the handshake to the end."""
        self._set_up(scope, send)
        await receive()  # websocket.connect
        if not await self._open():
            return
        watched = watch(self._loop)
        watched.add(self)
        meters.sockets.opened(self)
        try:
            while (message := await receive())["type"] == "websocket.receive":
                await self._take(message.get("text"))
        finally:
            self._closed = True
            watched.remove(self)
            meters.sockets.closed(self, self.protocol.close_code)
            self._hub.disconnect(self)

    def _set_up(self, scope: dict[str, Any], send: Send) -> None:
        self.scope = scope
        self.base_send = send
        self.credential: Credential | None = None
        self._hub = hub()
        self._loop = asyncio.get_running_loop()
        self._answers = answers(self._loop)
        self._id = secrets.token_hex(8)
        # Messages written: read by whoever counts them.
        self.sent = 0
        self._transport: Transport = scope.get("extensions", {}).get(EXTENSION) or AsgiTransport(send)
        # As of which change of keys the credential was found good.
        self._generation = keys.generation()
        # Set while nothing is read, until there is room again.
        self._room: asyncio.Future[None] | None = None
        self._reads = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def _take(self, text: str | None) -> None:
        """Carry out one message."""
        task = self.protocol.receive(text, steady_us())
        if task is not None and not self._submitted(task):
            await self._wait_for(self._carry_out(task))
        self.flush()
        if self.protocol.must_pause:
            await self._wait_for(self._wait_for_room())

    async def _open(self) -> bool:
        if not self._hub.running:
            await self.send({"type": "websocket.close"})
            return False
        session_key = self.scope.get("session_key")
        actor = await in_thread(actor_of_session, session_key) if session_key else None
        if actor is not None:
            self.credential = Credential(None, session_key, actor)
        self.protocol = SocketProtocol(
            actor=actor,
            public_market_data=settings.OMS_PUBLIC_MARKET_DATA,
            connection_id=self._id,
            at=steady_us(),
        )
        await self.send({"type": "websocket.accept"})
        self._transport.attach(self.flush)
        if not self._hub.connect(self):
            self.close(GOING_AWAY)
        return True

    # Reading

    async def _wait_for(self, work: Awaitable[None]) -> None:
        """Read nothing until it is done."""
        self._reads = False
        self._transport.pause_reading()
        try:
            await work
        finally:
            self._reads = True
            self._transport.resume_reading()

    async def _wait_for_room(self) -> None:
        if not self.protocol.may_go_on:
            self._room = self._loop.create_future()
            await self._room

    # Order entry

    def _submitted(self, task: Task) -> bool:
        """Submit a command where that can be done at once."""
        if task.__class__ is not Command or self._generation != keys.generation():
            return False
        if commands.asks_tables(task.message):
            return False
        try:
            self._expect(task, commands.submit(task.message, task.slot.actor))
        except Exception as error:
            self._refuse(task, error)
        return True

    async def _submit(self, task: Command) -> None:
        if not await self._is_still_good():
            return
        order_id = commands.named_order(task.message)
        if order_id is not None:
            self.protocol.entry.about(task.slot, (order_id,), order_id)
        self._expect(task, await in_thread(commands.submit, task.message, task.slot.actor))

    def _expect(self, task: Command, submission: Submission[Any]) -> None:
        if submission.order_ids:
            self.protocol.entry.about(task.slot, submission.order_ids, submission.order_id)
        task.slot.give_up = submission.give_up
        self._answers.expect(self, task, submission)

    async def _is_still_good(self) -> bool:
        """Look at the credential again where some of this process were revoked since."""
        generation = keys.generation()
        held = set() if self.credential is None or self._generation == generation else {self.credential}
        if held and not await in_thread(good, held):
            self.revoked()
            return False
        self._generation = generation
        return True

    def answered(self, command: Command, finish: Finish, outcomes: list[Outcome]) -> None:
        """The engine has answered; ``flush`` follows."""
        if self._closed:
            return
        if len(outcomes) > MAX_QUICK_OUTCOMES or commands.answer_asks_tables(outcomes):
            task = self._loop.create_task(self._answer_in_thread(command, finish, outcomes))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._tell(command, self._body(command, finish, outcomes))

    async def _answer_in_thread(self, command: Command, finish: Finish, outcomes: list[Outcome]) -> None:
        self._tell(command, await in_thread(self._body, command, finish, outcomes))
        self.flush()

    def _body(self, command: Command, finish: Finish, outcomes: list[Outcome]) -> commands.Body | ProblemError:
        slot = command.slot
        try:
            return commands.body(command.message, finish, outcomes, slot.actor, self._id)
        except ProblemError as problem:
            return problem
        except Exception:
            extra = {"order_id": slot.order_id}
            log.exception("a command was carried out, but its answer could not be made", extra=extra)
            return ProblemError("internal_error", outcome="unknown", order_id=slot.order_id)

    def _tell(self, command: Command, body: commands.Body | ProblemError) -> None:
        if isinstance(body, ProblemError):
            self.protocol.failed(command.slot, body)
        else:
            self.protocol.result(command.slot, body)

    # Everything else

    async def _carry_out(self, task: Task) -> None:
        try:
            await self._do(task)
        except Exception as error:
            self._refuse(task, error)

    def _refuse(self, task: Task, error: Exception) -> None:
        if not isinstance(error, ProblemError):
            log.error("a WebSocket message failed", exc_info=error)
            error = ProblemError("internal_error")
        self.protocol.refused(task, error)

    async def _do(self, task: Task) -> None:
        if isinstance(task, Command):
            await self._submit(task)
        elif isinstance(task, Subscribe):
            instruments = [await self._instrument(symbol) for symbol in task.symbols]
            for info in self.protocol.subscribed(task, instruments):
                self._hub.subscribe(self, task.channel, info, task.detail)
        elif isinstance(task, Unsubscribe):
            for channel, instrument_id, detail in task.keys:
                # A book is left at whatever depth, candles at their interval.
                self._hub.unsubscribe(self, channel, instrument_id, detail if channel == CANDLES else None)
            self.protocol.unsubscribed(task)
        elif isinstance(task, Authenticate):
            await self._authenticate(task)
        elif isinstance(task, OpenExecutions):
            await self._open_executions(task)
        elif isinstance(task, OpenPositions):
            opening = await self._hub.open_positions(self, task.actor.account_id, task.actor.account_name)
            self.protocol.positions_opened(task)
            opening.tell()
        else:
            self._close_private(task)

    async def _instrument(self, symbol: str) -> InstrumentInfo:
        """Raises ``unknown_symbol``."""
        return self._hub.find(symbol) or await in_thread(selectors.instrument_by_symbol, symbol)

    async def _authenticate(self, task: Authenticate) -> None:
        self._generation = keys.generation()
        actor = await in_thread(keys.authenticate_key, task.key, client_of(self.scope))
        if actor is not None:
            self.credential = Credential(keys.digest_of(task.key), None, actor)
        self.protocol.authenticated(task, actor)

    async def _open_executions(self, task: OpenExecutions) -> None:
        actor = task.actor
        opening = await self._hub.open_executions(self, actor.account_id, actor.account_name, task.after)
        self.protocol.executions_opened(task)
        opening.tell()
        self.protocol.executions_told()

    def _close_private(self, task: ClosePrivate) -> None:
        if task.channel == POSITIONS:
            self._hub.close_positions(self)
        else:
            self._hub.close_executions(self)
        self.protocol.private_closed(task)

    # The hub's side

    def market(self, key: Key, frame: Frame) -> None:
        protocol = self.protocol
        if self._transport.writable and protocol.is_clear:
            self.sent += 1
            self._transport.write(frame)
        else:
            protocol.market(key, frame)
            self.flush()

    def execution(self, frame: Frame, order_id: int) -> None:
        self.protocol.execution(frame, order_id)
        self.flush()

    def notice(self, frame: Frame) -> None:
        self.protocol.notice(frame)
        self.flush()

    def close(self, code: int) -> None:
        self.protocol.close(code)
        self.flush()

    # The watch's side

    def tick(self, at: int) -> None:
        self.protocol.tick(at, reads=self._reads, writes=self._transport.writable)
        self.flush()

    def revoked(self) -> None:
        self.protocol.revoked()
        self.flush()

    # Writing

    def flush(self) -> None:
        """Write what waits, as far as the transport takes it; close where that is due; read on where there is room."""
        if self._closed:
            return
        protocol, transport = self.protocol, self._transport
        while transport.writable:
            frame = protocol.outbox.take()
            if frame is not None:
                self.sent += 1
                transport.write(frame)
            elif not self._begin_anew():
                break
        if self._room is not None and not self._room.done() and protocol.may_go_on:
            self._room.set_result(None)
        if protocol.is_over:
            self._closed = True
            self._hub.disconnect(self)
            transport.close(protocol.close_code)

    def _begin_anew(self) -> bool:
        """Ask for snapshots in place of what a slow reader lost. Answers whether anything was."""
        lost = self.protocol.lost()
        for channel, info, detail in lost:
            meters.resyncs[channel, "slow_reader"].inc()
            self._hub.subscribe(self, channel, info, detail)
        return bool(lost)
