"""A database from before there were candles: they and the costs of positions are made from its trades, page by page."""

import importlib
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from orders.engine.findings import Verification
from orders.engine.trade_checks import candles_equal_trades, positions_equal_trades
from orders.models import Candle, Position, Shard, Trade
from orders.models.trading import event_id

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = ("orders", "0003_calendars")
AFTER = ("orders", "0004_candles_and_costs")
START = 1_772_300_000_000_000
MINUTE = 60_000_000


def migrate(*targets: tuple[str, str]) -> Any:
    """Go there (nowhere said: to the newest tables) and answer the models there."""
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets) or executor.loader.graph.leaf_nodes())
    return MigrationExecutor(connection).loader.project_state(list(targets) or None).apps


@pytest.fixture
def old_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Tables of the release before; pages of seven trades. Afterwards the newest tables, whatever the test did."""
    monkeypatch.setattr(importlib.import_module("orders.migrations.0004_candles_and_costs"), "PAGE", 7)
    yield migrate(BEFORE)
    migrate()


def make_instruments(models: Any) -> None:
    for shard_id in (0, 1):
        shard = models.get_model("orders", "Shard").objects.create(id=shard_id, last_sequence=10_000, at=START)
        rules = {"price_tick": 1, "quantity_step": 1, "min_quantity": 1, "max_quantity": 9}
        for number in (1, 2):
            symbol = f"A{shard_id}-B{number}"
            models.get_model("orders", "Instrument").objects.create(
                **{"id": 10 * shard_id + number, "symbol": symbol, "base": "A", "quote": "B", "shard": shard},
                **{"price_decimals": 0, "quantity_decimals": 0, "created_at": 0, **rules},
            )


def trade(models: Any, shard_id: int, sequence: int, instrument_id: int, at: int, **numbers: int) -> None:
    fields = {"taker_side": 0, "maker_order_id": 1, "taker_order_id": 2, "maker_account_id": 1, "taker_account_id": 2}
    models.get_model("orders", "Trade").objects.create(
        id=event_id(shard_id, sequence), instrument_id=instrument_id, at=at, **{**fields, **numbers}
    )


def make_positions(models: Any) -> None:
    """What the trades add up to, as the release before kept it."""
    totals: dict[tuple[int, int], list[int]] = {}
    for row in models.get_model("orders", "Trade").objects.order_by("id"):
        buyer, seller = row.taker_account_id, row.maker_account_id
        if row.taker_side:
            buyer, seller = seller, buyer
        for account_id, place in ((buyer, 0), (seller, 2)):
            total = totals.setdefault((account_id, row.instrument_id), [0, 0, 0, 0])
            total[place] += row.quantity
            total[place + 1] += row.price * row.quantity
    columns = ("bought", "bought_notional", "sold", "sold_notional")
    for (account_id, instrument_id), total in totals.items():
        models.get_model("orders", "Position").objects.create(
            account_id=account_id, instrument_id=instrument_id, **dict(zip(columns, total, strict=True))
        )


def test_numbers(old_models: Any) -> None:
    make_instruments(old_models)
    trade(old_models, 0, 3, 1, START, price=100, quantity=3)
    trade(old_models, 0, 7, 1, START + 1, price=90, quantity=3)
    trade(old_models, 0, 9, 1, START + MINUTE, price=120, quantity=2, taker_side=1)
    make_positions(old_models)
    migrate()
    columns = ("resolution", "open", "high", "low", "close", "volume", "notional", "trades", "last_sequence")
    assert list(Candle.objects.order_by("resolution", "start").values_list(*columns)) == [
        (0, 100, 100, 90, 90, 6, 570, 2, 7),
        (0, 120, 120, 120, 120, 2, 240, 1, 9),
        (1, 100, 120, 90, 120, 8, 810, 3, 9),
        (2, 100, 120, 90, 120, 8, 810, 3, 9),
    ]
    # 6 for 570, a third of it sold again (and, on the other side, bought back).
    assert dict(Position.objects.values_list("account_id", "cost")) == {2: 380, 1: -380}


def test_random_trades_there_and_back(old_models: Any) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    make_instruments(old_models)
    for shard_id in (0, 1):
        at = START
        for number in range(100):
            at += rng.choice((0, 1, MINUTE, 20 * MINUTE, 700 * MINUTE))
            largest = rng.choice((9, 2**53 - 1))
            trade(
                old_models,
                *(shard_id, 5 * number + 1, 10 * shard_id + rng.choice((1, 2)), at),
                price=rng.randrange(1, largest),
                quantity=rng.randrange(1, largest),
                taker_side=rng.choice((0, 1)),
                maker_account_id=rng.choice((1, 2)),
                taker_account_id=rng.choice((1, 2)),
            )
    make_positions(old_models)
    migrate()
    assert_true(100)
    migrate(BEFORE)
    assert "orders_candle" not in connection.introspection.table_names()
    migrate()
    assert_true(100)


def assert_true(trades: int) -> None:
    for shard in Shard.objects.order_by("id"):
        found = Verification(shard.id, shard.last_sequence)
        candles_equal_trades(shard, found)
        positions_equal_trades(shard, found)
        assert found.differences == []
        rows = Candle.objects.filter(instrument__shard_id=shard.id)
        for resolution in (0, 1, 2):
            assert sum(rows.filter(resolution=resolution).values_list("trades", flat=True)) == trades
    assert Position.objects.exclude(cost=0).exists() and Trade.objects.count() == 2 * trades


def test_an_empty_database(old_models: Any) -> None:
    migrate(AFTER)
    assert not Candle.objects.exists()
