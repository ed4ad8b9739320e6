"""What every test may use: throwaway services, a seed that is printed, cheap passwords."""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import settings as hypothesis_settings

from orders import selectors
from orders.feed import frames
from tests.support import messages, services

# Also under CI, where Hypothesis would otherwise choose a profile that always tries the same examples.
hypothesis_settings.register_profile("oms", deadline=None, derandomize=False, print_blob=True)
hypothesis_settings.load_profile("oms")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=10, help="how often the kill test kills the server")
    parser.addoption("--soak-seconds", type=float, default=60, help="how long the soak test of real sockets lasts")
    parser.addoption("--soak-messages", type=int, default=100_000, help="how many messages the soak test harms")
    parser.addoption("--client-kills", type=int, default=5, help="how often the server is killed under its clients")
    parser.addoption("--cycles", type=int, default=30, help="how many faults the production topology is to survive")
    parser.addoption("--cuts", type=int, default=8, help="how often engines are cut off from PostgreSQL under load")
    parser.addoption("--moves", type=int, default=1, help="how often a move between shards is interrupted")
    parser.addoption("--freezes", type=int, default=2, help="how often an owner is frozen under load")
    parser.addoption("--seed", type=int, default=None, help="repeat a randomised test of faults with its printed seed")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    return f"hypothesis seed: repeat with --hypothesis-seed={config.option.hypothesis_seed}"


def missing(error: services.ServiceMissing) -> None:
    """Skip the test, saying why; fail it on the build server, where everything must be installed."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{error}, and CI=true", pytrace=False)
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """``postgres://…`` of an empty database on a server of this run's own."""
    try:
        with services.postgres_server() as url:
            yield url
    except services.ServiceMissing as error:
        missing(error)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """``redis://…`` of an empty server of this run's own."""
    try:
        with services.redis_server() as url:
            yield url
    except services.ServiceMissing as error:
        missing(error)


@pytest.fixture(scope="session")
def chromium() -> services.Chromium:
    """The installed browser: ``with chromium.open() as browser: ...`` gives a Selenium driver with an empty profile."""
    try:
        return services.find_chromium()
    except services.ServiceMissing as error:
        missing(error)


@pytest.fixture(autouse=True)
def no_memories() -> None:
    """What a process remembers of the tables is true for one database only; each test has its own."""
    selectors.forget_instruments()


@pytest.fixture(autouse=True)
def documented_frames(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever this process tells sockets while a test runs is a message that the models, hence the documents, tell of."""
    wrong: list[Exception] = []
    encode = frames.encode

    def checked(*arguments: Any, **options: Any) -> frames.Frame:
        frame = encode(*arguments, **options)
        try:
            messages.read(frame.data)
        except Exception as error:
            wrong.append(error)
        return frame

    monkeypatch.setattr(frames, "encode", checked)
    yield
    if wrong:
        raise wrong[0]


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """The real hasher takes a third of a second for every user a test makes."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield
