"""Candles of any interval, from the tables: the kept minutes, hours and days, combined to what is asked for."""

from typing import NamedTuple

from django.db.models import QuerySet

from orders.candles import (
    RESOLUTIONS,
    Candle,
    bucket_from,
    combine,
    most_parts,
    resolution_of,
)
from orders.models import Candle as CandleRow
from orders.models import Instrument
from orders.selectors import InstrumentInfo, consistent_read


class Chart(NamedTuple):
    """Candles, oldest first, as of the instrument's last trade (``sequence``, 0: none yet) in an epoch of its shard."""

    epoch: int
    sequence: int
    candles: list[Candle]


def candle_list(info: InstrumentInfo, interval: str, start: int | None, end: int | None, limit: int) -> list[Candle]:
    """Candles, oldest first, whose start is at or after ``start`` and before ``end``: at most ``limit``.

    The first of them where there is a ``start``, else the last ones.
    """
    rows = _kept(info, interval)
    if end is not None:
        rows = rows.filter(start__lt=bucket_from(interval, end))
    # So many rows hold ``limit`` whole candles; what they hold beyond is cut off, also where it is not whole.
    most = limit * most_parts(interval)
    if start is None:
        newest_first = [Candle(*row) for row in rows.order_by("-start")[:most]]
        return combine(reversed(newest_first), interval)[-limit:]
    first = rows.filter(start__gte=bucket_from(interval, start)).order_by("start")[:most]
    return combine((Candle(*row) for row in first), interval)[:limit]


def latest_candles(info: InstrumentInfo, interval: str, limit: int) -> Chart:
    """The last candles of an interval and the trade they stand at, in one consistent read."""
    with consistent_read():
        return _chart(info, candle_list(info, interval, None, None, limit))


def minute_candles(info: InstrumentInfo, since: int) -> Chart:
    """The minutes that begin at or after ``since`` and the trade they stand at, in one consistent read."""
    with consistent_read():
        rows = _kept(info, "1m").filter(start__gte=since).order_by("start")
        return _chart(info, [Candle(*row) for row in rows])


def _chart(info: InstrumentInfo, candles: list[Candle]) -> Chart:
    epoch, sequence = Instrument.objects.values_list("shard__epoch", "last_trade_sequence").get(id=info.id)
    return Chart(epoch, sequence, candles)


def _kept(info: InstrumentInfo, interval: str) -> QuerySet:
    """The kept candles that those of an interval are combined of."""
    resolution = RESOLUTIONS.index(resolution_of(interval))
    return CandleRow.objects.filter(instrument_id=info.id, resolution=resolution).values_list(*Candle._fields)
