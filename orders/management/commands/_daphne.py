"""Daphne, the hub, and how both come to an end: what ``serve`` does with an engine of its own and beside engines elsewhere."""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from orders.feed.hub import hub
from orders.schemas.closing import GOING_AWAY

log = logging.getLogger(__name__)

# Waiting connections the kernel keeps: a burst of clients that reconnect at once is not refused (Daphne's default is 50).
LISTEN_BACKLOG = 1024
# Between the last answers and the closing of sockets, so that they get out.
LAST_ANSWERS_SECONDS = 0.3


class WebServer:
    """Serves until stopped; ``finish`` is then run in a thread, and lets what is under way be answered.

    ``say`` prints where it serves; ``relayed`` is the hub's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        finish: Callable[[], None],
        say: Callable[[str], None],
        relayed: bool = False,
    ) -> None:
        # Imported here: the import installs Twisted's asyncio reactor, which other commands have no use for.
        from oms_project.asgi import application
        from orders.sockets.daphne import Server, reactor
        from orders.sockets.protocol import MAX_MESSAGE_BYTES

        self._reactor = reactor
        self._finish = finish
        self._say = say
        self._relayed = relayed
        self._host, self._port = host, port
        self._is_stopping = False
        self.loop = reactor._asyncioEventloop
        # Run in the loop when the stop begins.
        self.on_stop: Callable[[], None] = lambda: None
        self._server = Server(
            application,
            endpoints=[endpoint(host, port)],
            signal_handlers=False,
            websocket_max_message_size=MAX_MESSAGE_BYTES,
            websocket_max_frame_size=MAX_MESSAGE_BYTES,
            verbosity=0,
            server_name="oms",
        )

    def run(self) -> str:
        """Returns what went wrong, or ""."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: self.stop(GOING_AWAY))
        hub().start(self.loop, relayed=self._relayed)
        gc.collect()
        gc.freeze()
        self._reactor.callWhenRunning(self._say_where)
        self._server.run()
        if not self._server.listening_addresses:
            return f"cannot listen on {self._host} port {self._port}: is another server running there?"
        return ""

    def stop(self, close_code: int) -> None:
        """Stop in order: the intake closes, what is under way is answered, then the sockets close. Any thread."""
        self._reactor.callFromThread(self._stop, close_code)

    def _say_where(self) -> None:
        if self._server.listening_addresses:
            shown = f"[{self._host}]" if ":" in self._host else self._host
            self._say(f"Serving at http://{shown}:{self._port}/ - stop with Ctrl-C")

    def _stop(self, close_code: int) -> None:
        if self._is_stopping:
            return
        self._is_stopping = True
        log.info("stopping")
        try:
            self.on_stop()
            hub().stop(close_code)
        finally:
            self._reactor.callInThread(self._finish_and_end)

    def _finish_and_end(self) -> None:
        try:
            self._finish()
        finally:
            self._reactor.callFromThread(self._reactor.callLater, LAST_ANSWERS_SECONDS, self._reactor.stop)


def in_background(name: str, work: Callable[..., None], *args: Any) -> None:
    """Start a thread that ends by itself, at the latest with the process."""
    threading.Thread(target=work, args=args, name=name, daemon=True).start()


def leave(status: int) -> None:
    """End the process at once: everything durable is done, and the lock is released.

    A request that was cut off leaves a thread that waits for the stopped loop for ever; the interpreter's own way out
    would wait for that thread.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def endpoint(host: str, port: int) -> str:
    """Twisted's description of a TCP address."""
    interface = host.replace(":", r"\:")
    return f"tcp:port={port}:interface={interface}:backlog={LISTEN_BACKLOG}"
