"""The same tables, journal, recovery and saved books on PostgreSQL: the engine's own tests, run once more there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUITES = (
    *("tests/engine", "tests/models", "tests/test_snapshots.py", "tests/test_history.py"),
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
