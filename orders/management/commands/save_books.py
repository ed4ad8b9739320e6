"""Periodic book saves, beside a running server or without one."""

import logging
import threading
from time import monotonic
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from prometheus_client import start_http_server

from orders import meters, selectors
from orders.management.commands._server import add_metrics_arguments, stop_on_signals
from orders.meters import SaveGauges
from orders.snapshots import KEEP_DEFAULT, BookSaver, SaveReport

log = logging.getLogger(__name__)

# Recovery reads the rows that changed since the last save: a minute's worth is some seconds at full load.
SAVE_INTERVAL_SECONDS = 60


class Command(BaseCommand):
    help = "Save the books of every shard periodically. Follows the tables: works with and without a running server."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--interval",
            type=float,
            default=SAVE_INTERVAL_SECONDS,
            help=f"seconds between saves (default {SAVE_INTERVAL_SECONDS})",
        )
        parser.add_argument("--once", action="store_true", help="save once, then end")
        parser.add_argument(
            "--keep",
            type=int,
            default=KEEP_DEFAULT,
            help=f"saved books to keep of each instrument (default {KEEP_DEFAULT})",
        )
        add_metrics_arguments(parser)

    def handle(
        self,
        *args: Any,
        interval: float,
        once: bool,
        keep: int,
        metrics_port: int,
        metrics_host: str,
        **options: Any,
    ) -> None:
        if interval <= 0 or keep < 1:
            raise CommandError("--interval must be positive and --keep at least 1")
        savers: dict[int, BookSaver] = {}
        if once:
            for report in save_all(savers, keep):
                self.stdout.write(line(report))
            return
        if metrics_port:
            meters.REGISTRY.register(SaveGauges())
            start_http_server(metrics_port, metrics_host, registry=meters.REGISTRY)
        save_periodically(interval, stop_on_signals(), keep, lambda report: self.stdout.write(line(report)))
        self.stdout.write("stopped")


def line(report: SaveReport) -> str:
    """A save in words."""
    return (
        f"shard {report.shard_id} at sequence {report.sequence}: {report.saved} books saved, "
        f"{report.unchanged} unchanged, {report.orders} open orders"
    )


def save_all(savers: dict[int, BookSaver], keep: int) -> list[SaveReport]:
    """One save of every shard; remembers the savers, which remember the books."""
    reports = []
    for shard in selectors.shard_list():
        saver = savers.setdefault(shard.id, BookSaver(shard.id, keep))
        report = saver.save()
        if report is not None:
            reports.append(report)
    return reports


def save_periodically(
    interval_seconds: float,
    stop: threading.Event,
    keep: int = KEEP_DEFAULT,
    tell: Any = lambda report: log.info("%s", line(report)),
) -> None:
    """Save, wait, save again, until ``stop``. A save that fails is told and tried again at the next turn."""
    savers: dict[int, BookSaver] = {}
    while not stop.is_set():
        started = monotonic()
        try:
            for report in save_all(savers, keep):
                tell(report)
            for shard_id, saver in savers.items():
                meters.saves.saved(shard_id, saver.sequence)
        except DatabaseError as error:
            log.error("books were not saved: %s", error)
            meters.saves_failed.inc()
            savers.clear()
        finally:
            connection.close()
        stop.wait(max(0.0, interval_seconds - (monotonic() - started)))
