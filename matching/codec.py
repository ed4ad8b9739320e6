"""Orders and books as text.

A saved book is lines of JSON, one order a line, in order of priority, so that a million orders can be streamed. A whole engine
as text is in ``matching.image``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from matching.order import Conditions, Order, priority_of
from matching.state import Instrument
from matching.values import TRAILING_STOP, UNTRIGGERED

if TYPE_CHECKING:
    from mypy_extensions import i64

# Raise it with every change of what a line holds: a saved book of another version is not read.
SCHEMA_VERSION = 2
# Made once: ``json.dumps`` would make one for every line.
_encode = json.JSONEncoder(separators=(",", ":")).encode
# Fields of a line: those of every order, and those of an order with conditions after them.
PLAIN_FIELDS = 17
ALL_FIELDS = 25


def encode_order(order: Order) -> str:
    """One line: a JSON array of every field an open order has, integers in units."""
    return _encode(fields_of(order))


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


def decode_order(line: str, instrument_id: i64) -> Order:
    """The order of a line. Raises ``ValueError`` where the line is not one."""
    return decode_orders([line], instrument_id)[0]


def decode_orders(lines: list[str], instrument_id: i64) -> list[Order]:
    """The orders of lines: many at once take half the time. Raises ``ValueError`` where one is not an order."""
    told: list[Any] = json.loads(f"[{','.join(lines)}]")
    if len(told) != len(lines):
        raise ValueError("not an order a line")
    for fields in told:
        if not isinstance(fields, list) or len(fields) not in (PLAIN_FIELDS, ALL_FIELDS):
            raise ValueError("not an order of this schema version")
    return [build_order(instrument_id, fields) for fields in told]


def build_order(instrument_id: i64, fields: list[Any]) -> Order:
    """An order as it stood, from its stored fields (the order of ``fields_of``)."""
    order = _plain_order(instrument_id, fields)
    if len(fields) > PLAIN_FIELDS:
        _give_conditions(order, fields[PLAIN_FIELDS:])
    return order


def build_orders(rows: list[tuple[Any, ...]]) -> list[Order]:
    """Orders as they stood, from rows: what a plain one has, the rest as text with commas (or None), the instrument's id."""
    orders: list[Order] = []
    for row in rows:
        order = _plain_order(row[PLAIN_FIELDS + 1], row)
        rest = row[PLAIN_FIELDS]
        if rest is not None:
            _give_conditions(order, [int(number) for number in rest.split(",")])
        orders.append(order)
    return orders


def _plain_order(instrument_id: i64, fields: Any) -> Order:
    """What every order has. By places: for a million of them, names would cost more than the orders."""
    order = Order(
        fields[0],
        fields[1],
        instrument_id,
        fields[2],
        fields[3],
        fields[4],
        fields[8],
        fields[9],
        fields[10],
        bool(fields[11]),
        fields[16],
    )
    order.remaining = fields[5]
    order.canceled = fields[6]
    order.notional = int(fields[7])
    order.status = fields[12]
    order.priority = fields[13]
    order.version = fields[14]
    order.created_at = fields[15]
    return order


def _give_conditions(order: Order, conditional: list[Any]) -> None:
    if any(conditional):
        order.hidden = conditional[0]
        order.conditions = Conditions(*conditional[1:])


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
