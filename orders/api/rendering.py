"""From outcomes and rows to bodies: looks up the instrument, then asks ``orders.schemas.render``."""

import json
from collections.abc import Iterable
from datetime import datetime
from time import time_ns
from typing import Any

from matching.auction import Uncross
from matching.values import ACCOUNT_STATE_NAMES, PHASE_NAMES, SECOND_US
from orders import selectors
from orders.actors import SCOPES
from orders.balances import Balance
from orders.models import Account, BookSnapshot, Event, Instrument, Position, Trade
from orders.schemas import render
from orders.schemas.decimals import from_units, money_text

# A collar is kept in ten-thousandths of the reference price.
COLLAR_DECIMALS = 4
# Phase changes an instrument tells of in advance: some days of sessions.
MAX_COMING_PHASES = 20


def event_body(event: Event) -> dict[str, Any]:
    order = event.order
    return render.event_out(
        shard_id=event.shard_id,
        sequence=event.sequence,
        kind=event.kind,
        order_id=event.order_id,
        client_order_id=None if order is None else order.client_order_id,
        side=None if order is None else order.side,
        price=event.price,
        quantity=event.quantity,
        remaining=event.remaining,
        filled=event.filled,
        status=event.status,
        reason=event.reason,
        other=event.other,
        actor=None if event.actor is None else event.actor.get_username(),
        at=event.at,
        instrument=None if event.instrument_id is None else selectors.instrument_by_id(event.instrument_id),
    )


def trade_body(trade: Trade) -> dict[str, Any]:
    return render.trade_out(
        shard_id=trade.shard_id,
        sequence=trade.sequence,
        price=trade.price,
        quantity=trade.quantity,
        taker_side=trade.taker_side,
        at=trade.at,
        instrument=selectors.instrument_by_id(trade.instrument_id),
    )


def instrument_body(row: Instrument, indicative: Uncross | None) -> dict[str, Any]:
    """Numbers with the instrument's decimals; a notional has those of price and quantity together."""

    def price(units: int) -> str | None:
        return from_units(units, row.price_decimals) if units else None

    now = time_ns() // 1000
    coming = [(at, phase) for at, phase in json.loads(row.schedule) if at > now]
    notional_decimals = row.price_decimals + row.quantity_decimals
    return {
        "symbol": row.symbol,
        "base": row.base,
        "quote": row.quote,
        "state": PHASE_NAMES[row.phase],
        "phase_ends_at": render.wire_time(row.phase_until) if row.phase_until else None,
        "price_decimals": row.price_decimals,
        "quantity_decimals": row.quantity_decimals,
        "price_tick": price(row.price_tick),
        "quantity_step": from_units(row.quantity_step, row.quantity_decimals),
        "min_quantity": from_units(row.min_quantity, row.quantity_decimals),
        "max_quantity": from_units(row.max_quantity, row.quantity_decimals),
        "max_notional": from_units(row.max_notional, notional_decimals) if row.max_notional else None,
        "price_collar": from_units(row.collar_bps, COLLAR_DECIMALS) if row.collar_bps else None,
        "reference_price": price(row.reference_price),
        "circuit_breaker_seconds": row.breaker_us // SECOND_US or None,
        "last_price": price(row.last_price),
        "schedule": [
            {"at": render.wire_time(at), "state": PHASE_NAMES[phase]} for at, phase in coming[:MAX_COMING_PHASES]
        ],
        "indicative": None if indicative is None else _indicative_body(indicative, row),
    }


def _indicative_body(found: Uncross, instrument: Instrument) -> dict[str, Any]:
    return {
        "price": from_units(found.price, instrument.price_decimals),
        "volume": from_units(found.volume, instrument.quantity_decimals),
        "surplus": from_units(found.surplus, instrument.quantity_decimals),
    }


def limits_body(row: Account, open_orders: int, lease: datetime | None) -> dict[str, Any]:
    """What an account may do; its quantities are units whatever the instrument."""

    def units(limit: int) -> str | None:
        return str(limit) if limit else None

    return {
        "account": row.name,
        "state": ACCOUNT_STATE_NAMES[row.state],
        "max_open_orders": row.max_open_orders,
        "open_orders": open_orders,
        "max_order_quantity": units(row.max_order_quantity),
        "max_position": units(row.max_position),
        "max_rate": row.max_rate or None,
        "funded": row.funded,
        "cancel_after_expires_at": None if lease is None else render.wire_time(lease),
    }


def account_body(limits: dict[str, Any], balances: list[Balance], scopes: Iterable[str]) -> dict[str, Any]:
    """An account: what it may do, what its caller may do, what it has."""
    return limits | {
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "balances": [
            {
                "currency": balance.currency,
                "shard": balance.shard_id,
                "total": money_text(balance.total),
                "held": money_text(balance.held),
                "available": money_text(balance.total - balance.held),
            }
            for balance in balances
        ],
    }


def position_body(row: Position) -> dict[str, Any]:
    return render.position_out(row, row.instrument, row.instrument.last_price)


def snapshot_body(row: BookSnapshot) -> dict[str, Any]:
    decimals = row.instrument.price_decimals
    return {
        "id": str(row.id),
        "symbol": row.instrument.symbol,
        "shard": row.shard_id,
        "epoch": row.epoch,
        "sequence": row.sequence,
        "saved_through": row.saved_through,
        "schema_version": row.schema_version,
        "orders": row.orders,
        "bid_levels": row.bid_levels,
        "ask_levels": row.ask_levels,
        "best_bid": None if row.best_bid is None else from_units(row.best_bid, decimals),
        "best_ask": None if row.best_ask is None else from_units(row.best_ask, decimals),
        "checksum": row.checksum,
        "time": render.wire_time(row.created_at),
    }


def page(rows: list[dict[str, Any]], following: str | None) -> dict[str, Any]:
    return {"results": rows, "next": following}
