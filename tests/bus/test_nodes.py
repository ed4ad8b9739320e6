"""No two processes make ids with one number, and who has lost his makes none."""

import pytest
import redis

from orders.bus import nodes
from orders.bus.link import Link
from orders.bus.nodes import LEASE_SECONDS, NODE_KEY, NodeLease
from orders.ids import NODES


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(nodes, "monotonic", clock)
    return clock


@pytest.fixture
def link(store: redis.Redis, redis_url: str) -> Link:
    return Link(redis_url)


def held(lease: NodeLease) -> int:
    number = lease.number()
    assert number is not None
    return number


def test_everybody_has_another_number(link: Link) -> None:
    leases = [NodeLease(f"owner-{number}") for number in range(200)]
    for lease in leases:
        assert lease.number() is None
        lease.renew(link)
    numbers = {held(lease) for lease in leases}
    assert len(numbers) == 200 and numbers <= set(range(NODES))


def test_a_renewed_lease_keeps_its_number_and_lasts(link: Link, store: redis.Redis, clock: Clock) -> None:
    lease = NodeLease("alice")
    lease.renew(link)
    number = held(lease)
    for _ in range(5):
        store.expire(NODE_KEY.format(number), 20)
        clock.now += 9
        lease.renew(link)
        assert held(lease) == number
        assert store.ttl(NODE_KEY.format(number)) > LEASE_SECONDS - 5


def test_who_does_not_renew_has_no_number_long_before_another_may_have_it(
    link: Link, store: redis.Redis, clock: Clock
) -> None:
    lease = NodeLease("alice")
    lease.renew(link)
    number = held(lease)
    clock.now += nodes.USABLE_SECONDS
    assert lease.number() is None
    assert store.ttl(NODE_KEY.format(number)) > LEASE_SECONDS - nodes.USABLE_SECONDS
    # Later it takes another: what happened to the old one meanwhile is not known.
    lease.renew(link)
    assert held(lease) != number


def test_a_lease_that_redis_lost_is_taken_again(link: Link, store: redis.Redis, clock: Clock) -> None:
    lease = NodeLease("alice")
    lease.renew(link)
    number = held(lease)
    store.flushall()
    lease.renew(link)
    assert held(lease) == number
    assert store.get(NODE_KEY.format(number)) == b"alice"


def test_a_lease_that_redis_lost_and_gave_away_is_given_up(link: Link, store: redis.Redis, clock: Clock) -> None:
    lease = NodeLease("alice")
    lease.renew(link)
    number = held(lease)
    store.set(NODE_KEY.format(number), "bob", ex=LEASE_SECONDS)
    lease.renew(link)
    assert held(lease) != number
    assert store.get(NODE_KEY.format(number)) == b"bob"


def test_where_all_are_taken_there_is_none(
    link: Link, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nodes, "NODES", 3)
    for number in range(3):
        store.set(NODE_KEY.format(number), "others")
    lease = NodeLease("alice")
    lease.renew(link)
    assert lease.number() is None and "are taken" in caplog.text
    store.delete(NODE_KEY.format(1))
    lease.renew(link)
    assert held(lease) == 1
