"""What one lost commit leaves behind is found by the next commit of the shard, whatever that is about."""

from threading import Event
from unittest.mock import patch

import pytest

from orders.candles import INTERVALS
from orders.feed import books, frames
from orders.feed.tapes import Tape
from tests.feed.support import running_feed, wait_until
from tests.feed.test_candles import trade
from tests.feed.test_hub import followed, from_tables
from tests.support.market import make_account, make_instrument, place

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(feed):
    info = make_instrument()
    make_instrument("OTHER-USD")
    wait_until(lambda: feed.hub.find("OTHER-USD") and feed.hub._life.books.live(info.id), "the books")
    return info


def test_a_loss_about_one_instrument_is_found_by_a_commit_about_another(feed, acme, actors):
    alice = actors[0]
    book = feed.subscribe_book(acme, 10)
    tape = feed.subscribe_trades(acme)
    candles = feed.subscribe("candles", acme, INTERVALS.index("1m"))
    ticker = feed.subscribe("ticker", acme)
    for sink, channel in ((tape, "trades"), (candles, "candles"), (ticker, "ticker")):
        wait_until(lambda sink=sink, channel=channel: sink.of(channel), channel)
    private = feed.open_executions(make_account("alice"))
    feed.drop = lambda message: True
    place(alice, "buy", "3", "99")
    trade(actors, "100")
    feed.mend()
    place(alice, "buy", "1", "5", symbol="OTHER-USD")
    wait_until(lambda: followed(book, 10).resyncs == ["gap"] and not followed(book, 10).waiting, "the book")
    client = followed(book, 10)
    assert (client.bids, client.asks) == from_tables(acme, 10)
    wait_until(lambda: tape.of("trades")[-1].get("trades"), "the trade")
    wait_until(lambda: candles.of("candles")[-1].get("candles"), "the candle")
    wait_until(lambda: ticker.of("ticker")[-1]["last"] == "100.00", "the ticker")
    wait_until(lambda: len(private.of("executions", "update")) == 4, "the executions")
    life = feed.hub._life
    shard = life.board.shards[0]
    wait_until(lambda: shard.compared >= shard.missed, "the end of it")


def test_a_read_that_is_ahead_of_the_messages_is_no_loss(feed, acme, actors):
    """The tables have it, the message has not come yet: nobody is told to begin anew."""
    book = feed.subscribe_book(acme, 10)
    held = []
    feed.drop = lambda message: held.append(message) is None
    place(actors[0], "buy", "3", "99")
    feed.loop.call(feed.hub._life.books.load, 0)
    wait_until(lambda: not feed.hub._life.board.shards[0].loading, "the read")
    feed.hub.listener(held[0])
    feed.settled()
    assert not followed(book, 10).resyncs and followed(book, 10).bids == [["99.00", "3.000", 1]]


# Snapshots unasked


# Not by monkeypatch: that is undone after the feed's own patch, and would leave the feed's value for good.
@patch.object(books, "SNAPSHOT_SECONDS", 60)
def test_every_book_is_told_as_it_stands_once_a_round_and_not_all_at_once(feed, acme, actors, monkeypatch):
    other = feed.hub.find("OTHER-USD")
    encoded = []
    original = frames.book_snapshot
    monkeypatch.setattr(frames, "book_snapshot", lambda *a, **k: encoded.append(1) or original(*a, **k))
    sinks = [feed.subscribe_book(acme, depth) for depth in (10, 10, 25)]
    beside = feed.subscribe_book(other, 10)
    place(actors[0], "buy", "3", "99")
    feed.settled()
    encoded.clear()
    life, when = feed.hub._life, {acme.id: [], other.id: []}
    for second in range(120):
        before = [len(sinks[0].of("book")), len(beside.of("book"))]
        feed.loop.call(life.books.remind, second)
        for info, told, sink in ((acme, before[0], sinks[0]), (other, before[1], beside)):
            if len(sink.of("book")) > told:
                when[info.id].append(second)
    assert [len(seconds) for seconds in when.values()] == [2, 2]
    assert when[acme.id][1] - when[acme.id][0] == 60 and when[acme.id] != when[other.id]
    assert len(encoded) == 3 - 1, "each depth once; the other book had not moved since it was last encoded"
    place(actors[0], "buy", "3", "98")
    feed.settled()
    for sink, depth in zip(sinks, (10, 10, 25), strict=True):
        client = followed(sink, depth)
        assert (client.snapshots, client.reminders, client.resyncs) == (1, 2, []), "the chain goes on"
        assert (client.bids, client.asks) == from_tables(acme, depth)


def test_the_clock_of_the_hub_sends_them():
    with running_feed(snapshot_seconds=1) as feed:
        info = make_instrument()
        sink = feed.subscribe_book(info, 10)
        wait_until(lambda: sink.of("book") and followed(sink, 10).reminders >= 2, "two snapshots unasked")


# One message a commit, one encoding a depth


def test_a_commit_is_one_message_and_one_encoding_a_depth(feed, acme, actors, monkeypatch):
    encoded = []
    original = frames.encode
    monkeypatch.setattr(frames, "encode", lambda *args: encoded.append(args[0]) or original(*args))
    sinks = [feed.subscribe_book(acme, depth) for depth in (10, 25, 25, 100) for _ in range(25)]
    feed.settled()
    heard = len(feed.heard)
    encoded.clear()
    for number in range(10):
        place(actors[0], "buy", "1", f"{50 + number}")
    feed.settled()
    assert len(feed.heard) - heard == 10
    assert len(encoded) == 10 * 3
    assert all(len(sink.of("book", "update")) == 10 for sink in sinks)
    assert len({id(frame) for sink in sinks for frame in sink.frames[1:]}) == 10 * 3


# Copies that come and go


def test_a_read_for_those_who_left_is_not_told_to_those_who_came(feed, acme, actors, monkeypatch):
    """Left while the tape was being read, and came again: one snapshot, of the second read."""
    reads, go_on = [], Event()
    original = Tape.read

    def slow(tape):
        answer = original(tape)
        reads.append(answer)
        if len(reads) == 1:
            go_on.wait(10)
        return answer

    monkeypatch.setattr(Tape, "read", slow)
    sink = feed.subscribe_trades(acme)
    wait_until(lambda: reads, "the first read")
    feed.loop.call(feed.hub.unsubscribe, sink, "trades", acme.id)
    trade(actors, "100")
    feed.subscribe("trades", acme, sink=sink)
    wait_until(lambda: sink.of("trades"), "the second read")
    go_on.set()
    feed.settled()
    feed.loop.run(feed.hub._life.board.ask(int))
    feed.settled()
    assert [len(message["trades"]) for message in sink.of("trades")] == [1]


def test_what_is_asked_of_an_instrument_that_is_new_is_told_once_it_is_known(feed, acme, actors):
    other = make_instrument("NEW-USD")
    sink = feed.subscribe("ticker", other)
    wait_until(lambda: sink.of("ticker"), "the ticker")
    trade(actors, "7", "NEW-USD")
    feed.settled()
    assert sink.of("ticker")[-1]["last"] == "7.00"
