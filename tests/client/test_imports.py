"""The client knows nothing of the service's code, and what decides in it does no input or output."""

import ast
import sys
from pathlib import Path

import oms_client

SOURCES = {path.stem: path for path in Path(oms_client.__file__).parent.glob("*.py")}
# Those around the core.
SHELLS = {"__init__", "aio", "rest", "shell", "streams", "sync"}
IMPURE = {"asyncio", "httpx", "os", "random", "socket", "threading", "time", "uuid", "websockets"}


def imports(path: Path) -> set[str]:
    """Every module that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0
            found.add(node.module)
    return found


def test_it_imports_nothing_of_the_service():
    for path in SOURCES.values():
        packages = {name.partition(".")[0] for name in imports(path)}
        assert packages <= sys.stdlib_module_names | {"oms_client", "httpx", "websockets"}, path


def test_the_core_does_no_input_or_output():
    core = SOURCES.keys() - SHELLS
    assert {"book", "commands", "session", "subscriptions"} <= core
    for name in core:
        found = imports(SOURCES[name])
        assert not {module.partition(".")[0] for module in found} & IMPURE, name
        assert not {module.removeprefix("oms_client.") for module in found} & SHELLS, name
