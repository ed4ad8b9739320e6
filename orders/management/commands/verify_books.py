"""Rows, events, saved books and hashes agree, or the command says where not."""

import sys
from typing import Any

from django.core.management import BaseCommand

from orders import selectors
from orders.engine.verification import Verification, verify


class Command(BaseCommand):
    help = "Compare rows, events, trades, positions, saved books and hashes; exit 1 where they differ, saying how."

    def handle(self, *args: Any, **options: Any) -> None:
        bad = False
        for shard in selectors.shard_list():
            found = verify(shard.id)
            bad |= bool(found.differences)
            self._tell(found)
        if bad:
            sys.exit(1)

    def _tell(self, found: Verification) -> None:
        self.stdout.write(
            f"shard {found.shard_id} at sequence {found.sequence}: {found.events} events, {found.orders} orders "
            f"({found.open_orders} open), {found.trades} trades, {found.snapshots} saved books"
        )
        for symbol, value in found.hashes.items():
            self.stdout.write(f"  {symbol} {value}")
        for difference in found.differences:
            self.stderr.write(f"  DIFFERENCE {difference}")
        self.stdout.write("  " + ("NOT GOOD" if found.differences else "good"))
