"""Which Redis may carry commands."""

from pathlib import Path

import pytest
import redis

from orders.bus.link import Link
from orders.bus.redis_checks import UnsafeRedis, check, problems_of
from tests.support import services


def test_one_that_keeps_everything_is_good(mortal: services.Redis) -> None:
    link = Link(mortal.url)
    assert problems_of(link) == []
    check(link)
    client = redis.Redis.from_url(mortal.url)
    client.config_set("maxmemory", "100mb")
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    check(link)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_one_that_evicts_is_not(mortal: services.Redis, policy: str) -> None:
    link = Link(mortal.url)
    client = redis.Redis.from_url(mortal.url)
    client.config_set("maxmemory-policy", policy)
    check(link)  # without a bound it does not come to that
    client.config_set("maxmemory", "100mb")
    with pytest.raises(UnsafeRedis, match=f"noeviction, not {policy}"):
        check(link)


def test_one_that_forgets_is_not_unless_that_is_allowed(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    link = Link(redis_url)
    with pytest.raises(UnsafeRedis, match="append-only"):
        check(link)
    check(link, allow_unsafe=True)
    assert "UNSAFE" in caplog.text


def test_a_replica_is_not(mortal: services.Redis, redis_url: str) -> None:
    client = redis.Redis.from_url(mortal.url)
    client.replicaof("127.0.0.1", int(redis_url.rpartition(":")[2].partition("/")[0]))
    assert any("replica" in problem for problem in problems_of(Link(mortal.url)))


def test_what_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(redis.RedisError):
        problems_of(Link(f"redis://127.0.0.1:{services.free_port()}/0"))
