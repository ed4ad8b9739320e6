"""Orders that belong together: pairs of which one cancels the other (OCO), and brackets.

Theory of operation
-------------------
* A group has an ``entry`` (brackets only, None once it has ended) and a pair: ``first``, a limit order, and ``second``, a stop.
  While the entry lives its children are *held*: open, untriggered, in no book and among no stops.
* ``follow`` looks at the group as it stands and brings it in order; doing it twice changes nothing the second time. So a group
  may be put into ``Recorder.followers`` by every event of any member, and recovery needs no memory of what was pending:
  everything is followed up within the command that caused it.
* The pair never rests in the book together: the stop that triggers has its limit order canceled first. Its open quantities
  are always equal, which is why linked orders cannot be amended in quantity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from matching.checks import proposal, refusal, spend_message
from matching.events import ACCEPTED, RELEASED
from matching.events import CANCELED as ORDER_CANCELED
from matching.events import EXPIRED as ORDER_EXPIRED
from matching.order import Conditions, Order
from matching.state import Instrument
from matching.values import (
    CANCELED,
    CONTINUOUS,
    ENTRY,
    EXPIRED,
    FIRST_STOP,
    LAST_OPEN_STATUS,
    LIMIT,
    NEW,
    NO_REASON,
    OCO_LIMIT,
    OCO_STOP,
    R_DUPLICATE_ORDER_ID,
    R_GTD,
    R_INVALID_COMMAND,
    R_LINKED_ORDER,
    R_LINKED_ORDER_REFUSED,
    R_POST_ONLY,
    R_RATE_LIMITED,
    R_UNKNOWN_SYMBOL,
    STOP_LOSS,
    TAKE_PROFIT,
    UNTRIGGERED,
)

if TYPE_CHECKING:
    from mypy_extensions import i64

    from matching.commands import OrderGroup
    from matching.executor import Executor


@final
class Group:
    """The open orders of a group; a place is None once its order has ended and that was followed up."""

    __slots__ = ("entry", "first", "group_id", "second")

    def __init__(self, group_id: i64) -> None:
        self.group_id: i64 = group_id
        self.entry: Order | None = None
        self.first: Order | None = None
        self.second: Order | None = None

    def join(self, order: Order, conditions: Conditions) -> None:
        conditions.group = self
        role = conditions.role
        if role == ENTRY:
            self.entry = order
        elif role == OCO_LIMIT or role == TAKE_PROFIT:
            self.first = order
        else:
            self.second = order

    def members(self) -> list[Order]:
        """Those that are there: the entry, the limit order, the stop."""
        return [order for order in (self.entry, self.first, self.second) if order is not None]


def is_held(order: Order) -> bool:
    """Whether an untriggered order is a bracket's child whose entry still lives: in no book and among no stops."""
    conditions = order.conditions
    if conditions is None or conditions.group is None:
        return False
    role = conditions.role
    return (role == TAKE_PROFIT or role == STOP_LOSS) and conditions.group.entry is not None


# Placing


def place_group(engine: Executor, command: OrderGroup, at: i64) -> None:
    """All checks of all orders, then all of them or none."""
    orders = command.orders
    if not _is_sane(orders):
        return engine.refuse(R_INVALID_COMMAND)
    instrument = engine.instruments.get(orders[0].instrument_id)
    if instrument is None:
        return engine.refuse(R_UNKNOWN_SYMBOL)
    for order in orders:
        if order.order_id in engine.orders:
            return engine.refuse(R_DUPLICATE_ORDER_ID)
    reasons = [_check(engine, instrument, order, number, at) for number, order in enumerate(orders)]
    if not any(reasons):
        if not spend_message(orders[0].holding.account, at):
            return engine.refuse(R_RATE_LIMITED)
        reasons = [R_POST_ONLY if _would_cross(instrument, order) else NO_REASON for order in orders]
    if any(reasons):
        for order, reason in zip(orders, reasons, strict=True):
            engine.reject(order, reason or R_LINKED_ORDER_REFUSED)
        return
    group = Group(orders[0].order_id)
    engine.groups[group.group_id] = group
    for order in orders:
        conditions = order.conditions
        assert conditions is not None
        group.join(order, conditions)
        role = conditions.role
        if role == TAKE_PROFIT or role == STOP_LOSS:
            engine.date(instrument, order, at)
            _hold(engine, order)
        else:
            engine.accept(instrument, order, at)
    if not _end_late(engine, instrument, orders, at):
        engine.start(instrument, orders[0], at)
    for order in orders:
        engine.watch(order)
    engine.settle(instrument, at)


