"""The hub behind a real engine: what sockets are told is what the tables say, also when messages get lost."""

import json
import random
from threading import Thread

import pytest

from matching.values import BUY, SELL
from orders import gateway, selectors, status
from orders.feed import frames, life, reading
from orders.feed.hub import Hub
from orders.feed.life import Life
from orders.schemas.orders import AmendOrder
from orders.schemas.problems import ProblemError
from orders.schemas.render import level_out
from tests.feed.client import BookClient
from tests.feed.support import Feed, Recorder, wait_until
from tests.support.market import actor_for, make_instrument, place

pytestmark = pytest.mark.django_db(transaction=True)


def settled(feed: Feed) -> None:
    feed.settled()


def followed(sink: Recorder, depth: int) -> BookClient:
    """A client that has read everything the socket was told of the book."""
    client = BookClient(depth)
    for message in sink.of("book"):
        client.take(message)
    return client


def from_tables(info, depth):
    """The book as the open orders make it, by a query of its own."""
    rows = selectors.Order.objects.filter(instrument_id=info.id, status__lte=1, remaining__gt=0)
    found = []
    for side, sign in ((BUY, -1), (SELL, 1)):
        sums: dict[int, tuple[int, int]] = {}
        for price, remaining, hidden in rows.filter(side=side).values_list("price", "remaining", "hidden"):
            quantity, count = sums.get(price, (0, 0))
            sums[price] = (quantity + remaining - hidden, count + 1)
        best = sorted(sums.items(), key=lambda item: sign * item[0])[:depth]
        found.append([level_out((price, *sums), info) for price, sums in best])
    return tuple(found)


def random_flow(seed: int, actors, steps: int) -> None:
    """Orders around 100, amended and canceled, by turns; what is refused is refused."""
    chance = random.Random(seed)
    placed: list[tuple[object, int]] = []
    for _ in range(steps):
        actor = chance.choice(actors)
        what = chance.random()
        try:
            if what < 0.65 or not placed:
                placed.append((actor, random_order(chance, actor)))
            elif what < 0.85:
                owner, order_id = placed.pop(chance.randrange(len(placed)))
                gateway.order_cancel(actor=owner, order_id=order_id)
            elif what < 0.95:
                owner, order_id = chance.choice(placed)
                request = AmendOrder(price=f"{chance.randrange(9970, 10030) / 100:.2f}")
                gateway.order_amend(actor=owner, order_id=order_id, request=request)
            else:
                place(actor, chance.choice(("buy", "sell")), "20", None)
        except ProblemError:
            continue


def random_order(chance: random.Random, actor) -> int:
    """A limit order, mostly: now and then an iceberg, a stop of some kind, a pair or a bracket."""
    cents = chance.randrange(9970, 10030)
    side = chance.choice(("buy", "sell"))
    away = 20 if side == "buy" else -20
    price, beyond = f"{cents / 100:.2f}", f"{(cents + away) / 100:.2f}"
    terms = chance.choice(
        (
            *[{}] * 7,
            {"display_quantity": "0.5"},
            {"type": "stop", "price": None, "stop_price": price},
            {"type": "stop_limit", "stop_price": beyond},
            {"type": "trailing_stop", "price": None, "trail_price": "0.15"},
            {"order_class": "oco", "stop_loss": {"stop_price": beyond}},
            {"order_class": "bracket", "take_profit": {"price": beyond}, "stop_loss": {"trail_percent": "0.5"}},
        )
    )
    return place(actor, side, str(chance.randrange(1, 9)), **{"price": price, **terms}).order_id


# The projection law


@pytest.mark.parametrize("seed", [1, 2])
def test_snapshot_and_updates_equal_a_fresh_snapshot_the_rest_book_and_the_tables(feed, acme, alice, bob, seed):
    sinks = {depth: feed.subscribe_book(acme, depth) for depth in (10, 25)}
    random_flow(seed, [actor_for(alice), actor_for(bob)], 150)
    late = feed.subscribe_book(acme, 25)
    random_flow(seed + 10, [actor_for(alice), actor_for(bob)], 150)
    settled(feed)
    clients = {depth: followed(sink, depth) for depth, sink in sinks.items()}
    for depth, client in clients.items():
        fresh = followed(feed.subscribe_book(acme, depth), depth)
        view = feed.hub.book(acme.id, depth)
        told = (client.bids, client.asks)
        assert told == (fresh.bids, fresh.asks) == from_tables(acme, depth)
        assert told == ([level_out(row, acme) for row in view.bids], [level_out(row, acme) for row in view.asks])
        assert client.sequence == fresh.sequence == view.sequence
        assert client.sequence == selectors.instrument_get(symbol="ACME-USD").book_sequence
        assert client.snapshots == 1 and not client.resyncs
    assert clients[10].sequences == clients[25].sequences
    assert followed(late, 25).bids == clients[25].bids


