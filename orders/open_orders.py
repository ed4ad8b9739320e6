"""The open orders of a shard outside the engine: loaded from a saved book or from rows, and kept up with the rows.

All of them: those that rest in books, the stops that wait, the held children of brackets. Recovery, the periodic save and the
verification all read through here, so that what is saved is what would be recovered.
"""

from typing import Any

from django.db import connection

from matching.codec import build_orders
from matching.events import INSTRUMENT_DEPARTED
from matching.order import Order, priority_of
from matching.restoring import open_totals
from matching.values import LAST_OPEN_STATUS
from orders.models.trading import event_id

# The columns of an order row as ``matching.codec.build_orders`` takes them. What only orders with conditions have is one text,
# so that the rows of the others, nearly all of them, are a third narrower.
_COLUMNS = (
    "id, account_id, side, COALESCE(price, 0), quantity, remaining, canceled, notional, type, time_in_force, "
    "self_trade_prevention, post_only, status, priority, version, created_at, COALESCE(client_order_id, ''), "
    "CASE WHEN role > 0 OR COALESCE(stop_price, trail, trail_bps, display_quantity, expires_at) IS NOT NULL THEN "
    "hidden || ',' || COALESCE(stop_price, 0) || ',' || COALESCE(trail, 0) || ',' || COALESCE(trail_bps, 0) || ',' || "
    "COALESCE(display_quantity, 0) || ',' || COALESCE(expires_at, 0) || ',' || COALESCE(group_id, 0) || ',' || role END, "
    "instrument_id"
)
# Rows fetched at a time: enough to make a round trip cheap, few enough not to double the memory.
FETCH_ROWS = 5_000


# (instrument, side) -> number of open orders, units remaining, units hidden.
Totals = dict[tuple[int, int], tuple[int, int, int]]


class OpenOrders:
    """Open orders by instrument and id, as of ``sequence`` of the shard.

    ``changed`` collects the instruments whose orders were loaded or have changed; whoever cares empties it.
    """

    def __init__(self, shard_id: int) -> None:
        self.shard_id = shard_id
        self.sequence = 0
        self.by_instrument: dict[int, dict[int, Order]] = {}
        self.changed: set[int] = set()

    def load_rows(self, sequence: int, instrument_id: int | None = None) -> None:
        """Start over from every open order's row (of one instrument); the tables stand at ``sequence``."""
        self.by_instrument.clear()
        where, parameters = f"WHERE {_are_open()} AND shard_id = %s", [self.shard_id]
        if instrument_id is not None:
            where, parameters = f"{where} AND instrument_id = %s", [*parameters, instrument_id]
        self._absorb(where, parameters)
        self.sequence = sequence

    def advance(self, sequence: int) -> int:
        """Take over every order that changed since; the tables stand at ``sequence``. Returns how many."""
        if sequence == self.sequence:
            return 0
        since = [event_id(self.shard_id, self.sequence), event_id(self.shard_id, sequence)]
        self._forget_departed(since)
        changed = self._absorb(
            "WHERE id IN (SELECT order_id FROM orders_event WHERE id > %s AND id <= %s AND order_id IS NOT NULL) "
            "AND shard_id = %s",
            [*since, self.shard_id],
        )
        self.sequence = sequence
        return changed

    def _forget_departed(self, since: list[int]) -> None:
        """Whatever left the shard since took all its orders along. What has come back has an event for each of them."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT instrument_id FROM orders_event WHERE id > %s AND id <= %s AND kind = {INSTRUMENT_DEPARTED}",
                since,
            )
            departed = {instrument_id for (instrument_id,) in cursor.fetchall()}
        for instrument_id in departed:
            self.by_instrument.pop(instrument_id, None)
        self.changed |= departed

    def _absorb(self, where: str, parameters: list[Any]) -> int:
        count = 0
        # In pieces from the server: all at once would be in memory twice.
        with connection.chunked_cursor() as cursor:
            cursor.execute(f"SELECT {_COLUMNS} FROM orders_order {where}", parameters)
            while rows := cursor.fetchmany(FETCH_ROWS):
                count += len(rows)
                self._apply(build_orders(rows))
        return count

    def _apply(self, orders: list[Order]) -> None:
        self.changed.update({order.instrument_id for order in orders})
        for instrument_id in self.changed - self.by_instrument.keys():
            self.by_instrument[instrument_id] = {}
        for order in orders:
            if order.status > LAST_OPEN_STATUS:
                self.by_instrument[order.instrument_id].pop(order.order_id, None)
            else:
                self.by_instrument[order.instrument_id][order.order_id] = order

    def in_priority(self, instrument_id: int) -> list[Order]:
        """The open orders of an instrument, first come first."""
        return sorted(self.by_instrument.get(instrument_id, {}).values(), key=priority_of)

    def totals(self) -> Totals:
        return {
            (instrument_id, side): totals
            for instrument_id, orders in self.by_instrument.items()
            for side, totals in enumerate(open_totals(orders.values()))
            if totals[0]
        }


def _are_open() -> str:
    """What the rows of open orders have in common, as SQL.

    There is an index of them, in the order of accounts. SQLite would look every row up in that order, all over the table;
    by ascending ids it takes half the time. PostgreSQL orders such look-ups by itself.
    """
    if connection.vendor == "sqlite":
        return f"id IN (SELECT id FROM orders_order WHERE status <= {LAST_OPEN_STATUS})"
    return f"status <= {LAST_OPEN_STATUS}"


def totals_in_rows(shard_id: int) -> Totals:
    """What ``OpenOrders.totals`` must be, from one aggregate query. Sums in two halves: they may pass 64 bits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT instrument_id, side, COUNT(*), SUM(remaining / 67108864), SUM(remaining %% 67108864), "
            "SUM(hidden / 67108864), SUM(hidden %% 67108864) "
            f"FROM orders_order WHERE {_are_open()} AND shard_id = %s GROUP BY instrument_id, side",
            [shard_id],
        )
        return {
            (instrument_id, side): (count, _whole(high, low), _whole(hidden_high, hidden_low))
            for instrument_id, side, count, high, low, hidden_high, hidden_low in cursor.fetchall()
        }


def _whole(high: Any, low: Any) -> int:
    return int(high) * 67108864 + int(low)
