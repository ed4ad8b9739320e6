"""Tickers: what sockets are told is what REST says and what the tables add up to, also as time passes and messages get lost."""

import random
from threading import Event, Thread

import pytest
from django.db import connection

from orders import selectors
from orders.feed import frames, tickers
from orders.feed.hub import Hub
from orders.feed.rolling import MINUTE_US, WINDOW_US
from orders.models import Trade
from orders.schemas.render import ticker_out
from tests.feed.support import Feed, Recorder, wait_until
from tests.feed.test_candles import HOUR_US, flow_in_time, trade
from tests.feed.test_hub import random_flow
from tests.support.market import place

pytestmark = pytest.mark.django_db(transaction=True)


def subscribe(feed: Feed, info, sink: Recorder | None = None) -> Recorder:
    sink = feed.subscribe("ticker", info, sink=sink)
    wait_until(lambda: sink.of("ticker"), "the ticker")
    return sink


def told(sink: Recorder) -> dict:
    """What a client knows, in REST's words."""
    message = sink.of("ticker")[-1]
    return {name: value for name, value in message.items() if name not in ("channel", "type")}


def rest(hub: Hub, info) -> dict:
    return {"symbol": info.symbol, **ticker_out(hub.ticker(info.id), info)}


def without_time(body: dict) -> dict:
    return {name: value for name, value in body.items() if name not in ("time", "sequence")}


def statistics(info, at: int) -> tuple:
    """(open, high, low, volume, notional, trades) by looking through all trades."""
    rows = [t for t in Trade.objects.filter(instrument=info.id).order_by("id") if _micros(t) > at - WINDOW_US]
    prices = [row.price for row in rows]
    return (
        prices[0] if prices else None,
        max(prices, default=None),
        min(prices, default=None),
        sum(row.quantity for row in rows),
        sum(row.price * row.quantity for row in rows),
        len(rows),
    )


def _micros(row: Trade) -> int:
    """The end of the minute of a trade."""
    return int(row.at.timestamp()) // 60 * MINUTE_US + MINUTE_US


def pass_minute(feed: Feed, microseconds: int = MINUTE_US) -> None:
    feed.pass_time(microseconds)
    feed.loop.call(feed.hub._life._second)


def test_one_message_a_commit_and_only_where_something_changed(feed, acme, actors):
    sink = subscribe(feed, acme)
    place(actors[0], "buy", "2", "99")
    place(actors[0], "buy", "2", "98")  # not the best: nothing to tell
    place(actors[1], "sell", "1", "99")
    feed.settled()
    messages = sink.of("ticker")
    assert [m["type"] for m in messages] == ["snapshot", "update", "update"]
    assert [m["last"] for m in messages] == [None, None, "99.00"]
    assert [m["bid_quantity"] for m in messages] == [None, "2.000", "1.000"]
    assert messages[2] | {"time": ""} == {
        **dict.fromkeys(("ask", "ask_quantity")),
        **dict.fromkeys(("last", "bid", "open", "high", "low", "vwap"), "99.00"),
        **{"channel": "ticker", "symbol": "ACME-USD", "type": "update", "epoch": 1, "time": ""},
        **{"bid_quantity": "1.000", "volume": "1.000", "trades": 1},
        **{"change": "0.00", "change_percent": "0.00"},
        "sequence": feed.hub.book(acme.id, 10).sequence,
    }
    assert told(sink) == rest(feed.hub, acme)


@pytest.mark.parametrize("seed", [1, 2])
def test_sockets_rest_and_tables_agree(feed, acme, actors, seed):
    sink = subscribe(feed, acme)
    chance = random.Random(seed)
    for number in range(20):
        flow_in_time(feed, actors, seed * 50 + number, 1, 5 * HOUR_US)
        if chance.random() < 0.5:
            pass_minute(feed, chance.randrange(8 * HOUR_US))
        feed.loop.call(feed.hub._life._second)
        live, resting = rest(feed.hub, acme), rest(Hub(), acme)
        assert without_time(live) == without_time(resting), (seed, number)
        assert (live["sequence"], without_time(told(sink))) == (resting["sequence"], without_time(live)), (seed, number)
        view = feed.hub.ticker(acme.id)
        assert view[5:11] == statistics(acme, feed.now()), (seed, number)
        assert (view.last or 0) == selectors.instrument_get(symbol="ACME-USD").last_price
    assert [m["type"] for m in sink.of("ticker")].count("snapshot") == 1
    late = subscribe(feed, acme)
    assert without_time(told(late)) == without_time(told(sink))


