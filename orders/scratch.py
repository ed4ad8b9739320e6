"""As much of a market as one order could meet, in an engine of its own: for trying what would happen, and nothing else.

Read from the tables in one consistent read, bounded. What nobody but its owner may know is left out: the hidden part of
others' icebergs and the stops that wait. So what the scratch engine does is what the real one would, as far as can be told.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from matching.engine import Engine
from matching.order import Conditions, Order
from matching.state import Holding, Instrument
from matching.stops import trailing_stop_price
from matching.values import (
    BUY,
    CONTINUOUS,
    GTC,
    LAST_OPEN_STATUS,
    LIMIT,
    MARKET,
    STP_NONE,
    TRAILING_STOP,
    UNTRIGGERED,
)
from orders import selectors
from orders.instruments import instrument_of_row
from orders.models import Instrument as InstrumentRow
from orders.models import Shard
from orders.standing import HALVES, Standing, shares_money, trailing_stops, whole

# Resting orders a trial may meet: beyond so many it says that it is not complete. Bounds one request to some tens of
# milliseconds.
MAX_RESTING = 5_000
FETCH_ROWS = 500

# The literal lets a database use the index of open orders; waiting stops and held children are not in the book.
_RESTS = f"status <= {LAST_OPEN_STATUS} AND status <> {UNTRIGGERED}"


@dataclass(slots=True)
class Scratch:
    """An engine that holds what an order could meet, as of ``sequence`` of the shard.

    ``holding`` is the account's own. ``quantity_ahead`` and ``orders_ahead`` are what is displayed at the order's limit on
    its own side. ``truncated``: there was more to meet than ``MAX_RESTING`` orders.
    """

    engine: Engine
    instrument: Instrument
    holding: Holding
    sequence: int
    at: int
    truncated: bool
    quantity_ahead: int
    orders_ahead: int


def scratch_for(orders: list[Order], now_us: int) -> Scratch:
    """Load it for a new order, or for the first of a group: instrument, account with its sums, orders within reach."""
    order = orders[0]
    with selectors.consistent_read():
        row = InstrumentRow.objects.get(id=order.instrument_id)
        shard = Shard.objects.get(id=row.shard_id)
        engine = Engine()
        instrument = instrument_of_row(row, engine, shard.at)
        account = selectors.account_get(account_id=order.account_id)
        # Funds are of all instruments whose money is the same; without funds, nothing but this one matters.
        others = InstrumentRow.objects.filter(shard_id=row.shard_id).exclude(id=row.id) if account.funded else []
        related = [instrument_of_row(other, engine, shard.at) for other in others if shares_money(row, other)]
        standing = Standing(engine, account, row.shard_id, [instrument, *related])
        reach = _within_reach(order, instrument)
        ahead = _level(order) if order.price and not reach.enough else (0, 0)
        if any(one.type == TRAILING_STOP for one in orders):
            instrument.stops.trailing_buys.count = trailing_stops(row.id)
    engine.restore(sorted(reach.orders, key=lambda one: one.priority))
    standing.settle()
    at = max(now_us, shard.at)
    return Scratch(engine, instrument, standing.holding, shard.last_sequence, at, reach.truncated, *ahead)


# The book


def _bound(order: Order, instrument: Instrument) -> int | None:
    """The worst price the order could trade at when it comes in: 0 for any, None where it would not trade at once."""
    if instrument.phase != CONTINUOUS:
        return None
    if order.type in (LIMIT, MARKET):
        return order.price
    conditions, last = order.conditions, instrument.last_price
    assert conditions is not None
    stop = conditions.stop_price
    if order.type == TRAILING_STOP:
        stop = trailing_stop_price(order.side, last, conditions.trail, conditions.trail_bps)
    fires = last and (last >= stop if order.side == BUY else last <= stop)
    return order.price if fires else None


class _Reach(NamedTuple):
    """The orders a new one could meet, best first. ``enough``: others show all it asks for, so nothing of it would rest."""

    orders: list[Order]
    enough: bool
    truncated: bool


def _within_reach(order: Order, instrument: Instrument) -> _Reach:
    bound = _bound(order, instrument)
    if bound is None:
        return _Reach([], False, False)
    best_first, within = ("price", "<=") if order.side == BUY else ("price DESC", ">=")
    found: list[Order] = []
    left = order.quantity
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, account_id, price, remaining, hidden, display_quantity, priority FROM orders_order "
            f"WHERE {_RESTS} AND instrument_id = %s AND side = %s {f'AND price {within} %s ' if bound else ''}"
            f"ORDER BY {best_first}, priority LIMIT {MAX_RESTING + 1}",
            [order.instrument_id, 1 - order.side, *([bound] if bound else [])],
        )
        while rows := cursor.fetchmany(FETCH_ROWS):
            for row in rows:
                if left <= 0:
                    return _Reach(found, True, False)
                if len(found) == MAX_RESTING:
                    return _Reach(found, False, True)
                found.append(_resting(order, row))
                if found[-1].account_id != order.account_id:
                    left -= found[-1].remaining
    return _Reach(found, left <= 0, False)


def _resting(order: Order, row: tuple[Any, ...]) -> Order:
    """A resting order as ``order`` would find it: of others what they show, of its own account's all."""
    order_id, account_id, price, remaining, hidden, display_quantity, priority = row
    own = account_id == order.account_id
    conditions = Conditions(display_quantity=display_quantity) if own and display_quantity else None
    resting = Order(
        order_id,
        account_id,
        order.instrument_id,
        1 - order.side,
        price,
        remaining if own else remaining - hidden,
        LIMIT,
        GTC,
        STP_NONE,
        conditions=conditions,
    )
    resting.hidden = hidden if own else 0
    resting.priority = priority
    return resting


def _level(order: Order) -> tuple[int, int]:
    """What is displayed at the order's own limit: units and orders."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {HALVES.format('remaining - hidden')}, COUNT(*) FROM orders_order "
            f"WHERE {_RESTS} AND instrument_id = %s AND side = %s AND price = %s",
            [order.instrument_id, order.side, order.price],
        )
        high, low, count = cursor.fetchone()
    return whole(high, low), count
