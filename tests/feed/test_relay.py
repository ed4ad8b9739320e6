"""Commits on their way from an engine to hubs of other processes: over a real Redis that may be away."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from django.utils.module_loading import import_string

from matching.values import CONTINUOUS
from oms_project.production import channel_layer
from orders import meters, status
from orders.feed import life, relay
from orders.feed.publisher import CommitMessage
from orders.feed.relay import KIND, Receiver, Sender
from orders.watching import News
from tests.conftest import missing
from tests.feed.support import Feed, LoopThread, wait_until
from tests.feed.test_hub import followed, from_tables
from tests.support.market import place
from tests.support.services import Redis, ServiceMissing, directory


def layer_of(url: str) -> Any:
    configured = channel_layer(url)
    return import_string(configured["BACKEND"])(**configured["CONFIG"])


def commit(sequence: int) -> CommitMessage:
    return CommitMessage(0, 1, sequence, sequence - 1, 0, (), (), (), (), (), ())


class Heard:
    """A receiver in a loop of its own that remembers."""

    def __init__(self, url: str) -> None:
        self.loop = LoopThread()
        self.commits: list[CommitMessage] = []
        self.news: list[News] = []
        self.joins = 0
        self.messages = 0
        self.receiver = Receiver(self.commits.append, self.news.append, self._joined, layer_of(url))
        deliver = self.receiver.deliver

        def counted(message: Any) -> None:
            self.messages += 1
            deliver(message)

        self.receiver.deliver = counted
        self.loop.call(self.receiver.start, self.loop.loop)

    def _joined(self) -> None:
        self.joins += 1

    @property
    def sequences(self) -> list[int]:
        return [message.sequence for message in self.commits]

    def close(self) -> None:
        self.loop.call(self.receiver.stop)
        self.loop.call(lambda: None)
        self.loop.close()


class Layer:
    """A layer that does what a test wants with what is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        if self.gate is not None:
            await self.gate.wait()
        self.sent.append(message)

    async def flush(self) -> None:
        pass


@contextmanager
def sending(layer: Any) -> Iterator[Sender]:
    sender = Sender(layer)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


@pytest.fixture
def redis() -> Iterator[Redis]:
    """To be stopped and started again."""
    try:
        with directory("oms-redis-") as place:
            server = Redis(place)
            yield server
            server.stop()
    except ServiceMissing as error:
        missing(error)


@pytest.fixture
def quiet(monkeypatch):
    """No engine in this process says anything, and beats are far between: what is sent is what a test sends."""
    monkeypatch.setattr(status, "shards", {})
    monkeypatch.setattr(relay, "BEAT_SECONDS", 60)


# One message


def test_a_commit_is_one_message_to_every_process(redis_url, quiet):
    others = [Heard(redis_url) for _ in range(2)]
    try:
        wait_until(lambda: all(other.joins for other in others), "both to join")
        with sending(layer_of(redis_url)) as sender:
            for sequence in range(1, 6):
                sender.listener(commit(sequence))
                wait_until(lambda s=sequence: all(other.sequences[-1:] == [s] for other in others), "the commit")
            assert [other.messages for other in others] == [5, 5]
            assert [other.sequences for other in others] == [[1, 2, 3, 4, 5]] * 2
    finally:
        for other in others:
            other.close()


def test_commits_that_pile_up_share_messages(quiet, monkeypatch):
    layer = Layer()
    layer.gate = asyncio.Event()
    with sending(layer) as sender:
        sender.listener(commit(1))
        wait_until(lambda: not sender._waiting, "the first to be under way")
        for sequence in range(2, 201):
            sender.listener(commit(sequence))
        sender._loop.call_soon_threadsafe(layer.gate.set)
        wait_until(lambda: len(layer.sent) >= 2, "the messages")
    brought = [relay.relay_wire.decode(message["data"]).commits for message in layer.sent]
    assert [len(commits) for commits in brought][:2] == [1, 199]
    assert [message.sequence for commits in brought for message in commits] == list(range(1, 201))


def test_a_message_is_bounded(quiet, monkeypatch):
    monkeypatch.setattr(relay, "MAX_MESSAGE_BYTES", 100)
    layer = Layer()
    sender = Sender(layer)
    for sequence in range(1, 101):
        sender.listener(commit(sequence))
    sender.start()
    sender.stop()
    brought = [relay.relay_wire.decode(message["data"]).commits for message in layer.sent]
    assert sum(map(len, brought)) == 100 and max(map(len, brought)) < 20


