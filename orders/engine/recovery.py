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
from orders.engine.tally import Tally
from orders.fields import datetime_to_micros
from orders.instruments import instrument_of_row
from orders.models import Account as AccountRow
from orders.models import Deposit, Lease, Position, Shard
from orders.models import Instrument as InstrumentRow
from orders.models.market import NO_TRAILS
from orders.open_orders import OpenOrders, totals_in_rows

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recovered:
    """An engine as of ``last_sequence``, and what the loop must know beside it."""

    engine: Engine
    epoch: int
    batch: int
    last_sequence: int
    at: int
    book_sequences: dict[int, int] = field(default_factory=dict)
    trade_sequences: dict[int, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


def take_over(shard_id: int) -> None:
    """Begin a new epoch: from here on every older engine of the shard is fenced off."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_shard (id, epoch, batch, last_sequence, at) VALUES (%s, 0, 0, 0, 0) "
            "ON CONFLICT DO NOTHING",
            [shard_id],
        )
        cursor.execute("UPDATE orders_shard SET epoch = epoch + 1 WHERE id = %s", [shard_id])


def recover(shard_id: int) -> Recovered:
    """Rebuild the shard's engine from the database, in one consistent read."""
    started = perf_counter()
    gc_was_enabled = gc.isenabled()
    # A million young objects would be walked through again and again, for nothing: none of them is garbage.
    gc.disable()
    try:
        with selectors.consistent_read():
            shard = Shard.objects.get(id=shard_id)
            orders = _open_orders(shard)
            recovered = build(shard, orders)
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


def _open_orders(shard: Shard) -> OpenOrders:
    expected = totals_in_rows(shard.id)
    loaded = snapshots.load_latest(shard.id)
    if loaded is not None:
        orders, skipped = loaded
        for line in skipped:
            log.error("%s: skipped", line)
        if orders.sequence:
            orders.advance(shard.last_sequence)
            if orders.totals() == expected:
                return orders
            log.error(
                "shard %d: saved books plus newer rows give %s, the open rows say %s; starting from the rows alone",
                shard.id,
                orders.totals(),
                expected,
            )
    orders = OpenOrders(shard.id)
    orders.load_rows(shard.last_sequence)
    assert orders.totals() == expected, "one consistent read must agree with itself"
    return orders


def build(shard: Shard, orders: OpenOrders) -> Recovered:
    """The engine of a shard with these open orders; everything else comes from the rows."""
    engine = Engine()
    recovered = Recovered(engine, shard.epoch, shard.batch, shard.last_sequence, shard.at)
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
        account.rate_at = account_row.rate_at
    for account_id, due_at in Lease.objects.filter(shard_id=shard.id).values_list("account_id", "due_at"):
        engine.account(account_id).cancel_after_at = datetime_to_micros(due_at)
    for deposit in Deposit.objects.filter(shard_id=shard.id):
        engine.account(deposit.account_id).deposits[deposit.currency] = deposit.amount
    instruments = list(InstrumentRow.objects.filter(shard_id=shard.id).order_by("id"))
    for row in instruments:
        instrument_of_row(row, engine, shard.at)
        recovered.book_sequences[row.id] = row.book_sequence
        recovered.trade_sequences[row.id] = row.last_trade_sequence
    for position in Position.objects.filter(instrument__shard_id=shard.id):
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
