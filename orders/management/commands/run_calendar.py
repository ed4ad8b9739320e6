"""Keeps the schedules of instruments that follow a calendar, in a process of its own.

Beside engines elsewhere it talks to them through the gateway. What it does may be done twice, so it needs no owner.
"""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from orders.management.commands._server import stop_on_signals, through_the_gateway
from orders.schedules import TURN_SECONDS, keep_periodically, keep_schedules
from orders.schemas.problems import ProblemError


class Command(BaseCommand):
    help = (
        "Give every instrument that follows a calendar its phase changes of the days to come, and keep them up to date. "
        "An embedded `serve` does this itself. Beside engines that are processes of their own, run one of these; a second "
        "one does no harm."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one turn, then end")
        parser.add_argument(
            "--interval", type=float, default=TURN_SECONDS, help=f"seconds between turns (default {TURN_SECONDS:g})"
        )

    def handle(self, *args: Any, once: bool, interval: float, **options: Any) -> None:
        if interval <= 0:
            raise CommandError("--interval must be positive")
        with through_the_gateway():
            if not once:
                self._go_on(interval)
                return
            try:
                done = keep_schedules()
            except ProblemError as problem:
                raise CommandError(f"{problem.code.name}: {problem.detail}") from None
            for symbol in done:
                self.stdout.write(f"{symbol}: the schedule is set to the calendar")
            if not done:
                self.stdout.write("every schedule is up to date")

    def _go_on(self, interval: float) -> None:
        self.stdout.write("keeping schedules; stop with Ctrl-C")
        keep_periodically(stop_on_signals(), interval)
        self.stdout.write("stopped")
