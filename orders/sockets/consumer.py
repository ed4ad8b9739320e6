"""The thin shell around the protocol: moves texts between Channels and the core, and does what the core asks for.

Channels' own ``dispatch`` closes old database connections in a thread on every message, which halves the throughput; no
message here touches the database in this thread, so that is left out. What does (keys, sessions, symbols never heard of)
runs in a thread of its own that closes its connection.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from time import time_ns
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.conf import settings
from django.db import connection

from orders import keys, selectors
from orders.actors import Actor
from orders.feed.board import Key
from orders.feed.frames import Frame
from orders.feed.hub import Hub, hub
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo
from orders.sockets import protocol as core
from orders.sockets.origins import actor_of_session

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


async def in_thread(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """Run what needs the database in a thread of its own."""

    def run() -> Answer:
        try:
            return function(*arguments)
        finally:
            connection.close()

    return await sync_to_async(run, thread_sensitive=False)()


class SocketConsumer(AsyncConsumer):
    """One WebSocket. Also a ``Sink`` of the hub: ``market``, ``execution``, ``notice``, ``close``."""

    protocol: core.SocketProtocol

    def __init__(self) -> None:
        self._hub: Hub = hub()
        self._flushing: asyncio.Task[None] | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.receive":
            await self._receive(message.get("text"))
        elif kind == "websocket.connect":
            await self._connect()
        elif kind == "websocket.disconnect":
            self._hub.disconnect(self)
            raise StopConsumer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.disconnect(self)
            if self._flushing is not None:
                self._flushing.cancel()

    async def _connect(self) -> None:
        if not self._hub.running:
            await self.send({"type": "websocket.close"})
            return
        session_key = self.scope.get("session_key")
        actor: Actor | None = await in_thread(actor_of_session, session_key) if session_key else None
        self.protocol = core.SocketProtocol(
            actor=actor,
            public_market_data=settings.OMS_PUBLIC_MARKET_DATA,
            connection_id=secrets.token_hex(8),
        )
        await self.send({"type": "websocket.accept"})
        if not self._hub.connect(self):
            self.close(core.GOING_AWAY)

    async def _receive(self, text: str | None) -> None:
        task = self.protocol.receive(text, time_ns() // 1000)
        if task is not None:
            try:
                await self._do(task)
            except ProblemError as problem:
                self.protocol.refused(getattr(task, "id", None), problem)
            except Exception:
                log.exception("a WebSocket message failed")
                self.protocol.refused(getattr(task, "id", None), ProblemError("internal_error"))
        self._flush()

    async def _do(self, task: core.Task) -> None:
        if isinstance(task, core.Subscribe):
            instruments = [await self._instrument(symbol) for symbol in task.symbols]
            if self.protocol.subscribed(task, instruments):
                for info in instruments:
                    self._hub.subscribe(self, task.channel, info, task.depth)
        elif isinstance(task, core.Unsubscribe):
            for info in task.instruments:
                self._hub.unsubscribe(self, task.channel, info.id)
        elif isinstance(task, core.Authenticate):
            client = self.scope.get("client")
            self.protocol.authenticated(task, await in_thread(keys.authenticate_key, task.key, client and client[0]))
        elif isinstance(task, core.OpenExecutions):
            actor = task.actor
            opening = await self._hub.open_executions(self, actor.account_id, actor.account_name, task.after)
            self.protocol.executions_opened(task)
            opening.tell()
        else:
            self._hub.close_executions(self)

    async def _instrument(self, symbol: str) -> InstrumentInfo:
        """Raises ``unknown_symbol``."""
        return self._hub.find(symbol) or await in_thread(selectors.instrument_by_symbol, symbol)

    # The hub's side

    def market(self, key: Key, frame: Frame) -> None:
        self.protocol.market(key, frame)
        self._flush()

    def execution(self, frame: Frame, order_id: int) -> None:
        self.protocol.execution(frame)
        self._flush()

    def notice(self, frame: Frame) -> None:
        self.protocol.notice(frame)
        self._flush()

    def close(self, code: int) -> None:
        self.protocol.close(code)
        self._flush()

    # Sending

    def _flush(self) -> None:
        """See to it that what waits is sent; at most one task a socket does that."""
        if self._flushing is None and (self.protocol.waiting or self.protocol.close_code is not None):
            self._flushing = asyncio.get_running_loop().create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while True:
                while (frame := self.protocol.to_send()) is not None:
                    await self.send({"type": "websocket.send", "text": frame.text})
                lost = self.protocol.resnapshots()
                for channel, info, depth in lost:
                    self._hub.subscribe(self, channel, info, depth)
                if not lost:
                    break
            if self.protocol.close_code is not None:
                self._hub.disconnect(self)
                await self.send({"type": "websocket.close", "code": self.protocol.close_code})
        except Exception:
            log.exception("a WebSocket could not be sent to")
            self._hub.disconnect(self)
        finally:
            self._flushing = None
