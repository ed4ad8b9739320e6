"""An empty Redis, and one whose process may die."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import missing
from tests.support import services


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    """The Redis of ``redis_url``, emptied, to look into."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[services.Redis]:
    """A Redis of this test's own that keeps what it said yes to."""
    try:
        server = services.Redis(tmp_path, persistent=True)
    except services.ServiceMissing as error:
        missing(error)
        return
    yield server
    server.stop()
