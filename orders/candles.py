"""Candles: what the trades of a stretch of time come to. Pure: integers in units, times in microseconds since 1970, UTC.

Theory of operation
-------------------
* Every moment lies in one bucket of each interval. Days and shorter ones are counted from 1970, as are the three days of
  ``3d``; weeks begin on Monday, months on the first.
* A bucket without a trade has no candle. ``merge`` is associative, and a candle of a coarser interval is its finer ones
  merged: so only three resolutions are kept in the table, and every other interval is combined of one of them when read.
* ``volume`` and ``notional`` are sums that may pass 64 bits. ``last_sequence`` is that of the last trade: by it whoever has a
  candle and a trade knows whether the one is in the other.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from orders.fields import datetime_to_micros, micros_to_datetime

INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
# What is kept; a row has the place in here.
RESOLUTIONS = ("1m", "1h", "1d")

_DAY = 24 * 60
# Minutes of every interval that has a fixed length.
_MINUTES = {
    **{"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30},
    **{"1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720},
    **{"1d": _DAY, "3d": 3 * _DAY, "1w": 7 * _DAY},
}
_LENGTHS = {interval: minutes * 60_000_000 for interval, minutes in _MINUTES.items()}
# 1970 began on a Thursday: the first week three days before it.
_FIRST = {"1w": -3 * _LENGTHS["1d"]}
# The days of a month, at most.
_LONGEST_MONTH = 31


class Candle(NamedTuple):
    """The trades of one bucket. ``start`` is the bucket's first microsecond."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    notional: int
    trades: int
    last_sequence: int


def bucket_start(interval: str, at: int) -> int:
    """The first microsecond of the bucket that a moment lies in."""
    if interval == "1M":
        day = micros_to_datetime(at).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return datetime_to_micros(day)
    return at - (at - _FIRST.get(interval, 0)) % _LENGTHS[interval]


def bucket_end(interval: str, start: int) -> int:
    """The first microsecond after the bucket that begins at ``start``."""
    if interval == "1M":
        first = micros_to_datetime(start)
        return start + monthrange(first.year, first.month)[1] * _LENGTHS["1d"]
    return start + _LENGTHS[interval]


def bucket_from(interval: str, at: int) -> int:
    """The start of the first bucket that does not begin before a moment."""
    start = bucket_start(interval, at)
    return at if start == at else bucket_end(interval, start)


def resolution_of(interval: str) -> str:
    """Of which kept candles those of an interval are combined."""
    return {"m": "1m", "h": "1h"}.get(interval[-1], "1d")


def most_parts(interval: str) -> int:
    """Of how many kept candles, at most, one of an interval is combined."""
    if interval == "1M":
        return _LONGEST_MONTH
    return _LENGTHS[interval] // _LENGTHS[resolution_of(interval)]


def extend(candle: Candle | None, start: int, price: int, quantity: int, sequence: int) -> Candle:
    """The candle with one more trade in the bucket that begins at ``start``; a candle of a bucket before is over."""
    trade = Candle(start, price, price, price, price, quantity, price * quantity, 1, sequence)
    return trade if candle is None or candle.start != start else merge(candle, trade)


def merge(older: Candle, newer: Candle) -> Candle:
    """Both as one that begins where the older does."""
    return Candle(
        older.start,
        older.open,
        max(older.high, newer.high),
        min(older.low, newer.low),
        newer.close,
        older.volume + newer.volume,
        older.notional + newer.notional,
        older.trades + newer.trades,
        newer.last_sequence,
    )


def combine(candles: Iterable[Candle], interval: str) -> list[Candle]:
    """Finer candles, oldest first, as those of a coarser interval."""
    return list(combining(candles, interval))


def combining(candles: Iterable[Candle], interval: str) -> Iterator[Candle]:
    """The same one by one."""
    for start, parts in groupby(candles, lambda candle: bucket_start(interval, candle.start)):
        yield _whole(start, list(parts))


def _whole(start: int, parts: list[Candle]) -> Candle:
    """All parts of a bucket merged at once: several times as fast as one after the other."""
    _, _, highs, lows, _, volumes, notionals, trades, _ = zip(*parts, strict=True)
    return Candle(
        start,
        parts[0].open,
        max(highs),
        min(lows),
        parts[-1].close,
        sum(volumes),
        sum(notionals),
        sum(trades),
        parts[-1].last_sequence,
    )
