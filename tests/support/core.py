"""Which core the tests run against, the compiled or the plain one: loaded by ``-p`` (see pyproject.toml).

Compiled files hide the sources beside them. After an edit the tests would go on trying what was compiled before, so a run
does not start until that is compiled again or removed.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load_build() -> ModuleType:
    """``setup.py`` as a module: imported, it builds nothing."""
    spec = importlib.util.spec_from_file_location("oms_build", Path(__file__).resolve().parents[2] / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


def kind() -> str:
    """``compiled`` or ``plain``: what an import of the core gets."""
    origin = importlib.util.find_spec("matching.engine").origin
    return "compiled" if origin.endswith(build.SUFFIX) else "plain"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--core", choices=("compiled", "plain"), help="fail unless this is the core under test")


def pytest_configure(config: pytest.Config) -> None:
    if kind() == "compiled" and not build.is_current():
        raise pytest.UsageError("matching/ has changed since it was compiled: `make core`, or OMS_PLAIN=1 make core")
    if config.option.core not in (None, kind()):
        raise pytest.UsageError(f"the core under test is {kind()}, not {config.option.core}")


def pytest_report_header() -> str:
    return f"core: {kind()}"
