"""The ladder of checks: asked from top to bottom, the first failure is the reason.

The order of the rungs is public (documented, tested row by row): instrument state, account state, tick, step, minimum,
maximum, collar, maximum quantity, maximum notional, open orders, position. Unknown symbols, known client order ids and
ownership are settled before; post-only is asked last, because it looks at the book.
"""

from __future__ import annotations

from matching.state import Holding, Instrument
from matching.values import (
    ACCOUNT_HALTED,
    ACTIVE,
    BUY,
    CLOSED,
    CONTINUOUS,
    MARKET,
    NO_REASON,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    R_ACCOUNT_HALTED,
    R_ACCOUNT_REDUCING,
    R_MARKET_CLOSED,
    R_MARKET_HALTED,
    R_MAX_NOTIONAL,
    R_MAX_OPEN_ORDERS,
    R_MAX_POSITION,
    R_MAX_QUANTITY,
    R_PRICE_COLLAR,
    R_PRICE_NOT_ON_TICK,
    R_QUANTITY_BELOW_MINIMUM,
    R_QUANTITY_NOT_ON_STEP,
)


def refusal(
    instrument: Instrument,
    holding: Holding,
    side: int,
    type: int,
    price: int,
    quantity: int,
    remaining: int,
    off_grid: int,
    resting: int,
) -> int:
    """Why an order may not enter, or be amended to, these numbers; ``NO_REASON`` where it may.

    ``quantity`` is the total, ``remaining`` what would be open, ``resting`` the units this very order has open already
    (0 for a new one: only that adds to the account's open orders).
    """
    if instrument.phase != CONTINUOUS:
        return R_MARKET_CLOSED if instrument.phase == CLOSED else R_MARKET_HALTED
    account = holding.account
    if account.state != ACTIVE:
        if account.state == ACCOUNT_HALTED:
            return R_ACCOUNT_HALTED
        if not _reduces(holding, side, remaining, resting):
            return R_ACCOUNT_REDUCING
    if off_grid & PRICE_OFF_GRID or price % instrument.price_tick:
        return R_PRICE_NOT_ON_TICK
    if off_grid & QUANTITY_OFF_GRID or quantity % instrument.quantity_step:
        return R_QUANTITY_NOT_ON_STEP
    if quantity < instrument.min_quantity:
        return R_QUANTITY_BELOW_MINIMUM
    if quantity > instrument.max_quantity:
        return R_MAX_QUANTITY
    if instrument.collar_bps and type != MARKET:
        limit = instrument.collar(side)
        if limit and (price > limit if side == BUY else price < limit):
            return R_PRICE_COLLAR
    if account.max_order_quantity and quantity > account.max_order_quantity:
        return R_MAX_QUANTITY
    if instrument.max_notional:
        # A market order has no price of its own: it is valued at the reference.
        valued_at = price or instrument.last_price or instrument.reference_price
        if valued_at * quantity > instrument.max_notional:
            return R_MAX_NOTIONAL
    if not resting and account.open_orders >= account.max_open_orders:
        return R_MAX_OPEN_ORDERS
    # Whatever the limit has become since: an amend that makes an order no larger cannot make the position worse.
    grows = remaining > resting
    if grows and account.max_position and _worst_position(holding, side, remaining - resting) > account.max_position:
        return R_MAX_POSITION
    return NO_REASON


def _worst_position(holding: Holding, side: int, added: int) -> int:
    """Units the account would hold on ``side`` if all its open orders there and ``added`` units filled."""
    net = holding.bought - holding.sold
    return net + holding.open_buy + added if side == BUY else holding.open_sell + added - net


def _reduces(holding: Holding, side: int, remaining: int, resting: int) -> bool:
    """Whether an order can only bring the position nearer to zero, even if all open orders on its side fill."""
    return _worst_position(holding, side, remaining - resting) <= 0
