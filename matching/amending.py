"""Amending an open order: new terms for a resting order, a waiting stop, a held child.

A refused amend leaves the order and its place untouched. What does not enlarge the order at the same price keeps the place
(``AMENDED``); anything else takes a new one (``REPLACED``) and, in the book, may trade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.checks import Proposal, phase_refusal, refusal, spend_message
from matching.commands import ANY, OPEN, REDUCTION, Amend
from matching.events import AMENDED, REPLACED
from matching.groups import is_held
from matching.order import Order
from matching.side import reduce, show
from matching.state import Holding, Instrument
from matching.values import (
    CONTINUOUS,
    FIRST_STOP,
    GTD,
    NO_CANCEL,
    NO_REASON,
    R_AMENDED_TO_FILLED,
    R_INVALID_COMMAND,
    R_NOT_AMENDABLE,
    R_ORDER_NOT_FOUND,
    R_POST_ONLY,
    R_RATE_LIMITED,
    R_TOO_LATE_TO_AMEND,
    R_VERSION_CONFLICT,
    TRAILING_STOP,
    UNTRIGGERED,
)

if TYPE_CHECKING:
    from mypy_extensions import i64

    from matching.executor import Executor


def amend(engine: Executor, command: Amend, at: i64) -> None:
    """Carry out an amend, or refuse it."""
    if command.price < 0 or command.quantity < 0 or (command.basis == REDUCTION and not command.quantity):
        return engine.refuse(R_INVALID_COMMAND)
    if min(command.stop_price, command.trail, command.trail_bps, command.display_quantity, command.expires_at) < 0:
        return engine.refuse(R_INVALID_COMMAND)
    order = engine.orders.get(command.order_id)
    if order is None or (command.account_id != ANY and order.account_id != command.account_id):
        return engine.refuse(R_ORDER_NOT_FOUND)
    if command.expected_version and command.expected_version != order.version:
        return engine.refuse(R_VERSION_CONFLICT)
    instrument = order.holding.instrument
    if instrument.phase == NO_CANCEL:
        return engine.refuse(R_TOO_LATE_TO_AMEND)
    if _gives_conditions(command) or order.conditions is not None or not order.price:
        reason = _misfit(order, command, at)
        if reason != NO_REASON:
            return engine.refuse(reason)
    price = command.price or order.price
    total = _new_total(order, command)
    remaining = total - (order.quantity - order.remaining)
    if remaining <= 0:
        reason = phase_refusal(instrument)
        if reason != NO_REASON:
            return engine.refuse(reason)
        engine.cancel_open(instrument, order, R_AMENDED_TO_FILLED)
        return engine.settle(instrument, at)
    reason = _refusal(engine, instrument, order, command, price, total, remaining, at)
    if reason != NO_REASON:
        return engine.refuse(reason)
    _carry_out(engine, instrument, order, command, price, total, remaining, at)


def _new_total(order: Order, command: Amend) -> i64:
    """The total an amend asks for, whichever way it says it."""
    if not command.quantity:
        return order.quantity
    if command.basis == OPEN:
        return order.quantity - order.remaining + command.quantity
    if command.basis == REDUCTION:
        return order.quantity - command.quantity
    return command.quantity


def _gives_conditions(command: Amend) -> bool:
    return bool(
        command.stop_price or command.trail or command.trail_bps or command.display_quantity or command.expires_at
    )


def _misfit(order: Order, command: Amend, at: i64) -> int:
    """Why the order cannot have what the amend gives: it has no such thing, or not any more."""
    conditions = order.conditions
    waits = order.status == UNTRIGGERED
    trails = order.type == TRAILING_STOP
    if (
        (command.price and not order.price)
        or (command.stop_price and not (waits and order.type >= FIRST_STOP and not trails))
        or ((command.trail or command.trail_bps) and not (waits and trails))
        or (command.trail and command.trail_bps)
        or (command.display_quantity and (conditions is None or not conditions.display_quantity))
        or (command.expires_at and order.time_in_force != GTD)
        or (command.quantity and conditions is not None and conditions.group is not None)
    ):
        return R_NOT_AMENDABLE
    if command.expires_at and command.expires_at <= at:
        return R_INVALID_COMMAND
    return NO_REASON


def _refusal(
    engine: Executor,
    instrument: Instrument,
    order: Order,
    command: Amend,
    price: i64,
    total: i64,
    remaining: i64,
    at: i64,
) -> int:
    holding = order.holding
    account = holding.account
    if not (
        order.conditions is None
        and instrument.plain
        and account.plain
        and instrument.min_quantity <= total <= instrument.max_quantity
        and not total % instrument.quantity_step
        and not price % instrument.price_tick
        and not command.off_grid
    ):
        reason = _ladder(instrument, holding, order, command, price, total, remaining)
        if reason != NO_REASON:
            return reason
        if not spend_message(account, at):
            return R_RATE_LIMITED
    if order.post_only and instrument.phase == CONTINUOUS and instrument.book.crosses(order.side, price):
        return R_POST_ONLY
    return NO_REASON


def _ladder(
    instrument: Instrument, holding: Holding, order: Order, command: Amend, price: i64, total: i64, remaining: i64
) -> int:
    """The whole ladder of checks for the order with its new terms."""
    conditions = order.conditions
    proposal = Proposal(order, price, total, remaining, command.off_grid, order.remaining)
    if conditions is not None:
        if order.type >= FIRST_STOP and order.type != TRAILING_STOP:
            proposal.stop_price = command.stop_price or conditions.stop_price
        proposal.trail = command.trail or (0 if command.trail_bps else conditions.trail)
        proposal.display_quantity = command.display_quantity or conditions.display_quantity
    return refusal(instrument, holding, proposal)


def _carry_out(
    engine: Executor,
    instrument: Instrument,
    order: Order,
    command: Amend,
    price: i64,
    total: i64,
    remaining: i64,
    at: i64,
) -> None:
    old_price = order.price
    less = order.remaining - remaining
    waits = order.status == UNTRIGGERED
    moves = _moves_stop(order, command) or (price != old_price and not waits)
    order.version += 1
    if less >= 0 and not moves:
        if less:
            reduce(order, less)
            if not (waits and is_held(order)):
                engine.hold_units(order, -less)
        order.price = price
        order.quantity = total
        _set_conditions(engine, order, command)
        if command.display_quantity and not waits:
            show(order, min(command.display_quantity, order.remaining))
        return engine.happened(AMENDED, order, total, NO_REASON, old_price)
    if waits:
        _move_waiting(engine, instrument, order, command, price, total, remaining, old_price)
    else:
        instrument.book.remove(order)
        engine.close(order)
        order.hidden = 0
        _set_terms(engine, order, price, total, remaining)
        _set_conditions(engine, order, command)
        engine.happened(REPLACED, order, total, NO_REASON, old_price)
        engine.enter(instrument, order)
        if command.expires_at:
            engine.watch(order)
    if order.conditions is not None or instrument.stops.waiting_count or engine.followers or engine.collared:
        engine.settle(instrument, at)


def _moves_stop(order: Order, command: Amend) -> bool:
    """Whether the amend gives a stop price or a trail that the order does not have already."""
    conditions = order.conditions
    if conditions is None:
        return False
    if command.trail or command.trail_bps:
        return command.trail != conditions.trail or command.trail_bps != conditions.trail_bps
    return command.stop_price > 0 and command.stop_price != conditions.stop_price


def _move_waiting(
    engine: Executor,
    instrument: Instrument,
    order: Order,
    command: Amend,
    price: i64,
    total: i64,
    remaining: i64,
    old_price: i64,
) -> None:
    """A new stop price, another trail, or a larger quantity: the stop goes to the back, and a trailing one starts over."""
    held = is_held(order)
    if not held:
        instrument.stops.remove(order)
        engine.hold_units(order, -order.remaining)
    _set_terms(engine, order, price, total, remaining)
    _set_conditions(engine, order, command)
    if not held:
        conditions = order.conditions
        assert conditions is not None
        if order.type == TRAILING_STOP:
            conditions.best = conditions.stop_price = 0
        engine.hold_units(order, order.remaining)
        instrument.stops.add(order, instrument.last_price)
    engine.happened(REPLACED, order, total, NO_REASON, old_price)


def _set_terms(engine: Executor, order: Order, price: i64, total: i64, remaining: i64) -> None:
    order.price = price
    order.quantity = total
    order.remaining = remaining
    order.priority = engine.next_sequence


def _set_conditions(engine: Executor, order: Order, command: Amend) -> None:
    conditions = order.conditions
    if conditions is None:
        return
    if command.stop_price:
        conditions.stop_price = command.stop_price
    if command.trail or command.trail_bps:
        conditions.trail = command.trail
        conditions.trail_bps = command.trail_bps
    if command.display_quantity:
        conditions.display_quantity = command.display_quantity
    if command.expires_at:
        conditions.expires_at = command.expires_at
        engine.watch(order)
