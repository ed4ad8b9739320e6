"""GET instruments/{symbol}/candles: which are answered, and what is refused. What they hold is tested with the engine."""

from datetime import UTC, datetime
from typing import Any

import pytest

from orders.candles import INTERVALS, RESOLUTIONS, extend
from orders.fields import datetime_to_micros
from orders.models import Candle
from orders.selectors import instrument_by_symbol
from tests.api.conftest import Api

PATH = "instruments/ACME-USD/candles"


def moment(*args: int) -> int:
    return datetime_to_micros(datetime(*args, tzinfo=UTC))


def keep(resolution: str, start: int, price: int, quantity: int = 1_000) -> None:
    """A kept candle of one trade, long ago: behind the engine's back."""
    candle = extend(None, start, price, quantity, 1)
    Candle.objects.create(
        instrument_id=instrument_by_symbol("ACME-USD").id,
        resolution=RESOLUTIONS.index(resolution),
        **candle._asdict(),
    )


def times(api: Api, query: str) -> list[str]:
    answer = api.get(f"{PATH}?{query}")
    assert answer.status == 200, answer.body
    return [candle["time"] for candle in answer.body]


def test_what_was_traded_just_now(api: Api):
    before = datetime.now(UTC)
    for price, quantity in (("100", "1"), ("99.5", "2.5"), ("101.25", "0.001")):
        api.trade(price, quantity)
    after = datetime.now(UTC)
    day = api.get(f"{PATH}?interval=1M", who=None).body
    if before.month == after.month:
        assert day == [
            {
                "time": f"{before:%Y-%m}-01T00:00:00.000000Z",
                "open": "100.00",
                "high": "101.25",
                "low": "99.50",
                "close": "101.25",
                "volume": "3.501",
                "trades": 3,
            }
        ]
    minutes = api.get(PATH).body
    assert sum(candle["trades"] for candle in minutes) == 3
    first, last = (f"{when:%Y-%m-%dT%H:%M}:00.000000Z" for when in (before, after))
    assert first <= minutes[0]["time"] <= minutes[-1]["time"] <= last


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval(api: Api, interval: str):
    assert api.get(f"{PATH}?interval={interval}").body == []
    api.trade("100")
    (candle,) = api.get(f"{PATH}?interval={interval}").body
    assert (candle["open"], candle["close"], candle["volume"], candle["trades"]) == ("100.00", "100.00", "1.000", 1)


def test_bounds_and_limit(api: Api):
    for minute in range(10):
        keep("1m", moment(2026, 3, 1, 12, minute), 10_000 + minute)
    at = [f"2026-03-01T12:{minute:02}:00.000000Z" for minute in range(10)]
    assert times(api, "") == at
    assert times(api, "limit=3") == at[-3:]
    assert times(api, "start=2026-03-01T12:03:00Z&limit=3") == at[3:6]
    # A start within a minute: that minute began before it. The end is not in it.
    assert times(api, "start=2026-03-01T12:03:00.000001Z&end=2026-03-01T12:06:00Z") == at[4:6]
    assert times(api, "end=2026-03-01T12:06:00.000001Z&limit=2") == at[5:7]
    assert times(api, "start=2026-03-01T12:03:00Z&end=2026-03-01T12:03:00Z") == []
    assert times(api, "start=2026-03-02T00:00:00Z") == []
    assert times(api, "interval=5m") == [at[0], at[5]]
    assert times(api, "interval=3m&start=2026-03-01T12:01:00Z&end=2026-03-01T12:07:00Z") == [at[3], at[6]]
    assert times(api, "interval=15m&limit=1") == [at[0]]


def test_months_and_weeks_are_of_days(api: Api):
    for month, day in ((1, 31), (2, 1), (2, 28), (3, 1)):
        keep("1d", moment(2026, month, day), 10_000 + month)
    assert times(api, "interval=1M") == [f"2026-0{month}-01T00:00:00.000000Z" for month in (1, 2, 3)]
    assert times(api, "interval=1M&start=2026-01-02T00:00:00Z&limit=1") == ["2026-02-01T00:00:00.000000Z"]
    assert times(api, "interval=1w&limit=2") == ["2026-01-26T00:00:00.000000Z", "2026-02-23T00:00:00.000000Z"]
    (february,) = api.get(f"{PATH}?interval=1M&start=2026-02-01T00:00:00Z&limit=1").body
    assert (february["volume"], february["trades"]) == ("2.000", 2)


def test_the_ends_of_time(api: Api):
    keep("1m", moment(2026, 3, 1), 10_000)
    for interval in INTERVALS:
        query = f"interval={interval}&start=1970-01-01T00:00:00.000001Z&end=9999-12-31T23:59:59.999999Z"
        assert len(api.get(f"{PATH}?{query}").body) == (interval[-1] == "m")
        assert times(api, f"interval={interval}&start=9999-12-31T23:59:59.999999Z") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("interval=7m", "interval"),
        ("interval=1m&interval=1h", "interval"),
        ("interval=", "interval"),
        ("start=yesterday", "start"),
        ("start=1700000000", "start"),
        ("end=2026-02-30T00:00:00Z", "end"),
        ("end=2026-02-03T00:00:00%2B02:00", "end"),
        ("start=2026-03-01T00:00:00Z&end=2026-02-01T00:00:00Z", "end"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=1e3", "limit"),
        ("since=2026-03-01T00:00:00Z", "since"),
    ],
)
def test_what_is_refused(api: Api, query: str, field: str):
    answer = api.get(f"{PATH}?{query}")
    assert answer.code == "invalid_request"
    (error,) = answer.body["errors"]
    assert error["field"] == field


def test_the_message_says_which_intervals_there_are(api: Api):
    (error,) = api.get(f"{PATH}?interval=7m").body["errors"]
    assert all(f"'{interval}'" in error["message"] for interval in INTERVALS)


def test_of_nothing(api: Api):
    assert api.get("instruments/NONE/candles").code == "unknown_symbol"


def test_the_longest_answer(api: Api):
    rows: list[Any] = []
    for minute in range(1_500):
        candle = extend(None, moment(2026, 3, 1) + minute * 60_000_000, 10_000, 1, minute + 1)
        rows.append(Candle(instrument_id=instrument_by_symbol("ACME-USD").id, resolution=0, **candle._asdict()))
    Candle.objects.bulk_create(rows)
    assert len(api.get(PATH).body) == 500
    assert len(api.get(f"{PATH}?limit=1000").body) == 1_000
    assert len(api.get(f"{PATH}?interval=30m").body) == 50
