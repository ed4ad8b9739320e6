"""Connections come and go; what the user wants is asked for until it is there."""

import pytest

from oms_client.book import Book
from oms_client.errors import Refused, ResumeImpossible, Stopped
from oms_client.executions import Executions
from oms_client.latest import Latest, Positions
from oms_client.line import ReadEvents, Topic
from oms_client.models import SessionState, Skipped
from oms_client.subscriptions import EXECUTIONS
from oms_client.tape import CandleSeries, Tape
from tests.client.talk import Talk, problem

BOOK, BOLT = Topic("book", "ACME-USD"), Topic("book", "BOLT-USD")
TIME = "2026-11-24T09:00:00.000000Z"
EMPTY = {"channel": "book", "symbol": "ACME-USD", "type": "snapshot", "epoch": 3, "sequence": 10, "previous": None}
EMPTY |= {"bids": [], "asks": [], "checksum": 0}


def a_book(talk: Talk, topic: Topic = BOOK) -> Book:
    book = Book(topic.symbol, 25, talk.session.stats)
    talk.subscribe(topic, book, depth=25)
    return book


def executions(talk: Talk, after: dict[int, int] | None = None) -> Executions:
    follower = Executions(after, talk.session.stats)
    talk.subscribe(EXECUTIONS, follower)
    return follower


def execution(sequence: int, previous: int, shard: int = 0) -> dict[str, object]:
    return {
        **{"channel": "executions", "type": "update", "epoch": 3, "previous": previous, "shard": shard},
        **{"sequence": sequence, "event": "accepted", "order_id": "7", "client_order_id": None, "symbol": "ACME-USD"},
        **{"side": "buy", "price": "99.98", "quantity": "1.000", "filled_quantity": "0.000", "liquidity": None},
        **{"remaining_quantity": "1.000", "status": "new", "reason": None, "trade_id": None, "time": TIME},
    }


def begins(sequence: int, shard: int = 0) -> dict[str, object]:
    return {
        "channel": "executions",
        "type": "snapshot",
        "account": "alice",
        "shard": shard,
        "epoch": 3,
        "sequence": sequence,
    }


# The connection


def test_nothing_is_sent_before_the_key_is_accepted():
    talk = Talk()
    a_book(talk)
    talk.open()
    assert talk.said("auth")["key"] == "oms_key"


def test_without_a_key_there_is_no_auth():
    talk = Talk(key=None)
    a_book(talk)
    talk.open()
    assert talk.said("subscribe")["symbols"] == ["ACME-USD"]


def test_a_wrong_key_ends_everything():
    talk = Talk()
    a_book(talk)
    talk.open()
    talk.answer(talk.said("auth"), problem=problem("not_authenticated", 401))
    talk.lose(4001)
    assert isinstance(talk.stopped, Refused) and isinstance(talk.dropped[BOOK], Refused) and not talk.delays
    with pytest.raises(Stopped):
        a_book(talk)


@pytest.mark.parametrize("code", [4003, 4030])
def test_after_some_close_codes_there_is_no_coming_back(code):
    talk = Talk()
    talk.connect()
    talk.lose(code)
    assert isinstance(talk.stopped, Stopped) and not talk.delays


def test_a_key_that_could_not_be_looked_at_is_sent_again():
    talk = Talk()
    talk.open()
    talk.answer(talk.said("auth"), problem=problem("internal_error", 500))
    assert talk.reconnects and talk.stopped is None


def test_delays_grow_until_something_is_heard_and_blame_waits_longer():
    talk = Talk()
    for _ in range(10):
        talk.lose()
    assert talk.delays == sorted(talk.delays) and talk.delays[0] <= 0.1 and talk.delays[-1] == 2.0
    talk.connect()
    a_book(talk)
    talk.hear(EMPTY)
    talk.lose()
    assert talk.delays[-1] == talk.delays[0]
    talk.lose(4009)
    assert talk.delays[-1] >= 1.0


