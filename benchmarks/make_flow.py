"""Makes order flow in the format of ``manage.py replay``: ``python -m benchmarks.make_flow LINES SEED > flow.csv``.

``examples/flow.csv`` is 2,400 lines of seed 7. All four operations, immediate-or-cancel orders, and ids used again after
their orders are gone.
"""

import csv
import random
import sys
from collections.abc import Iterator

COLUMNS = ("seq", "ts_ns", "op", "order_id", "side", "price", "qty", "tif", "src")
START_NS = 1_700_000_000_000_000_000


def generate(lines: int, seed: int) -> Iterator[tuple[object, ...]]:
    """55% new orders, 25% cancels, 10% reductions, 10% replacements, around a wandering middle."""
    rng = random.Random(seed)
    live: list[tuple[int, str, int]] = []
    gone: list[int] = []
    last_id = 100
    middle = 5_000

    def draw(side: str) -> int:
        return max(1, round(rng.gauss(middle - 4 if side == "B" else middle + 4, 4)))

    for seq in range(lines):
        middle += rng.choice((-1, 1)) if rng.random() < 0.05 else 0
        time_ns = START_NS + seq * 1_000_000
        choice = rng.random()
        if choice < 0.55 or not live:
            side = rng.choice("BS")
            price, quantity = draw(side), rng.randint(1, 40)
            time_in_force = "IOC" if rng.random() < 0.1 else "GTC"
            if gone and rng.random() < 0.05:
                order_id = gone.pop()
            else:
                last_id += 1
                order_id = last_id
            yield seq, time_ns, "N", order_id, side, price, quantity, time_in_force, "made"
            if time_in_force == "GTC":
                live.append((order_id, side, price))
            continue
        index = rng.randrange(len(live))
        order_id, side, price = live[index]
        if choice < 0.8:
            yield seq, time_ns, "C", order_id, side, price, 0, "", "made"
            live.pop(index)
            gone.append(order_id)
        elif choice < 0.9:
            yield seq, time_ns, "R", order_id, side, price, rng.randint(1, 10), "", "made"
        else:
            new_price = price if rng.random() < 0.5 else draw(side)
            yield seq, time_ns, "M", order_id, side, new_price, rng.randint(1, 40), "", "made"
            live[index] = (order_id, side, new_price)


def main() -> None:
    lines, seed = int(sys.argv[1]), int(sys.argv[2])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(generate(lines, seed))


if __name__ == "__main__":
    main()
