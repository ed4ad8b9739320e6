"""The log of a fault run: rows of one instrument's orders, and whether they tell one story by themselves.

``replay`` is the strongest of the checks here: the same commands in the same order, through the pure core, must make the same
events. So the log is not only consistent with itself, but what matching by price and time gives.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from matching.commands import AdvanceTime, Amend, Cancel, Command, DefineInstrument
from matching.engine import Engine
from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    EXPIRED,
    FILL_MAKER,
    FILL_TAKER,
    INSTRUMENT_DEFINED,
    KIND_NAMES,
    REJECTED,
    REPLACED,
    Event,
)
from matching.order import Order
from matching.values import STATUS_NAMES
from orders.models.trading import SEQUENCE_MASK, event_id

# Those that give an order its terms.
_TERMS = (ACCEPTED, REJECTED, AMENDED, REPLACED)


class EventRow(NamedTuple):
    sequence: int
    order_id: int | None
    account_id: int | None
    instrument_id: int | None
    kind: int
    price: int
    quantity: int
    remaining: int
    filled: int
    status: int | None
    reason: int
    other: int
    at: int
    detail: str | None


class OrderRow(NamedTuple):
    id: int
    account_id: int
    instrument_id: int
    client_order_id: str | None
    side: int
    type: int
    time_in_force: int
    self_trade_prevention: int
    post_only: bool
    price: int
    quantity: int
    filled: int
    remaining: int
    status: int
    version: int
    sequence: int


class TradeRow(NamedTuple):
    sequence: int
    price: int
    quantity: int
    taker_side: int
    maker_order_id: int
    taker_order_id: int


class Log(NamedTuple):
    """Everything of one shard and one instrument that fault runs trade; events of all the shard, in sequence."""

    instrument_id: int
    last_sequence: int
    epoch: int
    events: list[EventRow]
    orders: list[OrderRow]
    trades: list[TradeRow]


class State(NamedTuple):
    """An order right after one of its events."""

    sequence: int
    status: str
    price: int
    quantity: int
    filled: int
    remaining: int
    version: int


def lives_of(log: Log) -> dict[int, list[State]]:
    """Each order's states, in the order of its events."""
    lives: dict[int, list[State]] = {}
    for event in log.events:
        if event.order_id is None or event.status is None:
            continue
        states = lives.setdefault(event.order_id, [])
        price, quantity, version = (states[-1].price, states[-1].quantity, states[-1].version) if states else (0, 0, 1)
        if event.kind in _TERMS:
            price, quantity = event.price, event.quantity
            version += event.kind in (AMENDED, REPLACED)
        states.append(
            State(
                event.sequence,
                STATUS_NAMES[event.status],
                price,
                quantity,
                event.filled,
                event.remaining,
                version,
            )
        )
    return lives


# The log by itself


def numbers(log: Log) -> Iterator[str]:
    """Sequences have neither gaps nor repetitions, and time never goes back."""
    at = 0
    for expected, event in enumerate(log.events, 1):
        if event.sequence != expected:
            yield f"event {expected} is missing or doubled: {event.sequence} is there"
            return
        if event.at < at:
            yield f"event {event.sequence} is of an earlier time than the one before it"
        at = event.at
    if len(log.events) != log.last_sequence:
        yield f"{len(log.events)} events, the shard's row says {log.last_sequence}"


def rows(log: Log, lives: dict[int, list[State]]) -> Iterator[str]:
    """Every order is there once, and as its last event left it."""
    ids = Counter((order.account_id, order.client_order_id) for order in log.orders if order.client_order_id)
    for key, count in ids.items():
        if count > 1:
            yield f"client order id {key[1]} of account {key[0]} has {count} orders"
    for order in log.orders:
        last = lives.get(order.id, [None])[-1]
        row = (order.sequence, STATUS_NAMES[order.status], order.quantity, order.filled, order.remaining, order.version)
        told = None if last is None else (last.sequence, last.status, last.quantity, *last[4:])
        if row != told:
            yield f"order {order.id} is {row} in its row, {told} by its events"
    for order_id in lives.keys() - {order.id for order in log.orders}:
        yield f"order {order_id} has events and no row"


