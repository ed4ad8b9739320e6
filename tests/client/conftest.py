"""One server for the tests of the shells; each test has accounts of its own."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.server import Server, free_port

_numbers = itertools.count()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("client"))
    server.manage("seed_demo")
    server.start("--save-interval", "0")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="package")
def new_key(server: Server) -> Callable[[], str]:
    """``new_key()`` answers the key of a new user."""

    def make() -> str:
        name = f"trader{next(_numbers)}"
        script = f"from django.contrib.auth.models import User; User.objects.create_user({name!r})"
        server.manage("shell", "-c", script)
        return server.manage("create_api_key", name, "--scopes", "read,trade").stdout.strip()

    return make


@pytest.fixture
def key(new_key: Callable[[], str]) -> str:
    return new_key()


@pytest.fixture
def unused_url() -> str:
    """Where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"
