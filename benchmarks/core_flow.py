"""Measures one build of the core on the common order flow, once: run by ``benchmarks.matching_core``.

Prints operations a second of a bare dict, the ``OrderBook`` and ``Engine.apply``. Commands are made before the clock starts;
the engine runs every check and all its events are counted. Totals are asserted against an independent matcher's: a fast
wrong answer ends the run.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Sequence

from benchmarks.core_loops import book_loop, dict_loop, engine_loop
from benchmarks.flow import EXPECTED, LINES, Row, generate, totals
from matching.book import Fill, OrderBook
from matching.commands import Amend, Cancel, Command, DefineInstrument
from matching.engine import Engine
from matching.events import FILL_MAKER, KIND, PRICE, QUANTITY
from matching.order import Order
from matching.values import BUY, GTC, IOC, LIMIT, MARKET, SELL, STP_NONE

# Orders are spread over some accounts, so that holdings are found by look-up as in a real market.
ACCOUNTS = 50


def new_order(row: Row) -> Order:
    op, order_id, side, price, quantity = row
    type, time_in_force = (LIMIT, GTC) if op == "limit" else (MARKET, IOC)
    account = order_id % ACCOUNTS + 1
    return Order(order_id, account, 1, BUY if side == "B" else SELL, price, quantity, type, time_in_force, STP_NONE)


def command(row: Row) -> Command:
    op, order_id, _, price, quantity = row
    if op == "cancel":
        return Cancel(order_id, order_id % ACCOUNTS + 1)
    if op == "modify":
        return Amend(order_id, order_id % ACCOUNTS + 1, price, quantity)
    return new_order(row)


def run_dict(rows: Sequence[Row]) -> float:
    """Seconds for as many dict operations as there are rows: half puts of random ids, half pops in another order."""
    dice = random.Random(1)
    put: list[object] = list(dice.sample(range(2**40), len(rows) // 2))
    popped = dice.sample(put, len(put))
    table: dict[object, object] = {}
    start = started()
    dict_loop(table, [], put)
    dict_loop(table, popped, [])
    return time.perf_counter() - start


def run_book(rows: Sequence[Row]) -> float:
    """Seconds for the rows on an ``OrderBook``."""
    steps = [(row[0], row[1], row[3], row[4], new_order(row)) for row in rows]
    book = OrderBook()
    fills: list[Fill] = []
    start = started()
    book_loop(book, steps, fills)
    seconds = time.perf_counter() - start
    assert totals(book, [(fill[1], fill[2]) for fill in fills]) == EXPECTED, "the book matched wrongly"
    return seconds


def run_engine(rows: Sequence[Row]) -> float:
    """Seconds for the rows through ``Engine.apply``."""
    commands = [command(row) for row in rows]
    engine = new_engine()
    first = engine.next_sequence
    start = started()
    events = engine_loop(engine, commands)
    seconds = time.perf_counter() - start
    engine.check_invariants()
    holdings = engine.instruments[1].holdings.values()
    assert events == engine.next_sequence - first, "events were refused or lost"
    assert sum(holding.bought for holding in holdings) == EXPECTED.traded
    assert sum(holding.bought_notional for holding in holdings) == EXPECTED.notional
    assert totals(engine.instruments[1].book, [])[3:] == EXPECTED[3:], "the engine matched wrongly"
    return seconds


def check_engine_trades(rows: Sequence[Row]) -> None:
    """Once, outside the clock: every single trade the engine tells adds up to the expected totals."""
    engine = new_engine()
    fills = [
        (event[PRICE], event[QUANTITY])
        for row in rows
        for event in engine.apply(engine.next_sequence, 0, command(row))
        if event[KIND] == FILL_MAKER
    ]
    assert totals(engine.instruments[1].book, fills) == EXPECTED, "the engine matched wrongly"


def new_engine() -> Engine:
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "BENCH"))
    return engine


def started() -> float:
    """Start the clock with what was made before out of the garbage collector's way, as a server does after its start."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return time.perf_counter()


def main() -> None:
    rows = list(generate())
    check_engine_trades(rows)
    seconds = {"dict": run_dict(rows), "OrderBook": run_book(rows), "Engine.apply": run_engine(rows)}
    print(json.dumps({name: LINES / taken for name, taken in seconds.items()}))


if __name__ == "__main__":
    main()
