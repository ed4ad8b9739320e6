"""Pages of docs/ that are made from the code are in step with it; links between pages lead somewhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import oms_project.settings
from matching.lifecycle import TRANSITIONS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lifecycle_is_drawn_as_it_is() -> None:
    lifecycle = script("make_lifecycle")
    assert lifecycle.PATH.read_text() == lifecycle.page(), "make docs"


def test_the_diagram_has_every_transition() -> None:
    arrows = re.findall(r"^    (\S+) --> (\S+): (.*)$", "\n".join(script("make_lifecycle").diagram()), re.MULTILINE)
    drawn = {(before, kind, after) for before, after, kinds in arrows for kind in kinds.split(", ")}
    assert len(drawn) == sum(len(afterwards) for afterwards in TRANSITIONS.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_operations_tell_of_every_setting() -> None:
    settings = set(re.findall(r"^([A-Z][A-Z_]+) ", oms_project.settings.__doc__ or "", re.MULTILINE))
    told = re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert settings - set(told) == set()
