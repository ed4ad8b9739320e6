"""The same tables, journal, recovery and saved books on PostgreSQL: the engine's own tests, run once more there.

And the journal's two ways of getting rows in, beside each other: the same commands leave the same rows.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
SUITES = (
    *("tests/engine", "tests/shards", "tests/models", "tests/test_snapshots.py", "tests/test_history.py"),
    *("tests/test_charts.py", "tests/test_holdings.py"),
)


@pytest.mark.slow
def test_the_engine_on_postgresql(postgres_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITES],
        cwd=ROOT,
        # Every long run is as random as the next: a quarter of them will do on a second database.
        env={**os.environ, "DATABASE_URL": postgres_url, "OMS_RECOVERY_RUNS": "15", "OMS_HISTORY_RUNS": "5"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """``postgres://…`` of one more database on that server."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE rows")
        yield postgres_url.rpartition("/")[0] + "/rows"
        connection.execute("DROP DATABASE rows WITH (FORCE)")


@pytest.mark.slow
def test_the_same_commands_leave_the_same_rows_on_both(
    empty_database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    sqlite, postgres = (rows_left(url, seed) for url in (f"sqlite:///{tmp_path}/rows.sqlite3", empty_database))
    assert {line.split('"')[1] for line in sqlite} >= {"Order", "Event", "Trade", "Position", "Candle"}
    assert sqlite == postgres


def rows_left(url: str, seed: int) -> list[str]:
    """The rows on a database after the commands that the seed stands for."""
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "oms_project.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.rows", str(seed)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()
