"""Move a halted instrument, with everything that is open of it, to another shard."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from matching.values import HALTED
from orders import gateway, selectors
from orders.actors import SCOPES, Actor
from orders.schemas.problems import ProblemError

_OPERATOR = Actor(0, "move_instrument", 0, "", frozenset(SCOPES))


class Command(BaseCommand):
    help = (
        "Move a halted instrument, with its open orders, to another shard. Interrupted, or told that the outcome is unknown: "
        "run it again, it goes on from where it was. Halt the instrument before and open it afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("symbol")
        parser.add_argument("--to", type=int, required=True, metavar="SHARD", help="number of the shard it goes to")

    def handle(self, *args: Any, symbol: str, to: int, **options: Any) -> None:
        try:
            row = selectors.instrument_get(symbol=symbol)
            # Whoever runs it again may find that the first run was carried out after all.
            if (row.shard_id, row.moving_to) != (to, None):
                gateway.instrument_move(actor=_OPERATOR, symbol=symbol, shard_id=to)
                row = selectors.instrument_get(symbol=symbol)
        except ProblemError as problem:
            raise CommandError(f"{problem.code.name}: {problem.detail}") from None
        orders = selectors.open_order_count(instrument_id=row.id)
        state = "It is halted: open it." if row.phase == HALTED else "It is not halted."
        self.stdout.write(f"{symbol} is on shard {row.shard_id}, with {orders} open orders. {state}")
