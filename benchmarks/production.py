"""The production topology on one machine: PostgreSQL that syncs, Redis with its log, engines, REST processes (Granian).

``python -m benchmarks.production [--parts single,latency,batch,shards] [--seconds S] [--rounds N] [--rest N]
[--threads N] [--connections N]``

One order a request beside an empty view on the same server, in turn; latency at half of that rate, arrivals at a steady
rate; batches; two shards beside one. After each part: what a process of each kind spent per order, from /proc. All of it,
the load too, shares this machine's processors, which is what limits it: about three minutes with the defaults.
"""

import argparse
import json
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks import wire
from benchmarks.load import Load, post
from benchmarks.processes import cpu_seconds, load_average
from benchmarks.rest import order, show
from tests.support.topology import Topology

BATCH_CONNECTIONS = 8
# Requests that are made before the clock runs, so that making them is not measured.
PREPARED = 4_000
TARGETS = {"single": 0.50, "batch": 12_000}
SECOND_SYMBOL = "ACME-EUR"

# The second shard's instrument: a copy of the demo's.
_COPY = """
from orders.models import Instrument, Shard
Shard.objects.get_or_create(id=1)
row = Instrument.objects.get(symbol="ACME-USD")
row.pk, row.id, row.symbol, row.quote, row.shard_id = None, 1_000, "ACME-EUR", "EUR", 1
row.save(force_insert=True)
"""


