"""Every scenario of ``scenarios/*.txt``: tables a trader can read (``tests.matching.table`` tells the notation)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matching.table import Table, load

FOLDER = Path(__file__).parent / "scenarios"
SCENARIOS = [
    pytest.param(path, lines, id=f"{path.stem}: {name}")
    for path in sorted(FOLDER.glob("*.txt"))
    for name, lines in load(path).items()
]


@pytest.mark.parametrize(("path", "lines"), SCENARIOS)
def test_scenario(path: Path, lines: list[tuple[int, str]]) -> None:
    Table().run(lines, path.name)


def test_a_wrong_table_fails() -> None:
    """The tables would be worth nothing if a wrong line passed."""
    with pytest.raises(AssertionError, match="here:2"):
        Table().run([(1, "alice a buy 5 @ 100 -> open"), (2, "bob b sell 5 @ 100 -> open")], "here")


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 180
