"""Connections to PostgreSQL that outlive a request: taken up by the next thread, as good as new, no more than asked for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db.utils import ConnectionHandler

from oms_project.postgres import base
from oms_project.settings import parse_database_url
from tests.feed.support import wait_until


@pytest.fixture
def connections(postgres_url: str, django_db_blocker) -> Iterator[ConnectionHandler]:
    """A handler of its own: each thread has its own wrapper, as in a server. Not the tests' database."""
    base.keep_connections(2)
    with django_db_blocker.unblock():
        yield ConnectionHandler({"default": {**parse_database_url(postgres_url), "CONN_MAX_AGE": 0}})
    base.keep_connections(0)


@pytest.fixture
def ask(connections: ConnectionHandler) -> Callable[[], int]:
    """A request: connects, asks who serves it, closes."""

    def ask() -> int:
        connection = connections["default"]
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                return int(cursor.fetchone()[0])
        finally:
            connection.close()

    return ask


def in_thread(ask: Callable[[], int]) -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask).result()


def test_none_is_kept_unless_asked_for(ask):
    base.keep_connections(0)
    assert ask() != ask()


def test_the_next_thread_takes_it_up(ask):
    first = ask()
    assert [ask(), in_thread(ask), in_thread(ask), ask()] == [first] * 4


def test_no_more_than_so_many(connections, postgres_url):
    wrappers = [connections.create_connection("default") for _ in range(5)]
    for wrapper in wrappers:
        wrapper.ensure_connection()
    raw = [wrapper.connection for wrapper in wrappers]
    for wrapper in wrappers:
        wrapper.close()
    assert [connection.closed for connection in raw] == [False, False, True, True, True]
    base.keep_connections(1)
    assert [connection.closed for connection in raw] == [False, True, True, True, True]


def test_one_in_a_transaction_is_not(connections):
    wrapper = connections["default"]
    with wrapper.cursor() as cursor:
        cursor.execute("BEGIN")
    raw = wrapper.connection
    wrapper.close()
    assert raw.closed and not base._idle


def test_one_that_the_server_has_ended_is_replaced_without_a_word(ask, postgres_url):
    first = ask()
    with psycopg.connect(postgres_url, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", [first])
    wait_until(lambda: not base._is_alive(base._idle[0].connection), "the news")
    assert ask() != first


def test_an_old_one_is_replaced(ask, monkeypatch):
    monkeypatch.setattr(base, "MAX_AGE_SECONDS", -1.0)
    assert ask() != ask()


def test_one_of_another_database_is_not_taken(ask, connections, postgres_url):
    ask()
    other = ConnectionHandler({"default": {**parse_database_url(postgres_url), "NAME": "postgres", "CONN_MAX_AGE": 0}})
    with other["default"].cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == ("postgres",)
    other["default"].close()


def test_it_is_as_django_wants_it(connections, ask):
    ask()
    wrapper = connections["default"]
    wrapper.ensure_connection()
    assert wrapper.get_autocommit() and wrapper.vendor == "postgresql"
    assert wrapper.isolation_level == base.base.IsolationLevel.READ_COMMITTED
    wrapper.close()


def test_a_forked_process_begins_without(ask):
    ask()
    assert base._idle
    base._forget()
    assert not base._idle