def test_the_trades_told_are_those_of_the_tables(feed, acme, alice, bob):
    early = feed.subscribe_trades(acme)
    wait_until(lambda: early.of("trades"), "the first snapshot")
    random_flow(3, [actor_for(alice), actor_for(bob)], 300)
    late = feed.subscribe_trades(acme)
    random_flow(4, [actor_for(alice), actor_for(bob)], 50)
    settled(feed)
    rows, _ = selectors.trade_list(symbol="ACME-USD", cursor=None, limit=500)
    sequences = [row.sequence for row in reversed(rows)]
    assert len(sequences) > 60
    told = [trade["sequence"] for message in early.of("trades") for trade in message["trades"]]
    assert told == sequences
    told = [trade["sequence"] for message in late.of("trades") for trade in message["trades"]]
    assert told == sequences[-len(told) :] and len(told) >= 50
    for sink in (early, late):
        messages = sink.of("trades")
        assert [m["previous"] for m in messages[1:]] == [m["sequence"] for m in messages[:-1]]


def test_a_message_is_encoded_once_and_only_where_somebody_listens(feed, acme, alice, monkeypatch):
    encoded = []
    original = frames.book_update
    monkeypatch.setattr(frames, "book_update", lambda *args, **kwargs: encoded.append(1) or original(*args, **kwargs))
    actor = actor_for(alice)
    place(actor, price="99")
    settled(feed)
    assert encoded == []
    sinks = [feed.subscribe_book(acme, 25) for _ in range(5)]
    place(actor, price="98")
    settled(feed)
    assert len(encoded) == 1
    assert len({id(sink.frames[-1]) for sink in sinks}) == 1
    for sink in sinks:
        feed.loop.call(feed.hub.disconnect, sink)
    place(actor, price="97")
    settled(feed)
    assert len(encoded) == 1


def test_subscribing_again_gives_a_snapshot_and_one_depth_a_socket(feed, acme, alice):
    sink = feed.subscribe_book(acme, 25)
    feed.subscribe_book(acme, 10, sink)
    place(actor_for(alice), price="99")
    settled(feed)
    assert [message["type"] for message in sink.of("book")] == ["snapshot", "snapshot", "update"]
    feed.loop.call(feed.hub.unsubscribe, sink, "book", acme.id)
    place(actor_for(alice), price="98")
    settled(feed)
    assert len(sink.of("book")) == 3


def test_an_instrument_defined_while_running_appears(feed, acme, alice):
    other = make_instrument("NEW-USD")
    sink = feed.subscribe_book(other, 10)
    place(actor_for(alice), price="5", symbol="NEW-USD")
    wait_until(lambda: feed.hub.find("NEW-USD"), "the symbol")
    wait_until(lambda: feed.hub.book(other.id, 10).bids == [(500, 1000, 1)], "the book")
    settled(feed)
    assert followed(sink, 10).bids == [["5.00", "1.000", 1]]


# Losses


def test_a_lost_message_is_repaired_by_a_snapshot(feed, acme, alice):
    actor = actor_for(alice)
    sink = feed.subscribe_book(acme, 10)
    place(actor, price="99")
    feed.drop = lambda message: True
    place(actor, price="98")
    feed.drop = lambda message: False
    place(actor, price="97")
    wait_until(lambda: len(sink.of("book", "snapshot")) == 2, "a new snapshot")
    assert followed(sink, 10).resyncs == ["gap"]
    place(actor, price="96")
    settled(feed)
    client = followed(sink, 10)
    assert [level[0] for level in client.bids] == ["99.00", "98.00", "97.00", "96.00"]
    assert client.sequence == feed.hub.book(acme.id, 10).sequence


def test_lost_trades_and_executions_are_repaired_too(feed, acme, alice, bob):
    tape = feed.subscribe_trades(acme)
    wait_until(lambda: tape.of("trades"), "the tape")
    private = feed.open_executions(alice)
    chance = random.Random(5)
    feed.drop = lambda message: chance.random() < 0.3
    random_flow(6, [actor_for(alice), actor_for(bob)], 120)
    feed.drop = lambda message: False
    place(actor_for(alice), "sell", "1", "150")
    place(actor_for(bob), "buy", "1", "150")
    rows, _ = selectors.trade_list(symbol="ACME-USD", cursor=None, limit=500)
    last = rows[0].sequence
    wait_until(lambda: tape.of("trades") and tape.of("trades")[-1].get("sequence") == last, "the last trade")
    expected = order_event_sequences(alice)
    wait_until(lambda: private.messages[-1]["sequence"] == expected[-1], "the last execution")
    assert [message["sequence"] for message in private.of("executions", "update")] == expected
    assert_chained(private)


