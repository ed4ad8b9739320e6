"""A running feed, an instrument whose book it follows, and the cast."""

import pytest

from tests.feed.support import running_feed, wait_until
from tests.support.market import actor_for, make_account, make_instrument


@pytest.fixture
def feed():
    with running_feed() as feed:
        yield feed


@pytest.fixture
def acme(feed):
    """The instrument, its book already followed."""
    info = make_instrument()
    wait_until(lambda: feed.hub._life.books.live(info.id), "the book")
    return info


@pytest.fixture
def alice(feed):
    return make_account("alice")


@pytest.fixture
def bob(feed):
    return make_account("bob")


@pytest.fixture
def actors(alice, bob):
    return [actor_for(alice), actor_for(bob)]
