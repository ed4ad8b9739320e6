"""The engine's loop over a real database, against the same rows written bare: ``python -m benchmarks.durable``.

For PostgreSQL (a throwaway server, ``fsync`` as it comes) and SQLite (WAL, ``synchronous=FULL``): one envelope an order,
through the bus, fence, matching, the commit, the message for the feed (which is dropped: its delivery is measured by
``benchmarks.fanout``), the answers. For groups of 64, 256 and 1,024 orders that are there already; and, the row the targets are
about, for groups as load forms them: another thread keeps some thousand orders waiting, the engine takes what there is.

Bare is what the database and its driver can do at best: the very rows that the engine wrote, group by group, kept in memory
and written without engine, Django, fence or claims: ``COPY`` and ``unnest``, or ``executemany``, one transaction a group.
Rounds alternate, each on emptied tables. Where other work disturbs the clock, the last line of each row tells what this process
worked for an order: on SQLite that is nearly all there is to it.
"""

import argparse
import gc
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep, time_ns
from typing import Any

import django

from tests.support.services import ServiceMissing, postgres_server

ROOT = Path(__file__).resolve().parent.parent
GROUPS = (64, 256, 1_024)
# Orders that wait where load forms the groups.
WAITING = 4_096
ACCOUNTS = 16
SEED = 20261122
# Orders a second of the engine, and its share of bare.
TARGETS = {"postgresql": (20_000, 0.5), "sqlite": (30_000, 0.5)}
TABLES = ("orders_order", "orders_event", "orders_trade", "orders_position", "orders_candle", "orders_clientorderid")

# A group as it went into the tables: what was done ("insert", "update", "upsert"), the shape, its rows.
Written = list[tuple[str, Any, list[tuple[Any, ...]]]]


class Recorder:
    """A way in that also remembers what went in."""

    def __init__(self, rows: Any, written: Written) -> None:
        self._rows = rows
        self._written = written
        self.execute = rows.execute

    def __enter__(self) -> "Recorder":
        self._rows.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._rows.__exit__(*exc)

    def __getattr__(self, name: str) -> Callable[..., None]:
        def write(shape: Any, rows: list[tuple[Any, ...]]) -> None:
            if rows:
                self._written.append((name, shape, [tuple(row) for row in rows]))
            getattr(self._rows, name)(shape, rows)

        return write


class Took:
    """How long some orders take, from now to ``stop``: by the clock, and of this process's own work."""

    def __init__(self, orders: int) -> None:
        self._orders = orders
        self._seconds, self._worked = perf_counter(), process_time()

    def stop(self) -> "Took":
        self._seconds, self._worked = perf_counter() - self._seconds, process_time() - self._worked
        return self

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self._orders / self._seconds

    @property
    def work_us(self) -> float:
        """This process's own microseconds an order."""
        return self._worked / self._orders * 1_000_000


class Market:
    """An instrument and accounts in migrated tables, and the engine that has them."""

    def __init__(self, instrument_id: int, account_ids: list[int]) -> None:
        self.instrument_id = instrument_id
        self.account_ids = account_ids

    def envelopes(self, count: int) -> list[Any]:
        """New limit orders around one price, about half of which trade; the same every time."""
        from matching.order import Order
        from matching.values import BUY
        from orders.bus.envelope import Envelope

        rng = random.Random(SEED)
        at = time_ns() // 1000
        made = []
        for order_id in range(1, count + 1):
            side = rng.randrange(2)
            price = round(rng.gauss(9_990 if side == BUY else 10_010, 10))
            account_id = rng.choice(self.account_ids)
            order = Order(order_id, account_id, self.instrument_id, side, price, rng.randint(1, 100))
            envelope = Envelope([order], actor_id=1, received_at=at)
            made.append(envelope)
        return made

    def engine(self, group: int | None) -> Any:
        """A loop that has taken over emptied tables. It takes at most ``group`` commands at a time, None: its own bound."""
        from django.db import connection

        from orders.bus.memory import MemoryBus
        from orders.engine.loop import MAX_GROUP_COMMANDS, EngineLoop
        from orders.engine.recovery import take_over

        empty(connection)
        take_over(0)
        bus = MemoryBus(capacity=10**9)
        loop = EngineLoop(0, bus, [lambda message: None], max_group_commands=group or MAX_GROUP_COMMANDS)
        loop.recover()
        loop.bus.open()
        return loop


def empty(connection: Any) -> None:
    """No orders and nothing of them; instruments and accounts stay."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(TABLES)}")
        else:
            for table in TABLES:
                cursor.execute(f"DELETE FROM {table}")


def make_market() -> Market:
    """Migrates, and defines what the orders are about through the engine."""
    from django.core.management import call_command

    from matching.commands import DefineAccount, DefineInstrument
    from orders.bus.envelope import DONE, Envelope
    from orders.management.commands._server import tune_interpreter
    from orders.models import Account

    tune_interpreter()
    call_command("migrate", interactive=False, verbosity=0)
    rows = [Account.objects.create(name=f"account {number}", created_at=0) for number in range(ACCOUNTS)]
    market = Market(1, [row.id for row in rows])
    loop = market.engine(64)
    definitions = [DefineAccount(row.id, max_open_orders=10**6) for row in rows]
    envelope = Envelope([DefineInstrument(1, "FLOW", "FLOW", "USD"), *definitions], actor_id=1, received_at=0)
    loop.bus.submit(envelope)
    loop.run_once(0)
    assert {outcome.kind for outcome in envelope.future.result(0)} == {DONE}
    return market


def run_engine(market: Market, group: int | None, orders: int, recorded: list[Written] | None = None) -> "Took":
    """What it takes; each group's rows are added to ``recorded``."""
    from orders.bus.envelope import DONE

    loop = market.engine(group)
    if recorded is not None:
        way = loop.journal.way

        def recording(cursor: Any) -> Recorder:
            recorded.append([])
            return Recorder(way(cursor), recorded[-1])

        loop.journal.way = recording
    envelopes = market.envelopes(orders)
    producer = threading.Thread(target=produce, args=(loop.bus, envelopes, WAITING if group is None else orders))
    producer.start()
    if group is not None:
        producer.join()  # everything is there before the first is taken
    took = Took(orders)
    while not envelopes[-1].future.done():
        loop.run_once()
    took.stop()
    producer.join()
    assert all(envelope.future.result(0)[0].kind == DONE for envelope in envelopes)
    return took


