"""Two shards, each with an engine and an instrument, on the test database."""

from collections.abc import Iterator

import pytest

from orders.engine.verification import verify
from tests.support.market import make_instrument
from tests.support.shards import Shards, running_shards


@pytest.fixture
def shards(transactional_db) -> Iterator[Shards]:
    """ACME-USD is on shard 0, BOLT-USD on shard 1. Whatever a test did, the tables of each tell one story afterwards."""
    with running_shards(0, 1) as shards:
        make_instrument()
        make_instrument("BOLT-USD", shard_id=1)
        yield shards
    for shard_id in (0, 1):
        assert verify(shard_id).differences == []
