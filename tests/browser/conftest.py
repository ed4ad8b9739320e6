"""A running site for all browser tests, and a fresh browser for each."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.screen import Screen
from tests.browser.site import Site
from tests.support.services import Chromium

PICTURES = pytest.StashKey[Path]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if path := config.stash.get(PICTURES, None):
        terminalreporter.write_line(f"pictures of the page: {path}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def site(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service with demo data (asks for the browser first: without one nothing is started)."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.start()
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def screen(chromium: Chromium, site: Site) -> Iterator[Screen]:
    """An empty book, and a browser nobody is signed in with. Afterwards nothing may have broken."""
    site.clear()
    with chromium.open() as driver:
        screen = Screen(driver, site)
        yield screen
        assert screen.broken() == []


@pytest.fixture(scope="session")
def pictures(pytestconfig: pytest.Config) -> Path:
    """Where pictures go: OMS_SCREENSHOTS, or a directory that is left for whoever wants to look."""
    kept = os.environ.get("OMS_SCREENSHOTS")
    path = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="oms-screenshots-"))
    path.mkdir(parents=True, exist_ok=True)
    pytestconfig.stash[PICTURES] = path
    return path
