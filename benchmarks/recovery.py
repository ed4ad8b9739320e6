"""How long an engine takes to come back with many open orders: ``python -m benchmarks.recovery``.

For PostgreSQL (a throwaway server, as it comes) and SQLite. The orders are placed through the engine's loop: limit orders
around a price, a few of them icebergs and with an expiry, and stops, a third of which trail. Then, each in a process of its
own:

* ``rows``: ``recover()`` from the open orders' rows, the aggregate that must agree included;
* ``saved``: the same from the newest saved books, ``CHANGES`` commands after they were saved, and the rows that changed;
* ``warm``: what a hot standby has left to do, whose open orders are in memory as of those ``CHANGES`` commands before.

Each tells the seconds (and how many of them the process itself worked: on a busy machine that is less) and the memory of the
process: at its peak, and when it was done. All must come to the same state
hash, which is what the longest part of the run computes; ``--no-hash`` leaves it out.
"""

import argparse
import gc
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import django

from benchmarks.durable import databases

ROOT = Path(__file__).resolve().parent.parent
ACCOUNTS = 100
INSTRUMENTS = range(1, 5)
MIDDLE = 10_000
WIDTH = 1_000
# Placed in large groups: how they came is not what is measured.
GROUP = 16_384
# Commands between the save and the crash.
CHANGES = 2_000
SEED = 20261124
TARGET_SECONDS = 6
WAYS = ("rows", "saved", "warm")


