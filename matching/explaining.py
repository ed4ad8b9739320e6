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
    account = holding.account
    order = new.order
    told: list[Check] = []

    def rung(reason: int, limit: int, value: int, passed: bool) -> None:
        told.append(Check(REASON_NAMES[reason], limit, value, passed))

    phase: int = instrument.phase
    rung(R_MARKET_CLOSED, CONTINUOUS, phase, phase != CLOSED)
    rung(R_MARKET_HALTED, CONTINUOUS, phase, phase != HALTED)
    rung(R_NOT_CONTINUOUS, CONTINUOUS, phase, phase in (CONTINUOUS, CLOSED, HALTED) or not acts_at_once(order))
    worst = worst_position(holding, new)
    rung(R_ACCOUNT_HALTED, ACTIVE, account.state, account.state != ACCOUNT_HALTED)
    if account.state not in (ACTIVE, ACCOUNT_HALTED):
        rung(R_ACCOUNT_REDUCING, 0, worst, is_child(order) or worst <= 0)
    tick, step = instrument.price_tick, instrument.quantity_step
    off = new.price % tick or new.stop_price % tick or new.trail % tick
    rung(R_PRICE_NOT_ON_TICK, tick, new.price or new.stop_price, not off and not new.off_grid & PRICE_OFF_GRID)
    off = new.quantity % step or new.display_quantity % step
    rung(R_QUANTITY_NOT_ON_STEP, step, new.quantity, not off and not new.off_grid & QUANTITY_OFF_GRID)
    rung(R_QUANTITY_BELOW_MINIMUM, instrument.min_quantity, new.quantity, new.quantity >= instrument.min_quantity)
    rung(R_MAX_QUANTITY, instrument.max_quantity, new.quantity, new.quantity <= instrument.max_quantity)
    if new.display_quantity:
        least = -(-new.quantity // MAX_TIPS)
        rung(R_DISPLAY_QUANTITY, least, new.display_quantity, new.display_quantity >= least)
    limit = collar_of(instrument, new)
    if limit:
        rung(R_PRICE_COLLAR, limit, new.price, new.price <= limit if order.side == BUY else new.price >= limit)
    if account.max_order_quantity:
        rung(R_MAX_QUANTITY, account.max_order_quantity, new.quantity, new.quantity <= account.max_order_quantity)
    if instrument.max_notional:
        notional = notional_of(instrument, new)
        rung(R_MAX_NOTIONAL, instrument.max_notional, notional, notional <= instrument.max_notional)
    if not new.resting:
        open_orders = account.open_orders + new.placed
        rung(R_MAX_OPEN_ORDERS, account.max_open_orders, open_orders + 1, open_orders < account.max_open_orders)
        if order.type == TRAILING_STOP:
            waiting = instrument.stops.trailing_count
            rung(R_TRAILING_STOPS, MAX_TRAILING_STOPS, waiting + 1, waiting < MAX_TRAILING_STOPS)
    if account.max_position and not is_child(order):
        passed = new.remaining <= new.resting or worst <= account.max_position
        rung(R_MAX_POSITION, account.max_position, worst, passed)
    if account.funded and pays_now(new):
        currency, needed = cost(instrument, order, new.price, new.remaining)
        has = available(account, currency)
        if new.resting:
            has += cost(instrument, order, order.price, new.resting)[1]
        rung(R_INSUFFICIENT_FUNDS, has, needed, needed <= has)
    return told
