"""What the database itself refuses of stops, icebergs, groups, expiries, sessions and leases."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from matching.values import (
    AUCTION,
    CANCELED,
    CONTINUOUS,
    DAY,
    ENTRY,
    GTD,
    MARKET,
    MAX_UNITS,
    OCO_STOP,
    REJECTED,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    UNTRIGGERED,
)
from orders.models import Account, Deposit, Event, Instrument, Lease, MessageRate, Order
from tests.models.test_exact_numbers import make_instrument_row, make_order_row

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = {"status": UNTRIGGERED, "filled": 0, "remaining": 10, "notional": 0}
MARKET_STOP = {"type": STOP, "price": None, "stop_price": 90, **WAITING}
TRAIL = {"type": TRAILING_STOP, "price": None, "trail": 5, **WAITING}

GOOD: dict[str, dict[str, Any]] = {
    "a stop": MARKET_STOP,
    "a stop-limit": {"type": STOP_LIMIT, "stop_price": 90, **WAITING},
    "a triggered stop-limit": {"type": STOP_LIMIT, "stop_price": 90},
    "a trailing stop that moves with the market": TRAIL,
    "a trailing stop by percentage": {**TRAIL, "trail": None, "trail_bps": 150},
    "a trailing stop that was triggered": {**TRAIL, "status": 3, "filled": 10, "remaining": 0, "stop_price": 95},
    "an iceberg": {"display_quantity": 2, "hidden": 4},
    "an iceberg's last tip": {"display_quantity": 8, "hidden": 0},
    "a day order": {"time_in_force": DAY, "expires_at": 1},
    "a bracket's entry": {"role": ENTRY, "group_id": 1},
    "a held child": {"role": TAKE_PROFIT, "group_id": 1, **WAITING},
    "a refused order as it came": {
        **{"type": STOP, "price": None, "stop_price": None, "time_in_force": GTD, "status": REJECTED},
        **{"filled": 0, "remaining": 0, "canceled": 10, "notional": 0},
    },
}
BAD: dict[str, dict[str, Any]] = {
    "a stop without its price": {**MARKET_STOP, "stop_price": None},
    "a stop with a limit": {**MARKET_STOP, "price": 90},
    "a stop price of nothing": {**MARKET_STOP, "stop_price": 0},
    "a limit order with a stop price": {"stop_price": 90},
    "a market order with a limit": {"type": MARKET},
    "a stop-limit without a limit": {"type": STOP_LIMIT, "price": None, "stop_price": 90, **WAITING},
    "a stop that trails": {**MARKET_STOP, "trail": 5},
    "a trailing stop that does not trail": {**TRAIL, "trail": None},
    "a trailing stop that trails twice": {**TRAIL, "trail_bps": 5},
    "a waiting trailing stop whose row moves": {**TRAIL, "stop_price": 90},
    "a limit order that waits": WAITING,
    "a pair's limit order that waits": {"role": OCO_STOP, "group_id": 1, **WAITING},
    "more hidden than there is": {"display_quantity": 2, "hidden": 7},
    "all hidden": {"display_quantity": 2, "hidden": 6},
    "hidden below nothing": {"display_quantity": 2, "hidden": -1},
    "hidden without a tip": {"hidden": 2},
    "a tip of nothing": {"display_quantity": 0},
    "a tip beyond all units": {"display_quantity": MAX_UNITS + 1},
    "a market order with a tip": {"type": MARKET, "price": None, "display_quantity": 2},
    "a day without an end": {"time_in_force": DAY},
    "an end of what has none": {"expires_at": 1},
    "a role without a group": {"role": STOP_LOSS, **{**MARKET_STOP}},
    "a group without a role": {"group_id": 1},
    "a role that is none": {"role": 6, "group_id": 1},
}


@pytest.mark.parametrize("name", GOOD)
def test_orders_of_every_kind_are_taken(name: str) -> None:
    make_order_row(**GOOD[name])
    assert Order.objects.count() == 1


@pytest.mark.parametrize("name", BAD)
def test_the_database_refuses_orders_that_cannot_be(name: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_order_row(**BAD[name])
    assert Order.objects.count() == 0


def test_the_database_refuses_sessions_that_cannot_be() -> None:
    for fields in ({"phase": CONTINUOUS, "phase_until": 5}, {"phase": AUCTION, "phase_until": -1}, {"breaker_us": -1}):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_instrument_row(**fields)
    row = make_instrument_row(phase=AUCTION, phase_until=5)
    assert (row.schedule, row.trails) == ("[]", '{"buy":[],"sell":[]}')
    assert Instrument.objects.get(pk=row.pk).breaker_us == 0


def test_a_leases_moment_and_a_rate_are_not_below_nothing() -> None:
    for make in (
        lambda: Lease.objects.create(account_id=1, shard_id=0, due_at=0),
        lambda: MessageRate.objects.create(account_id=1, shard_id=0, rate_at=-1),
        lambda: Account.objects.create(name="a", created_at=0, max_rate=-1),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            make()


def test_one_lease_a_shard_and_one_deposit_a_currency() -> None:
    Lease.objects.create(account_id=1, shard_id=0, due_at=5)
    Lease.objects.create(account_id=1, shard_id=1, due_at=5)
    Deposit.objects.create(account_id=1, shard_id=0, currency="USD", amount=-(10**39) + 1)
    Deposit.objects.create(account_id=1, shard_id=0, currency="EUR", amount=10**39 - 1)
    assert {row.amount for row in Deposit.objects.all()} == {1 - 10**39, 10**39 - 1}
    with pytest.raises(IntegrityError), transaction.atomic():
        Lease.objects.create(account_id=1, shard_id=0, due_at=6)
    with pytest.raises(IntegrityError), transaction.atomic():
        Deposit.objects.create(account_id=1, shard_id=0, currency="USD", amount=1)


def make_event_row(**fields: Any) -> Event:
    numbers = {"price": 1, "quantity": 1, "remaining": 1, "filled": 0, "reason": 0, "other": 0, "at": 0}
    return Event.objects.create(**{"id": 1, "kind": 1, "status": 0, "order_id": 1, **numbers, **fields})


def test_an_order_s_event_tells_its_status_and_no_other_does() -> None:
    for fields in ({"status": None}, {"status": 7}, {"order_id": None}, {"kind": 99}):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_event_row(**fields)
    make_event_row(status=CANCELED, kind=8)
    make_event_row(id=2, status=None, order_id=None, kind=9)


def test_a_groups_orders_are_found_by_their_index() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("EXPLAIN QUERY PLAN is SQLite's")
    query = Order.objects.filter(group_id=5).order_by("id").query
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert "order_group" in plan and "TEMP B-TREE" not in plan, plan
