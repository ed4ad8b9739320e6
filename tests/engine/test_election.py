"""Who owns a shard: one at a time, whoever dies, freezes, or loses its session; and never taken from one that lives."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orders.engine import direct, election
from orders.engine.direct import Pooled, new_owner
from orders.engine.election import Election, LostShard

# Once is enough: these have a PostgreSQL of their own whatever the suite runs on.
pytestmark = pytest.mark.skipif("DATABASE_URL" in os.environ, reason="independent of DATABASE_URL")

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 0.6
WATCH_SECONDS = 0.4


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    """An address of a database with tables and one shard."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE election")
        url = postgres_url.rpartition("/")[0] + "/election"
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "oms_project.settings"},
            check=True,
            timeout=120,
        )
        yield url
        connection.execute("DROP DATABASE election WITH (FORCE)")


@pytest.fixture
def sql(database: str) -> Iterator[Callable[..., Any]]:
    """Asks the database: rows, or None where a statement gives none."""
    with psycopg.connect(database, autocommit=True) as connection:

        def ask(statement: str, *parameters: Any) -> Any:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else None

        ask("DELETE FROM orders_enginelease")
        ask("DELETE FROM orders_shard")
        ask("INSERT INTO orders_shard (id, epoch, batch, last_sequence, at) VALUES (0, 7, 0, 0, 0)")
        yield ask


@pytest.fixture
def join(database: str, monkeypatch: pytest.MonkeyPatch, sql: Any) -> Iterator[Callable[[str], Election]]:
    """Makes a candidate with a name of its own."""
    made: list[Election] = []
    monkeypatch.setattr(election, "LEASE_SECONDS", LEASE_SECONDS)
    monkeypatch.setattr(election, "WATCH_SECONDS", WATCH_SECONDS)

    def make(name: str) -> Election:
        candidate = Election(0, name)
        candidate._connect = lambda: psycopg.connect(database, autocommit=True, application_name=name)
        made.append(candidate)
        return candidate

    yield make
    for candidate in made:
        candidate.close()


def renew(candidate: Election, state: str = "open") -> None:
    candidate.renew(epoch=7, state=state, detail="", waiting=3)


