"""Where instruments' sessions stand: phases, their ends, and the auction that is being called, live and from the tables."""

import random

import pytest

from matching.auction import Uncross
from orders import gateway, selectors
from orders.feed import reading
from orders.feed.hub import Hub
from orders.feed.sessions import SessionView
from tests.feed.support import Feed, Recorder, wait_until
from tests.feed.test_hub import followed, from_tables, random_flow, settled
from tests.support.market import OPERATOR, actor_for, make_account, make_instrument, place, set_phase

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(feed):
    info = make_instrument()
    wait_until(lambda: feed.hub._life.sessions.live(info.id), "the session")
    return info


@pytest.fixture
def alice(feed):
    return actor_for(make_account("alice"))


@pytest.fixture
def bob(feed):
    return actor_for(make_account("bob"))


def subscribe(feed: Feed, info, sink: Recorder | None = None) -> Recorder:
    return feed.subscribe("instruments", info, sink=sink)


def told(sink: Recorder) -> list[tuple]:
    """(type, state, price, volume, surplus) of every message."""
    names = ("type", "state", "indicative_price", "indicative_volume", "indicative_surplus")
    return [tuple(message[name] for name in names) for message in sink.of("instruments")]


def fresh(info) -> SessionView:
    """As a hub that does not run finds it in the tables."""
    return Hub().instrument(info.id)


def test_a_session_is_told_from_its_opening_to_its_close(feed, acme, alice, bob):
    sink = subscribe(feed, acme)
    set_phase("auction", lasts_seconds=60)
    place(alice, "buy", "5", "101")
    place(alice, "buy", "1", "90")  # changes nothing of the auction
    place(bob, "sell", "2", "100")
    set_phase("no_cancel")
    set_phase("continuous")
    set_phase("closed")
    settled(feed)
    assert told(sink) == [
        ("snapshot", "continuous", None, None, None),
        ("update", "auction", None, None, None),
        ("update", "auction", "101.00", "2.000", "3.000"),
        ("update", "no_cancel", "101.00", "2.000", "3.000"),
        ("update", "continuous", None, None, None),
        ("update", "closed", None, None, None),
    ]
    messages = sink.of("instruments")
    assert messages[1]["phase_ends_at"] == messages[2]["phase_ends_at"] is not None
    assert messages[3]["phase_ends_at"] is None
    sequences = [message["sequence"] for message in messages]
    assert sequences == sorted(sequences) and len(set(sequences)) == len(sequences)


def test_hidden_quantity_counts_and_a_surplus_of_sellers_is_below_zero(feed, acme, alice, bob):
    set_phase("auction")
    place(alice, "sell", "9", "100", display_quantity="1")
    place(bob, "buy", "4", "100")
    place(bob, "buy", "1", None, type="stop", stop_price="120")  # waits, and is in no auction
    live = feed.hub.instrument(acme.id)
    assert live.indicative == Uncross(10_000, 4_000, -5_000) == fresh(acme).indicative
    sink = subscribe(feed, acme)
    assert told(sink) == [("snapshot", "auction", "100.00", "4.000", "-5.000")]
    assert feed.hub.book(acme.id, 10).asks == [(10_000, 1_000, 1)], "the depth shows the tip"


def test_live_and_tables_agree_all_along_a_call(feed, acme, alice, bob):
    """Random orders in a call, crossed as they come; then the uncross, which everybody is told."""
    book = feed.subscribe_book(acme, 10)
    sink = subscribe(feed, acme)
    set_phase("auction")
    for seed in range(8):
        random_flow(seed, [alice, bob], 15)
        live = feed.hub.instrument(acme.id)
        assert live[2:5] == fresh(acme)[2:5]
        settled(feed)
        client = followed(book, 10)
        assert (client.bids, client.asks) == from_tables(acme, 10)
    view = feed.hub.book(acme.id, 10)
    assert live.indicative is not None and view.bids[0][0] >= view.asks[0][0], "the book should be crossed by now"
    set_phase("continuous")
    settled(feed)
    client = followed(book, 10)
    assert (client.bids, client.asks) == from_tables(acme, 10) and not client.resyncs
    traded = selectors.trade_list(symbol="ACME-USD", cursor=None, limit=500)[0]
    assert live.indicative.price in {trade.price for trade in traded}
    assert told(sink)[-1] == ("update", "continuous", None, None, None)


def test_what_did_not_change_is_not_told_again(feed, acme, alice):
    sink = subscribe(feed, acme)
    for _ in range(3):
        place(alice, "buy", "1", "99")
    settled(feed)
    assert len(sink.of("instruments")) == 1


def test_leaving_and_coming_back(feed, acme):
    sink = subscribe(feed, acme)
    feed.loop.call(feed.hub.unsubscribe, sink, "instruments", acme.id)
    set_phase("halted")
    settled(feed)
    assert len(sink.of("instruments")) == 1
    subscribe(feed, acme, sink)
    assert told(sink)[-1][:2] == ("snapshot", "halted")


def test_an_instrument_that_is_new_is_told_as_soon_as_it_is_read(feed, acme):
    other = make_instrument("NEW-USD", phase=0)
    sink = subscribe(feed, other)
    wait_until(lambda: sink.of("instruments"), "the snapshot")
    assert told(sink) == [("snapshot", "closed", None, None, None)]


def test_a_lost_change_is_made_good(feed, acme, alice):
    sink = subscribe(feed, acme)
    feed.drop = lambda message: True
    set_phase("halted")
    feed.drop = lambda message: False
    place_elsewhere = make_instrument("OTHER-USD")
    place(alice, "buy", "1", "5", symbol=place_elsewhere.symbol)
    wait_until(lambda: len(sink.of("instruments")) == 2, "the snapshot")
    assert told(sink)[-1][:2] == ("snapshot", "halted")
    assert feed.hub.instrument(acme.id).phase == fresh(acme).phase


def test_a_read_from_before_the_loss_is_not_enough(feed, acme, alice, monkeypatch):
    """The tables are being read while a change gets lost: what that read says must not pass for the truth."""
    sink = subscribe(feed, acme)
    original, reads = reading.levels, []

    def slow(shard_id):
        answer = original(shard_id)
        if not reads:
            reads.append(answer)
            feed.drop = lambda message: True
            gateway.instrument_set_phase(actor=OPERATOR, instrument_id=acme.id, phase="halted")
            feed.drop = lambda message: False
            place(alice, "buy", "1", "5", symbol="OTHER-USD")
        return answer

    make_instrument("OTHER-USD")
    wait_until(lambda: feed.hub.find("OTHER-USD"), "the read that is under way")
    monkeypatch.setattr(reading, "levels", slow)
    feed.loop.call(feed.hub._life.books.load, 0)
    wait_until(lambda: told(sink)[-1][1] == "halted", "the change that got lost")
    assert reads


def test_late_and_repeated_messages_change_nothing(feed, acme):
    sink = subscribe(feed, acme)
    chance = random.Random(3)
    for phase in ("auction", "no_cancel", "continuous", "halted", "continuous"):
        set_phase(phase)
        feed.hub.listener(chance.choice(feed.heard))
    settled(feed)
    assert [row[1] for row in told(sink)] == [
        "continuous",
        "auction",
        "no_cancel",
        "continuous",
        "halted",
        "continuous",
    ]
