"""The open orders of a shard outside the engine: loaded from a saved book or from rows, and kept up with the rows.

Recovery, the periodic save and the verification all read through here, so that what is saved is what would be recovered.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connection

from matching.codec import build_order
from matching.order import Order
from matching.values import LAST_OPEN_STATUS
from orders.models.trading import event_id

# The columns of an order row in the order of ``matching.codec.build_order``, after the instrument's id.
ORDER_COLUMNS = (
    "instrument_id, id, account_id, side, price, quantity, remaining, canceled, notional, type, time_in_force, "
    "self_trade_prevention, post_only, status, priority, version, created_at, client_order_id"
)
_STATUS = 13
_CLIENT_ORDER_ID = 17
# Rows fetched at a time: enough to make a round trip cheap, few enough not to double the memory.
FETCH_ROWS = 5_000


class OpenOrders:
    """Open orders by instrument and id, as of ``sequence`` of the shard."""

    def __init__(self, shard_id: int) -> None:
        self.shard_id = shard_id
        self.sequence = 0
        self.by_instrument: dict[int, dict[int, Order]] = {}

    def load_rows(self, sequence: int) -> None:
        """Start over from every open order's row; the tables stand at ``sequence``."""
        self.by_instrument.clear()
        self._absorb(f"WHERE status <= {LAST_OPEN_STATUS} AND shard_id = %s", [self.shard_id])
        self.sequence = sequence

    def advance(self, sequence: int) -> int:
        """Take over every order that changed since; the tables stand at ``sequence``. Returns how many."""
        if sequence == self.sequence:
            return 0
        changed = self._absorb(
            "WHERE id IN (SELECT order_id FROM orders_event WHERE id > %s AND id <= %s AND order_id IS NOT NULL)",
            [event_id(self.shard_id, self.sequence), event_id(self.shard_id, sequence)],
        )
        self.sequence = sequence
        return changed

    def _absorb(self, where: str, parameters: list[Any]) -> int:
        count = 0
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {ORDER_COLUMNS} FROM orders_order {where}", parameters)
            while rows := cursor.fetchmany(FETCH_ROWS):
                count += len(rows)
                self._apply(rows)
        return count

    def _apply(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for row in rows:
            orders = self.by_instrument.setdefault(row[0], {})
            if row[_STATUS] > LAST_OPEN_STATUS:
                orders.pop(row[1], None)
            else:
                orders[row[1]] = order_of_row(row)

    def in_priority(self, instrument_id: int) -> list[Order]:
        """The open orders of an instrument, first come first."""
        return sorted(self.by_instrument.get(instrument_id, {}).values(), key=lambda order: order.priority)

    def totals(self) -> dict[tuple[int, int], tuple[int, int]]:
        """(instrument, side) -> (number of open orders, units remaining)."""
        totals: dict[tuple[int, int], tuple[int, int]] = {}
        for instrument_id, orders in self.by_instrument.items():
            for order in orders.values():
                count, units = totals.get((instrument_id, order.side), (0, 0))
                totals[instrument_id, order.side] = (count + 1, units + order.remaining)
        return totals


def order_of_row(row: tuple[Any, ...]) -> Order:
    """The core's order of a row with ``ORDER_COLUMNS``."""
    notional = int(row[8])
    return build_order(row[0], *row[1:8], notional, *row[9:_CLIENT_ORDER_ID], row[_CLIENT_ORDER_ID] or "")


def totals_in_rows(shard_id: int) -> dict[tuple[int, int], tuple[int, int]]:
    """What ``OpenOrders.totals`` must be, from one aggregate query. Sums in two halves: they may pass 64 bits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT instrument_id, side, COUNT(*), SUM(remaining / 67108864), SUM(remaining %% 67108864) "
            f"FROM orders_order WHERE status <= {LAST_OPEN_STATUS} AND shard_id = %s GROUP BY instrument_id, side",
            [shard_id],
        )
        return {
            (instrument_id, side): (count, int(high) * 67108864 + int(low))
            for instrument_id, side, count, high, low in cursor.fetchall()
        }