def depose_within(candidate: Election, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> str:
    """What a standby does, for so long or until it deposes somebody."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        deposed = candidate.depose_silent_owner()
        if deposed:
            return deposed
        meanwhile()
        time.sleep(0.05)
    return ""


def test_one_wins_and_the_next_does_when_it_ends(join: Any, sql: Any) -> None:
    first, second = join("first"), join("second")
    assert first.win() == (7, "")
    assert second.win() is None
    renew(first)
    assert sql("SELECT owner, epoch, state, waiting FROM orders_enginelease") == [("first", 7, "open", 3)]
    first.close()
    for _ in range(50):
        won = second.win()
        if won is not None:
            break
        time.sleep(0.02)
    assert won == (7, "first")


def test_an_owner_that_resigns_leaves_nothing_to_wait_for(join: Any, sql: Any) -> None:
    first, second = join("first"), join("second")
    first.win()
    first.resign(epoch=7, state="stopped", detail="")
    assert sql("SELECT owner, state FROM orders_enginelease") == [("first", "stopped")]
    assert second.win() == (7, "first")


def test_of_many_one_wins(join: Any) -> None:
    candidates = [join(f"c{number}") for number in range(6)]
    wins: list[str] = []
    gate = threading.Barrier(len(candidates))

    def run(candidate: Election) -> None:
        gate.wait()
        if candidate.win() is not None:
            wins.append(candidate.owner)

    threads = [threading.Thread(target=run, args=(candidate,)) for candidate in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1


def test_a_silent_owner_is_deposed_and_finds_out(join: Any) -> None:
    frozen, standby = join("frozen"), join("standby")
    frozen.win()
    renew(frozen)
    started = time.monotonic()
    assert depose_within(standby, 5) == "frozen"
    assert LEASE_SECONDS <= time.monotonic() - started < LEASE_SECONDS + 1
    while standby.win() is None:
        time.sleep(0.01)
    with pytest.raises(psycopg.Error):
        renew(frozen)
    with pytest.raises(LostShard, match="standby"):
        frozen.win_again(7)


def test_all_sessions_of_a_silent_owner_end(join: Any, sql: Any, database: str) -> None:
    """Also the one that froze in a transaction, with the shard's row locked."""
    frozen, standby = join("frozen"), join("standby")
    frozen.win()
    with psycopg.connect(database, application_name="frozen") as writer:
        writer.execute("UPDATE orders_shard SET batch = batch + 1 WHERE id = 0")
        assert depose_within(standby, 5) == "frozen"
        while standby.win() is None:
            time.sleep(0.01)
        sql("SET lock_timeout = '2s'")
        sql("UPDATE orders_shard SET epoch = epoch + 1 WHERE id = 0")
        with pytest.raises(psycopg.Error):
            writer.commit()
        writer.close()
    assert sql("SELECT epoch, batch FROM orders_shard") == [(8, 0)]


def test_an_owner_that_lives_is_left_alone(join: Any) -> None:
    owner, standby = join("owner"), join("standby")
    owner.win()
    assert depose_within(standby, LEASE_SECONDS * 4, lambda: renew(owner)) == ""
    renew(owner)


def test_a_slow_database_is_no_silent_owner(join: Any, database: str) -> None:
    """The renewal has been under way for longer than a lease lasts."""
    owner, standby = join("owner"), join("standby")
    owner.win()
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM orders_enginelease FOR UPDATE")
        renewal = threading.Thread(target=renew, args=(owner,))
        renewal.start()
        assert depose_within(standby, LEASE_SECONDS * 4) == ""
        other.rollback()
    renewal.join(5)
    renew(owner)


def test_a_clock_that_jumps_is_no_silent_owner(join: Any, sql: Any) -> None:
    """Every lease is old by the database's clock, and yet is renewed."""
    owner, standby = join("owner"), join("standby")
    owner.win()

    def renew_in_the_past() -> None:
        renew(owner)
        sql("UPDATE orders_enginelease SET renewed_at = renewed_at - interval '1 hour'")

    assert depose_within(standby, LEASE_SECONDS * 4, renew_in_the_past) == ""


def test_who_writes_no_lease_is_left_alone(join: Any, sql: Any, database: str) -> None:
    """An embedded server has the lock alone. A lease that another left behind is not its."""
    gone, standby = join("gone"), join("standby")
    gone.win()
    gone.close()
    time.sleep(0.1)
    with psycopg.connect(database, autocommit=True) as embedded:
        embedded.execute("SELECT pg_advisory_lock(%s, 0)", [election.ADVISORY_LOCK_CLASS])
        assert depose_within(standby, LEASE_SECONDS * 3) == ""
        assert standby.win() is None


def test_a_lost_session_is_found_again(join: Any, sql: Any) -> None:
    owner = join("owner")
    owner.win()
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'owner'")
    with pytest.raises(psycopg.Error):
        renew(owner)
    assert owner.win_again(7)
    renew(owner)


def test_a_session_that_only_the_server_still_has_is_ended(join: Any, database: str) -> None:
    """The network was cut: our old session holds the lock for as long as nobody tells the server."""
    owner = join("owner")
    owner.win()
    old, owner._session = owner._session, None
    assert not owner.win_again(7)
    for _ in range(50):
        if owner.win_again(7):
            break
        time.sleep(0.02)
    renew(owner)
    old.close()


def test_a_shard_that_was_anothers_meanwhile_is_lost(join: Any, sql: Any) -> None:
    owner, other = join("owner"), join("other")
    owner.win()
    owner.close()
    time.sleep(0.1)
    assert other.win() is not None
    with pytest.raises(LostShard, match="now other's"):
        owner.win_again(7)
    other.close()
    time.sleep(0.1)
    with pytest.raises(LostShard, match="meanwhile"):
        owner.win_again(7)


def test_a_session_without_the_lock_renews_nothing(join: Any, database: str) -> None:
    """As behind a pooler that gives every transaction another session."""
    owner = join("owner")
    owner.win()
    mine = owner._session
    owner._session = psycopg.connect(database, autocommit=True, application_name="owner")
    with pytest.raises(LostShard):
        renew(owner)
    mine.close()


# Connections


class _Answering:
    """A connection to a pooler: the number of the process that it was given is not the one that answers."""

    class info:
        backend_pid = 1

    def execute(self, statement: str) -> "_Answering":
        return self

    def fetchone(self) -> tuple[int]:
        return (2,)

    def close(self) -> None: ...


def test_a_pooler_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_parameters", dict)
    monkeypatch.setattr(psycopg, "connect", lambda **_: _Answering())
    with pytest.raises(Pooled, match="straight at PostgreSQL"):
        direct.connect()

    def refusing(**_: Any) -> None:
        raise psycopg.OperationalError("FATAL: unsupported startup parameter: options")

    monkeypatch.setattr(psycopg, "connect", refusing)
    with pytest.raises(Pooled, match="unsupported startup parameter"):
        direct.connect()


def test_an_unsafe_database_is_found_out(database: str, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options = "-c synchronous_commit=off -c default_transaction_read_only=on"
    monkeypatch.setattr(direct, "_parameters", lambda: {"conninfo": database, "options": options})
    found = " ".join(direct.check_database())
    for word in ("fsync", "full_page_writes", "synchronous_commit", "read-only"):
        assert word in found
    monkeypatch.setattr(direct, "_parameters", lambda: {"conninfo": database})
    assert "synchronous_commit" not in " ".join(direct.check_database())


def test_names_of_owners_are_as_postgresql_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "höst" * 40)
    first, second = new_owner(), new_owner()
    assert first != second and first.isascii() and len(first) <= 63 and f":{os.getpid()}:" in first
