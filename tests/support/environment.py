"""Keep the tests out of ``var/``: loaded by ``-p`` (see pyproject.toml), before the settings are read.

A directory of this run's own holds the test database and the generated secret; it goes when the run ends.
"""

import os
import shutil
import tempfile

import pytest

DIRECTORY = tempfile.mkdtemp(prefix="oms-tests-")
os.environ["OMS_VAR_DIR"] = DIRECTORY

# The machine's own settings must not decide a test. DATABASE_URL stays: it is how the suite is run on PostgreSQL.
# The tests' own: OMS_SCREENSHOTS, where the browser tests keep their pictures; OMS_RECOVERY_RUNS and OMS_HISTORY_RUNS, how
# many random runs.
KEPT = ("OMS_VAR_DIR", "OMS_SCREENSHOTS", "OMS_RECOVERY_RUNS", "OMS_HISTORY_RUNS")
for name in [name for name in os.environ if name.startswith("OMS_") and name not in KEPT]:
    del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