def test_what_falls_out_of_the_day_is_told_when_its_minute_has_passed(feed, acme, actors):
    trade(actors, "100")
    pass_minute(feed, 2 * MINUTE_US)
    trade(actors, "90")
    sink = subscribe(feed, acme)
    assert (told(sink)["open"], told(sink)["low"], told(sink)["change"]) == ("100.00", "90.00", "-10.00")
    pass_minute(feed, WINDOW_US - 2 * MINUTE_US)
    feed.settled()
    assert (told(sink)["open"], told(sink)["trades"], told(sink)["change"]) == ("90.00", 1, "0.00")
    pass_minute(feed, 2 * MINUTE_US)
    feed.settled()
    assert (told(sink)["open"], told(sink)["volume"], told(sink)["change"]) == (None, "0.000", None)
    assert told(sink)["last"] == "90.00" and told(sink) == rest(feed.hub, acme)
    assert without_time(rest(Hub(), acme)) == without_time(told(sink))
    assert len(sink.of("ticker")) == 3


@pytest.mark.parametrize("seed", [3, 4])
def test_they_stay_right_when_messages_are_lost_repeated_and_late(feed, acme, actors, seed):
    sink = subscribe(feed, acme)
    feed.spoil(seed)
    flow_in_time(feed, actors, seed, 20, HOUR_US)
    feed.mend()
    place(actors[0], price="1")
    tables = without_time(rest(Hub(), acme))
    wait_until(lambda: without_time(told(sink)) == tables, "the truth")
    assert without_time(rest(feed.hub, acme)) == tables
    assert [m["type"] for m in sink.of("ticker")].count("snapshot") > 1, "the test lost nothing"


def test_the_next_engine_is_told_by_a_snapshot(feed, acme, actors):
    sink = subscribe(feed, acme)
    trade(actors, "100")
    feed.restart_engine()
    place(actors[0], "buy", "1", "98")
    wait_until(lambda: told(sink)["epoch"] == 2 and told(sink)["bid"] == "98.00", "the next engine's ticker")
    assert sink.of("ticker", "snapshot")[-1]["epoch"] == 2


def test_a_question_over_rest_reads_once_and_is_forgotten_later(feed, acme, actors, monkeypatch):
    reads = []
    original = tickers.Ticker.read
    monkeypatch.setattr(tickers.Ticker, "read", lambda ticker: reads.append(1) or original(ticker))
    trade(actors, "100")
    assert rest(feed.hub, acme)["last"] == "100.00"
    trade(actors, "101")
    assert rest(feed.hub, acme)["last"] == "101.00" and len(reads) == 1
    feed.loop.call(feed.hub._life._second)
    assert feed.hub._life.tickers.all(), "it was asked for just now"
    monkeypatch.setattr(tickers, "IDLE_SECONDS", 0)
    pass_minute(feed)
    assert feed.hub._life.tickers.all() == []


def test_a_question_that_cannot_be_read_is_no_end(feed, acme, actors, monkeypatch, caplog):
    original, failures = tickers.Ticker.read, [RuntimeError("the disk is away")]

    def failing(ticker):
        if failures:
            raise failures.pop()
        return original(ticker)

    monkeypatch.setattr(tickers.Ticker, "read", failing)
    trade(actors, "100")
    assert rest(feed.hub, acme)["last"] == "100.00", "from the tables"
    wait_until(lambda: all(copy.live for copy in feed.hub._life.tickers.all()), "the next attempt")
    assert "the disk is away" in caplog.text


def test_it_is_encoded_once_and_only_where_somebody_listens(feed, acme, actors, monkeypatch):
    encoded = []
    original = frames.ticker
    monkeypatch.setattr(frames, "ticker", lambda *args: encoded.append(1) or original(*args))
    rest(feed.hub, acme)
    trade(actors, "100")
    assert encoded == []
    sinks = [subscribe(feed, acme) for _ in range(5)]
    assert len(encoded) == 1
    place(actors[0], "buy", "1", "99")
    feed.settled()
    assert len(encoded) == 2
    assert len({id(sink.frames[-1]) for sink in sinks}) == 1


def test_threads_that_ask_while_orders_are_placed(feed, acme, actors):
    """Asked from several threads, dropped now and then: never behind what was seen before, in the end what the tables say."""
    wrong, done = [], Event()

    def ask() -> None:
        last = 0
        while not done.is_set():
            view = feed.hub.ticker(acme.id)
            if view.sequence < last or (view.bid and view.ask and view.bid[0] >= view.ask[0]):
                wrong.append(f"{view} after {last}")
            last = view.sequence
        connection.close()

    threads = [Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    life = feed.hub._life
    for number in range(12):
        random_flow(700 + number, actors, 12)
        with life.board.lock:
            life.tickers.drop(acme.id)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert without_time(rest(feed.hub, acme)) == without_time(rest(Hub(), acme))
