"""Rules of the house that import-linter and ruff do not see: what the core may use, how long things may be."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("matching", "orders", "oms_project")

# What the core may take from the standard library: structures, types and checksums. No clock, no chance, no outside.
CORE_IMPORTS = {
    *("__future__", "dataclasses", "enum", "functools", "itertools", "operator", "typing"),
    *("bisect", "collections", "heapq", "json", "struct"),
    *("hashlib", "zlib"),
    "matching",
}

# What it may take for the type checker's eyes alone, under `if TYPE_CHECKING`: the machine's integers, which are `int` to
# the interpreter. Nothing has to be installed for it to run.
CORE_CHECKED_IMPORTS = {*CORE_IMPORTS, "mypy_extensions"}

# Built-ins whose answer depends on the machine, the process or a float.
CORE_FORBIDDEN_NAMES = {"float", "hash", "id", "input", "open", "print", "round", "__import__", "eval", "exec"}

FUNCTION_LINES = 45  # without decorators and docstring; about 40 is the aim, here it stops
FILE_LINES = {"matching": 300, "orders": 400, "oms_project": 400}


def sources(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py")) if "migrations" not in path.parts]


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Every module a file imports, at any depth and inside functions too, by its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_for_the_type_checker(node: ast.AST) -> bool:
    """Whether this is an ``if TYPE_CHECKING``: the interpreter passes its body by (not its ``else``)."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, the docstring left out."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("matching"), ids=named)
def test_the_core_imports_only_structures_types_and_checksums(path):
    tree = ast.parse(path.read_text())
    checked = [node for node in ast.walk(tree) if is_for_the_type_checker(node)]
    used = {name.split(".")[0] for node in checked for part in node.body for name in imported_modules(part)}
    assert used <= CORE_CHECKED_IMPORTS, f"the core must not import {sorted(used - CORE_CHECKED_IMPORTS)}"
    for node in checked:
        node.body = []
    used = {name.split(".")[0] for name in imported_modules(tree)}
    assert used <= CORE_IMPORTS, f"the core must not import {sorted(used - CORE_IMPORTS)}"


@pytest.mark.parametrize("path", sources("matching"), ids=named)
def test_the_core_counts_in_integers_and_asks_nothing_of_the_machine(path):
    for node in ast.walk(ast.parse(path.read_text())):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"line {line}: the float {node.value}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            assert node.id not in CORE_FORBIDDEN_NAMES, f"line {line}: {node.id}"
        elif isinstance(node, ast.BinOp | ast.AugAssign):
            assert not isinstance(node.op, ast.Div), f"line {line}: / makes a float, // does not"


@pytest.mark.parametrize("path", sources(*ROOMS), ids=named)
def test_files_and_functions_fit_on_a_screen_or_few(path):
    text = path.read_text()
    limit = FILE_LINES[path.relative_to(ROOT).parts[0]]
    assert len(text.splitlines()) <= limit
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert body_lines(node) <= FUNCTION_LINES, f"{node.name} at line {node.lineno}"


@pytest.mark.parametrize("path", sources("orders"), ids=named)
def test_pydantic_is_the_only_vocabulary(path):
    modules = imported_modules(ast.parse(path.read_text()))
    assert not [name for name in modules if name.startswith("rest_framework.serializers")]


@pytest.mark.parametrize("path", sources(*ROOMS), ids=named)
def test_modules_open_with_what_they_are(path):
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_every_module_of_orders_has_its_place_in_the_layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    placed = {name for layer in layers for name in layer.replace("|", " ").replace(":", " ").split()}
    rooms = {f"orders.{path.stem}" for path in (ROOT / "orders").iterdir() if path.suffix == ".py" or path.is_dir()}
    without = {"orders.__init__", "orders.apps", "orders.migrations", "orders.__pycache__"}
    # A package may be placed whole or by its modules (orders.feed.hub).
    covered = {".".join(name.split(".")[:2]) for name in placed}
    assert rooms - without == covered