def test_books_stay_right_when_messages_are_lost_repeated_and_late(feed, acme, alice, bob):
    sink = feed.subscribe_book(acme, 10)
    chance = random.Random(7)

    def lose_or_repeat(message):
        if chance.random() < 0.2:
            feed.hub.listener(chance.choice(feed.heard))
        return chance.random() < 0.1

    feed.drop = lose_or_repeat
    random_flow(8, [actor_for(alice), actor_for(bob)], 200)
    feed.drop = lambda message: False
    place(actor_for(alice), price="1")
    tables = selectors.instrument_get(symbol="ACME-USD").book_sequence
    wait_until(lambda: followed(sink, 10).sequence == tables, "the last change")
    client = followed(sink, 10)
    assert client.resyncs and (client.bids, client.asks) == from_tables(acme, 10)


def test_a_loss_without_a_successor_is_found_by_the_heartbeat(feed, acme, alice, monkeypatch):
    sink = feed.subscribe_book(acme, 10)
    feed.drop = lambda message: True
    place(actor_for(alice), price="99")
    assert feed.hub.book(acme.id, 10).bids == []
    for _ in range(2):
        feed.loop.call(feed.hub._life._heartbeat)
    wait_until(lambda: len(sink.of("book", "snapshot")) == 2, "a new snapshot")
    assert followed(sink, 10).bids == [["99.00", "1.000", 1]]
    beat = [message for message in sink.messages if message.get("op") == "heartbeat"][-1]
    assert beat["shards"]["0"]["epoch"] == status.shards[0].epoch


def test_a_higher_epoch_comes_as_a_snapshot_and_a_lower_one_is_ignored(feed, acme, alice):
    actor = actor_for(alice)
    sink = feed.subscribe_book(acme, 10)
    place(actor, price="99")
    old = feed.heard[-1]
    selectors.Shard.objects.update(epoch=old.epoch + 1)
    sequence = old.books[0].sequence
    newer = old._replace(
        epoch=old.epoch + 1,
        books=(old.books[0]._replace(sequence=sequence + 1, previous=sequence),),
    )
    feed.hub.listener(newer)
    wait_until(lambda: len(sink.of("book", "snapshot")) == 2, "a new snapshot")
    client = followed(sink, 10)
    assert client.resyncs == ["epoch"] and client.epoch == old.epoch + 1
    before = len(sink.messages)
    feed.hub.listener(old._replace(books=(old.books[0]._replace(sequence=sequence + 2, previous=sequence + 1),)))
    settled(feed)
    assert len(sink.messages) == before


def test_another_engine_that_does_nothing_is_found_by_the_heartbeat(feed, acme, alice):
    sink = feed.subscribe_book(acme, 10)
    place(actor_for(alice), price="99")
    feed.restart_engine()
    for _ in range(2):
        feed.loop.call(feed.hub._life._heartbeat)
    wait_until(lambda: len(sink.of("book", "snapshot")) == 2, "a new snapshot")
    client = followed(sink, 10)
    assert (client.epoch, client.resyncs) == (2, ["epoch"])
    place(actor_for(alice), price="98")
    settled(feed)
    assert [level[0] for level in followed(sink, 10).bids] == ["99.00", "98.00"]


def test_more_waiting_than_may_wait_means_reading_anew(feed, acme, alice, monkeypatch):
    sink = feed.subscribe_book(acme, 10)
    place(actor_for(alice), price="99")
    settled(feed)
    monkeypatch.setattr(life, "MAX_WAITING_COMMITS", 0)
    feed.hub._life.take(feed.heard[-1])
    wait_until(lambda: len(sink.of("book", "snapshot")) == 2, "a new snapshot")
    assert followed(sink, 10).resyncs == ["gap"]


def test_a_failing_read_is_tried_again(acme, feed, alice, monkeypatch, caplog):
    sink = feed.subscribe_book(acme, 10)
    failures = [RuntimeError("the disk is away"), RuntimeError("still away")]
    original = reading.levels

    def failing(shard_id):
        if failures:
            raise failures.pop()
        return original(shard_id)

    monkeypatch.setattr(reading, "levels", failing)
    feed.drop = lambda message: True
    place(actor_for(alice), price="99")
    feed.drop = lambda message: False
    place(actor_for(alice), price="98")
    assert [row[0] for row in feed.hub.book(acme.id, 10).bids] == [9900, 9800]
    wait_until(lambda: len(sink.of("book", "snapshot")) == 2, "a new snapshot")
    assert "still away" in caplog.text


