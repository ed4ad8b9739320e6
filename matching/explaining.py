"""The ladder of checks, told rung by rung: what is allowed, and what the order has. For dry runs and for people.

``matching.checks.refusal`` is what decides; here is the same ladder in the same order, and a test holds the two against
each other: the first rung told as failed is the reason.
"""

from __future__ import annotations

from typing import NamedTuple

from matching.checks import Proposal, acts_at_once, collar_of, is_child, notional_of, pays_now, worst_position
from matching.funds import available, cost
from matching.state import Holding, Instrument
from matching.values import (
    ACCOUNT_HALTED,
    ACTIVE,
    BUY,
    CLOSED,
    CONTINUOUS,
    HALTED,
    MAX_TIPS,
    MAX_TRAILING_STOPS,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    R_ACCOUNT_HALTED,
    R_ACCOUNT_REDUCING,
    R_DISPLAY_QUANTITY,
    R_INSUFFICIENT_FUNDS,
    R_MARKET_CLOSED,
    R_MARKET_HALTED,
    R_MAX_NOTIONAL,
    R_MAX_OPEN_ORDERS,
    R_MAX_POSITION,
    R_MAX_QUANTITY,
    R_NOT_CONTINUOUS,
    R_PRICE_COLLAR,
    R_PRICE_NOT_ON_TICK,
    R_QUANTITY_BELOW_MINIMUM,
    R_QUANTITY_NOT_ON_STEP,
    R_TRAILING_STOPS,
    REASON_NAMES,
    TRAILING_STOP,
)


class Check(NamedTuple):
    """One rung: its reason's name, what is allowed, what the order has (units, or counts), and whether it holds."""

    name: str
    limit: int
    value: int
    passed: bool


def explain(instrument: Instrument, holding: Holding, new: Proposal) -> list[Check]:
    """Every rung that applies, in the order of the ladder. Rungs without a limit in force are left out."""
    told = _states(instrument, holding, new)
    told += _rules(instrument, new)
    told += _limits(instrument, holding, new)
    return told


def _check(reason: int, limit: int, value: int, passed: bool) -> Check:
    return Check(REASON_NAMES[reason], limit, value, passed)


def _states(instrument: Instrument, holding: Holding, new: Proposal) -> list[Check]:
    phase: int = instrument.phase
    state: int = holding.account.state
    resting_only = phase not in (CONTINUOUS, CLOSED, HALTED)
    told = [
        _check(R_MARKET_CLOSED, CONTINUOUS, phase, phase != CLOSED),
        _check(R_MARKET_HALTED, CONTINUOUS, phase, phase != HALTED),
        _check(R_NOT_CONTINUOUS, CONTINUOUS, phase, not resting_only or not acts_at_once(new.order)),
        _check(R_ACCOUNT_HALTED, ACTIVE, state, state != ACCOUNT_HALTED),
    ]
    if state not in (ACTIVE, ACCOUNT_HALTED):
        worst = worst_position(holding, new)
        told.append(_check(R_ACCOUNT_REDUCING, 0, worst, is_child(new.order) or worst <= 0))
    return told


def _rules(instrument: Instrument, new: Proposal) -> list[Check]:
    tick, step, quantity = instrument.price_tick, instrument.quantity_step, new.quantity
    off_tick = bool(new.price % tick or new.stop_price % tick or new.trail % tick or new.off_grid & PRICE_OFF_GRID)
    off_step = bool(quantity % step or new.display_quantity % step or new.off_grid & QUANTITY_OFF_GRID)
    told = [
        _check(R_PRICE_NOT_ON_TICK, tick, new.price or new.stop_price, not off_tick),
        _check(R_QUANTITY_NOT_ON_STEP, step, quantity, not off_step),
        _check(R_QUANTITY_BELOW_MINIMUM, instrument.min_quantity, quantity, quantity >= instrument.min_quantity),
        _check(R_MAX_QUANTITY, instrument.max_quantity, quantity, quantity <= instrument.max_quantity),
    ]
    if new.display_quantity:
        least = -(-quantity // MAX_TIPS)
        told.append(_check(R_DISPLAY_QUANTITY, least, new.display_quantity, new.display_quantity >= least))
    limit = collar_of(instrument, new)
    if limit:
        passed = new.price <= limit if new.order.side == BUY else new.price >= limit
        told.append(_check(R_PRICE_COLLAR, limit, new.price, passed))
    return told


def _limits(instrument: Instrument, holding: Holding, new: Proposal) -> list[Check]:
    account, order = holding.account, new.order
    told: list[Check] = []
    if account.max_order_quantity:
        passed = new.quantity <= account.max_order_quantity
        told.append(_check(R_MAX_QUANTITY, account.max_order_quantity, new.quantity, passed))
    if instrument.max_notional:
        notional = notional_of(instrument, new)
        told.append(_check(R_MAX_NOTIONAL, instrument.max_notional, notional, notional <= instrument.max_notional))
    if not new.resting:
        count = account.open_orders + new.placed + 1
        told.append(_check(R_MAX_OPEN_ORDERS, account.max_open_orders, count, count <= account.max_open_orders))
    if not new.resting and order.type == TRAILING_STOP:
        waiting = instrument.stops.trailing_count + 1
        told.append(_check(R_TRAILING_STOPS, MAX_TRAILING_STOPS, waiting, waiting <= MAX_TRAILING_STOPS))
    if account.max_position and not is_child(order):
        worst = worst_position(holding, new)
        passed = new.remaining <= new.resting or worst <= account.max_position
        told.append(_check(R_MAX_POSITION, account.max_position, worst, passed))
    if account.funded and pays_now(new):
        currency, needed = cost(instrument, order, new.price, new.remaining)
        has = available(account, currency)
        if new.resting:
            has += cost(instrument, order, order.price, new.resting)[1]
        told.append(_check(R_INSUFFICIENT_FUNDS, has, needed, needed <= has))
    return told
