"""What sockets are told of the shards: at once when an engine stalls, stops, begins anew."""

import pytest

from orders import status
from tests.feed.support import wait_until
from tests.support.market import make_instrument

pytestmark = pytest.mark.django_db(transaction=True)


def states(sink) -> list[tuple]:
    """(type, state, epoch, detail) of each message."""
    told = []
    for message in sink.of("status"):
        (shard,) = message["shards"]
        told.append((message["type"], shard["state"], shard["epoch"], shard["detail"]))
    return told


def test_a_snapshot_then_every_change(feed):
    sink = feed.subscribe("status", None)
    shard = status.shard_status(0)
    shard.become(status.STALLED, "the disk is away")
    feed.settled()
    shard.become(status.STALLED, "still away")
    feed.settled()
    shard.become(status.OPEN)
    feed.settled()
    assert states(sink) == [
        ("snapshot", "open", 1, None),
        ("update", "stalled", 1, "the disk is away"),
        ("update", "open", 1, None),
    ]


def test_a_stop_and_the_next_engine(feed):
    sink = feed.subscribe("status", None)
    make_instrument()
    feed.engine.stop()
    wait_until(lambda: states(sink)[-1] == ("update", "stopped", 1, None), "the stop")
    feed.start_engine()
    wait_until(lambda: states(sink)[-1] == ("update", "open", 2, None), "the next engine")


def test_what_a_newcomer_sees_is_not_kept_from_the_others(feed):
    """It changes, and before the loop comes to tell it somebody subscribes."""
    sink, late = feed.subscribe("status", None), feed.connect()

    def both() -> None:
        status.shard_status(0).become(status.STALLED, "slow")
        feed.hub.subscribe(late, "status", None)
        status.shard_status(0).become(status.OPEN)

    feed.loop.call(both)
    feed.settled()
    assert [row[1] for row in states(sink)] == ["open", "stalled", "open"]
    assert [row[1] for row in states(late)] == ["stalled", "open"]


def test_who_leaves_hears_no_more_and_a_hub_that_ends_listens_no_more(feed):
    sink = feed.subscribe("status", None)
    feed.loop.call(feed.hub.unsubscribe, sink, "status", 0)
    status.shard_status(0).become(status.STALLED)
    feed.settled()
    assert len(sink.of("status")) == 1
    status.shard_status(0).become(status.OPEN)
    feed.hub.stop()
    assert status.listeners == []