# Never in the engine's way


def test_a_layer_that_hangs_costs_the_oldest_and_no_time(quiet):
    layer = Layer()
    layer.gate = asyncio.Event()
    dropped = meters.REGISTRY.get_sample_value("oms_relay_dropped_total", {"end": "sender"})
    with sending(layer) as sender:
        sender.listener(commit(1))
        wait_until(lambda: not sender._waiting, "the first to be under way")
        began = monotonic()
        for sequence in range(2, 3_002):
            sender.listener(commit(sequence))
        assert monotonic() - began < 1
        assert len(sender._waiting) == relay.MAX_WAITING
        assert sender._waiting[-1].sequence == 3_001
        sender._loop.call_soon_threadsafe(layer.gate.set)
        wait_until(lambda: not sender._waiting, "the rest")
    now = meters.REGISTRY.get_sample_value("oms_relay_dropped_total", {"end": "sender"})
    assert now - dropped == 2_000


def test_a_layer_that_fails_is_told_of_once_and_tried_again(quiet, caplog, monkeypatch):
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.01)
    layer = Layer()
    layer.error = OSError("no way there")
    with sending(layer) as sender:
        for sequence in range(1, 4):
            sender.listener(commit(sequence))
            wait_until(lambda: not sender._waiting, "it to be given up")
        layer.error = None
        sender.listener(commit(4))
        wait_until(lambda: layer.sent, "a message")
    told = [record.getMessage() for record in caplog.records if record.name == "orders.feed.relay"]
    assert len(told) == 2 and "no way there" in told[0] and "again" in told[1]


def test_what_waits_is_sent_before_the_end(quiet):
    layer = Layer()
    with sending(layer) as sender:
        for sequence in range(1, 51):
            sender.listener(commit(sequence))
    commits = [message for sent in layer.sent for message in relay.relay_wire.decode(sent["data"]).commits]
    assert [message.sequence for message in commits] == list(range(1, 51))
    # The engine may still commit: nobody hears of it here any more, and nothing breaks.
    sender.listener(commit(51))


# What engines say of themselves


def test_a_change_of_state_is_told_at_once_and_then_now_and_again(redis_url, quiet, monkeypatch):
    shard = status.shard_status(3)
    other = Heard(redis_url)
    try:
        wait_until(lambda: other.joins, "it to join")
        with sending(layer_of(redis_url)):
            shard.become(status.OPEN, epoch=4)
            wait_until(lambda: other.news[-1:] == [News(3, 4, 0, "open", "")], "the news")
            shard.become(status.STALLED, "the disk is away")
            wait_until(lambda: other.news[-1:] == [News(3, 4, 0, "stalled", "the disk is away")], "the news")
        monkeypatch.setattr(relay, "BEAT_SECONDS", 0.02)
        count = len(other.news)
        with sending(layer_of(redis_url)):
            wait_until(lambda: len(other.news) > count + 3, "beats")
    finally:
        other.close()


# What comes in


@pytest.mark.parametrize("message", [{}, {"type": KIND}, {"type": KIND, "data": b"garbage"}, {"data": 7}, None, 5])
def test_garbage_is_ignored_and_counted(message, caplog):
    commits: list[CommitMessage] = []
    receiver = Receiver(commits.append, layer=Layer())
    before = meters.REGISTRY.get_sample_value("oms_relay_dropped_total", {"end": "receiver"})
    for _ in range(3):
        receiver.deliver(message)
    assert meters.REGISTRY.get_sample_value("oms_relay_dropped_total", {"end": "receiver"}) == before + 3
    assert not commits
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


# The hub behind it


@pytest.fixture
def relayed(feed: Feed, redis: Redis) -> Iterator[Feed]:
    """The feed's commits come over Redis; ``feed.sender`` and ``feed.receiver`` are between."""
    sender = Sender(layer_of(redis.url))
    receiver = Receiver(feed.hub.listener, lambda news: None, feed.hub.suspect, layer_of(redis.url))
    joins: list[int] = []
    receiver._suspect = lambda: (joins.append(1), feed.hub.suspect())
    feed.loop.call(receiver.start, feed.loop.loop)
    sender.start()
    wait_until(lambda: joins, "the hub to join")

    def over_redis(message: CommitMessage) -> bool:
        sender.listener(message)
        return True

    feed.drop = over_redis
    yield feed
    feed.loop.call(receiver.stop)
    feed.loop.call(lambda: None)
    sender.stop()


