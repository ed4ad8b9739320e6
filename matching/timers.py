"""What is due by itself: expiries, cancel-after leases, phase changes.

Timers are a heap of ``(due, rank, id)``. An entry is a reminder, not the truth: when it comes up, the order, account or
instrument it names is asked whether that is really due. What has changed meanwhile left a newer entry, and this one means
nothing. When reminders outnumber what could need them, the heap is made anew.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from matching.events import CANCEL_AFTER_FIRED, CANCEL_AFTER_SET
from matching.events import EXPIRED as ORDER_EXPIRED
from matching.order import Order
from matching.phases import phase_due
from matching.state import Account
from matching.values import (
    DAY,
    EXPIRED,
    NEVER,
    NO_CANCEL,
    R_CANCEL_AFTER,
    R_DAY,
    R_GTD,
    R_INVALID_COMMAND,
    SECOND_US,
)

if TYPE_CHECKING:
    from mypy_extensions import i64

    from matching.commands import CancelAfter
    from matching.executor import Executor

# What happens first of what is due at one moment: day orders last, so that they take part in a closing auction.
RANK_GTD: Final = 0
RANK_LEASE: Final = 1
RANK_PHASE: Final = 2
RANK_DAY: Final = 3
# Reminders that may be out of date before the heap is made anew, beside a few for every open order.
SPARE_REMINDERS: Final = 1_000

Reminder = tuple[int, int, int]


def remind(engine: Executor, due: i64, rank: i64, subject: i64) -> None:
    """Note that something may be due at a moment."""
    if len(engine.timers) > SPARE_REMINDERS + 4 * len(engine.orders):
        rearm(engine)
    heappush(engine.timers, (due, rank, subject))
    engine.next_due = engine.timers[0][0]


def rearm(engine: Executor) -> None:
    """Make the reminders anew from what there is."""
    timers: list[Reminder] = []
    for order in engine.orders.values():
        conditions = order.conditions
        if conditions is not None and conditions.expires_at:
            timers.append((conditions.expires_at, rank_of(order), order.order_id))
    for account in engine.accounts.values():
        if account.cancel_after_at:
            timers.append((account.cancel_after_at, RANK_LEASE, account.account_id))
    for instrument in engine.instruments.values():
        due = instrument.next_due()
        if due != NEVER:
            timers.append((due, RANK_PHASE, instrument.instrument_id))
    heapify(timers)
    engine.timers = timers
    _look_ahead(engine)


def rank_of(order: Order) -> int:
    return RANK_DAY if order.time_in_force == DAY else RANK_GTD


def advance(engine: Executor, at: i64) -> None:
    """Let everything happen that is due at or before ``at``, the earliest first."""
    timers = engine.timers
    while timers and timers[0][0] <= at:
        due, rank, subject = heappop(timers)
        if rank == RANK_LEASE:
            account = engine.accounts.get(subject)
            if account is not None and account.cancel_after_at == due:
                _fire_lease(engine, account, at)
        elif rank == RANK_PHASE:
            instrument = engine.instruments[subject]
            if instrument.next_due() == due:
                phase_due(engine, instrument, at)
        else:
            order = engine.orders.get(subject)
            if order is not None and order.conditions is not None and order.conditions.expires_at == due:
                expire(engine, order)
                engine.settle(order.holding.instrument, at)
        timers = engine.timers
    _look_ahead(engine)


def expire(engine: Executor, order: Order) -> None:
    """End an open order whose time is over."""
    reason = R_DAY if order.time_in_force == DAY else R_GTD
    engine.end_open(order.holding.instrument, order, ORDER_EXPIRED, EXPIRED, reason)


def set_lease(engine: Executor, command: CancelAfter, at: i64) -> None:
    """Arm, renew or disarm the dead-man's switch of an account."""
    if command.delay_us < 0 or command.account_id < 1:
        return engine.refuse(R_INVALID_COMMAND)
    account = engine.account(command.account_id)
    due: i64 = at + command.delay_us if command.delay_us else 0
    if not due and not account.cancel_after_at:
        return
    account.cancel_after_at = due
    engine.configured(CANCEL_AFTER_SET, due, account.account_id)
    if due:
        remind(engine, due, RANK_LEASE, account.account_id)


def _fire_lease(engine: Executor, account: Account, at: i64) -> None:
    """Nobody renewed: cancel everything, and try again in a second what takes no cancels now."""
    left = False
    mine = [order for order in engine.orders.values() if order.account_id == account.account_id]
    for order in mine:
        if order.holding.instrument.phase == NO_CANCEL:
            left = True
    account.cancel_after_at = at + SECOND_US if left else 0
    engine.cancel_each(mine, R_CANCEL_AFTER, at)
    engine.configured(CANCEL_AFTER_FIRED, account.cancel_after_at, account.account_id)
    if left:
        remind(engine, account.cancel_after_at, RANK_LEASE, account.account_id)


def _look_ahead(engine: Executor) -> None:
    engine.next_due = engine.timers[0][0] if engine.timers else NEVER