def test_silence_ends_the_connection():
    talk = Talk()
    talk.connect()
    talk.wait(9.8)
    assert not talk.reconnects
    talk.wait(0.4)
    assert len(talk.reconnects) == talk.session.stats.silences == 1
    talk.wait(20)
    assert len(talk.reconnects) == 1


def test_an_answer_that_does_not_come_ends_the_connection():
    talk = Talk()
    talk.connect()
    a_book(talk)
    for _ in range(4):
        talk.wait(4)
        talk.hear({"op": "heartbeat", "shards": {}})
    assert len(talk.reconnects) == 1 and talk.session.stats.silences == 0


NONSENSE = ["{", "[]", "{}", '{"op":1}', '{"op":"heartbeat"}', "[" * 100_000, '{"op":"heartbeat","shards":{"0":1}}']


@pytest.mark.parametrize("text", NONSENSE)
def test_what_makes_no_sense_ends_the_connection(text):
    talk = Talk()
    talk.connect()
    talk.hear(text)
    assert talk.reconnects and talk.session.stats.malformed == 1


def test_what_is_not_known_is_left_alone():
    talk = Talk()
    talk.connect()
    talk.hear({"op": "news", "id": 3})
    talk.hear({"channel": "weather", "type": "update"})
    talk.hear({"op": "ack", "id": None, "ok": False})
    assert not talk.reconnects


def test_heartbeats_are_answered():
    talk = Talk()
    talk.connect()
    talk.hear({"op": "heartbeat", "shards": {"0": {"epoch": 3, "sequence": 10}}})
    talk.said("ping")


# Subscriptions


def test_books_are_asked_for_together_on_every_connection():
    talk = Talk()
    a_book(talk), a_book(talk, BOLT)
    for _ in range(2):
        talk.connect()
        assert talk.said("subscribe")["symbols"] == ["ACME-USD", "BOLT-USD"]
        talk.lose()


def test_a_refusal_of_many_is_looked_for_by_halves():
    talk = Talk()
    a_book(talk), a_book(talk, BOLT)
    talk.connect()
    talk.answer(talk.said("subscribe"), problem=problem("unknown_symbol", 404))
    first, second = talk.sent
    talk.sent.clear()
    talk.answer(first)
    talk.answer(second, problem=problem("unknown_symbol", 404))
    assert list(talk.dropped) == [BOLT]


def test_many_subscriptions_are_one_message_also_later():
    talk = Talk()
    talk.connect()
    books = [Topic("book", f"S{number}-USD") for number in range(50)]
    for topic in books:
        talk.take(talk.session.subscribe(topic, Book(topic.symbol, 25, talk.session.stats), {"depth": 25}, talk.at))
    assert not talk.sent
    talk.wait(0.05)
    assert len(talk.said("subscribe")["symbols"]) == 50


