"""The proxy cuts where it says: each of the three ends of a COMMIT, as its client and the server see it."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.faults.commit_proxy import AFTER, BEFORE, LATE, CommitProxy, is_commit


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[CommitProxy]:
    port = urlsplit(postgres_url).port
    assert port is not None
    with CommitProxy(port) as proxy:
        yield proxy


@pytest.fixture
def table(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as straight:
        straight.execute("CREATE TABLE cut (number int)")
        yield straight
        straight.execute("DROP TABLE cut")


def through(proxy: CommitProxy) -> psycopg.Connection:
    return psycopg.connect(f"postgres://oms@127.0.0.1:{proxy.port}/oms", connect_timeout=5)


def count(table: psycopg.Connection) -> int:
    row = table.execute("SELECT count(*) FROM cut").fetchone()
    assert row is not None
    return row[0]


def test_unarmed_it_only_carries(proxy: CommitProxy, table: psycopg.Connection) -> None:
    with through(proxy) as client:
        with client.cursor().copy("COPY cut FROM STDIN") as copy:
            for number in range(100_000):
                copy.write_row((number,))
        client.commit()
        assert client.execute("SELECT count(*) FROM cut").fetchone() == (100_000,)
    assert proxy.cuts == []


@pytest.mark.parametrize(("how", "seen_at_once", "seen_later"), [(BEFORE, 0, 0), (AFTER, 1, 1), (LATE, 0, 1)])
def test_a_cut_commit(
    proxy: CommitProxy, table: psycopg.Connection, how: str, seen_at_once: int, seen_later: int
) -> None:
    client = through(proxy)
    client.execute("INSERT INTO cut VALUES (1)")
    proxy.arm(how)
    with pytest.raises(psycopg.OperationalError):
        client.commit()
    assert count(table) == seen_at_once
    time.sleep(1)
    assert count(table) == seen_later
    assert proxy.cuts == [how]


def test_all_are_cut(proxy: CommitProxy) -> None:
    client = through(proxy)
    client.execute("SELECT 1")
    proxy.cut_all()
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")


def test_commit_is_known_in_both_protocols() -> None:
    assert is_commit(b"Q\0\0\0\x0bCOMMIT\0")
    assert is_commit(b"P\0\0\0\x0fname\0commit\0\0\0")
    assert not is_commit(b"Q\0\0\0\x0bSELECT 'COMMIT'\0")
    assert not is_commit(b"d\0\0\0\x0bCOMMIT\0")