def trades(log: Log) -> Iterator[str]:
    """Each trade is its maker's fill and its taker's, and each fill is of a trade."""
    fills = [event for event in log.events if event.kind in (FILL_MAKER, FILL_TAKER)]
    by_sequence = {event.sequence: event for event in fills}
    for trade in log.trades:
        for sequence, order_id in ((trade.sequence, trade.maker_order_id), (trade.sequence + 1, trade.taker_order_id)):
            fill = by_sequence.pop(sequence, None)
            told = None if fill is None else (fill.order_id, fill.price, fill.quantity)
            if told != (order_id, trade.price, trade.quantity):
                yield f"trade {trade.sequence} of {trade.quantity} at {trade.price} has the fill {told} at {sequence}"
    for sequence in by_sequence:
        yield f"fill {sequence} is of no trade"


# Through the core


def replay(log: Log) -> Iterator[str]:
    """The commands of the log, through the pure core, make the events of the log."""
    engine = Engine()
    orders = {order.id: order for order in log.orders}
    events = [event for event in log.events if event.instrument_id == log.instrument_id]
    position = 0
    while position < len(events):
        row = events[position]
        command = command_of(row, orders)
        if command is None:
            yield f"event {row.sequence} ({KIND_NAMES[row.kind]}) is no command's first"
            return
        made = [_comparable(event) for event in engine.apply(row.sequence, row.at, command)]
        told = [event[:1] + event[1:2] + event[4:12] for event in events[position : position + len(made)]]
        if not made or made != told:
            yield f"at {row.sequence} the core makes {made}, the log has {told}"
            return
        position += len(made)


def command_of(row: EventRow, orders: dict[int, OrderRow]) -> Command | None:
    """The command whose first event this is."""
    if row.kind == INSTRUMENT_DEFINED:
        return DefineInstrument(**json.loads(row.detail or "{}"))
    order = orders.get(row.order_id or 0)
    if order is None:
        return None
    if row.kind in (ACCEPTED, REJECTED):
        return Order(
            order.id,
            order.account_id,
            order.instrument_id,
            order.side,
            row.price,
            row.quantity,
            order.type,
            order.time_in_force,
            order.self_trade_prevention,
            order.post_only,
            order.client_order_id or "",
        )
    if row.kind in (AMENDED, REPLACED):
        return Amend(order.id, order.account_id, row.price, row.quantity)
    if row.kind == CANCELED:
        return Cancel(order.id, order.account_id, row.reason)
    return AdvanceTime() if row.kind == EXPIRED else None


def _comparable(event: Event) -> tuple[int | None, ...]:
    kind, sequence, order, price, quantity, remaining, filled, status, reason, other = event
    order_id = None if order is None else order.order_id
    return (
        sequence,
        order_id,
        kind,
        price,
        quantity,
        remaining,
        filled,
        None if order is None else status,
        reason,
        other,
    )


# From the database


def read_log(connection: Any, symbol: str) -> Log:
    """Everything of the instrument's shard, in one consistent read. ``connection`` is psycopg's, without transactions."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        instrument_id, shard_id, last_sequence, epoch = connection.execute(
            "SELECT i.id, s.id, s.last_sequence, s.epoch FROM orders_instrument i JOIN orders_shard s ON s.id = i.shard_id "
            "WHERE i.symbol = %s",
            [symbol],
        ).fetchone()
        events = connection.execute(
            "SELECT id, order_id, account_id, instrument_id, kind, price, quantity, remaining, filled, status, reason, other, "
            "at, detail FROM orders_event WHERE id > %s AND id < %s ORDER BY id",
            [event_id(shard_id, 0), event_id(shard_id + 1, 0)],
        )
        told = [EventRow(row[0] & SEQUENCE_MASK, *row[1:]) for row in events]
        orders = connection.execute(
            "SELECT id, account_id, instrument_id, client_order_id, side, type, time_in_force, self_trade_prevention, "
            "post_only, coalesce(price, 0), quantity, filled, remaining, status, version, sequence FROM orders_order "
            "WHERE instrument_id = %s",
            [instrument_id],
        )
        order_rows = [OrderRow(*row) for row in orders]
        trades = connection.execute(
            "SELECT id, price, quantity, taker_side, maker_order_id, taker_order_id FROM orders_trade "
            "WHERE instrument_id = %s ORDER BY id",
            [instrument_id],
        )
        trade_rows = [TradeRow(row[0] & SEQUENCE_MASK, *row[1:]) for row in trades]
    return Log(instrument_id, last_sequence, epoch, told, order_rows, trade_rows)
