"""Every number comes back as it went in, on both databases."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from matching.values import MAX_UNITS
from orders.fields import datetime_to_micros, micros_to_datetime
from orders.models import Instrument, Order, Position, Shard

pytestmark = pytest.mark.django_db(transaction=True)

BIG = 123_456_789_012_345_678
HUGE = MAX_UNITS * MAX_UNITS * 4_096


def make_instrument_row(**fields: object) -> Instrument:
    shard, _ = Shard.objects.get_or_create(id=0)
    defaults: dict[str, object] = {
        "symbol": "X-Y",
        "base": "X",
        "quote": "Y",
        "shard": shard,
        "price_decimals": 2,
        "quantity_decimals": 3,
        "price_tick": 1,
        "quantity_step": 1,
        "min_quantity": 1,
        "max_quantity": MAX_UNITS,
        "created_at": 0,
    }
    return Instrument.objects.create(**{**defaults, **fields})


def make_order_row(**fields: object) -> Order:
    defaults: dict[str, object] = {
        "id": 1,
        "account_id": 1,
        "instrument_id": 1,
        "shard_id": 0,
        "side": 0,
        "type": 0,
        "time_in_force": 0,
        "self_trade_prevention": 1,
        "post_only": False,
        "price": 100,
        "quantity": 10,
        "filled": 4,
        "remaining": 6,
        "canceled": 0,
        "notional": 400,
        "status": 1,
        "reason": 0,
        "version": 1,
        "priority": 1,
        "sequence": 1,
        "created_at": 0,
        "updated_at": 0,
    }
    return Order.objects.create(**{**defaults, **fields})


def test_eighteen_digits_and_more_survive() -> None:
    assert Instrument.objects.get(pk=make_instrument_row(max_notional=HUGE).pk).max_notional == HUGE
    make_order_row(id=2**63 - 1, price=MAX_UNITS, quantity=MAX_UNITS, filled=MAX_UNITS - 6, notional=HUGE)
    row = Order.objects.get()
    assert (row.id, row.price, row.quantity, row.notional) == (2**63 - 1, MAX_UNITS, MAX_UNITS, HUGE)
    Position.objects.create(account_id=1, instrument_id=1, bought=BIG, bought_notional=HUGE, sold=-BIG, sold_notional=0)
    position = Position.objects.get()
    assert (position.bought, position.bought_notional, position.sold) == (BIG, HUGE, -BIG)
    assert position.net == 2 * BIG


def test_moments_keep_their_microseconds() -> None:
    moment = datetime(2026, 11, 22, 17, 30, 52, 123457, tzinfo=UTC)
    assert micros_to_datetime(datetime_to_micros(moment)) == moment
    make_order_row(created_at=moment, updated_at=datetime_to_micros(moment))
    row = Order.objects.get()
    assert row.created_at == row.updated_at == moment


BAD_ORDERS = {
    "does not add up": {"filled": 5},
    "negative remainder": {"remaining": -1, "filled": 11},
    "open with nothing left": {"remaining": 0, "filled": 10},
    "ended with something left": {"status": 4},
    "a limit order without a price": {"price": None},
    "a side that is none": {"side": 2},
    "more units than the core holds": {"quantity": MAX_UNITS + 1, "remaining": MAX_UNITS - 3},
}


@pytest.mark.parametrize("name", BAD_ORDERS)
def test_the_database_refuses_orders_that_cannot_be(name: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_order_row(**BAD_ORDERS[name])
    assert Order.objects.count() == 0


def test_the_database_refuses_rules_that_cannot_be() -> None:
    for fields in ({"price_tick": 0}, {"min_quantity": 5, "max_quantity": 4}, {"price_decimals": 13}, {"phase": 9}):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_instrument_row(**fields)
    assert Instrument.objects.count() == 0


def test_one_position_an_account_and_instrument() -> None:
    zero = {"bought": 0, "bought_notional": 0, "sold": 0, "sold_notional": 0}
    Position.objects.create(account_id=1, instrument_id=1, **zero)
    with pytest.raises(IntegrityError), transaction.atomic():
        Position.objects.create(account_id=1, instrument_id=1, **zero)


def test_hot_queries_use_their_indexes() -> None:
    """The planner's own word, on SQLite, for each list the doors ask for."""
    if connection.vendor != "sqlite":
        pytest.skip("EXPLAIN QUERY PLAN is SQLite's")
    queries = {
        "order_account": "SELECT * FROM orders_order WHERE account_id = 1 AND id < 9 ORDER BY id DESC LIMIT 5",
        "order_open": "SELECT * FROM orders_order WHERE account_id = 1 AND status <= 2 AND instrument_id = 1 ORDER BY id",
        "event_order": "SELECT * FROM orders_event WHERE order_id = 1 ORDER BY id",
        "event_account": "SELECT * FROM orders_event WHERE account_id = 1 AND id > 5 ORDER BY id LIMIT 5",
        "event_fills": "SELECT * FROM orders_event WHERE account_id = 1 AND kind IN (3, 4) AND at <= 9 AND "
        "(at < 9 OR id < 9) ORDER BY at DESC, id DESC LIMIT 5",
        "trade_instrument": "SELECT * FROM orders_trade WHERE instrument_id = 1 AND at <= 9 AND (at < 9 OR id < 9) "
        "ORDER BY at DESC, id DESC LIMIT 5",
        "snapshot_latest": "SELECT * FROM orders_booksnapshot WHERE instrument_id = 1 ORDER BY sequence DESC LIMIT 1",
    }
    for index, query in queries.items():
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + query)
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert index in plan, plan
        assert "TEMP B-TREE" not in plan, plan
