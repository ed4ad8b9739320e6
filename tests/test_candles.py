"""Candles: buckets against plain datetimes, merging against folding trade by trade, coarse ones against the trades."""

import random
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest

from orders.candles import (
    INTERVALS,
    RESOLUTIONS,
    Candle,
    bucket_end,
    bucket_from,
    bucket_start,
    combine,
    extend,
    merge,
    most_parts,
    resolution_of,
)
from orders.fields import datetime_to_micros, micros_to_datetime


@pytest.fixture
def rng() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def obvious_start(interval: str, at: datetime) -> datetime:
    """The same by the calendar."""
    count, unit = int(interval[:-1]), interval[-1]
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "m":
        return at.replace(minute=at.minute // count * count, second=0, microsecond=0)
    if unit == "h":
        return midnight.replace(hour=at.hour // count * count)
    if unit == "d":
        return midnight - timedelta(days=(midnight - datetime(1970, 1, 1, tzinfo=UTC)).days % count)
    if unit == "w":
        return midnight - timedelta(days=at.weekday())
    return midnight.replace(day=1)


def moments(rng: random.Random) -> list[datetime]:
    """Random ones, and those around the turns of years, months and leap days."""
    turns = [datetime(year, month, 1, tzinfo=UTC) for year in (1970, 2000, 2024, 2026) for month in (1, 2, 3, 12)]
    near = [turn + timedelta(microseconds=step) for turn in turns for step in (-1, 0, 1) if turn.year > 1970]
    spread = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=rng.randrange(3 * 10**15)) for _ in range(500)]
    return [*near, *spread]


@pytest.mark.parametrize("interval", INTERVALS)
def test_buckets_are_those_of_the_calendar(interval: str, rng: random.Random) -> None:
    for moment in moments(rng):
        at = datetime_to_micros(moment)
        start = bucket_start(interval, at)
        assert micros_to_datetime(start) == obvious_start(interval, moment), moment
        end = bucket_end(interval, start)
        assert start <= at < end
        # The next bucket begins there, and nothing lies between.
        assert (bucket_start(interval, end), bucket_start(interval, end - 1)) == (end, start)
        assert (bucket_from(interval, start), bucket_from(interval, start + 1)) == (start, end)


def test_weeks_begin_on_monday() -> None:
    start = micros_to_datetime(bucket_start("1w", datetime_to_micros(datetime(2026, 11, 24, 9, tzinfo=UTC))))
    assert (start.date().isoformat(), start.strftime("%A")) == ("2026-11-23", "Monday")


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_bucket_is_made_of_whole_kept_ones(interval: str, rng: random.Random) -> None:
    kept = resolution_of(interval)
    assert kept in RESOLUTIONS
    for moment in moments(rng)[:60]:
        start = bucket_start(interval, datetime_to_micros(moment))
        part, parts = start, 0
        while part < bucket_end(interval, start):
            assert bucket_start(kept, part) == part
            part, parts = bucket_end(kept, part), parts + 1
        assert part == bucket_end(interval, start)
        assert parts <= most_parts(interval)


def random_trades(rng: random.Random, count: int, spread: int) -> list[tuple[int, int, int, int]]:
    """Time, price, quantity and sequence of trades, oldest first; prices and quantities up to the core's largest."""
    at = datetime_to_micros(datetime(2026, 2, 27, 22, 30, tzinfo=UTC))
    trades = []
    for sequence in range(1, count + 1):
        at += rng.choice((0, 0, rng.randrange(spread)))
        largest = 2**53 if rng.random() < 0.1 else 200
        trades.append((at, rng.randrange(1, largest), rng.randrange(1, largest), 2 * sequence))
    return trades


def obvious_candles(trades: list[tuple[int, int, int, int]], interval: str) -> list[Candle]:
    """All trades of a bucket at once."""
    buckets: dict[int, list[tuple[int, int, int]]] = {}
    for at, *trade in trades:
        start = datetime_to_micros(obvious_start(interval, micros_to_datetime(at)))
        buckets.setdefault(start, []).append(tuple(trade))
    return [
        Candle(
            start,
            inside[0][0],
            max(price for price, _, _ in inside),
            min(price for price, _, _ in inside),
            inside[-1][0],
            sum(quantity for _, quantity, _ in inside),
            sum(price * quantity for price, quantity, _ in inside),
            len(inside),
            inside[-1][2],
        )
        for start, inside in buckets.items()
    ]


def folded(trades: list[tuple[int, int, int, int]], interval: str) -> list[Candle]:
    """Trade by trade, as the engine does."""
    found: list[Candle] = []
    for at, price, quantity, sequence in trades:
        start = bucket_start(interval, at)
        candle = extend(found[-1] if found else None, start, price, quantity, sequence)
        if found and found[-1].start == candle.start:
            found[-1] = candle
        else:
            found.append(candle)
    return found


@pytest.mark.parametrize("interval", INTERVALS)
def test_combined_is_as_if_made_of_the_trades(interval: str, rng: random.Random) -> None:
    for spread in (10_000_000, 4_000_000_000, 200_000_000_000):
        trades = random_trades(rng, 200, spread)
        expected = obvious_candles(trades, interval)
        assert folded(trades, interval) == expected
        assert combine(folded(trades, resolution_of(interval)), interval) == expected
        assert combine(folded(trades, "1m"), interval) == expected


def test_merging_is_associative(rng: random.Random) -> None:
    singles = [extend(None, at, *trade) for at, *trade in random_trades(rng, 60, 10)]
    whole = reduce(merge, singles)
    for _ in range(50):
        cut = rng.randrange(1, len(singles))
        assert merge(reduce(merge, singles[:cut]), reduce(merge, singles[cut:])) == whole


def test_no_trade_no_candle() -> None:
    assert combine([], "1h") == []
