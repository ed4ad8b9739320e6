"""The server: with OMS_ENGINE=embedded the whole service in one process, with remote the pages and WebSockets of one.

Embedded: engine, HTTP, WebSockets, periodic saves, schedules by calendar. Remote: HTTP, WebSockets and the feed; it holds
nothing that another process would miss, and starts and serves also while no engine, no Redis is there, saying so.
"""

import threading
from time import monotonic, sleep
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser

from oms_project.postgres.base import keep_connections
from orders import status, watching
from orders.bus import bus
from orders.engine.ownership import AlreadyOwned
from orders.engine.service import EmbeddedEngine
from orders.feed.hub import hub
from orders.feed.relay import Receiver
from orders.management.commands._daphne import WebServer, in_background, leave
from orders.management.commands._server import migrate_if_needed, refuse_to_start_unmigrated, tune_interpreter
from orders.management.commands.save_books import SAVE_INTERVAL_SECONDS, save_periodically
from orders.meters import ShardMeter
from orders.schedules import keep_periodically
from orders.schemas.closing import RESTART
from orders.submission import ANSWER_TIMEOUT_SECONDS

# How often a server that stops looks whether all is answered.
LOOK_SECONDS = 0.02


class Command(BaseCommand):
    help = (
        "Run the service. OMS_ENGINE=embedded: takes the lock, migrates, then serves, with an engine of its own. "
        "OMS_ENGINE=remote: serves pages and WebSockets beside engines that run by themselves (run_engine)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")
        parser.add_argument(
            "--save-interval",
            type=float,
            default=SAVE_INTERVAL_SECONDS,
            help=f"seconds between book saves (default {SAVE_INTERVAL_SECONDS}, 0 for none); "
            "beside engines elsewhere save_books does that",
        )

    def handle(self, *args: Any, host: str, port: int, save_interval: float, **options: Any) -> None:
        if not 0 < port < 65536:
            raise CommandError("--port must be 1 to 65535")
        tune_interpreter()
        if settings.OMS_ENGINE == "remote":
            trouble = self._serve_beside_engines(host, port)
        else:
            trouble = self._serve_with_engine(host, port, save_interval)
        if trouble:
            self.stderr.write(self.style.ERROR(f"CommandError: {trouble}"))
        leave(1 if trouble else 0)

    def _serve_with_engine(self, host: str, port: int, save_interval: float) -> str:
        """Run until stopped. Returns what went wrong, or ""."""
        engine = EmbeddedEngine(listeners=[hub().listener])
        meter = ShardMeter(engine.shard_id)
        engine.loop.on_commit = meter.committed
        status.listeners.append(meter.state_changed)
        try:
            engine.acquire()
        except AlreadyOwned as error:
            raise CommandError(str(error)) from None
        stop_background = threading.Event()
        try:
            migrate_if_needed()
            engine.start()
            server = WebServer(host, port, finish=engine.stop, say=self._say)
            # Whoever keeps the service alive starts it anew when its engine has died.
            engine.on_death = lambda error: server.stop(RESTART)
            if save_interval > 0:
                in_background("save-books", save_periodically, save_interval, stop_background)
            in_background("calendars", keep_periodically, stop_background)
            trouble = server.run()
        finally:
            stop_background.set()
            engine.stop()
        return f"the engine stopped: {engine.loop.status.detail}" if engine.failed else trouble

    def _serve_beside_engines(self, host: str, port: int) -> str:
        """The same without an engine."""
        refuse_to_start_unmigrated()
        keep_connections()
        watching.start()
        # The loop of the sockets must not wait for it with the first order.
        bus().start()
        server = WebServer(host, port, finish=answer_what_is_under_way, say=self._say, relayed=True)
        receiver = Receiver(hub().listener, suspect=hub().suspect)
        receiver.start(server.loop)
        server.on_stop = receiver.stop
        return server.run()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def answer_what_is_under_way() -> None:
    """Take no more commands, and wait for the engines' answers to those that were taken."""
    engines = bus()
    engines.close()
    end = monotonic() + ANSWER_TIMEOUT_SECONDS
    while engines.waiting_commands and monotonic() < end:
        sleep(LOOK_SECONDS)
    watching.stop()
