"""A database from before there were several shards: what was counted of messages stays counted."""

from collections.abc import Iterator
from typing import Any

import pytest

from orders.models import Account, MessageRate
from tests.models.test_candles_migration import migrate

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = ("orders", "0006_engines_of_their_own")


@pytest.fixture
def old_models() -> Iterator[Any]:
    yield migrate(BEFORE)
    migrate()


def test_what_was_counted_stays_counted_there_and_back(old_models: Any) -> None:
    old_models.get_model("orders", "Shard").objects.create(id=0)
    accounts = old_models.get_model("orders", "Account").objects
    accounts.create(id=1, name="alice", max_rate=5, rate_at=77, created_at=0)
    accounts.create(id=2, name="bob", created_at=0)
    migrate()
    assert list(MessageRate.objects.values_list("account_id", "shard_id", "rate_at")) == [(1, 0, 77)]
    assert set(Account.objects.values_list("name", "max_rate", "definition")) == {("alice", 5, 0), ("bob", 0, 0)}
    MessageRate.objects.create(account_id=1, shard_id=1, rate_at=99)
    rows = migrate(BEFORE).get_model("orders", "Account").objects.order_by("id")
    assert list(rows.values_list("name", "max_rate", "rate_at")) == [("alice", 5, 99), ("bob", 0, 0)]
