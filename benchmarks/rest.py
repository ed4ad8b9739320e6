"""REST on the embedded default: one order a request beside an empty view in the same server and run, and batches.

``python -m benchmarks.rest [--seconds S] [--rounds N]``
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.load import Load, post, run
from tests.support.server import Server

CONNECTIONS = 32
BATCH_CONNECTIONS = 2


def order(rng: random.Random, number: int, run_name: str) -> dict[str, str]:
    """A limit order near the middle: about half of them trade."""
    return {
        "symbol": "ACME-USD",
        "side": rng.choice(("buy", "sell")),
        "type": "limit",
        "price": f"{rng.randint(9_990, 10_010) / 100:.2f}",
        "quantity": f"{rng.randint(1, 10_000) / 1000:.3f}",
        "client_order_id": f"{run_name}-{number}",
        "self_trade_prevention": "none",
    }


def orders(key: str, path: str, run_name: str) -> Callable[[], bytes]:
    """A stream of requests with one new order each."""
    rng = random.Random(1)
    numbers = iter(range(10**9))
    return lambda: post(path, key, json.dumps(order(rng, next(numbers), run_name)).encode())


def batches(key: str, size: int, run_name: str) -> Callable[[], bytes]:
    """A stream of requests with ``size`` new orders each."""
    rng = random.Random(2)
    numbers = iter(range(10**9))

    def make() -> bytes:
        body = {"orders": [order(rng, next(numbers), run_name) for _ in range(size)]}
        return post("/api/v1/orders/batch", key, json.dumps(body).encode())

    return make


def show(name: str, load: Load, each: int = 1) -> None:
    print(
        f"  {name:<28} {load.per_second * each:8.0f}/s   p50 {load.p50_ms:6.1f} ms   p99 {load.p99_ms:6.1f} ms   "
        f"statuses {load.statuses}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), DJANGO_SETTINGS_MODULE="benchmarks.settings")
        server.manage("seed_demo")
        key = server.manage("create_api_key", "alice", "--scopes", "read,trade").stdout.strip()
        server.start()
        try:
            measure(server, key, options.seconds, options.rounds)
        finally:
            server.stop()


def measure(server: Server, key: str, seconds: float, rounds: int) -> None:
    """Empty view and orders in turn, so that both see the same machine; then batches."""
    run(server.port, CONNECTIONS, 1.0, orders(key, "/api/v1/orders", "warm"))
    ratios = []
    print(f"one order a request, {CONNECTIONS} connections, {rounds} rounds of {seconds:g} s")
    for number in range(rounds):
        empty = run(server.port, CONNECTIONS, seconds, orders(key, "/api/v1/empty", f"e{number}"))
        placed = run(server.port, CONNECTIONS, seconds, orders(key, "/api/v1/orders", f"o{number}"))
        show("empty view", empty)
        show("POST orders", placed)
        ratios.append(placed.per_second / empty.per_second)
    print(f"  ratio: median {median(ratios):.2f}, lowest {min(ratios):.2f}, highest {max(ratios):.2f} (target 0.60)")
    for size in (100, 500):
        print(f"orders/batch of {size}, {BATCH_CONNECTIONS} connections")
        rates = []
        for number in range(rounds):
            load = run(server.port, BATCH_CONNECTIONS, seconds, batches(key, size, f"b{size}-{number}"))
            show("orders", load, size)
            rates.append(load.per_second * size)
        print(f"  median {median(rates):.0f} orders/s (target 5000)")


if __name__ == "__main__":
    main()