# Reading a book from any thread


def test_who_was_answered_sees_the_order_in_the_book(feed, acme, alice):
    actor = actor_for(alice)
    for number in range(1, 30):
        place(actor, price=f"{number}")
        assert feed.hub.book(acme.id, 10).bids[0] == (number * 100, 1000, 1)


def test_threads_that_read_while_orders_are_placed_see_consistent_books(feed, acme, alice, bob):
    sink = feed.subscribe_book(acme, 10)
    wrong: list[str] = []
    done = False

    def read():
        last = 0
        while not done:
            view = feed.hub.book(acme.id, 10)
            if view.sequence < last or (view.bids and view.asks and view.bids[0][0] >= view.asks[0][0]):
                wrong.append(f"{view} after {last}")
            last = view.sequence

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    random_flow(9, [actor_for(alice), actor_for(bob)], 80)
    done = True
    for reader in readers:
        reader.join()
    settled(feed)
    client = followed(sink, 10)
    assert not wrong
    assert (client.bids, client.asks) == from_tables(acme, 10)


def test_a_hub_that_does_not_run_answers_from_the_tables(feed, acme, alice):
    place(actor_for(alice), price="99")
    running, resting = feed.hub.book(acme.id, 10), Hub().book(acme.id, 10)
    assert running[:5] == resting[:5]
    assert resting.bids == [(9900, 1000, 1)]


def test_stopping_is_announced_and_a_stopped_hub_takes_nobody(feed, acme):
    sink = feed.subscribe_book(acme, 10)
    feed.hub.stop()
    wait_until(lambda: sink.closed == 1001, "the goodbye")
    assert sink.messages[-1]["op"] == "server_shutdown"
    assert not feed.hub.connect(Recorder())
    feed.hub.listener(feed.heard[-1])
    assert feed.hub.book(acme.id, 10).bids == []


def test_a_hub_runs_once(feed):
    with pytest.raises(RuntimeError):
        feed.hub.start(feed.loop.loop)
    assert isinstance(feed.hub._life, Life)


# Executions


def order_event_sequences(account) -> list[int]:
    rows = selectors.Event.objects.filter(account_id=account.id, order__isnull=False).order_by("id")
    return [row.sequence for row in rows]


def assert_chained(sink: Recorder) -> None:
    messages = sink.of("executions")
    assert messages[0]["type"] == "snapshot" and messages[0]["previous"] is None
    assert [m["previous"] for m in messages[1:]] == [m["sequence"] for m in messages[:-1]]


def test_executions_are_the_accounts_own_and_say_what_rest_says(feed, acme, alice, bob):
    private = feed.open_executions(alice)
    place(actor_for(alice), "buy", "2", "100", client_order_id="a-1")
    place(actor_for(bob), "sell", "1", "100")
    settled(feed)
    assert [message["event"] for message in private.of("executions", "update")] == ["accepted", "fill_maker"]
    assert_chained(private)
    fill = private.messages[-1]
    assert fill["client_order_id"] == "a-1" and fill["remaining_quantity"] == "1.000"
    assert fill["trade_id"] == f"0-{fill['sequence']}" and "actor" not in fill
    resumed = feed.open_executions(alice, {0: 0})
    assert resumed.of("executions", "update") == private.of("executions", "update")


