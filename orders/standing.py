"""What one account has and has promised, from the tables into a scratch engine: limits, positions, sums of its open orders.

Asked for one instrument; of a funded account also for all others whose money is the same, since every order is paid from what
all of them leave.
"""

from typing import Any

from django.db import connection

from matching.engine import Engine
from matching.state import Account, Holding, Instrument
from matching.values import BUY, LAST_OPEN_STATUS, STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, UNTRIGGERED
from orders import selectors
from orders.models import Account as AccountRow
from orders.models import Deposit, Position

# A bracket's child that waits for its entry: it is an open order, but nothing of it can trade yet.
_HELD = (
    f"role IN ({TAKE_PROFIT}, {STOP_LOSS}) AND status = {UNTRIGGERED} AND EXISTS (SELECT 1 FROM orders_order AS entry "
    f"WHERE entry.id = one.group_id AND entry.status <= {LAST_OPEN_STATUS})"
)
# The literal lets a database use the index of open orders.
_OPEN = f"status <= {LAST_OPEN_STATUS}"
# Sums in two halves: a sum of 53-bit numbers may pass 64 bits.
_HALF = 67_108_864
HALVES = "SUM(({0}) / 67108864), SUM(({0}) %% 67108864)"


def whole(high: Any, low: Any) -> int:
    """The sum of which ``HALVES`` gave the two halves (None: of nothing)."""
    return int(high or 0) * _HALF + int(low or 0)


class Standing:
    """One account in a scratch engine. ``settle`` once the orders it could meet are there."""

    def __init__(self, engine: Engine, row: AccountRow, shard_id: int, instruments: list[Instrument]) -> None:
        """``instruments``: the one that is traded, then (of a funded account) all others that share its money."""
        self._account = engine.accounts[row.id] = Account(
            row.id, row.state, row.max_open_orders, row.max_order_quantity, row.max_position, row.max_rate, row.funded
        )
        self._account.rate_at = selectors.message_rate(account_id=row.id, shard_id=shard_id)
        if row.funded:
            for deposit in Deposit.objects.filter(account_id=row.id, shard_id=shard_id):
                self._account.deposits[deposit.currency] = deposit.amount
        self._holdings = {one.instrument_id: engine.holding(row.id, one) for one in instruments}
        for position in Position.objects.filter(account_id=row.id, instrument_id__in=list(self._holdings)):
            holding = self._holdings[position.instrument_id]
            holding.bought, holding.bought_notional = position.bought, position.bought_notional
            holding.sold, holding.sold_notional = position.sold, position.sold_notional
        self.holding = self._holdings[instruments[0].instrument_id]
        self._open_orders = _open_orders(row.id, shard_id)
        self._sums = open_sums(row.id, list(self._holdings), by_price=row.funded)

    def settle(self) -> None:
        """Only some of the account's open orders are in the engine: its sums are of all."""
        for holding in self._holdings.values():
            holding.open_buy = holding.open_sell = holding.rest_value = holding.waiting_sell = 0
        for instrument_id, side, waits, price, units in self._sums:
            _add(self._holdings[instrument_id], side, waits, price, units)
        self._account.open_orders = self._open_orders


def _add(holding: Holding, side: int, waits: bool, price: int, units: int) -> None:
    """Count open units: what rests is paid for at its limit, what waits is not yet."""
    if side == BUY:
        holding.open_buy += units
        holding.rest_value += 0 if waits else price * units
    else:
        holding.open_sell += units
        holding.waiting_sell += units if waits else 0


def shares_money(one: Any, other: Any) -> bool:
    """Whether two instruments have a currency in common."""
    return not {one.base, one.quote}.isdisjoint((other.base, other.quote))


def open_sums(account_id: int, instrument_ids: list[int], *, by_price: bool) -> list[tuple[int, int, bool, int, int]]:
    """Units the account's open orders could still trade: (instrument, side, waits, price, units).

    What they cost is wanted of funded accounts only; for all others there is one sum over all prices.
    """
    places = ", ".join(["%s"] * len(instrument_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT instrument_id, side, CASE WHEN status = {UNTRIGGERED} THEN 1 ELSE 0 END AS waits, "
            f"{'COALESCE(price, 0)' if by_price else '0'} AS at_price, {HALVES.format('remaining')} "
            f"FROM orders_order AS one WHERE {_OPEN} AND account_id = %s AND instrument_id IN ({places}) "
            f"AND NOT ({_HELD}) GROUP BY 1, 2, 3, 4",
            [account_id, *instrument_ids],
        )
        return [
            (instrument_id, side, bool(waits), price, whole(high, low))
            for instrument_id, side, waits, price, high, low in cursor.fetchall()
        ]


def _open_orders(account_id: int, shard_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*) FROM orders_order WHERE {_OPEN} AND account_id = %s AND shard_id = %s",
            [account_id, shard_id],
        )
        return cursor.fetchone()[0]


def trailing_stops(instrument_id: int) -> int:
    """Trailing stops, of all accounts, that wait beside a book."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*) FROM orders_order AS one WHERE {_OPEN} AND status = {UNTRIGGERED} "
            f"AND instrument_id = %s AND type = {TRAILING_STOP} AND NOT ({_HELD})",
            [instrument_id],
        )
        return cursor.fetchone()[0]