def test_a_broken_book_is_asked_for_again_alone():
    talk = Talk()
    talk.connect()
    book = a_book(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(EMPTY)
    talk.wait(1)
    talk.hear(EMPTY | {"type": "update", "sequence": 14, "previous": 12})
    assert book.stale
    talk.wait(0.05)
    talk.answer(talk.said("subscribe"))
    talk.hear(EMPTY | {"sequence": 14})
    assert not book.stale and talk.session.stats.resubscribes == 1


def test_a_book_that_breaks_again_at_once_is_asked_for_a_little_later():
    talk = Talk()
    talk.connect()
    a_book(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(EMPTY | {"checksum": 1})
    assert not talk.sent
    talk.wait(0.3)
    talk.said("subscribe")


def test_a_snapshot_that_does_not_come_is_asked_for_again():
    talk = Talk()
    talk.connect()
    book = a_book(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(EMPTY)
    for _ in range(5):
        talk.wait(4)
        talk.hear({"op": "heartbeat", "shards": {}})
    assert [message["op"] for message in talk.sent] == ["ping"] * 5
    talk.sent.clear()
    talk.hear({"channel": "book", "symbol": "ACME-USD", "type": "resync", "reason": "gap"})
    talk.wait(9)
    assert book.stale and not talk.sent
    talk.hear({"op": "pong"})
    talk.wait(1.5)
    talk.said("subscribe")


def test_a_book_beyond_the_newest_number_there_is_begins_anew():
    talk = Talk()
    talk.connect()
    book = a_book(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(EMPTY | {"epoch": 9})
    talk.wait(1)
    talk.hear({"op": "heartbeat", "shards": {"0": {"epoch": 3, "sequence": 10}}})
    talk.wait(0.05)
    assert book.stale and [message["op"] for message in talk.sent] == ["ping", "subscribe"]
    talk.hear(EMPTY)
    assert book.epoch == 3 and not book.stale


def test_leaving_a_channel():
    talk = Talk()
    talk.connect()
    talk.subscribe(Topic("candles", "ACME-USD", "1m"), CandleSeries("ACME-USD", talk.session.stats), interval="1m")
    assert talk.said("subscribe")["interval"] == "1m"
    talk.take(talk.session.unsubscribe(Topic("candles", "ACME-USD", "1m")))
    assert talk.said("unsubscribe") == {
        **{"op": "unsubscribe", "channel": "candles", "symbols": ["ACME-USD"], "interval": "1m"}
    }


def test_a_connection_has_at_most_two_hundred_subscriptions():
    talk = Talk()
    for number in range(200):
        a_book(talk, Topic("book", f"S{number}-USD"))
    with pytest.raises(ValueError, match="200"):
        a_book(talk)


# Executions


def test_executions_begin_now_and_resume_from_the_last_one():
    talk = Talk()
    talk.connect()
    executions(talk)
    said = talk.said("subscribe")
    assert "after" not in said
    talk.answer(said)
    talk.hear(begins(40)), talk.hear(execution(45, 40)), talk.hear(execution(45, 40)), talk.hear(execution(47, 45))
    talk.lose()
    talk.connect()
    said = talk.said("subscribe")
    assert said["after"] == {"0": 47}
    talk.answer(said)
    talk.hear(begins(47)), talk.hear(execution(49, 47))
    assert [told.sequence for told in talk.told[EXECUTIONS]] == [45, 47, 49]


def test_a_hole_in_the_executions_is_resumed_from_before_it():
    talk = Talk()
    talk.connect()
    executions(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(begins(40)), talk.wait(1), talk.hear(execution(47, 45))
    talk.wait(0.05)
    said = talk.said("subscribe")
    assert said["after"] == {"0": 40}
    talk.hear(execution(48, 47))
    talk.answer(said)
    talk.hear(begins(40)), talk.hear(execution(45, 40)), talk.hear(execution(47, 45)), talk.hear(execution(48, 47))
    assert [told.sequence for told in talk.told[EXECUTIONS]] == [45, 47, 48]


def test_the_users_own_place_may_be_between_two_executions():
    talk = Talk()
    talk.connect()
    follower = executions(talk, {0: 42})
    talk.answer(talk.said("subscribe"))
    talk.hear(begins(40))
    assert follower.after == {0: 40}


def test_a_service_that_does_not_know_our_past_is_not_believed_twice():
    talk = Talk()
    talk.connect()
    executions(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(begins(40)), talk.hear(execution(45, 40))
    for _ in range(2):
        talk.lose()
        talk.connect()
        talk.answer(talk.said("subscribe"))
        talk.hear(begins(39))
    assert isinstance(talk.dropped[EXECUTIONS], ResumeImpossible)


def test_a_place_that_was_never_reached_ends_the_stream():
    talk = Talk()
    talk.connect()
    executions(talk, {0: 10**6})
    refusal = problem("invalid_request", 400)
    refusal["errors"] = [{"field": "after.0", "code": "not_reached", "message": ""}]
    talk.answer(talk.said("subscribe"), problem=refusal)
    assert isinstance(talk.dropped[EXECUTIONS], ResumeImpossible)


def test_what_is_too_old_is_read_over_rest_and_then_resumed():
    talk = Talk()
    talk.connect()
    executions(talk, {0: 40})
    talk.answer(talk.said("subscribe"), problem=problem("resume_too_old", 410))
    assert talk.event_reads == [ReadEvents(0, 40)]
    of_no_order = {"order_id": None, "sequence": 41}
    talk.take(talk.session.events_read(0, [of_no_order, execution(45, 40)], 45, talk.at))
    talk.take(talk.session.events_unread(0, talk.at))
    talk.wait(1)
    assert talk.event_reads[1:] == [ReadEvents(0, 45)] * 2
    talk.take(talk.session.events_read(0, [execution(47, 45)], None, talk.at))
    talk.wait(0.05)
    assert talk.said("subscribe")["after"] == {"0": 47}
    assert [told.sequence for told in talk.told[EXECUTIONS]] == [45, 47]


def test_a_shard_that_came_while_we_were_away_is_told_from_its_beginning():
    talk = Talk()
    talk.connect()
    executions(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(begins(40))
    talk.lose()
    talk.wait(1)
    talk.connect()
    talk.answer(talk.said("subscribe"))
    talk.hear(begins(40)), talk.wait(1), talk.hear(begins(3, shard=1))
    talk.wait(0.05)
    assert talk.said("subscribe")["after"] == {"0": 40, "1": 0}


def test_a_user_who_is_slow_leaves_the_executions_and_resumes_them():
    talk = Talk()
    talk.connect()
    executions(talk)
    talk.answer(talk.said("subscribe"))
    talk.hear(begins(40)), talk.hear(execution(45, 40))
    talk.take(talk.session.pause_executions())
    talk.said("unsubscribe")
    talk.hear(execution(47, 45))
    talk.lose()
    talk.connect()
    assert not talk.sent
    talk.take(talk.session.resume_executions(talk.at))
    talk.wait(0.2)
    assert talk.said("subscribe")["after"] == {"0": 45}


# Trades, candles, states


def trades(kind: str, previous: int | None, *sequences: int) -> dict[str, object]:
    trade = {"price": "99.99", "quantity": "1.000", "taker_side": "buy", "time": TIME}
    told = [trade | {"id": f"0-{sequence}", "sequence": sequence} for sequence in sequences]
    head = {"channel": "trades", "symbol": "ACME-USD", "type": kind, "epoch": 3}
    return head | {"sequence": sequences[-1], "previous": previous, "trades": told}


def tape(talk: Talk) -> list[object]:
    topic = Topic("trades", "ACME-USD")
    talk.connect()
    talk.subscribe(topic, Tape("ACME-USD", talk.session.stats))
    talk.answer(talk.said("subscribe"))
    return talk.told[topic]


def brief(told: list[object]) -> list[object]:
    return [item if isinstance(item, Skipped) else item.sequence for item in told]


def test_after_an_outage_trades_go_on_where_they_were():
    talk = Talk()
    told = tape(talk)
    talk.hear(trades("snapshot", None, 2, 4)), talk.hear(trades("update", 4, 6))
    talk.lose()
    talk.connect()
    talk.hear(trades("snapshot", None, 4, 6, 8)), talk.hear(trades("update", 8, 10))
    assert brief(told) == [2, 4, 6, 8, 10]


def test_trades_that_were_missed_are_told_of():
    talk = Talk()
    told = tape(talk)
    talk.hear(trades("snapshot", None, 2, 4))
    talk.lose()
    talk.connect()
    talk.hear(trades("snapshot", None, *range(100, 200, 2)))
    assert brief(told)[:4] == [2, 4, Skipped("ACME-USD", 4, 99, None), 100]


def test_trades_that_the_service_skipped_are_told_of():
    talk = Talk()
    told = tape(talk)
    talk.hear(trades("snapshot", None, 2, 4))
    skipped = {"channel": "trades", "symbol": "ACME-USD", "type": "skipped"}
    talk.hear(skipped | {"count": 12, "previous": 4, "sequence": 30})
    talk.hear(trades("update", 30, 32))
    assert brief(told) == [2, 4, Skipped("ACME-USD", 4, 30, 12), 32]


def candles(kind: str, sequence: int, previous: int | None, *minutes: int) -> dict[str, object]:
    prices = dict.fromkeys(("open", "high", "low", "close"), "99.99") | {"volume": "1.000", "trades": sequence}
    told = [{"time": f"2026-11-24T09:{minute:02d}:00.000000Z", **prices} for minute in minutes]
    head = {"channel": "candles", "symbol": "ACME-USD", "interval": "1m", "type": kind, "epoch": 3}
    return head | {"sequence": sequence, "previous": previous, "candles": told}


def test_candles_are_told_whenever_they_change():
    talk = Talk()
    topic = Topic("candles", "ACME-USD", "1m")
    talk.connect()
    talk.subscribe(topic, CandleSeries("ACME-USD", talk.session.stats), interval="1m")
    talk.answer(talk.said("subscribe"))
    talk.hear(candles("snapshot", 4, None, 1, 2)), talk.hear(candles("update", 6, 4, 2, 3))
    assert [candle.time.minute for candle in talk.told[topic]] == [1, 2, 2, 3]
    talk.wait(1)
    talk.hear(candles("update", 10, 8, 3))
    talk.wait(0.05)
    talk.answer(talk.said("subscribe"))
    talk.hear(candles("snapshot", 10, None, 1, 2, 3))
    assert [candle.time.minute for candle in talk.told[topic]][4:] == [1, 2, 3]


def test_of_states_only_what_is_not_older_counts():
    talk = Talk()
    topic = Topic("instruments", "ACME-USD")
    talk.connect()
    talk.subscribe(topic, Latest("ACME-USD", SessionState, talk.session.stats))
    talk.answer(talk.said("subscribe"))
    state = {"channel": "instruments", "symbol": "ACME-USD", "type": "snapshot", "epoch": 3, "state": "continuous"}
    state |= dict.fromkeys(("phase_ends_at", "indicative_price", "indicative_volume", "indicative_surplus")) | {
        "time": TIME
    }
    for sequence in (10, 12, 11):
        talk.hear(state | {"sequence": sequence})
    talk.hear(state | {"epoch": 4, "sequence": 9})
    assert [(told.epoch, told.sequence) for told in talk.told[topic]] == [(3, 10), (3, 12), (4, 9)]


def test_positions_are_told_when_they_change():
    talk = Talk()
    topic = Topic("positions")
    talk.connect()
    talk.subscribe(topic, Positions(talk.session.stats))
    said = talk.said("subscribe")
    assert "symbols" not in said
    talk.answer(said)
    position = {"symbol": "ACME-USD", "quantity": "1.000", "bought": "1.000", "sold": "0.000", "average_price": "99.98"}
    position |= {"bought_notional": "99.98000", "sold_notional": "0.00000", "realized_pnl": "0.00000"}
    position |= {"mark_price": None, "unrealized_pnl": None}
    head = {"channel": "positions", "account": "alice", "shard": 0, "epoch": 3}
    talk.hear(head | {"type": "snapshot", "sequence": 10, "positions": [position]})
    talk.hear(head | {"type": "update", "sequence": 9} | position | {"quantity": "7.000"})
    talk.hear(head | {"type": "update", "sequence": 12} | position | {"quantity": "-2.000"})
    assert [str(told.quantity) for told in talk.told[topic]] == ["1.000", "-2.000"]