def test_every_new_step_is_told_and_told_again_to_who_resumes(feed, acme, alice, bob):
    """A stop, an iceberg, a bracket, an expiry: each step live, then all of it once more from the tables."""
    desk, other = actor_for(alice), actor_for(bob)
    private = feed.open_executions(alice)
    place(desk, "sell", "4", "101", display_quantity="2", client_order_id="ice")
    place(desk, "buy", "1", None, type="stop", stop_price="101", client_order_id="stop", self_trade_prevention="none")
    place(other, "buy", "2", "101")  # the iceberg shows its next tip; the stop is triggered and takes half of it
    place(
        desk,
        "buy",
        "2",
        "102",
        order_class="bracket",
        take_profit={"price": "105"},
        stop_loss={"stop_price": "90"},
        client_order_id="entry",
        self_trade_prevention="none",
    )
    place(other, "sell", "1", "102")
    place(other, "buy", "1", "105")  # the profit is taken
    place(desk, "buy", "1", "80", time_in_force="gtd", expires_at="2020-01-01T00:00:00Z", client_order_id="late")
    settled(feed)
    steps = [(message["client_order_id"], message["event"], message["status"]) for message in private.messages[1:]]
    assert_chained(private)
    assert ("stop", "triggered", "new") in steps and ("stop", "fill_taker", "filled") in steps
    assert ("ice", "replenished", "partially_filled") in steps
    assert ("late", "expired", "expired") in steps
    triggers = [
        (message["client_order_id"], message["event"], message["trigger_price"])
        for message in private.messages[1:]
        if message["trigger_price"]
    ]
    assert triggers == [
        ("stop", "accepted", "101.00"),
        ("stop", "triggered", "101.00"),
        (None, "accepted", "90.00"),
    ]
    held = [step for step in steps if step[0] is None]
    assert [step[1:] for step in held] == [
        ("accepted", "untriggered"),
        ("accepted", "untriggered"),
        ("released", "new"),
        ("released", "untriggered"),
        ("fill_maker", "partially_filled"),
        ("decremented", "untriggered"),
    ]
    assert feed.open_executions(alice, {0: 0}).messages[1:] == private.messages[1:]
    middle = private.messages[len(private.messages) // 2]["sequence"]
    resumed = feed.open_executions(alice, {0: middle})
    assert resumed.messages[1:] == [message for message in private.messages[1:] if message["sequence"] > middle]


def test_nothing_is_encoded_for_accounts_nobody_listens_to(feed, acme, alice, bob, monkeypatch):
    encoded = []
    original = frames.execution
    monkeypatch.setattr(frames, "execution", lambda *args, **kwargs: encoded.append(1) or original(*args, **kwargs))
    private = feed.open_executions(alice)
    place(actor_for(bob))
    settled(feed)
    assert encoded == [] and not private.of("executions", "update")


def test_resuming_loses_nothing_and_repeats_nothing_while_orders_are_placed(feed, acme, alice, bob):
    """Sockets come and go during a flow of orders, each resuming where the one before it ended."""
    flow = Thread(target=random_flow, args=(11, [actor_for(alice), actor_for(bob)], 250))
    seen: list[int] = []
    last = 0
    flow.start()
    chance = random.Random(12)
    while flow.is_alive():
        sink = feed.open_executions(alice, {0: last})
        for _ in range(chance.randrange(4)):
            settled(feed)
        feed.loop.call(feed.hub.disconnect, sink)
        assert_chained(sink)
        assert sink.messages[0]["sequence"] == last
        seen += [message["sequence"] for message in sink.of("executions", "update")]
        last = seen[-1] if seen else 0
    flow.join()
    seen += [message["sequence"] for message in feed.open_executions(alice, {0: last}).of("executions", "update")]
    assert seen == order_event_sequences(alice)


def test_a_place_between_two_events_is_a_place_to_resume_from(feed, acme, alice, bob):
    place(actor_for(alice), price="90")
    first = order_event_sequences(alice)[0]
    place(actor_for(bob), price="91")
    place(actor_for(alice), price="92")
    resumed = feed.open_executions(alice, {0: first + 1})
    assert resumed.messages[0]["sequence"] == first
    assert_chained(resumed)
    assert [m["price"] for m in resumed.of("executions", "update")] == ["92.00"]


def test_too_much_missed_and_numbers_from_the_future_are_refused(feed, acme, alice, monkeypatch):
    for _ in range(4):
        place(actor_for(alice), price="90")
    monkeypatch.setattr(reading, "MAX_RESUME_EVENTS", 3)
    with pytest.raises(ProblemError) as refused:
        feed.open_executions(alice, {0: 0})
    assert refused.value.code.name == "resume_too_old"
    for after in ({0: 10_000}, {7: 1}):
        with pytest.raises(ProblemError) as refused:
            feed.open_executions(alice, after)
        assert refused.value.errors[0]["code"] == "not_reached"
    assert feed.hub._life.executions.streams == {}


def test_an_account_defined_between_its_orders_does_not_break_the_chain(feed, acme, alice):
    from matching.commands import DefineAccount
    from tests.support.market import OPERATOR

    private = feed.open_executions(alice)
    place(actor_for(alice), price="90")
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(alice.id))
    place(actor_for(alice), price="91")
    settled(feed)
    assert_chained(private)
    assert feed.open_executions(alice).messages[0]["sequence"] == private.messages[-1]["sequence"]


def test_frames_are_one_line_of_ascii_json(feed, acme, alice):
    sink = feed.subscribe_book(acme, 10)
    assert "\n" not in sink.frames[0].text and json.loads(sink.frames[0].data)["symbol"] == "ACME-USD"
