"""How fast the core is in plain CPython: the order book alone, the whole engine, and a bare dict beside them.

Run: ``python -m benchmarks.matching_core [--repeat 5]``. Every repetition runs all three, so that a noisy machine is
noisy for all; the ratio to the dict loop travels between machines better than the rate. Commands are made before the
clock starts; the engine runs every check, and all its events are read. Totals are asserted against an independent
matcher's: a fast wrong answer ends the run.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.flow import EXPECTED, LINES, Row, amend, generate, totals
from matching.book import Fill, OrderBook
from matching.commands import Amend, Cancel, DefineInstrument
from matching.engine import Command, Engine
from matching.events import FILL_MAKER, KIND, PRICE, QUANTITY
from matching.order import Order
from matching.values import BUY, GTC, IOC, LIMIT, MARKET, NO_BOUND, SELL, STP_NONE

# Operations a second this core is built for (CPython 3.11, one core of a small server).
TARGETS = {"OrderBook": 800_000, "Engine.apply": 350_000}
# Orders are spread over some accounts, so that holdings are found by look-up as in a real market.
ACCOUNTS = 50


def run_dict(rows: Sequence[Row]) -> float:
    """Seconds for as many dict operations as there are rows: half inserts of random ids, half pops in another order."""
    dice = random.Random(1)
    inserts = dice.sample(range(2**40), len(rows) // 2)
    pops = dice.sample(inserts, len(inserts))
    table: dict[int, int] = {}
    start = time.perf_counter()
    for key in inserts:
        table[key] = key
    for key in pops:
        table.pop(key)
    return time.perf_counter() - start


def new_order(row: Row) -> Order:
    op, order_id, side, price, quantity = row
    type, time_in_force = (LIMIT, GTC) if op == "limit" else (MARKET, IOC)
    account = order_id % ACCOUNTS + 1
    return Order(order_id, account, 1, BUY if side == "B" else SELL, price, quantity, type, time_in_force, STP_NONE)


def run_book(rows: Sequence[Row]) -> float:
    """Seconds for the rows on an ``OrderBook``: matching, resting, canceling, without checks and events."""
    steps = [(row[0], row[1], row[3], row[4], new_order(row)) for row in rows]
    book = OrderBook()
    orders, match, add, remove = book.orders, book.match, book.add, book.remove
    fills: list[Fill] = []
    start = started()
    for op, order_id, price, quantity, order in steps:
        if op == "limit":
            match(order, price if order.side else -price, fills)
            if order.remaining:
                add(order)
        elif op == "cancel":
            remove(orders[order_id])
        elif op == "market":
            match(order, NO_BOUND, fills)
        else:
            amend(book, orders[order_id], price, quantity, fills)
    seconds = time.perf_counter() - start
    assert totals(book, [(fill[1], fill[2]) for fill in fills]) == EXPECTED, "the book matched wrongly"
    return seconds


def command(row: Row) -> Command:
    op, order_id, _, price, quantity = row
    if op == "cancel":
        return Cancel(order_id, order_id % ACCOUNTS + 1)
    if op == "modify":
        return Amend(order_id, order_id % ACCOUNTS + 1, price, quantity)
    return new_order(row)


def run_engine(rows: Sequence[Row]) -> float:
    """Seconds for the rows through ``Engine.apply``: every check, every event made and counted."""
    commands = [command(row) for row in rows]
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "BENCH"))
    apply = engine.apply
    sequence = first = engine.next_sequence
    events = 0
    start = started()
    for one in commands:
        events += len(apply(sequence, sequence, one))
        sequence = engine.next_sequence
    seconds = time.perf_counter() - start
    engine.check_invariants()
    holdings = engine.instruments[1].holdings.values()
    assert events == sequence - first, "events were refused or lost"
    assert sum(holding.bought for holding in holdings) == EXPECTED.traded
    assert sum(holding.bought_notional for holding in holdings) == EXPECTED.notional
    assert totals(engine.instruments[1].book, [])[3:] == EXPECTED[3:], "the engine matched wrongly"
    return seconds


def check_engine_trades(rows: Sequence[Row]) -> None:
    """Once, outside the clock: every single trade the engine tells adds up to the expected totals."""
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "BENCH"))
    fills = [
        (event[PRICE], event[QUANTITY])
        for row in rows
        for event in engine.apply(engine.next_sequence, 0, command(row))
        if event[KIND] == FILL_MAKER
    ]
    assert totals(engine.instruments[1].book, fills) == EXPECTED, "the engine matched wrongly"


def started() -> float:
    """Start the clock with the commands out of the garbage collector's way, as a server does after its start."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return time.perf_counter()


def measure(repeat: int) -> dict[str, list[float]]:
    """Operations a second of each runner, one number a repetition."""
    rows = list(generate())
    runners: dict[str, Callable[[Sequence[Row]], float]] = {
        "dict loop": run_dict,
        "OrderBook": run_book,
        "Engine.apply": run_engine,
    }
    check_engine_trades(rows)
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(repeat):
        for name, run in runners.items():
            rates[name].append(LINES / run(rows))
    return rates


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; exit status 1 where the best repetition misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (default 5)")
    rates = measure(parser.parse_args(arguments).repeat)
    print(f"{LINES:,} operations, {EXPECTED.trades:,} trades, CPython {sys.version.split()[0]}, exact totals asserted")
    print(f"{'':14}{'median op/s':>14}{'best op/s':>14}{'of dict loop':>14}{'target':>12}")
    missed = 0
    for name, found in rates.items():
        shares = [rate / bare for rate, bare in zip(found, rates["dict loop"], strict=True)]
        target = TARGETS.get(name, 0)
        missed += max(found) < target
        print(
            f"{name:14}{statistics.median(found):14,.0f}{max(found):14,.0f}"
            f"{statistics.median(shares):13.1%} {f'{target:,}' if target else '':>12}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
