"""Writes docs/lifecycle.md from the one table that says how an order's status moves, ``matching.lifecycle.TRANSITIONS``.

`make docs` runs it; a test holds the committed file against ``page()``.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from matching.events import KIND_NAMES  # noqa: E402
from matching.lifecycle import TRANSITIONS, UNBORN  # noqa: E402
from matching.values import LAST_OPEN_STATUS, STATUS_NAMES  # noqa: E402

PATH = ROOT / "docs" / "lifecycle.md"
HEAD = """# The life of an order

<!-- Made by docs/make_lifecycle.py (`make docs`) from matching/lifecycle.py: edit that. -->

Each arrow is an event of the log; where it ends is the status the event carries. What every status and event means is in
[orders.md](orders.md). The engine's states, the fold of events in `verify_books` and the tests answer to the same table.
"""


def page() -> str:
    """The whole document."""
    return "\n".join([HEAD, "```mermaid", *diagram(), "```", "", *table(), ""])


def diagram() -> list[str]:
    """A state diagram: one arrow from status to status, with all events that lead along it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, kind), afterwards in TRANSITIONS.items():
        for after in afterwards:
            arrows.setdefault((_state(before), STATUS_NAMES[after]), []).append(KIND_NAMES[kind])
    lines = ["stateDiagram-v2", "    direction LR"]
    lines += [f"    {before} --> {after}: {', '.join(kinds)}" for (before, after), kinds in arrows.items()]
    lines += [f"    {name} --> [*]" for name in STATUS_NAMES[LAST_OPEN_STATUS + 1 :]]
    return lines


def table() -> list[str]:
    """The same as a table: a row for each event, a column for each status it may find."""
    befores = sorted({before for before, _ in TRANSITIONS})
    kinds = sorted({kind for _, kind in TRANSITIONS})
    lines = [
        f"| event | {' | '.join('(none yet)' if before == UNBORN else STATUS_NAMES[before] for before in befores)} |",
        "|---" * (len(befores) + 1) + "|",
    ]
    for kind in kinds:
        cells = [", ".join(STATUS_NAMES[after] for after in TRANSITIONS.get((before, kind), ())) for before in befores]
        lines.append(f"| {KIND_NAMES[kind]} | {' | '.join(cells)} |")
    return lines


def _state(status: int) -> str:
    return "[*]" if status == UNBORN else STATUS_NAMES[status]


if __name__ == "__main__":
    PATH.write_text(page())
