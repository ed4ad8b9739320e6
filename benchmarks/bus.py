"""The bus over Redis alone: ``python -m benchmarks.bus``.

A gateway in this process, an engine in another that answers every order with its record and does nothing else, a throwaway
Redis that syncs its append-only file every second. One order at a time, from 32 threads at a time, and in batches of 500; the
bare way is the same round through Redis (``XADD``, ``XREAD``, ``RPUSH``, ``BLPOP``) with nothing packed or unpacked. Then what
packing and unpacking takes of the processor, for each side.
"""

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from threading import Thread
from time import perf_counter, process_time
from typing import Any

import django

from tests.support import services

ROOT = Path(__file__).resolve().parent.parent
SHARD = 0
SECONDS = 3.0
THREADS = 32
BATCH = 500
WAIT_SECONDS = 30


def answer_for_good(url: str) -> None:
    """The engine's process."""
    from orders.bus.envelope import DONE, Outcome, Place, record_of
    from orders.bus.stream import StreamBus

    bus = StreamBus(SHARD, url)
    bus.begin(Place("0-0"))
    bus.open()
    print("ready", flush=True)
    while True:
        for envelope in bus.take(1_024, 0.1):
            envelope.future.set_result(
                [
                    Outcome(DONE, order_id=order.order_id, order=record_of(order, SHARD, 1, 2), fills=((1, 2, 3),))
                    for order in envelope.commands
                ]
            )
        bus.flush()


def echo_for_good(url: str) -> None:
    """The other end of the bare way."""
    from orders.bus.link import Link

    link = Link(url, blocks_seconds=1)
    last: str | bytes = "0-0"
    print("ready", flush=True)
    while True:
        (answer,) = link.call(("XREAD", "BLOCK", 100, "STREAMS", "bare", last))
        for entry_id, (_, data) in answer[0][1] if answer else ():
            last = entry_id
            link.call(("RPUSH", "bare-replies", data), ("EXPIRE", "bare-replies", 60))


def envelope(orders: int) -> Any:
    from matching.order import Order
    from orders.bus.envelope import Envelope

    return Envelope(
        [Order(number + 2**60, 5, 1, 0, 10_000, 500, client_order_id=f"order-{number}") for number in range(orders)],
        actor_id=7,
        received_at=1_795_523_181_317_000,
        deadline=1_795_523_186_317_000,
        fingerprints=[bytes(16)] * orders,
        request_id="0123456789abcdef",
    )


def rounds(work: Callable[[], object], threads: int = 1) -> tuple[float, list[float]]:
    """Repeat ``work`` for a while in so many threads: rounds a second, and the seconds each took."""
    taken: list[float] = []
    end = perf_counter() + SECONDS

    def repeat() -> None:
        while (began := perf_counter()) < end:
            work()
            taken.append(perf_counter() - began)

    running = [Thread(target=repeat) for _ in range(threads)]
    began = perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return len(taken) / (perf_counter() - began), taken


def show(name: str, rate: float, taken: list[float], orders: int = 1) -> None:
    cuts = quantiles(taken, n=100)
    print(f"  {name:<28}{rate * orders:>9,.0f} orders/s   p50 {cuts[49] * 1e3:6.2f} ms   p99 {cuts[98] * 1e3:6.2f} ms")


def measure(url: str) -> None:
    from orders import status
    from orders.bus.link import Link
    from orders.bus.remote import RemoteBus

    link = Link(url, blocks_seconds=5)
    data = bytes(100)

    def bare() -> None:
        link.call(("XADD", "bare", "MAXLEN", 10, "*", "d", data))
        link.call(("BLPOP", "bare-replies", 5))

    show("bare, one at a time", *rounds(bare))
    status.shard_status(SHARD).become(status.OPEN)
    bus = RemoteBus(url)

    def one(orders: int = 1) -> None:
        sent = envelope(orders)
        bus.submit(sent, shard_id=SHARD)
        sent.future.result(WAIT_SECONDS)

    one()
    show("one at a time", *rounds(one))
    show(f"{THREADS} threads", *rounds(one, THREADS))
    show(f"batches of {BATCH}, 4 threads", *rounds(lambda: one(BATCH), 4), orders=BATCH)
    bus.stop()


def measure_codec() -> None:
    """Microseconds of the processor an order, alone and in a batch."""
    from orders.bus import wire
    from orders.bus.envelope import DONE, Outcome, record_of
    from orders.management.commands._server import tune_interpreter

    # As in a process that serves: collections of garbage are seldom, and do not look at what was there at the start.
    tune_interpreter()
    gc.collect()
    gc.freeze()

    def cost(work: Callable[[], object], orders: int) -> float:
        best = 1.0
        for _ in range(20):
            began = process_time()
            for _ in range(20):
                work()
            best = min(best, (process_time() - began) / 20 / orders)
        return best * 1e6

    for name, sent in (("alone", [envelope(1) for _ in range(BATCH)]), (f"in a batch of {BATCH}", [envelope(BATCH)])):
        packed = [wire.encode_envelope(each, 1) for each in sent]
        entry = wire.encode_entry("0123456789abcdef", packed)
        outcomes = [
            (1, [Outcome(DONE, order_id=1, order=record_of(order, SHARD, 1, 2)) for order in each.commands])
            for each in sent
        ]
        reply = wire.encode_reply(outcomes)
        out = cost(lambda sent=sent: [wire.encode_envelope(each, 1) for each in sent], BATCH)
        back = cost(lambda reply=reply: wire.decode_reply(reply), BATCH)
        taken = cost(lambda entry=entry: wire.decode_entry(entry, lambda gateway, number: None), BATCH)
        answered = cost(lambda outcomes=outcomes: wire.encode_reply(outcomes), BATCH)
        print(
            f"  an order {name}: gateway {out:.1f} + {back:.1f} us, engine {taken:.1f} + {answered:.1f} us, "
            f"{len(entry) // BATCH} bytes there, {len(reply) // BATCH} back"
        )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="oms-bench-bus-") as directory:
        os.environ.update(DJANGO_SETTINGS_MODULE="oms_project.settings", OMS_VAR_DIR=directory)
        django.setup()
        if len(sys.argv) > 2:
            {"engine": answer_for_good, "echo": echo_for_good}[sys.argv[1]](sys.argv[2])
            return
        server = services.Redis(Path(directory), persistent=True)
        others = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bus", part, server.url], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            for part in ("engine", "echo")
        ]
        try:
            for other in others:
                assert other.stdout is not None
                other.stdout.readline()
            measure(server.url)
            measure_codec()
        finally:
            for other in others:
                other.kill()
                other.wait()
            server.stop()


if __name__ == "__main__":
    main()
