"""Orders and fills as every door tells them: from outcomes and rows to bodies ready for JSON."""

from typing import Any

from matching.events import FILL_MAKER
from matching.stops import trailing_stop_price
from orders import selectors
from orders.actors import Actor
from orders.bus.envelope import OrderRecord, Outcome
from orders.models import Event, Order
from orders.schemas import render


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