class Requests:
    """New orders, one or ``size`` a request; the bytes of many are ready beforehand, with ids that are made unique late."""

    def __init__(self, key: str, path: str, size: int, symbols: tuple[str, ...], seed: int) -> None:
        rng = random.Random(seed)
        self._runs = 0
        self._parts: list[list[bytes]] = []
        for number in range(PREPARED // size + 1):
            entries = [order(rng, number * size + n, "RUN") for n in range(size)]
            for entry in entries:
                entry["symbol"] = symbols[number % len(symbols)]
            body = json.dumps(entries[0] if size == 1 else {"orders": entries}).encode()
            # The same length as what takes its place.
            self._parts.append(post(path, key, body.replace(b'"RUN-', b'"0000000-')).split(b"0000000"))

    def stream(self) -> Iterator[bytes]:
        while True:
            self._runs += 1
            name = b"%07x" % (random.getrandbits(28))
            for parts in self._parts:
                yield name.join(parts)


class Costs:
    """Processor seconds by kind of process: ``begin``, then ``show`` per order."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def _pids(self) -> dict[str, list[int]]:
        topology = self._topology
        kinds = {
            "rest": [process.pid for process in topology.rest],
            "engine": [process.pid for engines in topology.engines.values() for process in engines if process.pid],
            "redis": [topology.redis.process.pid],
            "postgres": [topology.postgres.process.pid],
            "load": [os.getpid()],
        }
        return {kind: [pid for root in pids for pid in (root, *children(root))] for kind, pids in kinds.items()}

    def begin(self) -> None:
        self._before = {pid: cpu_seconds(pid) for pids in self._pids().values() for pid in pids}

    def show(self, orders: int) -> None:
        told = []
        for kind, pids in self._pids().items():
            used = sum(cpu_seconds(pid) - self._before.get(pid, 0.0) for pid in pids)
            told.append(f"{kind} {used / max(orders, 1) * 1e6:.0f}")
        print(f"    processor us an order: {', '.join(told)}; machine's load {load_average():.1f}")


def children(pid: int) -> list[int]:
    """All processes below one. The load's own, which are everything, are not asked for."""
    if pid == os.getpid():
        return []
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [one for child in map(int, found) for one in (child, *children(child))]


@contextmanager
def topology(options: argparse.Namespace, shards: int) -> Iterator[Topology]:
    """Running and warm, without standbys and sockets, which would only take processor time."""
    made = Topology(shards=shards, rest=options.rest, sockets=0, spares=0, DJANGO_SETTINGS_MODULE="benchmarks.settings")
    with made:
        for process in made.rest:
            at = process.arguments.index("--blocking-threads") + 1
            process.arguments[at] = str(options.threads)
            process.arguments[at + 1 : at + 1] = options.granian.split()
        if shards > 1:
            made.manage("shell", "-c", _COPY)
        made.start()
        yield made


def single(made: Topology, options: argparse.Namespace) -> float:
    """Empty view and orders in turn. Returns orders a second, the median."""
    ports = [process.port for process in made.rest]
    key = made.keys["alice"]
    empty = Requests(key, "/api/v1/empty", 1, ("ACME-USD",), 1).stream()
    orders = Requests(key, "/api/v1/orders", 1, ("ACME-USD",), 2).stream()
    for stream in (empty, orders):
        wire.closed(ports, options.connections, 1.5, stream.__next__)
    costs = Costs(made)
    ratios, rates = [], []
    print(f"one order a request, {options.connections} connections, {options.rounds} rounds of {options.seconds:g} s")
    for _ in range(options.rounds):
        loads = []
        for name, stream in (("empty view", empty), ("POST orders", orders)):
            costs.begin()
            loads.append(wire.closed(ports, options.connections, options.seconds, stream.__next__))
            show(name, loads[-1])
            costs.show(int(loads[-1].per_second * options.seconds))
        ratios.append(loads[1].per_second / loads[0].per_second)
        rates.append(loads[1].per_second)
    print(
        f"  of an empty view: median {median(ratios):.2f}, lowest {min(ratios):.2f}, highest {max(ratios):.2f} "
        f"(target {TARGETS['single']:.2f}); orders/s: median {median(rates):.0f}"
    )
    return median(rates)


def latency(made: Topology, options: argparse.Namespace, rate: float) -> None:
    ports = [process.port for process in made.rest]
    orders = Requests(made.keys["alice"], "/api/v1/orders", 1, ("ACME-USD",), 3).stream()
    print(f"at a steady {rate:.0f} orders/s")
    for _ in range(options.rounds):
        show("POST orders", wire.at_rate(ports, 128, rate, options.seconds, orders.__next__))


def batch(made: Topology, options: argparse.Namespace) -> None:
    ports = [process.port for process in made.rest]
    for size in (100, 500):
        print(f"orders/batch of {size}, {BATCH_CONNECTIONS} connections")
        rates = batches(made, options, ports, size, ("ACME-USD",))
        print(f"  median {median(rates):.0f} orders/s (target {TARGETS['batch']})")


def batches(
    made: Topology, options: argparse.Namespace, ports: list[int], size: int, symbols: tuple[str, ...]
) -> list[float]:
    stream = Requests(made.keys["alice"], "/api/v1/orders/batch", size, symbols, 4).stream()
    costs = Costs(made)
    rates = []
    wire.closed(ports, BATCH_CONNECTIONS, 1.0, stream.__next__)
    for _ in range(options.rounds):
        costs.begin()
        load: Load = wire.closed(ports, BATCH_CONNECTIONS, options.seconds, stream.__next__)
        show("orders", load, size)
        costs.show(int(load.per_second * options.seconds) * size)
        rates.append(load.per_second * size)
    return rates


def shards(options: argparse.Namespace) -> None:
    """The same batches over one shard and over two, on the same topology."""
    with topology(options, 2) as made:
        ports = [process.port for process in made.rest]
        found = {}
        for symbols in (("ACME-USD",), ("ACME-USD", SECOND_SYMBOL)):
            print(f"orders/batch of 100, {len(symbols)} of two shards, {BATCH_CONNECTIONS} connections")
            found[len(symbols)] = median(batches(made, options, ports, 100, symbols))
        print(f"  two shards beside one: {found[2]:.0f} to {found[1]:.0f} orders/s, {found[2] / found[1]:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="single,latency,batch,shards")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=int, default=1, help="REST processes (default 1)")
    parser.add_argument("--threads", type=int, default=64, help="blocking threads of each (default 64)")
    parser.add_argument("--granian", default="--http 1 --runtime-mode mt", help="more of Granian's options")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    parts = options.parts.split(",")
    print(f"{options.rest} REST processes of {options.threads} threads, {os.cpu_count()} processors")
    if set(parts) - {"shards"}:
        with topology(options, 1) as made:
            rate = single(made, options) if {"single", "latency"} & set(parts) else 0.0
            if "latency" in parts:
                latency(made, options, rate / 2)
            if "batch" in parts:
                batch(made, options)
    if "shards" in parts:
        shards(options)


if __name__ == "__main__":
    main()
