"""The whole service in one process: engine, HTTP, WebSockets, periodic saves, schedules by calendar."""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from orders import status
from orders.engine.ownership import AlreadyOwned
from orders.engine.service import EmbeddedEngine
from orders.feed.hub import hub
from orders.management.commands._server import migrate_if_needed, tune_interpreter
from orders.management.commands.save_books import SAVE_INTERVAL_SECONDS, save_periodically
from orders.meters import ShardMeter
from orders.schedules import keep_periodically
from orders.schemas.closing import GOING_AWAY, RESTART

log = logging.getLogger(__name__)

# Waiting connections the kernel keeps: a burst of clients that reconnect at once is not refused (Daphne's default is 50).
LISTEN_BACKLOG = 1024
# Between the last answers and the closing of sockets, so that they get out.
LAST_ANSWERS_SECONDS = 0.3


class Command(BaseCommand):
    help = "Run the service: takes the lock, migrates, then serves. One process, embedded engine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")
        parser.add_argument(
            "--save-interval",
            type=float,
            default=SAVE_INTERVAL_SECONDS,
            help=f"seconds between book saves (default {SAVE_INTERVAL_SECONDS}, 0 for none)",
        )

    def handle(self, *args: Any, host: str, port: int, save_interval: float, **options: Any) -> None:
        if not 0 < port < 65536:
            raise CommandError("--port must be 1 to 65535")
        tune_interpreter()
        engine = EmbeddedEngine(listeners=[hub().listener])
        meter = ShardMeter(engine.shard_id)
        engine.loop.on_commit = meter.committed
        status.listeners.append(meter.state_changed)
        try:
            engine.acquire()
        except AlreadyOwned as error:
            raise CommandError(str(error)) from None
        try:
            migrate_if_needed()
            engine.start()
            trouble = self._serve(engine, host, port, save_interval)
        finally:
            engine.stop()
        if trouble:
            self.stderr.write(self.style.ERROR(f"CommandError: {trouble}"))
        leave(1 if trouble else 0)

    def _serve(self, engine: EmbeddedEngine, host: str, port: int, save_interval: float) -> str:
        """Run until stopped. Returns what went wrong, or ""."""
        # Imported here: the import installs Twisted's asyncio reactor, which other commands have no use for.
        from oms_project.asgi import application
        from orders.sockets.daphne import Server, reactor
        from orders.sockets.protocol import MAX_MESSAGE_BYTES

        stop_background = threading.Event()
        server = Server(
            application,
            endpoints=[endpoint(host, port)],
            signal_handlers=False,
            websocket_max_message_size=MAX_MESSAGE_BYTES,
            websocket_max_frame_size=MAX_MESSAGE_BYTES,
            verbosity=0,
            server_name="oms",
        )
        shutdown = Shutdown(engine, reactor)
        # Whoever keeps the service alive starts it anew when its engine has died.
        engine.on_death = lambda error: reactor.callFromThread(shutdown.begin, RESTART)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: reactor.callFromThread(shutdown.begin, GOING_AWAY))
        hub().start(reactor._asyncioEventloop)
        if save_interval > 0:
            in_background("save-books", save_periodically, save_interval, stop_background)
        in_background("calendars", keep_periodically, stop_background)
        gc.collect()
        gc.freeze()
        reactor.callWhenRunning(lambda: self._say_where(server, host, port))
        server.run()
        stop_background.set()
        if engine.failed:
            return f"the engine stopped: {engine.loop.status.detail}"
        if not server.listening_addresses:
            return f"cannot listen on {host} port {port}: is another server running there?"
        return ""

    def _say_where(self, server: Any, host: str, port: int) -> None:
        if server.listening_addresses:
            shown = f"[{host}]" if ":" in host else host
            self.stdout.write(f"Serving at http://{shown}:{port}/ - stop with Ctrl-C")
            self.stdout.flush()


class Shutdown:
    """Stops in order: the intake closes, the group in hand is committed and answered, then the sockets close."""

    def __init__(self, engine: EmbeddedEngine, reactor: Any) -> None:
        self._engine = engine
        self._reactor = reactor
        self._begun = False

    def begin(self, close_code: int) -> None:
        if self._begun:
            return
        self._begun = True
        log.info("stopping")
        try:
            hub().stop(close_code)
        finally:
            self._reactor.callInThread(self._finish)

    def _finish(self) -> None:
        self._engine.stop()
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
