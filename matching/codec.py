"""Orders as text, and the hash of a whole state.

A saved book is lines of JSON, one order a line, in order of priority, so that a million orders can be streamed. The state
hash covers everything that decides what the next command does: equal commands give equal hashes on every machine and
every version of Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from matching.order import Order
from matching.state import Holding, Instrument
from matching.values import ACTIVE, DEFAULT_MAX_OPEN_ORDERS

if TYPE_CHECKING:
    from matching.engine import Engine

# Raise it with every change of what a line holds: a saved book of another version is not read.
SCHEMA_VERSION = 1
# An account that nobody limited is made on first use: with or without it, the state is the same.
DEFAULT_LIMITS = (ACTIVE, DEFAULT_MAX_OPEN_ORDERS, 0, 0)


def encode_order(order: Order) -> str:
    """One line: a JSON array of every field an open order has, integers in units."""
    return json.dumps(_fields(order), separators=(",", ":"))


def _fields(order: Order) -> list[object]:
    return [
        order.order_id,
        order.account_id,
        order.side,
        order.price,
        order.quantity,
        order.remaining,
        order.canceled,
        order.notional,
        order.type,
        order.time_in_force,
        order.self_trade_prevention,
        int(order.post_only),
        order.status,
        order.priority,
        order.version,
        order.created_at,
        order.client_order_id,
    ]


def decode_order(line: str, instrument_id: int) -> Order:
    """The order of a line. Raises ``ValueError`` where the line is not one."""
    fields = json.loads(line)
    if not isinstance(fields, list) or len(fields) != 17:
        raise ValueError("not an order of this schema version")
    return build_order(instrument_id, *fields)


def build_order(
    instrument_id: int,
    order_id: int,
    account_id: int,
    side: int,
    price: int,
    quantity: int,
    remaining: int,
    canceled: int,
    notional: int,
    type: int,
    time_in_force: int,
    self_trade_prevention: int,
    post_only: int,
    status: int,
    priority: int,
    version: int,
    created_at: int,
    client_order_id: str,
) -> Order:
    """An order as it stood, from its stored fields (the order of ``encode_order``)."""
    order = Order(
        order_id,
        account_id,
        instrument_id,
        side,
        price,
        quantity,
        type,
        time_in_force,
        self_trade_prevention,
        bool(post_only),
        client_order_id,
    )
    order.remaining = remaining
    order.canceled = canceled
    order.notional = notional
    order.status = status
    order.priority = priority
    order.version = version
    order.created_at = created_at
    return order


def book_lines(instrument: Instrument) -> Iterator[str]:
    """The resting orders of an instrument, a line each, in order of priority (first come first)."""
    orders: list[Order] = []
    for side in (instrument.book.bids, instrument.book.asks):
        for level in side.levels.values():
            order = level.head
            while order is not None:
                orders.append(order)
                order = order.newer
    orders.sort(key=_priority)
    for order in orders:
        yield encode_order(order)


def _priority(order: Order) -> int:
    return order.priority


def state_hash(engine: Engine) -> str:
    """Hash of the whole state: 32 hexadecimal digits."""
    digest = blake2b(digest_size=16)
    for instrument_id in sorted(engine.instruments):
        instrument = engine.instruments[instrument_id]
        digest.update(_instrument_line(instrument))
        for line in book_lines(instrument):
            digest.update(line.encode())
            digest.update(b"\n")
        for account_id in sorted(instrument.holdings):
            digest.update(_holding_line(instrument.holdings[account_id]))
    for account_id in sorted(engine.accounts):
        account = engine.accounts[account_id]
        limits = (
            account.state,
            account.max_open_orders,
            account.max_order_quantity,
            account.max_position,
        )
        if limits != DEFAULT_LIMITS:
            digest.update(f"account {account_id} {limits}\n".encode())
    return digest.hexdigest()


def book_hash(instrument: Instrument) -> str:
    """Hash of one instrument's resting orders alone: 32 hexadecimal digits."""
    digest = blake2b(digest_size=16)
    for line in book_lines(instrument):
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _instrument_line(instrument: Instrument) -> bytes:
    rules = (
        instrument.price_tick,
        instrument.quantity_step,
        instrument.min_quantity,
        instrument.max_quantity,
        instrument.max_notional,
        instrument.collar_bps,
        instrument.reference_price,
    )
    return (
        f"instrument {instrument.instrument_id} {instrument.symbol} {instrument.phase} {instrument.last_price} {rules}\n"
    ).encode()


def _holding_line(holding: Holding) -> bytes:
    traded = (
        holding.bought,
        holding.bought_notional,
        holding.sold,
        holding.sold_notional,
    )
    if not any(traded):
        return b""
    return f"holding {holding.account.account_id} {holding.instrument_id} {traded}\n".encode()
