"""An upgrade of a database that has been traded on: nothing is lost, and what is new is filled in."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    DECREMENTED,
    FILL_MAKER,
    FILL_TAKER,
    INSTRUMENT_DEFINED,
    REJECTED,
    REPLACED,
)
from matching.values import CANCELED as STATUS_CANCELED
from matching.values import FILLED, NEW, PARTIALLY_FILLED
from matching.values import REJECTED as STATUS_REJECTED

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = ("orders", "0001_initial")
THIS = ("orders", "0002_orders_a_desk_expects")

# kind, remaining, filled, and the status that they say
STEPS = (
    (ACCEPTED, 10, 0, NEW),
    (REJECTED, 0, 0, STATUS_REJECTED),
    (FILL_MAKER, 4, 6, PARTIALLY_FILLED),
    (FILL_TAKER, 0, 10, FILLED),
    (AMENDED, 10, 0, NEW),
    (REPLACED, 4, 6, PARTIALLY_FILLED),
    (DECREMENTED, 4, 6, PARTIALLY_FILLED),
    (CANCELED, 0, 6, STATUS_CANCELED),
)


@pytest.fixture
def old_database() -> Iterator[None]:
    """The tables of the release before; afterwards those of this one, whatever the test did."""
    MigrationExecutor(connection).migrate([FIRST])
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_rows_of_the_release_before_are_taken_along(old_database: None) -> None:
    before = MigrationExecutor(connection).loader.project_state([FIRST]).apps
    before.get_model("orders", "Account").objects.create(name="alice", created_at=0, max_position=5)
    shard = before.get_model("orders", "Shard").objects.create(id=0, last_sequence=9)
    rules = {"price_tick": 1, "quantity_step": 1, "min_quantity": 1, "max_quantity": 9}
    before.get_model("orders", "Instrument").objects.create(
        symbol="A-B", base="A", quote="B", shard=shard, price_decimals=0, quantity_decimals=0, created_at=0, **rules
    )
    numbers = {
        "side": 0,
        "time_in_force": 0,
        "self_trade_prevention": 1,
        "post_only": False,
        "quantity": 10,
        "filled": 4,
    }
    places = {
        "version": 1,
        "priority": 1,
        "sequence": 1,
        "created_at": 0,
        "updated_at": 0,
        "shard_id": 0,
        "notional": 400,
    }
    owner = {"account_id": 1, "instrument_id": 1, "canceled": 0, "reason": 0}
    orders = before.get_model("orders", "Order").objects
    orders.create(id=1, type=0, price=100, remaining=6, status=1, **numbers, **places, **owner)
    orders.create(id=2, type=1, price=None, remaining=0, status=4, **numbers, **places, **{**owner, "canceled": 6})
    events = before.get_model("orders", "Event").objects
    told = {"price": 1, "quantity": 1, "reason": 0, "other": 0, "at": 0}
    events.create(id=1, kind=INSTRUMENT_DEFINED, remaining=0, filled=0, **told)
    for number, (kind, remaining, filled, _) in enumerate(STEPS, 2):
        events.create(id=number, kind=kind, order_id=1, remaining=remaining, filled=filled, **told)

    MigrationExecutor(connection).migrate([THIS])

    after = MigrationExecutor(connection).loader.project_state([THIS]).apps
    account = after.get_model("orders", "Account").objects.get()
    assert (account.max_position, account.max_rate, account.rate_at, account.funded) == (5, 0, 0, False)
    instrument = after.get_model("orders", "Instrument").objects.get()
    assert (instrument.breaker_us, instrument.phase_until, instrument.schedule) == (0, 0, "[]")
    rows = after.get_model("orders", "Order").objects.order_by("id")
    assert [(row.price, row.remaining, row.hidden, row.role) for row in rows] == [(100, 6, 0, 0), (None, 0, 0, 0)]
    statuses = after.get_model("orders", "Event").objects.order_by("id").values_list("status", flat=True)
    assert list(statuses) == [None, *(status for *_, status in STEPS)]
