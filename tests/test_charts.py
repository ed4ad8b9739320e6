"""Candles read from the tables: what the trades there say, whatever the interval, the bounds and the limit."""

import random

import pytest

from orders import charts
from orders.candles import INTERVALS, RESOLUTIONS, Candle, bucket_start, extend
from orders.models import Candle as CandleRow
from orders.models import Instrument, Shard
from orders.selectors import InstrumentInfo

pytestmark = pytest.mark.django_db

START = 1_772_200_000_000_000  # 2026-02-27, so that a month ends among the trades
DAY = 24 * 3_600_000_000


@pytest.fixture
def rng() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture
def info() -> InstrumentInfo:
    rules = {"price_decimals": 2, "quantity_decimals": 3, "price_tick": 1, "quantity_step": 1, "min_quantity": 1}
    shard, _ = Shard.objects.update_or_create(id=0, defaults={"epoch": 7})
    row = Instrument.objects.create(
        symbol="ACME-USD",
        base="ACME",
        quote="USD",
        shard=shard,
        max_quantity=9,
        last_trade_sequence=41,
        created_at=0,
        **rules,
    )
    return InstrumentInfo(row.id, row.symbol, 0, 2, 3)


def candles_of(trades: list[tuple[int, int, int, int]], interval: str) -> list[Candle]:
    found: dict[int, Candle] = {}
    for at, *trade in trades:
        start = bucket_start(interval, at)
        found[start] = extend(found.get(start), start, *trade)
    return list(found.values())


def keep(info: InstrumentInfo, trades: list[tuple[int, int, int, int]]) -> None:
    """The rows that the engine would have made."""
    for resolution, interval in enumerate(RESOLUTIONS):
        CandleRow.objects.bulk_create(
            CandleRow(instrument_id=info.id, resolution=resolution, **candle._asdict())
            for candle in candles_of(trades, interval)
        )


def random_trades(rng: random.Random) -> list[tuple[int, int, int, int]]:
    """Two hundred over minutes, hours and (at last) half a year."""
    at, trades = START, []
    for sequence in range(1, 201):
        at += rng.randrange(10 ** rng.choice((7, 8, 9, 10, 11, 12)) * 3)
        trades.append((at, rng.randrange(1, 99), rng.randrange(1, 99), sequence))
    return trades


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_between_any_bounds(interval: str, rng: random.Random, info: InstrumentInfo) -> None:
    trades = random_trades(rng)
    keep(info, trades)
    everything = candles_of(trades, interval)
    for _ in range(25):
        start, end = sorted(rng.choice(trades)[0] + rng.choice((0, 1, -1, DAY)) for _ in range(2))
        bounds = {"start": rng.choice((start, None, bucket_start(interval, start))), "end": rng.choice((end, None))}
        limit = rng.choice((1, 2, 5, 1_000))
        within = [
            candle
            for candle in everything
            if (bounds["start"] is None or candle.start >= bounds["start"])
            and (bounds["end"] is None or candle.start < bounds["end"])
        ]
        expected = within[-limit:] if bounds["start"] is None else within[:limit]
        assert charts.candle_list(info, interval, **bounds, limit=limit) == expected, (bounds, limit)


def test_the_latest_stand_at_a_trade(rng: random.Random, info: InstrumentInfo) -> None:
    trades = random_trades(rng)
    keep(info, trades)
    minutes = candles_of(trades, "1m")
    assert charts.latest_candles(info, "5m", 3) == (7, 41, candles_of(trades, "5m")[-3:])
    since = minutes[100].start
    assert charts.minute_candles(info, since) == (7, 41, minutes[100:])
    assert charts.minute_candles(info, since + 1) == (7, 41, minutes[101:])


def test_nothing_traded(info: InstrumentInfo) -> None:
    assert charts.latest_candles(info, "1M", 100) == (7, 41, [])
    assert charts.candle_list(info, "1m", 0, None, 10) == []