def _end_late(engine: Executor, instrument: Instrument, orders: list[Order], at: i64) -> bool:
    """Where the time of one is over already, all of them end before anything trades. Returns whether they did."""
    late = [order for order in orders if order.conditions is not None and 0 < order.conditions.expires_at <= at]
    others = [order for order in orders if order not in late] if late else []
    for order in late + others:
        kind, status, reason = (
            (ORDER_EXPIRED, EXPIRED, R_GTD) if order in late else (ORDER_CANCELED, CANCELED, R_LINKED_ORDER)
        )
        if order.order_id in engine.orders:
            engine.end_open(instrument, order, kind, status, reason)
        else:
            engine.finish(order, kind, status, reason, 0)
    return bool(late)


def _is_sane(orders: list[Order]) -> bool:
    """Whether the orders are a group by what they are; the doors build no other."""
    roles = [order.conditions.role if order.conditions is not None else 0 for order in orders]
    if roles != [OCO_LIMIT, OCO_STOP] and roles != [ENTRY, TAKE_PROFIT, STOP_LOSS]:
        return False
    first = orders[0]
    limit, stop = orders[-2], orders[-1]
    return (
        limit.type == LIMIT
        and stop.type >= FIRST_STOP
        and limit.side == stop.side
        and (len(orders) == 2 or first.side != stop.side)
        and len({order.order_id for order in orders}) == len(orders)
        and all(
            order.account_id == first.account_id
            and order.instrument_id == first.instrument_id
            and order.quantity == first.quantity
            for order in orders
        )
    )


def _check(engine: Executor, instrument: Instrument, order: Order, placed: int, at: i64) -> int:
    order.holding = engine.holding(order.account_id, instrument)
    order.created_at = at
    return refusal(instrument, order.holding, proposal(order, placed))


def _would_cross(instrument: Instrument, order: Order) -> bool:
    looks = order.post_only and instrument.phase == CONTINUOUS
    return looks and instrument.book.crosses(order.side, order.price)


def _hold(engine: Executor, order: Order) -> None:
    """Accept a bracket's child: it counts as an open order, but nothing of it is open until it is released."""
    conditions = order.conditions
    assert conditions is not None
    order.status = UNTRIGGERED
    order.priority = engine.next_sequence
    engine.orders[order.order_id] = order
    order.holding.account.open_orders += 1
    engine.happened(ACCEPTED, order, order.quantity, NO_REASON, conditions.stop_price)


# Following


def follow(engine: Executor, group: Group, at: i64) -> None:
    """Bring a group in order after one of its members has lost or ended."""
    first, second = group.first, group.second
    if first is None or second is None:
        return
    entry = group.entry
    broken = _has_ended(first) or _has_ended(second)
    if entry is None:
        if broken:
            return _end_all(engine, group, at)
        difference = first.remaining - second.remaining
        if difference:
            if difference > 0:
                engine.decrement(first, difference, R_LINKED_ORDER, 1)
            else:
                engine.decrement(second, -difference, R_LINKED_ORDER, 0)
        return
    if not _has_ended(entry):
        if broken:
            _end_all(engine, group, at)
        return
    if broken or not entry.filled:
        return _end_all(engine, group, at)
    group.entry = None
    assert entry.conditions is not None
    entry.conditions.group = None
    _release(engine, first, entry.filled, at)
    _release(engine, second, entry.filled, at)


def dissolve(engine: Executor, group: Group) -> None:
    """The group is no more: whatever its members do from here on concerns nobody else."""
    for order in group.members():
        assert order.conditions is not None
        order.conditions.group = None
    group.entry = group.first = group.second = None
    engine.groups.pop(group.group_id, None)


def partner_of(order: Order) -> Order | None:
    """The limit order that must go before a stop of a pair executes."""
    conditions = order.conditions
    if conditions is None or conditions.group is None or conditions.role == ENTRY:
        return None
    return conditions.group.first


def _has_ended(order: Order) -> bool:
    return order.status > LAST_OPEN_STATUS


def _end_all(engine: Executor, group: Group, at: i64) -> None:
    """Cancel what is still open of a group."""
    for order in group.members():
        if not _has_ended(order):
            engine.cancel_open(order.holding.instrument, order, R_LINKED_ORDER)
    dissolve(engine, group)


def _release(engine: Executor, order: Order, quantity: i64, at: i64) -> None:
    """A held child goes live with what the entry has filled."""
    instrument = order.holding.instrument
    order.quantity = quantity
    order.remaining = quantity
    order.priority = engine.next_sequence
    if order.type == LIMIT:
        order.status = NEW
        order.holding.account.open_orders -= 1
        del engine.orders[order.order_id]
        engine.happened(RELEASED, order, quantity, NO_REASON, 0)
        return engine.enter(instrument, order)
    engine.happened(RELEASED, order, quantity, NO_REASON, 0)
    engine.hold_units(order, order.remaining)
    # A trailing stop starts from the last price at the next look: those before it have not seen the present one either.
    instrument.stops.add(order, 0)