def make_order(rng: random.Random, order_id: int, accounts: Sequence[int], instruments: Sequence[int]) -> Any:
    """An order that stays open: 93% plain, 2% icebergs, 2% with an expiry, 3% stops."""
    from matching.order import Conditions, Order
    from matching.values import BUY, GTD, NEVER, STOP, TRAILING_STOP

    side = rng.randrange(2)
    away = rng.randint(1, WIDTH)
    price = MIDDLE - away if side == BUY else MIDDLE + away
    order = Order(order_id, rng.choice(accounts), rng.choice(instruments), side, price, rng.randint(1, 1_000))
    kind = rng.random()
    if kind < 0.02:
        order.conditions = Conditions(display_quantity=10) if order.quantity > 10 else None
    elif kind < 0.04:
        order.time_in_force = GTD
        order.conditions = Conditions(expires_at=NEVER // 2 + rng.randrange(10**12))
    elif kind < 0.07:
        # A stop is on the other side of the market.
        order.price = 0
        if kind < 0.06:
            order.type, order.conditions = STOP, Conditions(stop_price=2 * MIDDLE - price)
        else:
            order.type, order.conditions = TRAILING_STOP, Conditions(trail=away)
    return order


def prepare(orders: int) -> None:
    """Fill empty tables, save the books, then let a little more happen."""
    from django.core.management import call_command
    from django.db import connection

    from matching.commands import Cancel, DefineAccount, DefineInstrument
    from matching.order import Order
    from matching.values import BUY, SELL
    from orders.bus.envelope import DONE, Envelope
    from orders.bus.memory import MemoryBus
    from orders.engine.loop import EngineLoop
    from orders.engine.recovery import take_over
    from orders.management.commands._server import tune_interpreter
    from orders.models import Account
    from orders.snapshots import BookSaver

    tune_interpreter()
    call_command("migrate", interactive=False, verbosity=0)
    accounts = [Account.objects.create(name=f"account {number}", created_at=0).id for number in range(ACCOUNTS)]
    take_over(0)
    loop = EngineLoop(0, MemoryBus(capacity=10**9), max_group_commands=GROUP)
    loop.recover()
    loop.bus.open()

    def do(commands: list[Any]) -> None:
        envelope = Envelope(commands, actor_id=1, received_at=0)
        loop.bus.submit(envelope)
        loop.run_once(0)
        assert {outcome.kind for outcome in envelope.future.result(0)} == {DONE}

    do([DefineInstrument(number, f"I{number}", f"I{number}", "USD") for number in INSTRUMENTS])
    do([DefineAccount(account, max_open_orders=10**7) for account in accounts])
    for number in INSTRUMENTS:  # a last price, for what trails
        do([Order(2 * number + side, accounts[side], number, side, MIDDLE, 1) for side in (BUY, SELL)])
    rng = random.Random(SEED)
    ids = range(1_000, 1_000 + orders)
    for start in range(0, orders, GROUP):
        do([make_order(rng, order_id, accounts, INSTRUMENTS) for order_id in ids[start : start + GROUP]])
    started = perf_counter()
    BookSaver(0).save()
    print(f"    saving the books took {perf_counter() - started:.1f} s", flush=True)
    do([Cancel(order_id) for order_id in rng.sample(ids, CHANGES // 2)])
    do([make_order(rng, ids[-1] + number, accounts, INSTRUMENTS) for number in range(1, CHANGES // 2 + 1)])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # As the server's own housekeeping leaves tables that have been there a while.
            cursor.execute("VACUUM ANALYZE")


def measure(way: str, hashed: bool) -> dict[str, Any]:
    """One recovery in this process."""
    from matching.image import state_hash
    from orders import selectors, snapshots
    from orders.engine.recovery import recover

    selectors.instrument_by_symbol("I1")  # connects
    gc.disable()
    before = memory()
    warm = None
    if way == "warm":
        warm, _ = snapshots.load_latest(0) or (None, [])
    elif way == "rows":
        snapshots.load_latest = lambda shard_id: None
    started, spent = perf_counter(), process_time()
    recovered = recover(0, warm)
    found = {"seconds": perf_counter() - started, "spent": process_time() - spent}
    after = memory()
    found |= {"before": before["VmRSS"], "peak": after["VmHWM"], "after": after["VmRSS"]}
    found["orders"] = len(recovered.engine.orders)
    if hashed:
        found["hash"] = state_hash(recovered.engine)
    return found


def memory() -> dict[str, float]:
    """Of this process, in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines() if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) / 1024 for name, size, _ in lines}


def compare(url: str, folder: str, orders: int, rounds: int, hashed: bool) -> None:
    """All ways on one database."""
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "OMS_VAR_DIR": folder,
        "DJANGO_SETTINGS_MODULE": "oms_project.settings",
    }
    command = [sys.executable, "-m", "benchmarks.recovery"]
    print(f"{url.split(':')[0]}, {orders:,} open orders", flush=True)
    subprocess.run([*command, "--prepare", "--orders", str(orders)], cwd=ROOT, env=environment, check=True)
    hashes = set()
    for way in WAYS:
        found = []
        for number in range(rounds):
            last = ["--hash"] if hashed and number == rounds - 1 else []
            done = subprocess.run(
                [*command, "--way", way, *last], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            )
            found.append(json.loads(done.stdout))
        hashes.add(found[-1].get("hash"))
        seconds = sorted(one["seconds"] for one in found)
        print(
            f"    {way}: {seconds[0]:.2f} / {median(seconds):.2f} / {seconds[-1]:.2f} s, "
            f"{min(one['spent'] for one in found):.2f} of them its own work at best; memory {found[-1]['before']:.0f} MB "
            f"before, {max(one['peak'] for one in found):.0f} at its peak, "
            f"{found[-1]['after']:.0f} after; {found[-1]['orders']:,} orders",
            flush=True,
        )
    if hashed:
        assert len(hashes) == 1, hashes
        print(f"    all come to the state {hashes.pop()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("postgres", "sqlite"), help="one database")
    parser.add_argument("--no-hash", action="store_true", help="do not compare the states: several times as fast")
    for internal in ("--prepare", "--hash"):
        parser.add_argument(internal, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare or options.way:
        django.setup()
        logging.disable(logging.WARNING)
        if options.prepare:
            return prepare(options.orders)
        return print(json.dumps(measure(options.way, options.hash)))
    print(f"{options.rounds} rounds; min / median / max; target {TARGET_SECONDS} s for rows and saved")
    with tempfile.TemporaryDirectory(prefix="oms-recovery-") as folder:
        for url in databases(folder, options.only):
            compare(url, folder, options.orders, options.rounds, not options.no_hash)


if __name__ == "__main__":
    main()
