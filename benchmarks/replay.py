"""Order flow through the real engine: durably on SQLite and through the bare core.

``python -m benchmarks.replay [--rounds N] [FILE]``: FILE is recorded flow; without one, 50,000 made-up lines.
"""

import argparse
import csv
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.make_flow import COLUMNS, generate
from tests.support.server import Server

MADE_LINES = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.file.resolve() if options.file else made(Path(folder))
        print(f"{options.file or f'{MADE_LINES} made-up lines'}, {options.rounds} rounds")
        for name, target, flags in (
            ("durable, SQLite FULL", 8_000, ()),
            ("in memory", 150_000, ("--memory",)),
        ):
            rates = []
            for number in range(options.rounds):
                server = Server(Path(folder) / f"{len(flags)}-{number}")
                closing = server.manage("replay", str(file), "--symbol", "FLOW", *flags).stdout.strip()
                print(f"  {name:<22} {closing}")
                rates.append(float(closing.split(", ")[2].split()[0]))
            print(f"  {name:<22} median {median(rates):.0f} lines/s, best {max(rates):.0f} (target {target})")


def made(folder: Path) -> Path:
    file = folder / "flow.csv"
    with open(file, "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(generate(MADE_LINES, 1))
    return file


if __name__ == "__main__":
    main()
