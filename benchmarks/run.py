"""All benchmarks, one after the other: ``make bench``, or ``python benchmarks/run.py NAME ...`` (see ``ALL``)."""

import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALL = (
    "matching_core",
    "matching_growth",
    "durable",
    "recovery",
    "bus",
    "production",
    "replay",
    "rest",
    "order_entry",
    "fanout",
    "slow_readers",
)


def main() -> None:
    chosen = sys.argv[1:] or list(ALL)
    unknown = [name for name in chosen if name not in ALL]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(ALL)}")
    print(f"CPython {platform.python_version()}, {os.cpu_count()} processors, {platform.system()} {platform.machine()}")
    for name in chosen:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
