"""The throwaway services start, answer, and say so when they cannot."""

import socket
from pathlib import Path

import psycopg
import pytest

from tests import conftest
from tests.support import services


def test_postgres_answers_and_is_empty(postgres_url):
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_redis_answers(redis_url):
    host, port = redis_url.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(64) == b"+PONG\r\n"


def test_a_stopped_server_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(services.tempfile, "tempdir", str(tmp_path))
    try:
        with services.redis_server() as url:
            port = int(url.split(":")[2].split("/")[0])
            assert len(list(tmp_path.iterdir())) == 1
    except services.ServiceMissing as error:
        conftest.missing(error)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.browser
def test_chromium_shows_a_page(chromium, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>ready</title><script>console.error('seen')</script>")
    with chromium.open() as browser:
        browser.get(page.as_uri())
        assert browser.title == "ready"
        assert any("seen" in entry["message"] for entry in browser.get_log("browser"))


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(services.ServiceMissing, match="no-such-server is not installed"):
        services.find_program("no-such-server", places="no-such-place/*/no-such-server")


def test_programs_beside_the_path_are_found_newest_first(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = [Path(f"/usr/lib/postgresql/{version}/bin/initdb") for version in ("9", "15", "14")]
    monkeypatch.setattr(Path, "glob", lambda *_: iter(found))
    assert services.find_program("initdb", places="postgresql/*/bin/initdb") == found[1]


def test_a_missing_service_skips_here_and_fails_on_the_build_server(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="redis-server is not installed"):
        conftest.missing(services.ServiceMissing("redis-server is not installed"))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="and CI=true"):
        conftest.missing(services.ServiceMissing("redis-server is not installed"))
