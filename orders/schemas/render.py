"""From rows and records in units to what goes over the wire. Used by every door, so that they say the same."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    DECREMENTED,
    FILL_MAKER,
    FILL_TAKER,
    KIND_NAMES,
    REJECTED,
    REPLACED,
)
from matching.values import CANCELED as STATUS_CANCELED
from matching.values import (
    FILLED,
    NEW,
    PARTIALLY_FILLED,
    REASON_NAMES,
    SIDE_NAMES,
    STATUS_NAMES,
    STP_NAMES,
    TIME_IN_FORCE_NAMES,
    TYPE_NAMES,
)
from matching.values import REJECTED as STATUS_REJECTED
from orders.fields import micros_to_datetime
from orders.schemas.decimals import from_units, ratio_from_units

_ORDER_EVENTS = frozenset((ACCEPTED, REJECTED, FILL_MAKER, FILL_TAKER, AMENDED, REPLACED, DECREMENTED, CANCELED))


@lru_cache(maxsize=1024)
def wire_time(moment: int | datetime) -> str:
    """RFC 3339 UTC with microseconds: ``2026-11-22T17:30:52.000000Z``. Takes microseconds since 1970 or a datetime.

    Remembered, because everything of one group of commands happened at the same moment.
    """
    value = micros_to_datetime(moment) if isinstance(moment, int) else moment
    # Always UTC: the offset of six characters becomes a Z. Several times as fast as strftime.
    return value.isoformat(timespec="microseconds")[:-6] + "Z"


def order_out(order: Any, instrument: Any, account_name: str) -> dict[str, Any]:
    """``schemas.orders.OrderOut`` of an ``Order`` row or an ``OrderRecord``; ``instrument`` needs symbol and decimals."""
    price_decimals = instrument.price_decimals
    quantity_decimals = instrument.quantity_decimals
    filled = order.filled
    return {
        "id": str(order.id),
        "client_order_id": order.client_order_id,
        "account": account_name,
        "symbol": instrument.symbol,
        "side": SIDE_NAMES[order.side],
        "type": TYPE_NAMES[order.type],
        "time_in_force": TIME_IN_FORCE_NAMES[order.time_in_force],
        "post_only": order.post_only,
        "price": None if order.price is None else from_units(order.price, price_decimals),
        "stop_price": None,
        "quantity": from_units(order.quantity, quantity_decimals),
        "display_quantity": None,
        "expires_at": None,
        "self_trade_prevention": STP_NAMES[order.self_trade_prevention],
        "filled_quantity": from_units(filled, quantity_decimals),
        "remaining_quantity": from_units(order.remaining, quantity_decimals),
        "canceled_quantity": from_units(order.canceled, quantity_decimals),
        "average_price": ratio_from_units(order.notional, filled, price_decimals) if filled else None,
        "status": STATUS_NAMES[order.status],
        "reason": REASON_NAMES[order.reason] or None,
        "version": order.version,
        "sequence": order.sequence,
        "created_at": wire_time(order.created_at),
        "updated_at": wire_time(order.updated_at),
    }


def fill_out(
    *,
    shard_id: int,
    sequence: int,
    trade_sequence: int,
    order_id: int,
    side: int,
    price: int,
    quantity: int,
    is_maker: bool,
    at: int | datetime,
    instrument: Any,
) -> dict[str, Any]:
    """``schemas.orders.FillOut``. The trade's id is its shard and its maker's sequence."""
    return {
        "trade_id": trade_id(shard_id, trade_sequence),
        "order_id": str(order_id),
        "symbol": instrument.symbol,
        "side": SIDE_NAMES[side],
        "price": from_units(price, instrument.price_decimals),
        "quantity": from_units(quantity, instrument.quantity_decimals),
        "liquidity": "maker" if is_maker else "taker",
        "shard": shard_id,
        "sequence": sequence,
        "time": wire_time(at),
    }


def trade_id(shard_id: int, sequence: int) -> str:
    """The public id of a trade: its shard and the number of its maker's event, ``0-1042``."""
    return f"{shard_id}-{sequence}"


def trade_out(
    *, shard_id: int, sequence: int, price: int, quantity: int, taker_side: int, at: int | datetime, instrument: Any
) -> dict[str, Any]:
    """A public trade."""
    return {
        "id": trade_id(shard_id, sequence),
        "sequence": sequence,
        "price": from_units(price, instrument.price_decimals),
        "quantity": from_units(quantity, instrument.quantity_decimals),
        "taker_side": SIDE_NAMES[taker_side],
        "time": wire_time(at),
    }


def level_out(level: tuple[int, int, int], instrument: Any) -> list[Any]:
    """A level as ``[price, quantity, orders]``."""
    price, quantity, orders = level
    return [
        from_units(price, instrument.price_decimals),
        from_units(quantity, instrument.quantity_decimals),
        orders,
    ]


def event_status(kind: int, remaining: int, filled: int) -> int:
    """The status an order has after an event."""
    if kind == REJECTED:
        return STATUS_REJECTED
    if kind == CANCELED:
        return STATUS_CANCELED
    if not remaining:
        return FILLED
    return PARTIALLY_FILLED if filled else NEW


def event_out(
    *,
    shard_id: int,
    sequence: int,
    kind: int,
    order_id: int | None,
    client_order_id: str | None,
    side: int | None,
    price: int,
    quantity: int,
    remaining: int,
    filled: int,
    reason: int,
    actor: str | None,
    at: int | datetime,
    instrument: Any | None,
) -> dict[str, Any]:
    """``schemas.orders.EventOut``: one event, of an order or of the configuration."""
    of_order = kind in _ORDER_EVENTS and instrument is not None
    trade = sequence if kind == FILL_MAKER else sequence - 1 if kind == FILL_TAKER else None
    return {
        "shard": shard_id,
        "sequence": sequence,
        "event": KIND_NAMES[kind],
        "order_id": None if order_id is None else str(order_id),
        "client_order_id": client_order_id or None,
        "symbol": None if instrument is None else instrument.symbol,
        "side": None if side is None else SIDE_NAMES[side],
        "price": from_units(price, instrument.price_decimals) if of_order and price else None,
        "quantity": from_units(quantity, instrument.quantity_decimals) if of_order else None,
        "filled_quantity": from_units(filled, instrument.quantity_decimals) if of_order else None,
        "remaining_quantity": from_units(remaining, instrument.quantity_decimals) if of_order else None,
        "status": STATUS_NAMES[event_status(kind, remaining, filled)] if of_order else None,
        "reason": REASON_NAMES[reason] or None,
        "liquidity": "maker" if kind == FILL_MAKER else "taker" if kind == FILL_TAKER else None,
        "trade_id": None if trade is None else trade_id(shard_id, trade),
        "actor": actor,
        "time": wire_time(at),
    }
