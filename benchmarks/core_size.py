"""Measures how one build of the core behaves as it grows: run by ``benchmarks.matching_growth``.

Prints seconds an operation at 1,000 and at 1,000,000 resting orders for adds, random cancels, random amends and, beside
them, a bare dict's pops and puts of random ids; cancels in the middle of a level of 100,000 orders and in small levels;
cascades of 1,000 and 10,000 stops; bytes a resting order.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import time
from pathlib import Path

from benchmarks.core_flow import new_engine
from benchmarks.core_loops import dict_loop, engine_loop
from matching.commands import Amend, Cancel, Command
from matching.engine import Engine
from matching.order import Conditions, Order
from matching.values import BUY, GTC, LIMIT, SELL, STOP, STP_NONE

SIZES = (1_000, 1_000_000)
ACCOUNTS = 50
LEVELS = 500
# Operations timed at once, and how often: small against the smaller size, so that it stays that size.
BATCH = 200
ROUNDS = 60


class Market:
    """A book with so many resting orders at random prices, half a side, and random ids in no order."""

    def __init__(self, size: int) -> None:
        self.dice = random.Random(size)
        self.engine = new_engine()
        self.ids: list[int] = []
        self.next_id = 0
        engine_loop(self.engine, self.orders(size))

    def orders(self, count: int) -> list[Command]:
        """New orders that trade with nobody. Their ids ascend, as the gateway's do."""
        made: list[Command] = []
        for _ in range(count):
            self.next_id += 1
            side = self.dice.choice((BUY, SELL))
            away = self.dice.randint(1, LEVELS)
            price = 10_000 - away if side == BUY else 10_000 + away
            account = self.next_id % ACCOUNTS + 1
            self.ids.append(self.next_id)
            made.append(Order(self.next_id, account, 1, side, price, 50, LIMIT, GTC, STP_NONE))
        return made

    def some(self) -> list[int]:
        """Ids of resting orders, each at random, no two the same; they are forgotten."""
        return take(self.dice, self.ids)


def take(dice: random.Random, ids: list[int]) -> list[int]:
    """Take a batch of random ids out of a list, whose order does not matter."""
    chosen = []
    for _ in range(BATCH):
        place = dice.randrange(len(ids))
        ids[place], ids[-1] = ids[-1], ids[place]
        chosen.append(ids.pop())
    return chosen


def timed(engine: Engine, commands: list[Command]) -> float:
    start = time.perf_counter()
    engine_loop(engine, commands)
    return (time.perf_counter() - start) / len(commands)


def operations(size: int) -> dict[str, float]:
    """Median seconds an operation at this size."""
    market = Market(size)
    # A table of the same ids: as many pops of random ones as puts of new ones.
    table: dict[object, object] = dict.fromkeys(market.ids)
    keys = list(market.ids)
    last_key = 2 * market.next_id
    quiet()
    seconds: dict[str, list[float]] = {"add": [], "cancel": [], "amend": [], "dict": []}
    for _ in range(ROUNDS):
        added = market.orders(BATCH)
        seconds["add"].append(timed(market.engine, added))
        fewer = market.some()
        seconds["amend"].append(timed(market.engine, [Amend(order_id, 0, 0, 40) for order_id in fewer]))
        market.ids += fewer
        seconds["cancel"].append(timed(market.engine, [Cancel(order_id) for order_id in market.some()]))
        popped = take(market.dice, keys)
        put = [last_key + 1 + number for number in range(BATCH)]
        last_key += BATCH
        keys += put
        start = time.perf_counter()
        dict_loop(table, list[object](popped), list[object](put))
        seconds["dict"].append((time.perf_counter() - start) / (2 * BATCH))
    return {name: statistics.median(found) for name, found in seconds.items()}


def cancels(orders: int, a_level: int) -> float:
    """Median seconds a cancel of random orders out of levels that hold so many each, so many in all."""
    dice = random.Random(7)
    engine = new_engine()
    placed: list[Command] = [
        Order(number + 1, number % ACCOUNTS + 1, 1, BUY, 100 + number // a_level, 50, LIMIT, GTC, STP_NONE)
        for number in range(orders)
    ]
    engine_loop(engine, placed)
    # From the middle of the large level: neither its head nor its tail.
    ids = list(range(orders // 4, orders // 4 * 3))
    dice.shuffle(ids)
    quiet()
    groups = [ids[start : start + BATCH] for start in range(0, min(len(ids), BATCH * ROUNDS), BATCH)]
    return statistics.median(timed(engine, [Cancel(order_id) for order_id in group]) for group in groups)


def cascade(stops: int) -> float:
    """Seconds a stop, where one trade fires so many of them, one after the other, each moving the price to the next."""
    engine = new_engine()
    commands: list[Command] = []
    for number in range(1, stops + 1):
        commands.append(Order(number, 1, 1, SELL, 100 + number, 1, LIMIT, GTC, STP_NONE))
        stop = Conditions(stop_price=100 + number)
        commands.append(Order(stops + number, 2, 1, BUY, 0, 1, STOP, GTC, STP_NONE, conditions=stop))
    commands.append(Order(10 * stops, 1, 1, SELL, 100 + stops + 1, 1, LIMIT, GTC, STP_NONE))
    engine_loop(engine, commands)
    quiet()
    first = Order(10 * stops + 1, 2, 1, BUY, 101, 1, LIMIT, GTC, STP_NONE)
    start = time.perf_counter()
    events = engine.apply(engine.next_sequence, 0, first)
    seconds = time.perf_counter() - start
    assert len(events) == 3 + 3 * stops and not engine.instruments[1].stops.waiting_count, "not all of them fired"
    return seconds / stops


def bytes_an_order() -> float:
    """Growth of the process for each of a million resting orders."""
    quiet()
    before = resident()
    market = Market(1_000_000)
    market.ids.clear()
    gc.collect()
    return (resident() - before) / len(market.engine.orders)


def resident() -> int:
    """Bytes of memory this process has."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no VmRSS here")


def quiet() -> None:
    """What is there by now is not the collector's business any more, as in a server that has started."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def main() -> None:
    found: dict[str, object] = {"bytes": bytes_an_order()}
    found["sizes"] = {str(size): operations(size) for size in SIZES}
    found["level"] = {"one": cancels(100_000, 100_000), "many": cancels(100_000, 100)}
    found["cascade"] = {str(stops): cascade(stops) for stops in (1_000, 10_000)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
