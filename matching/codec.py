"""Orders and books as text.

A saved book is lines of JSON, one order a line, in order of priority, so that a million orders can be streamed. A whole engine
as text is in ``matching.image``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from matching.order import Conditions, Order, priority_of
from matching.state import Instrument
from matching.values import TRAILING_STOP, UNTRIGGERED

if TYPE_CHECKING:
    pass

# Raise it with every change of what a line holds: a saved book of another version is not read.
SCHEMA_VERSION = 2
# Fields of a line: those of every order, and those of an order with conditions after them.
PLAIN_FIELDS = 17
ALL_FIELDS = 25


def encode_order(order: Order) -> str:
    """One line: a JSON array of every field an open order has, integers in units."""
    return json.dumps(fields_of(order), separators=(",", ":"))


def fields_of(order: Order) -> list[object]:
    fields: list[object] = [
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
    conditions = order.conditions
    if conditions is not None:
        # Where a waiting trailing stop stands is its instrument's to say: it moves with every new extreme of the price.
        moves = order.type == TRAILING_STOP and order.status == UNTRIGGERED
        fields += [
            order.hidden,
            0 if moves else conditions.stop_price,
            conditions.trail,
            conditions.trail_bps,
            conditions.display_quantity,
            conditions.expires_at,
            conditions.group_id,
            conditions.role,
        ]
    return fields


def decode_order(line: str, instrument_id: int) -> Order:
    """The order of a line. Raises ``ValueError`` where the line is not one."""
    fields = json.loads(line)
    if not isinstance(fields, list) or len(fields) not in (PLAIN_FIELDS, ALL_FIELDS):
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
    *conditional: int,
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
    if any(conditional):
        order.hidden = conditional[0]
        order.conditions = Conditions(*conditional[1:])
    return order


# Books


def book_lines(instrument: Instrument) -> Iterator[str]:
    """The resting orders of an instrument, a line each, in order of priority (first come first)."""
    return map(encode_order, resting(instrument))


def book_hash(instrument: Instrument) -> str:
    """Hash of one instrument's resting orders alone: 32 hexadecimal digits."""
    return hash_of(book_lines(instrument))


def resting(instrument: Instrument) -> list[Order]:
    orders: list[Order] = []
    for side in (instrument.book.bids, instrument.book.asks):
        for level in side.levels.values():
            order = level.head
            while order is not None:
                orders.append(order)
                order = order.newer
    orders.sort(key=priority_of)
    return orders


def hash_of(lines: Iterable[str]) -> str:
    digest = blake2b(digest_size=16)
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()
