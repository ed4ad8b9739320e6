"""One server for the tests of the shells; each test has an account of its own."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server, free_port

# More than there are tests that ask for one.
ACCOUNTS = 40
MAKE_ACCOUNTS = """
from time import time_ns
from django.contrib.auth.models import User
from orders import keys
from orders.models import Account
for number in range({count}):
    user = User.objects.create_user(f"trader{{number}}")
    account = Account.objects.create(name=user.username, created_at=time_ns() // 1000)
    account.members.add(user)
    print(keys.create_key(user=user, account=account, scopes=["read", "trade"])[1])
"""


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[str]]]:
    """The running server, and keys that nobody has used."""
    server = Server(tmp_path_factory.mktemp("client"))
    server.manage("seed_demo")
    keys = server.manage("shell", "-v", "0", "-c", MAKE_ACCOUNTS.format(count=ACCOUNTS)).stdout.split()
    server.start("--save-interval", "0")
    try:
        yield server, keys
    finally:
        server.stop()


@pytest.fixture
def server(site: tuple[Server, list[str]]) -> Server:
    return site[0]


@pytest.fixture
def key(site: tuple[Server, list[str]]) -> str:
    """The key of an account that has never traded."""
    return site[1].pop()


@pytest.fixture
def unused_url() -> str:
    """Where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"
