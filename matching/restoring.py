"""Putting a saved engine together again: open orders back into books, stops and groups, every queue as it stood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from matching.groups import Group, dissolve, is_held
from matching.order import Order
from matching.values import BUY, SELL, UNTRIGGERED

if TYPE_CHECKING:
    from matching.executor import Executor


def restore(engine: Executor, orders: list[Order]) -> None:
    """Put all open orders of one instrument back, first come first.

    After its instrument (rules, phase, last price) and its accounts; a waiting trailing stop has its ``best``. Groups come
    first, since whether a child is held depends on its entry. ``Engine.rearm`` sets the timers when all are back.
    """
    for order in orders:
        _join(engine, order)
    for order in orders:
        _part(engine, order)
    for order in orders:
        instrument = engine.instruments[order.instrument_id]
        order.holding = engine.holding(order.account_id, instrument)
        if order.status != UNTRIGGERED:
            instrument.book.add(order)
            engine.open(order)
            continue
        engine.orders[order.order_id] = order
        if is_held(order):
            # It has not looked at the market yet, whatever the marks of those that wait say of its place.
            assert order.conditions is not None
            order.conditions.best = 0
            order.holding.account.open_orders += 1
        else:
            engine.open(order)
            instrument.stops.add(order, 0)
    for instrument in engine.instruments.values():
        instrument.stops.trails_moved = False


def open_totals(orders: Iterable[Order]) -> list[tuple[int, int, int]]:
    """Number of orders, units remaining and units hidden, of bids and of asks: what must agree with the record."""
    counts, units, hidden = [0, 0], [0, 0], [0, 0]
    for order in orders:
        side = order.side
        counts[side] += 1
        remaining: int = order.remaining
        units[side] += remaining
        if order.hidden:
            unseen: int = order.hidden
            hidden[side] += unseen
    return [(counts[side], units[side], hidden[side]) for side in (BUY, SELL)]


def _join(engine: Executor, order: Order) -> None:
    """Find the group of an order again."""
    conditions = order.conditions
    if conditions is None or not conditions.group_id:
        return
    group = engine.groups.get(conditions.group_id)
    if group is None:
        group = engine.groups[conditions.group_id] = Group(conditions.group_id)
    group.join(order, conditions)


def _part(engine: Executor, order: Order) -> None:
    """Who is left alone of a group (its stop was triggered) belongs to none any more."""
    conditions = order.conditions
    if conditions is not None and conditions.group is not None:
        group = conditions.group
        if group.first is None or group.second is None:
            dissolve(engine, group)