def produce(bus: Any, envelopes: list[Any], waiting: int) -> None:
    """Keep up to ``waiting`` commands in the queue until all have been there."""
    for envelope in envelopes:
        while bus.waiting_commands >= waiting:
            sleep(0.001)
        bus.submit(envelope)


def run_bare(groups: list[Written], orders: int) -> "Took":
    """What the driver alone takes."""
    from django.db import connection

    empty(connection)
    connection.close()
    write = bare_postgres if connection.vendor == "postgresql" else bare_sqlite
    return write(connection, groups, orders)


def bare_postgres(connection: Any, groups: list[Written], orders: int) -> "Took":
    """``COPY`` and ``unnest`` by psycopg."""
    import psycopg

    from orders.engine import journal_postgres as way

    connection.ensure_connection()  # the types of columns are Django's to tell
    with psycopg.connect(os.environ["DATABASE_URL"]) as bare, bare.cursor() as cursor:
        for name in ("seqscan", "hashjoin", "mergejoin"):
            cursor.execute(f"SET enable_{name} = off")
        bare.commit()
        took = Took(orders)
        for group in groups:
            for name, shape, rows in group:
                if name == "insert":
                    with cursor.copy(way.copy_sql(shape)) as copy:
                        for row in rows:
                            copy.write_row(row)
                else:
                    sql = way.update_sql(shape) if name == "update" else way.upsert_sql(shape)
                    cursor.execute(sql, way.arrays(shape, rows))
            bare.commit()
        return took.stop()


def bare_sqlite(connection: Any, groups: list[Written], orders: int) -> "Took":
    """``executemany`` by sqlite3."""
    import sqlite3

    from django.conf import settings

    from orders.engine import journal_sqlite as way

    sql = {"insert": way.insert_sql, "update": way.update_sql, "upsert": way.upsert_sql}
    bare = sqlite3.connect(settings.DATABASES["default"]["NAME"], isolation_level=None)
    bare.executescript(settings.SQLITE_PRAGMAS)
    took = Took(orders)
    for group in groups:
        bare.execute("BEGIN IMMEDIATE")
        for name, shape, rows in group:
            bare.executemany(sql[name](shape).replace("%s", "?"), rows)
        bare.execute("COMMIT")
    took.stop()
    bare.close()
    return took


def compare(rounds: int, orders: int) -> None:
    """All sizes of group on the configured database."""
    django.setup()
    logging.disable(logging.INFO)
    from django.db import connection

    market = make_market()
    target, share = TARGETS[connection.vendor]
    for group in (*GROUPS, None):
        groups: list[Written] = []
        run_engine(market, group, orders, groups)
        gc.freeze()  # what is recorded is no burden of the engine's collections
        engine, bare = [], []
        for _ in range(rounds):
            engine.append(run_engine(market, group, orders))
            bare.append(run_bare(groups, orders))
        shares = [one.rate / other.rate for one, other in zip(engine, bare, strict=True)]
        formed = f"groups of {group}" if group else f"groups formed by load (here of {orders / len(groups):.0f})"
        targets = ("", "") if group else (f" (target {target:,})", f" (target {share})")
        print(f"{connection.vendor}, {formed}: engine {spread([one.rate for one in engine])} orders/s{targets[0]}")
        print(
            f"    bare {spread([one.rate for one in bare])} orders/s; engine/bare {spread(shares, '.2f')}{targets[1]}"
        )
        works = [spread([one.work_us for one in these], ".1f") for these in (engine, bare)]
        print(f"    own work: {works[0]} us an order, bare {works[1]}", flush=True)


def spread(values: list[float], form: str = ",.0f") -> str:
    return " / ".join(f"{value:{form}}" for value in (min(values), median(values), max(values)))


def databases(folder: str, only: str | None = None) -> Iterator[str]:
    """Addresses of an empty database each, which lives while it is looked at; or of one kind of them."""
    if only != "sqlite":
        try:
            with postgres_server(durable=True) as url:
                yield url
        except ServiceMissing as error:
            print(f"PostgreSQL is left out: {error}")
    if only != "postgres":
        yield f"sqlite:///{folder}/durable.sqlite3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orders", type=int, default=16_384, help="in each round")
    parser.add_argument("--only", choices=("postgres", "sqlite"), help="one database")
    parser.add_argument("--here", action="store_true", help="on DATABASE_URL, whose orders are lost")
    options = parser.parse_args()
    if options.here:
        return compare(options.rounds, options.orders)
    print(f"{options.orders:,} orders, {options.rounds} rounds; min / median / max")
    with tempfile.TemporaryDirectory(prefix="oms-durable-") as folder:
        for url in databases(folder, options.only):
            environment = {
                **os.environ,
                "DATABASE_URL": url,
                "OMS_VAR_DIR": folder,
                "DJANGO_SETTINGS_MODULE": "oms_project.settings",
            }
            arguments = ["--here", "--rounds", str(options.rounds), "--orders", str(options.orders)]
            command = [sys.executable, "-m", "benchmarks.durable", *arguments]
            subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
