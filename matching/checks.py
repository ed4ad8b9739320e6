"""The ladder of checks: asked from top to bottom, the first failure is the reason.

The order of the rungs is public (docs/orders.md, tested row by row): instrument state, account state, tick, step,
minimum, maximum, display, collar, the account's maximum, notional, open orders, trailing stops, position. Unknown
symbols, known client order ids and ownership are settled before; the message rate and post-only are asked last, because
the one counts what it is asked and the other looks at the book.

``refusal`` answers with the reason alone; ``matching.explaining`` climbs the whole ladder and tells limit and value of every
rung. A test holds the two against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from matching.funds import covers
from matching.order import Order
from matching.state import Account, Holding, Instrument
from matching.values import (
    ACCOUNT_HALTED,
    ACTIVE,
    BUY,
    CLOSED,
    CONTINUOUS,
    FIRST_STOP,
    FOK,
    HALTED,
    IOC,
    LIMIT,
    MARKET,
    MAX_TIPS,
    MAX_TRAILING_STOPS,
    NO_REASON,
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
    SECOND_US,
    STOP_LIMIT,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    UNTRIGGERED,
)

if TYPE_CHECKING:
    from mypy_extensions import i64


@final
class Proposal:
    """What an order would be, if it may: a new one, or an open one with new terms.

    ``quantity`` is the total, ``remaining`` what would be open, ``resting`` the units this very order has open already
    (0 for a new one: only that adds to the account's open orders, beside ``placed``: those of the same group before it).
    """

    __slots__ = (
        "display_quantity",
        "off_grid",
        "order",
        "placed",
        "price",
        "quantity",
        "remaining",
        "resting",
        "stop_price",
        "trail",
    )

    def __init__(
        self,
        order: Order,
        price: i64,
        quantity: i64,
        remaining: i64,
        off_grid: int,
        resting: i64 = 0,
        stop_price: i64 = 0,
        trail: i64 = 0,
        display_quantity: i64 = 0,
        placed: i64 = 0,
    ) -> None:
        self.order = order
        self.price: i64 = price
        self.quantity: i64 = quantity
        self.remaining: i64 = remaining
        self.off_grid: i64 = off_grid
        self.resting: i64 = resting
        self.stop_price: i64 = stop_price
        self.trail: i64 = trail
        self.display_quantity: i64 = display_quantity
        self.placed: i64 = placed


def proposal(order: Order, placed: i64 = 0) -> Proposal:
    """A new order as it came."""
    conditions = order.conditions
    if conditions is None:
        return Proposal(order, order.price, order.quantity, order.quantity, order.off_grid, placed=placed)
    return Proposal(
        order,
        order.price,
        order.quantity,
        order.quantity,
        order.off_grid,
        0,
        0 if order.type == TRAILING_STOP else conditions.stop_price,
        conditions.trail,
        conditions.display_quantity,
        placed,
    )


def phase_refusal(instrument: Instrument) -> int:
    """Why the instrument's phase takes no orders at all; ``NO_REASON`` where it takes some."""
    if instrument.phase == CLOSED:
        return R_MARKET_CLOSED
    return R_MARKET_HALTED if instrument.phase == HALTED else NO_REASON


def refusal(instrument: Instrument, holding: Holding, new: Proposal) -> int:
    """Why an order may not enter, or be amended to, these numbers; ``NO_REASON`` where it may."""
    if instrument.phase != CONTINUOUS:
        reason = phase_refusal(instrument)
        if reason == NO_REASON and acts_at_once(new.order):
            reason = R_NOT_CONTINUOUS
        if reason != NO_REASON:
            return reason
    account = holding.account
    if account.state != ACTIVE:
        if account.state == ACCOUNT_HALTED:
            return R_ACCOUNT_HALTED
        if not is_child(new.order) and worst_position(holding, new) > 0:
            return R_ACCOUNT_REDUCING
    reason = _rules_refusal(instrument, new)
    return reason if reason != NO_REASON else _limits_refusal(instrument, holding, new)


def _rules_refusal(instrument: Instrument, new: Proposal) -> int:
    """The rungs of the instrument: tick, step, minimum, maximum, display, collar."""
    price, quantity = new.price, new.quantity
    tick, step = instrument.price_tick, instrument.quantity_step
    if new.off_grid & PRICE_OFF_GRID or price % tick or new.stop_price % tick or new.trail % tick:
        return R_PRICE_NOT_ON_TICK
    if new.off_grid & QUANTITY_OFF_GRID or quantity % step or new.display_quantity % step:
        return R_QUANTITY_NOT_ON_STEP
    if quantity < instrument.min_quantity:
        return R_QUANTITY_BELOW_MINIMUM
    if quantity > instrument.max_quantity:
        return R_MAX_QUANTITY
    if new.display_quantity and new.display_quantity * MAX_TIPS < quantity:
        return R_DISPLAY_QUANTITY
    if instrument.collar_bps:
        limit = collar_of(instrument, new)
        if limit and (price > limit if new.order.side == BUY else price < limit):
            return R_PRICE_COLLAR
    return NO_REASON


def _limits_refusal(instrument: Instrument, holding: Holding, new: Proposal) -> int:
    """The rungs of what may be at stake: maximum, notional, open orders, trailing stops, position, funds."""
    order = new.order
    account = holding.account
    if account.max_order_quantity and new.quantity > account.max_order_quantity:
        return R_MAX_QUANTITY
    if instrument.max_notional and notional_of(instrument, new) > instrument.max_notional:
        return R_MAX_NOTIONAL
    if not new.resting and account.open_orders + new.placed >= account.max_open_orders:
        return R_MAX_OPEN_ORDERS
    if not new.resting and order.type == TRAILING_STOP and instrument.stops.trailing_count >= MAX_TRAILING_STOPS:
        return R_TRAILING_STOPS
    # Whatever the limit has become since: an amend that makes an order no larger cannot make the position worse.
    if account.max_position and new.remaining > new.resting and not is_child(order):
        limit: int = account.max_position
        if worst_position(holding, new) > limit:
            return R_MAX_POSITION
    if account.funded and pays_now(new) and not covers(holding, order, new.price, new.remaining, new.resting):
        return R_INSUFFICIENT_FUNDS
    return NO_REASON


def spend_message(account: Account, at: i64) -> bool:
    """Count one message against the account's rate. Returns whether it may pass.

    The generic cell rate algorithm with a burst of one second's worth: ``rate_at`` is when the messages so far are paid off.
    """
    if not account.max_rate:
        return True
    paid = max(account.rate_at, at) + SECOND_US // account.max_rate
    if paid > at + SECOND_US:
        return False
    account.rate_at = paid
    return True


def acts_at_once(order: Order) -> bool:
    """Whether the order would have to trade now or never: what only continuous trading can offer."""
    if order.type == MARKET:
        return True
    return order.type == LIMIT and (order.time_in_force == IOC or order.time_in_force == FOK)


def is_child(order: Order) -> bool:
    """Whether the order is a bracket's child: it can only reduce what its entry has built."""
    conditions = order.conditions
    return conditions is not None and (conditions.role == TAKE_PROFIT or conditions.role == STOP_LOSS)


def pays_now(new: Proposal) -> bool:
    """Whether funds are asked at once: not of what waits (``matching.funds``)."""
    order = new.order
    if new.resting:
        return order.status != UNTRIGGERED
    return order.type < FIRST_STOP and not is_child(order)


def collar_of(instrument: Instrument, new: Proposal) -> i64:
    """The worst limit the order may name, 0 where nothing bounds it. A stop-limit is held against its own stop price."""
    type = new.order.type
    if type == STOP_LIMIT:
        return instrument.collar(new.order.side, new.stop_price)
    if type != LIMIT or is_child(new.order):
        return 0
    return instrument.collar(new.order.side, instrument.reference)


def notional_of(instrument: Instrument, new: Proposal) -> int:
    """The order's value: at its limit, else at its stop price, else at the reference."""
    price: int = new.price or new.stop_price or instrument.reference
    quantity: int = new.quantity
    return price * quantity


def worst_position(holding: Holding, new: Proposal) -> int:
    """Units the account would hold on the order's side if all its open orders there and what is added filled."""
    net = holding.bought - holding.sold
    added: int = new.remaining - new.resting
    return net + holding.open_buy + added if new.order.side == BUY else holding.open_sell + added - net
