"""How the core behaves as it grows: from 1,000 to 1,000,000 resting orders, with 100,000 orders at one price, with 10,000
stops that fire each other, and how much memory an order takes.

Run: ``python -m benchmarks.matching_growth [--repeat 3]``. Both builds (``benchmarks.cores``), each repetition a process on one
processor. An order out of a million is a cache miss whatever holds it; so growth is compared with that of a bare dict of the
same ids in the same run. What is measured is in ``benchmarks.core_size``.
"""

import argparse
import statistics
from collections.abc import Sequence

from benchmarks.cores import COMPILED, builds, measure

# Growth of an add, of cancels in a large level against small ones, of a stop's cost in a large cascade; bytes an order.
MOST_ADD = 1.3
MOST_LEVEL = 1.3
MOST_CASCADE = 1.5
MOST_BYTES = 400


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured; exit status 1 where the compiled core misses a bound, or there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (default 3)")
    repeat = parser.parse_args(arguments).repeat
    with builds() as made:
        found: dict[str, list] = {name: [] for name in made}
        for _ in range(repeat):
            for name, folder in made.items():
                found[name].append(measure(folder, "benchmarks.core_size"))
    missed = COMPILED not in found
    for name, runs in found.items():
        told = report(name, runs)
        if name == COMPILED:
            missed |= not told
    return int(missed)


def report(name: str, runs: list) -> bool:
    """Print the medians of one build. Returns whether all bounds hold."""
    small, large = sorted(runs[0]["sizes"], key=int)

    def growth(what: str) -> float:
        return statistics.median(run["sizes"][large][what] / run["sizes"][small][what] for run in runs)

    def nanoseconds(size: str, what: str) -> float:
        return statistics.median(run["sizes"][size][what] for run in runs) * 1e9

    print(f"{name}: from {int(small):,} to {int(large):,} resting orders")
    bare = growth("dict")
    good = True
    for what, most in (("dict", None), ("add", MOST_ADD), ("cancel", bare), ("amend", bare)):
        grown = growth(what)
        good &= most is None or grown <= most
        bound = "" if most is None else f"   at most {most:.2f}"
        print(f"  {what:8}{nanoseconds(small, what):8.0f} ns{nanoseconds(large, what):8.0f} ns   x {grown:.2f}{bound}")
    level = statistics.median(run["level"]["one"] / run["level"]["many"] for run in runs)
    cascade = statistics.median(run["cascade"]["10000"] / run["cascade"]["1000"] for run in runs)
    stop = statistics.median(run["cascade"]["10000"] for run in runs) * 1e9
    size = statistics.median(run["bytes"] for run in runs)
    print(f"  cancels in a level of 100,000 against levels of 100: x {level:.2f}   at most {MOST_LEVEL}")
    print(f"  a stop in a cascade of 10,000: {stop:.0f} ns, x {cascade:.2f} of one in 1,000   at most {MOST_CASCADE}")
    print(f"  memory: {size:.0f} bytes a resting order   at most {MOST_BYTES} compiled")
    return good and level <= MOST_LEVEL and cascade <= MOST_CASCADE and size < MOST_BYTES


if __name__ == "__main__":
    raise SystemExit(main())
