"""Switches a shard between taking orders and taking cancels only."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from orders import gateway, selectors
from orders.actors import OPERATE, Actor
from orders.management.commands._server import through_the_gateway
from orders.schemas.problems import ProblemError

MODES = ("cancel_only", "open")
OPERATOR = Actor(0, "command line", 0, "", frozenset((OPERATE,)))


class Command(BaseCommand):
    help = (
        "Have a shard take cancels and configuration only (cancel_only), or orders again (open). It outlasts the engine. "
        "Beside an embedded `serve`, use the admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("shard", type=int, help="number of the shard")
        parser.add_argument("mode", choices=MODES)

    def handle(self, *args: Any, shard: int, mode: str, **options: Any) -> None:
        with through_the_gateway():
            if shard not in [row.id for row in selectors.shard_list()]:
                raise CommandError(f"There is no shard {shard}.")
            try:
                gateway.shard_set_mode(actor=OPERATOR, shard_id=shard, cancel_only=mode == "cancel_only")
            except ProblemError as problem:
                raise CommandError(f"{problem.code.name}: {problem.detail}") from None
        self.stdout.write(f"shard {shard}: {mode}")
