"""Engine, hub and sockets on the test database."""

from collections.abc import Callable, Iterator

import pytest

from tests.feed.support import Feed, running_feed
from tests.sockets.support import Socket
from tests.support.market import make_instrument


@pytest.fixture
def feed(transactional_db) -> Iterator[Feed]:
    with running_feed() as feed:
        make_instrument()
        yield feed


@pytest.fixture
def connect(feed) -> Iterator[Callable[..., Socket]]:
    sockets: list[Socket] = []

    def connect(*headers: tuple[bytes, bytes]) -> Socket:
        socket = Socket(feed, *headers)
        assert socket.connect()
        sockets.append(socket)
        return socket

    yield connect
    for socket in sockets:
        socket.disconnect()
