"""From outcomes and rows to bodies: looks up the instrument, then asks ``orders.schemas.render``."""

import json
from datetime import datetime
from time import time_ns
from typing import Any

from matching.auction import Uncross
from matching.events import FILL_MAKER
from matching.stops import trailing_stop_price
from matching.values import ACCOUNT_STATE_NAMES, PHASE_NAMES, SECOND_US
from orders import selectors
from orders.actors import Actor
from orders.bus.envelope import OrderRecord, Outcome
from orders.models import Account, BookSnapshot, Event, Instrument, Order, Trade
from orders.schemas import render
from orders.schemas.decimals import from_units

# A collar is kept in ten-thousandths of the reference price.
COLLAR_DECIMALS = 4
# Phase changes an instrument tells of in advance: some days of sessions.
MAX_COMING_PHASES = 20


def order_body(row: Order, actor: Actor) -> dict[str, Any]:
    """An order of the actor's account, as its row says."""
    return order_bodies([row], actor)[0]


def order_bodies(rows: list[Order], actor: Actor) -> list[dict[str, Any]]:
    """The same of several; where trailing stops stand is looked up for all of them at once."""
    bests = selectors.trail_bests(rows)
    bodies = []
    for row in rows:
        best = bests.get(row.id)
        stop = trailing_stop_price(row.side, best, row.trail or 0, row.trail_bps or 0) if best else None
        instrument = selectors.instrument_by_id(row.instrument_id)
        bodies.append(render.order_out(row, instrument, actor.account_name, stop))
    return bodies


def detail_body(row: Order, actor: Actor) -> dict[str, Any]:
    """An order with its legs."""
    return order_body(row, actor) | {"legs": _stored_legs(row, actor)}


def record_body(record: OrderRecord, actor: Actor) -> dict[str, Any]:
    """An order right after a command, from the command's outcome."""
    return render.order_out(record, selectors.instrument_by_id(record.instrument_id), actor.account_name)


def outcome_body(outcome: Outcome, actor: Actor) -> dict[str, Any]:
    """The order after a command that had its effect, with its legs and what it traded."""
    order = outcome.order
    assert order is not None
    instrument = selectors.instrument_by_id(order.instrument_id)
    body = record_body(order, actor)
    # Of a group that was placed just now; a later command's legs are in the tables.
    body["legs"] = [record_body(leg, actor) for leg in outcome.legs] or _stored_legs(order, actor)
    body["fills"] = [
        render.fill_out(
            shard_id=order.shard_id,
            sequence=sequence,
            trade_sequence=sequence - 1,
            order_id=order.id,
            side=order.side,
            price=price,
            quantity=quantity,
            is_maker=False,
            at=order.updated_at,
            instrument=instrument,
        )
        for sequence, price, quantity in outcome.fills
    ]
    return body


def stored_body(row: Order, actor: Actor) -> dict[str, Any]:
    """An order as it stands now, with all it ever traded: the answer to a repeated request."""
    body = detail_body(row, actor)
    body["fills"] = [fill_body(event) for event in selectors.order_fills(order_id=row.id)]
    return body


def _stored_legs(order: Any, actor: Actor) -> list[dict[str, Any]]:
    """The legs of an order that is the first of its group."""
    if order.group_id != order.id:
        return []
    return order_bodies(selectors.order_legs(order_id=order.id), actor)


def fill_body(event: Event) -> dict[str, Any]:
    """A fill's row. A trade is numbered like its maker's event, and its taker's comes next."""
    is_maker = event.kind == FILL_MAKER
    return render.fill_out(
        shard_id=event.shard_id,
        sequence=event.sequence,
        trade_sequence=event.sequence if is_maker else event.sequence - 1,
        order_id=event.order_id,
        side=event.order.side,
        price=event.price,
        quantity=event.quantity,
        is_maker=is_maker,
        at=event.at,
        instrument=selectors.instrument_by_id(event.instrument_id),
    )


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
