"""Sockets that stop reading cost the server little, are closed, and harm nobody else. In full: ``benchmarks.slow_readers``."""

import asyncio

import pytest

from benchmarks.slow_readers import measure
from tests.support.server import Server

pytestmark = pytest.mark.slow

MAX_GROWTH_MB = 50
MAX_SECONDS = 35


def test_who_stops_reading_is_closed_and_costs_little(tmp_path) -> None:
    server = Server(tmp_path)
    server.manage("seed_demo")
    key = server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()
    server.start("--save-interval", "0")
    try:
        found = asyncio.run(measure(server, key, slow=20, readers=5, rate=40, seconds=5))
    finally:
        assert server.stop() == 0
    print(found)
    assert found.closed_seconds <= MAX_SECONDS
    assert found.growth_mb <= MAX_GROWTH_MB
    assert found.lost_readers == 0
    assert "Traceback" not in server.log.read_text()