@pytest.mark.django_db(transaction=True)
def test_a_book_is_followed_over_the_relay(relayed, acme, actors):
    book = relayed.subscribe_book(acme, 10)
    chance = random.Random(7)
    for _ in range(60):
        place(chance.choice(actors), chance.choice(("buy", "sell")), "1", str(chance.randint(95, 105)))
    wait_until(lambda: (followed(book, 10).bids, followed(book, 10).asks) == from_tables(acme, 10), "the book")
    assert not followed(book, 10).resyncs


@pytest.mark.django_db(transaction=True)
def test_what_a_redis_that_was_away_has_lost_comes_from_the_tables(relayed, acme, actors, redis):
    book = relayed.subscribe_book(acme, 10)
    place(actors[0], "buy", "1", "99")
    wait_until(lambda: followed(book, 10).bids == [["99.00", "1.000", 1]], "the first order")
    redis.kill()
    for price in ("98", "97", "96"):
        place(actors[0], "buy", "1", price)
    redis.start()
    # Nothing follows that the hub could see the gap by: it must come to it by itself.
    wait_until(lambda: len(followed(book, 10).bids) == 4, "the repair")
    assert (followed(book, 10).bids, followed(book, 10).asks) == from_tables(acme, 10)
    place(actors[0], "buy", "1", "95")
    wait_until(lambda: len(followed(book, 10).bids) == 5, "the next order")
    assert followed(book, 10).bids == from_tables(acme, 10)[0]


@pytest.mark.django_db(transaction=True)
def test_messages_lost_on_the_way_are_repaired(relayed, acme, actors):
    book = relayed.subscribe_book(acme, 10)
    over_redis = relayed.drop
    chance = random.Random(11)
    relayed.drop = lambda message: chance.random() < 0.3 or over_redis(message)
    for _ in range(80):
        place(chance.choice(actors), chance.choice(("buy", "sell")), "1", str(chance.randint(95, 105)))
    relayed.drop = over_redis
    place(actors[0], "buy", "1", "90")
    wait_until(
        lambda: (
            not followed(book, 10).waiting
            and (followed(book, 10).bids, followed(book, 10).asks) == from_tables(acme, 10)
        ),
        "the repair",
    )


@pytest.mark.django_db(transaction=True)
def test_a_reader_sees_what_was_answered_before_it_asked(relayed, acme, actors, monkeypatch):
    """The answer may be faster than the relay: then the reader waits a moment, or reads the tables."""
    monkeypatch.setattr(relayed.hub, "_relayed", True)
    over_redis = relayed.drop
    late: list[CommitMessage] = []
    for number, way in enumerate((over_redis, lambda message: True, lambda message: late.append(message) is None)):
        relayed.drop = way
        place(actors[0], "buy", "1", str(50 + number))
        assert relayed.hub.book(acme.id, 10).bids[0] == (5000 + 100 * number, 1000, 1)
        assert relayed.hub.ticker(acme.id).bid == (5000 + 100 * number, 1000, 1)
    # One that came after a hole: what was in the hole is not in the hub yet, and no reader is told otherwise.
    relayed.drop = over_redis
    place(actors[0], "sell", "1", "60")
    assert relayed.hub.book(acme.id, 10).bids[0] == (5200, 1000, 1)
    assert relayed.hub.instrument(acme.id).phase == CONTINUOUS


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_is_lost_and_has_no_successor_is_found_by_what_the_engine_says(
    relayed, acme, actors, monkeypatch
):
    """Long before a heartbeat would."""
    monkeypatch.setattr(life, "HEARTBEAT_SECONDS", 10**6)
    book = relayed.subscribe_book(acme, 10)
    over_redis = relayed.drop
    relayed.drop = lambda message: True
    place(actors[0], "buy", "1", "99")
    relayed.drop = over_redis
    wait_until(lambda: followed(book, 10).bids == [["99.00", "1.000", 1]], "the repair")
