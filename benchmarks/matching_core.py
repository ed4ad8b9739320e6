"""How fast the core is, compiled and plain: the order book alone, the whole engine, and a bare dict beside them.

Run: ``python -m benchmarks.matching_core [--repeat 5]``. Builds both cores (``benchmarks.cores``), then measures them in
turn, each repetition a process on one processor, so that a noisy machine is noisy for all; the ratio to the dict travels
between machines better than the rate. What is measured, and that the totals are right, is in ``benchmarks.core_flow``.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence

from benchmarks.cores import COMPILED, builds, measure
from benchmarks.flow import EXPECTED, LINES

# Operations a second the compiled core is built for (CPython 3.11, one core of a small server).
TARGETS = {"OrderBook": 2_500_000, "Engine.apply": 2_000_000}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; exit status 1 where the compiled core's best repetition misses a target, or there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (default 5)")
    repeat = parser.parse_args(arguments).repeat
    with builds() as made:
        found = {name: [] for name in made}
        for _ in range(repeat):
            for name, folder in made.items():
                found[name].append(measure(folder, "benchmarks.core_flow"))
    print(f"{LINES:,} operations, {EXPECTED.trades:,} trades, CPython {sys.version.split()[0]}, exact totals asserted")
    print(f"{'':24}{'median op/s':>14}{'best op/s':>14}{'of a dict':>12}{'target':>12}")
    missed = COMPILED not in found
    for name, runs in found.items():
        for what in runs[0]:
            rates = [run[what] for run in runs]
            share = statistics.median(run[what] / run["dict"] for run in runs)
            target = TARGETS.get(what, 0) if name == COMPILED else 0
            missed |= max(rates) < target
            print(
                f"{name:10}{what:14}{statistics.median(rates):14,.0f}{max(rates):14,.0f}{share:11.1%} "
                f"{f'{target:,}' if target else '':>12}"
            )
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
