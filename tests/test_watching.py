"""What a process without an engine knows of the shards: from the tables, and from what engines tell."""

from datetime import timedelta
from threading import Event

import pytest
from django.db import DatabaseError
from django.utils import timezone

from orders import status, watching
from orders.models import EngineLease, Shard
from orders.watching import News, Watcher
from tests.feed.support import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shards(monkeypatch):
    monkeypatch.setattr(status, "shards", {})
    return status.shards


@pytest.fixture
def watcher():
    return Watcher()


def make_shard(shard_id: int = 0, *, epoch: int = 3, sequence: int = 70) -> Shard:
    return Shard.objects.create(id=shard_id, epoch=epoch, last_sequence=sequence)


def make_lease(shard: Shard, *, age: float = 0.5, epoch: int = 3, state: str = "open", **fields: object) -> EngineLease:
    renewed_at = timezone.now() - timedelta(seconds=age)
    lease, _ = EngineLease.objects.update_or_create(
        shard=shard, defaults={"owner": "a:1:x", "epoch": epoch, "state": state, "renewed_at": renewed_at, **fields}
    )
    return lease


def state_of(shard_id: int = 0) -> tuple[str, int, str]:
    known = status.shards[shard_id]
    return known.state, known.epoch, known.detail


@pytest.mark.parametrize(
    ("lease", "expected"),
    [
        (None, ("stopped", 3, "No engine runs.")),
        ({}, ("open", 3, "")),
        ({"age": 2.5}, ("open", 3, "")),
        ({"age": 9.9}, ("stopped", 3, "The engine has not been heard of for 10 s.")),
        ({"state": "stalled", "detail": "the disk is away"}, ("stalled", 3, "the disk is away")),
        ({"state": "cancel_only"}, ("cancel_only", 3, "")),
        ({"state": "stopped"}, ("stopped", 3, "No engine runs.")),
        ({"epoch": 2}, ("recovering", 3, "Another engine takes over.")),
        ({"epoch": 2, "age": 60}, ("stopped", 3, "The engine has not been heard of for 60 s.")),
    ],
)
def test_the_tables_say_how_a_shard_is(watcher, lease, expected):
    shard = make_shard()
    if lease is not None:
        make_lease(shard, **lease)
    watcher._look()
    assert state_of() == expected


def test_a_look_brings_numbers_and_every_shard(watcher):
    make_lease(make_shard(0), waiting=12)
    make_lease(make_shard(1, epoch=5, sequence=9), epoch=5, state="recovering")
    assert not watcher.knows.is_set()
    watcher._look()
    assert (status.shards[0].sequence, status.shards[0].waiting) == (70, 12)
    assert (status.shards[1].sequence, state_of(1)) == (9, ("recovering", 5, ""))
    assert watcher.knows.is_set()


def test_news_hold_until_the_lease_has_them(watcher, monkeypatch):
    shard = make_shard()
    make_lease(shard, state="recovering")
    watcher._look()
    watcher.told(News(0, 3, 70, "open", ""))
    assert state_of() == ("open", 3, "")
    watcher._look()  # the lease is from before
    assert state_of() == ("open", 3, "")
    monkeypatch.setattr(watching, "NEWS_SECONDS", 0.0)
    watcher._look()
    assert state_of() == ("recovering", 3, "")


def test_news_of_an_engine_that_was_replaced_count_for_nothing(watcher):
    shard = make_shard()
    make_lease(shard)
    watcher._look()
    watcher.told(News(0, 2, 70, "stopped", "fenced"))
    assert state_of() == ("open", 3, "")
    watcher.told(News(0, 3, 70, "open", ""))
    Shard.objects.update(epoch=4)
    make_lease(shard, epoch=4, state="recovering")
    watcher._look()
    assert state_of() == ("recovering", 4, "")


def test_without_a_database_the_last_is_believed_for_a_while_then_nothing(watcher, monkeypatch):
    make_lease(make_shard())
    Shard.objects.create(id=1)
    watcher._look()

    def fail() -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(watching, "look", fail)
    watcher._look()
    watcher._mind()
    assert state_of() == ("open", 3, "")
    watcher._answered_at -= watching.BLIND_SECONDS
    watcher._mind()
    assert state_of() == ("stalled", 3, "The database does not answer.")
    assert state_of(1)[0] == "stopped"
    # Nobody can say any more of which epoch that is.
    watcher.told(News(0, 3, 70, "open", ""))
    assert state_of()[0] == "stalled"


def test_a_change_of_state_is_one_line_of_the_log(watcher, caplog):
    caplog.set_level("INFO", "orders.watching")
    shard = make_shard()
    watcher._look()
    watcher._look()
    make_lease(shard)
    watcher._look()
    make_lease(shard, age=60)
    watcher._look()
    watcher._look()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "shard 0 is open, epoch 3"),
        ("WARNING", "shard 0 is stopped, epoch 3: The engine has not been heard of for 60 s."),
    ]


def test_one_watcher_a_process_and_a_forked_one_has_its_own(monkeypatch):
    monkeypatch.setattr(watching.Watcher, "start", lambda self: None)
    try:
        first = watching.start()
        assert watching.start() is first
        assert not watching.wait_for_news(0.001)
        first.knows.set()
        assert watching.wait_for_news(0.001)
        watching._forget()
        assert watching.start() is not first
    finally:
        watching.stop()


def test_a_database_that_hangs_does_not_keep_the_last_state_for_ever(monkeypatch):
    asked, released = Event(), Event()

    def hang() -> list[watching.Sight]:
        asked.set()
        released.wait(10)
        return []

    monkeypatch.setattr(watching, "look", hang)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(watching, "BLIND_SECONDS", 0.2)
    status.shard_status(0).become(status.OPEN, epoch=1)
    watcher = Watcher()
    watcher.start()
    try:
        assert asked.wait(5)
        wait_until(lambda: state_of()[0] == status.STALLED, "the silence to be noticed")
        assert watcher.knows.is_set()
    finally:
        watcher.stop()
        released.set()
