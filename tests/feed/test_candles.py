"""Candles as sockets are told them: those of the tables, also when messages get lost and engines come and go."""

import random

import pytest

from orders import charts
from orders.candles import INTERVALS
from orders.feed.candles import CHART_LENGTH
from orders.feed.rolling import MINUTE_US
from orders.schemas.render import candle_out
from tests.feed.support import Feed, Recorder, wait_until
from tests.feed.test_hub import random_flow
from tests.support.market import place

pytestmark = pytest.mark.django_db(transaction=True)
HOUR_US = 60 * MINUTE_US


def subscribe(feed: Feed, info, interval: str, sink: Recorder | None = None) -> Recorder:
    sink = feed.subscribe("candles", info, INTERVALS.index(interval), sink)
    wait_until(lambda: [m for m in sink.of("candles", "snapshot") if m["interval"] == interval], "the candles")
    return sink


def kept(sink: Recorder, interval: str) -> tuple[list[dict], int | None]:
    """The candles of a client that has read everything, oldest first, and where it stands. Checks every chain."""
    candles: dict[str, dict] = {}
    place = None
    for message in sink.of("candles"):
        if message["interval"] != interval:
            continue
        if message["type"] == "resync":
            place = None
            continue
        if message["type"] == "snapshot":
            candles.clear()
            assert len(message["candles"]) <= CHART_LENGTH
        else:
            assert message["previous"] == place, message
        candles.update((candle["time"], candle) for candle in message["candles"])
        place = message["sequence"]
    return sorted(candles.values(), key=lambda candle: candle["time"])[-CHART_LENGTH:], place


def from_tables(info, interval: str) -> tuple[list[dict], int]:
    chart = charts.latest_candles(info, interval, CHART_LENGTH)
    return [candle_out(candle, info) for candle in chart.candles], chart.sequence


def trade(actors, price: str, symbol: str = "ACME-USD") -> None:
    place(actors[0], "sell", "1", price, symbol=symbol)
    place(actors[1], "buy", "1", price, symbol=symbol)


def flow_in_time(feed: Feed, actors, seed: int, rounds: int, longest: int) -> None:
    """Random orders, with time passing between."""
    chance = random.Random(seed)
    for number in range(rounds):
        random_flow(seed * 100 + number, actors, 12)
        feed.pass_time(chance.randrange(longest))


def test_a_commit_tells_the_candle_that_it_changed_whole(feed, acme, actors):
    sink = subscribe(feed, acme, "1m")
    feed.pass_time(MINUTE_US)
    trade(actors, "100")
    trade(actors, "103")
    feed.pass_time(5 * MINUTE_US)
    trade(actors, "99")
    feed.settled()
    snapshot, *updates = sink.of("candles")
    assert (snapshot["type"], snapshot["previous"], snapshot["candles"]) == ("snapshot", None, [])
    assert [len(update["candles"]) for update in updates] == [1, 1, 1]
    first, second, third = (update["candles"][0] for update in updates)
    assert second == first | {"high": "103.00", "close": "103.00", "volume": "2.000", "trades": 2}
    assert third["open"] == third["low"] == "99.00" and third["time"] > second["time"]
    assert kept(sink, "1m") == from_tables(acme, "1m")


@pytest.mark.parametrize("seed", [1, 2])
def test_every_interval_is_that_of_the_tables(feed, acme, actors, seed):
    sink = feed.connect()
    for interval in INTERVALS:
        subscribe(feed, acme, interval, sink)
    flow_in_time(feed, actors, seed, 30, 30 * HOUR_US)
    feed.settled()
    assert len(from_tables(acme, "1m")[0]) > 10 < len(from_tables(acme, "1d")[0])
    for interval in INTERVALS:
        assert kept(sink, interval) == from_tables(acme, interval), interval
        assert len([m for m in sink.of("candles", "snapshot") if m["interval"] == interval]) == 1
        fresh = subscribe(feed, acme, interval)
        assert kept(fresh, interval) == from_tables(acme, interval), interval


def test_a_snapshot_has_the_latest_hundred(feed, acme, actors):
    for number in range(CHART_LENGTH + 5):
        feed.pass_time(MINUTE_US)
        trade(actors, f"{100 + number}")
    sink = subscribe(feed, acme, "1m")
    assert [c["open"] for c in sink.of("candles")[0]["candles"]] == [f"{105 + n}.00" for n in range(CHART_LENGTH)]
    feed.pass_time(MINUTE_US)
    trade(actors, "300")
    late = subscribe(feed, acme, "1m")
    assert kept(late, "1m") == kept(sink, "1m") == from_tables(acme, "1m")


@pytest.mark.parametrize("seed", [3, 4])
def test_they_stay_right_when_messages_are_lost_repeated_and_late(feed, acme, actors, seed):
    sink = feed.connect()
    for interval in ("1m", "1h", "1d"):
        subscribe(feed, acme, interval, sink)
    feed.spoil(seed)
    flow_in_time(feed, actors, seed, 20, 3 * HOUR_US)
    feed.mend()
    place(actors[0], price="1")  # any commit: no trade is needed to find what was lost
    for interval in ("1m", "1h", "1d"):
        wait_until(lambda interval=interval: kept(sink, interval) == from_tables(acme, interval), interval)
    assert sink.of("candles", "resync"), "the test lost nothing"


def test_they_go_on_over_engines_and_hubs(feed, acme, actors):
    sink = subscribe(feed, acme, "1h")
    flow_in_time(feed, actors, 5, 5, HOUR_US // 3)
    feed.restart_engine()
    flow_in_time(feed, actors, 6, 5, HOUR_US // 3)
    trade(actors, "100.00")
    wait_until(lambda: kept(sink, "1h") == from_tables(acme, "1h"), "the candles of the next engine")
    assert sink.of("candles", "resync")[0]["reason"] == "epoch"
    assert sink.of("candles")[-1]["epoch"] == 2
    feed.hub.stop()
    feed.loop.call(lambda: None)
    flow_in_time(feed, actors, 7, 5, HOUR_US // 3)
    feed.hub.start(feed.loop.loop)
    again = subscribe(feed, acme, "1h")
    flow_in_time(feed, actors, 8, 5, HOUR_US // 3)
    feed.settled()
    assert kept(again, "1h") == from_tables(acme, "1h")


def test_who_leaves_one_interval_keeps_the_others(feed, acme, actors):
    sink = feed.connect()
    for interval in ("1m", "1h"):
        subscribe(feed, acme, interval, sink)
    feed.loop.call(feed.hub.unsubscribe, sink, "candles", acme.id, INTERVALS.index("1m"))
    trade(actors, "100")
    feed.settled()
    assert [m["interval"] for m in sink.of("candles", "update")] == ["1h"]
    feed.loop.call(feed.hub.unsubscribe, sink, "candles", acme.id)
    trade(actors, "100")
    feed.settled()
    assert len(sink.of("candles", "update")) == 1
    assert feed.hub._life.candles.all() == [], "nobody listens: nothing is kept"
