"""From tables to a running engine: start-up and recovery after a crash are this same code.

The latest good saved books (or nothing), then every order whose row is newer, then one aggregate query that must agree. On
a disagreement the open orders are loaded from their rows alone, and it is said loudly. Everything else that decides what
the next command does has a row too: phases and schedules, where trailing stops stand, leases, counted messages. So have the
candles that are not over, and what positions cost.
"""

import gc
import json
import logging
from dataclasses import dataclass, field
from time import perf_counter

from django.db import connection, transaction

from matching.engine import Engine
from matching.image import give_best
from matching.state import Account
from orders import selectors, snapshots
from orders.bus.envelope import Place
from orders.engine.tally import Tally
from orders.fields import datetime_to_micros
from orders.instruments import instrument_of_row
from orders.models import Account as AccountRow
from orders.models import Deposit, Lease, MessageRate, Position, Shard
from orders.models import Instrument as InstrumentRow
from orders.models.market import NO_TRAILS
from orders.open_orders import OpenOrders, Totals, totals_in_rows

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recovered:
    """An engine as of ``last_sequence``, and what the loop must know beside it."""

    engine: Engine
    epoch: int
    batch: int
    last_sequence: int
    at: int
    # Where the stream of commands stands, and whether only cancels are taken.
    place: Place
    cancel_only: bool
    book_sequences: dict[int, int] = field(default_factory=dict)
    trade_sequences: dict[int, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


def add_shard(shard_id: int) -> None:
    """See to it that the shard has a row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_shard (id, epoch, batch, last_sequence, at) VALUES (%s, 0, 0, 0, 0) "
            "ON CONFLICT DO NOTHING",
            [shard_id],
        )


def take_over(shard_id: int, lock_seconds: float | None = None) -> int:
    """Begin a new epoch, and return it: from here on every older engine of the shard is fenced off.

    ``lock_seconds`` bounds how long (on PostgreSQL) to wait for a batch that an older engine is writing.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        if lock_seconds is not None:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(lock_seconds * 1000)}ms"])
        add_shard(shard_id)
        cursor.execute("UPDATE orders_shard SET epoch = epoch + 1 WHERE id = %s RETURNING epoch", [shard_id])
        epoch: int = cursor.fetchone()[0]
    return epoch


def recover(shard_id: int, warm: OpenOrders | None = None) -> Recovered:
    """Rebuild the shard's engine from the database, in one consistent read.

    ``warm`` is a standby's copy of the open orders, which only what is newer has to be added to; the engine takes it over.
    """
    started = perf_counter()
    gc_was_enabled = gc.isenabled()
    # A million young objects would be walked through again and again, for nothing: none of them is garbage.
    gc.disable()
    try:
        with selectors.consistent_read():
            shard = Shard.objects.get(id=shard_id)
            orders = _open_orders(shard, warm)
            recovered = build(shard, orders)
        # There and back moves all there is among the oldest objects, unlooked at: the first small collection would walk
        # through a million open orders otherwise, and keep the shard's first commands waiting.
        gc.freeze()
        gc.unfreeze()
    finally:
        if gc_was_enabled:
            gc.enable()
    log.info(
        "shard %d recovered: epoch %d, sequence %d, %d open orders, %.0f ms",
        shard_id,
        recovered.epoch,
        recovered.last_sequence,
        len(recovered.engine.orders),
        (perf_counter() - started) * 1000,
    )
    return recovered


def _open_orders(shard: Shard, warm: OpenOrders | None) -> OpenOrders:
    expected = totals_in_rows(shard.id)
    if warm is not None and _agrees(warm, shard, expected, "what the standby followed", "saved books or rows"):
        return warm
    loaded = snapshots.load_latest(shard.id)
    if loaded is not None:
        orders, skipped = loaded
        for line in skipped:
            log.error("%s: skipped", line)
        if orders.sequence and _agrees(orders, shard, expected, "saved books", "the rows alone"):
            return orders
    orders = OpenOrders(shard.id)
    orders.load_rows(shard.last_sequence)
    assert orders.totals() == expected, "one consistent read must agree with itself"
    return orders


def _agrees(orders: OpenOrders, shard: Shard, expected: Totals, name: str, instead: str) -> bool:
    """Bring open orders up to date. Whether they then are what the rows say; otherwise it is told."""
    orders.advance(shard.last_sequence)
    found = orders.totals()
    if found != expected:
        log.error(
            "shard %d: %s plus newer rows give %s, the open rows say %s; starting from %s",
            shard.id,
            name,
            found,
            expected,
            instead,
        )
    return found == expected


def build(shard: Shard, orders: OpenOrders) -> Recovered:
    """The engine of a shard with these open orders; everything else comes from the rows."""
    engine = Engine()
    place = Place(shard.stream_id, shard.stream_done)
    recovered = Recovered(engine, shard.epoch, shard.batch, shard.last_sequence, shard.at, place, shard.cancel_only)
    for account_row in AccountRow.objects.all():
        account = engine.accounts[account_row.id] = Account(
            account_row.id,
            account_row.state,
            account_row.max_open_orders,
            account_row.max_order_quantity,
            account_row.max_position,
            account_row.max_rate,
            account_row.funded,
        )
        account.definition = account_row.definition
    for account_id, rate_at in MessageRate.objects.filter(shard_id=shard.id).values_list("account_id", "rate_at"):
        engine.account(account_id).rate_at = rate_at
    for account_id, due_at in Lease.objects.filter(shard_id=shard.id).values_list("account_id", "due_at"):
        engine.account(account_id).cancel_after_at = datetime_to_micros(due_at)
    for deposit in Deposit.objects.filter(shard_id=shard.id):
        engine.account(deposit.account_id).deposits[deposit.currency] = deposit.amount
    # One that was let go is nobody's until another shard takes it over.
    instruments = list(InstrumentRow.objects.filter(shard_id=shard.id, moving_to=None).order_by("id"))
    for row in instruments:
        instrument_of_row(row, engine, shard.at)
        recovered.book_sequences[row.id] = row.book_sequence
        recovered.trade_sequences[row.id] = row.last_trade_sequence
    for position in Position.objects.filter(instrument__shard_id=shard.id, instrument__moving_to=None):
        holding = engine.holding(position.account_id, engine.instruments[position.instrument_id])
        holding.bought = position.bought
        holding.bought_notional = position.bought_notional
        holding.sold = position.sold
        holding.sold_notional = position.sold_notional
        recovered.tally.load_position(position)
    recovered.tally.load_candles(shard.id, shard.at)
    for row in instruments:
        # First come first, so that every queue stands as it stood.
        open_orders = orders.in_priority(row.id)
        if row.trails != NO_TRAILS:
            trails = json.loads(row.trails)
            give_best(open_orders, trails["sell"], trails["buy"])
        engine.restore(open_orders)
    engine.rearm()
    return recovered
