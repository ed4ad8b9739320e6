"""Outcomes as rows, with the orders as they stood."""

from operator import attrgetter
from typing import Any

from orders.bus.envelope import (
    CONFLICT,
    DONE,
    EXPIRED,
    FAILED,
    REFUSED,
    REPLAYED,
    UNAVAILABLE,
    ConditionalOrderRecord,
    OrderRecord,
    Outcome,
)

_KINDS = dict(enumerate((DONE, REFUSED, REPLAYED, CONFLICT, EXPIRED, UNAVAILABLE, FAILED)))
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_PLAIN_RECORD = (
    "id",
    "client_order_id",
    "account_id",
    "instrument_id",
    "shard_id",
    "side",
    "type",
    "time_in_force",
    "self_trade_prevention",
    "post_only",
    "price",
    "quantity",
    "remaining",
    "canceled",
    "filled",
    "notional",
    "status",
    "reason",
    "version",
    "sequence",
    "created_at",
    "updated_at",
)
_CONDITIONS = (
    "hidden",
    "stop_price",
    "trail",
    "trail_bps",
    "display_quantity",
    "expires_at",
    "group_id",
    "role",
)
_plain_fields = attrgetter(*_PLAIN_RECORD)
_conditional_fields = attrgetter(*_PLAIN_RECORD, *_CONDITIONS)


def outcome_row(outcome: Outcome) -> tuple[Any, ...]:
    number = _NUMBERS[outcome.kind]
    order = outcome.order
    if order is None and not (
        outcome.fills or outcome.makers or outcome.legs or outcome.canceled or outcome.priority_kept or outcome.due_at
    ):
        return number, outcome.order_id, outcome.reason
    return (
        number,
        outcome.order_id,
        outcome.reason,
        None if order is None else _record_row(order),
        outcome.fills,
        outcome.makers,
        [*map(_record_row, outcome.legs)],
        outcome.canceled,
        outcome.priority_kept,
        outcome.due_at,
    )


def _record_row(record: OrderRecord) -> tuple[Any, ...]:
    return _conditional_fields(record) if isinstance(record, ConditionalOrderRecord) else _plain_fields(record)


def outcome_of(
    number: int,
    order_id: int,
    reason: int,
    order: list[Any] | None = None,
    fills: list[list[int]] = (),
    makers: list[int] = (),
    legs: list[list[Any]] = (),
    canceled: list[int] = (),
    priority_kept: bool = False,
    due_at: int = 0,
) -> Outcome:
    return Outcome(
        _KINDS[number],
        order_id=order_id,
        reason=reason,
        order=None if order is None else _record_of(order),
        fills=tuple([(sequence, price, quantity) for sequence, price, quantity in fills]),
        makers=tuple(makers),
        legs=tuple(map(_record_of, legs)),
        canceled=tuple(canceled),
        priority_kept=priority_kept,
        due_at=due_at,
    )


def _record_of(row: list[Any]) -> OrderRecord:
    """A record as it was made: by its fields, not from an order."""
    if len(row) == len(_PLAIN_RECORD):
        record = OrderRecord.__new__(OrderRecord)
    else:
        record = ConditionalOrderRecord.__new__(ConditionalOrderRecord)
        for name, value in zip(_CONDITIONS, row[len(_PLAIN_RECORD) :], strict=True):
            setattr(record, name, value)
        del row[len(_PLAIN_RECORD) :]
    # ``_PLAIN_RECORD`` once more: a fifth of the time that a loop takes, and every order's answer comes by here.
    (
        record.id,
        record.client_order_id,
        record.account_id,
        record.instrument_id,
        record.shard_id,
        record.side,
        record.type,
        record.time_in_force,
        record.self_trade_prevention,
        record.post_only,
        record.price,
        record.quantity,
        record.remaining,
        record.canceled,
        record.filled,
        record.notional,
        record.status,
        record.reason,
        record.version,
        record.sequence,
        record.created_at,
        record.updated_at,
    ) = row
    return record
