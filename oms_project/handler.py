"""HTTP under ASGI with one hop: a request goes from the server's loop to a thread, and its answer comes back.

Django's own handler crosses between loop and threads about six times for a synchronous view (two signals, the middleware,
the view, the closing of the response, the end of a thread it made for this one request): more than the view itself costs.
Here the whole of it runs in one thread of a pool that stays. The pool is as large as the bound on requests in flight
(``oms_project.intake``), which Django's handler does not have.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, BinaryIO

from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from oms_project.intake import BUSY, BUSY_HEADERS, MAX_REQUESTS, RESERVED_FOR_CANCELS, Intake

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class OneHopHandler(ASGIHandler):
    """Serves synchronous views behind synchronous middleware (see ``oms_project.middleware``)."""

    def __init__(self, bound: int = MAX_REQUESTS, reserved: int = RESERVED_FOR_CANCELS) -> None:
        super(ASGIHandler, self).__init__()
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(bound + reserved, thread_name_prefix="http")
        self._intake = Intake(bound, reserved)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"HTTP only, not {scope['type']}")
        if not self._intake.admit(scope["method"]):
            headers = [(name.encode(), value.encode()) for name, value in BUSY_HEADERS]
            await _send(send, 503, headers, BUSY)
            return
        try:
            body = await self.read_body(receive)
            answer = asyncio.get_running_loop().run_in_executor(
                self._threads, copy_context().run, self._respond, scope, body
            )
            # Somebody who hangs up does not undo what was asked for: the thread finishes by itself.
            status, headers, content = await asyncio.shield(answer)
        except RequestAborted:
            return
        finally:
            self._intake.leave()
        await _send(send, status, headers, content)

    async def read_body(self, receive: Receive) -> BinaryIO:
        """The body as a file, in memory up to the size any view takes, on disk beyond. Raises ``RequestAborted``."""
        file = tempfile.SpooledTemporaryFile(max_size=settings.DATA_UPLOAD_MAX_MEMORY_SIZE, mode="w+b")  # noqa: SIM115
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                file.close()
                raise RequestAborted
            file.write(message.get("body", b""))
            more = message.get("more_body", False)
        file.seek(0)
        return file

    def _respond(self, scope: Message, body: BinaryIO) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Everything Django does for a request, in one thread."""
        try:
            set_script_prefix(get_script_prefix(scope))
            signals.request_started.send(sender=self.__class__, scope=scope)
            request, response = self.create_request(scope, body)
            if request is not None:
                response = self.get_response(request)
                response._handler_class = self.__class__
            try:
                content = b"".join(response) if response.streaming else response.content
                return response.status_code, _headers(response), content
            finally:
                response.close()  # also says request_finished, which closes the database connection
        finally:
            body.close()


def _headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"Set-Cookie", c.output(header="").strip().encode("ascii")) for c in response.cookies.values()]
    return headers


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
