"""Phases of an instrument: entering one, the uncross that may go with it, what a schedule and a circuit breaker do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.auction import indicative, is_call
from matching.events import FILL_MAKER, FILL_TAKER, PHASE_CHANGED, REPLENISHED, SCHEDULE_SET, UNCROSSED
from matching.order import Order
from matching.state import Instrument
from matching.values import (
    AUCTION,
    CLOSED,
    CONTINUOUS,
    FILLED,
    HALTED,
    MAX_TRANSITIONS,
    NO_CANCEL,
    NO_REASON,
    PARTIALLY_FILLED,
    R_CIRCUIT_BREAKER,
    R_INVALID_COMMAND,
    R_SCHEDULE,
    R_UNKNOWN_SYMBOL,
)

if TYPE_CHECKING:
    from mypy_extensions import i64

    from matching.commands import SetPhase, SetSchedule
    from matching.executor import Executor


def set_phase(engine: Executor, command: SetPhase, at: i64) -> None:
    """Put an instrument into a phase. Into the one it is in, with the same end: no effect, no event."""
    instrument = engine.instruments.get(command.instrument_id)
    if instrument is None:
        return engine.refuse(R_UNKNOWN_SYMBOL)
    if not CLOSED <= command.phase <= NO_CANCEL or command.lasts_us < 0:
        return engine.refuse(R_INVALID_COMMAND)
    if command.lasts_us and command.phase == CONTINUOUS:
        return engine.refuse(R_INVALID_COMMAND)
    until = at + command.lasts_us if command.lasts_us else 0
    if command.phase == instrument.phase and until == instrument.phase_until:
        return
    enter_phase(engine, instrument, command.phase, until, NO_REASON)
    engine.settle(instrument, at)


def set_schedule(engine: Executor, command: SetSchedule, at: i64) -> None:
    """Replace the phase changes to come."""
    instrument = engine.instruments.get(command.instrument_id)
    if instrument is None:
        return engine.refuse(R_UNKNOWN_SYMBOL)
    transitions = command.transitions
    if not _is_ascending(transitions):
        return engine.refuse(R_INVALID_COMMAND)
    now: int = at
    instrument.schedule = [(when, phase) for when, phase in transitions if when > now]
    engine.configured(SCHEDULE_SET, len(instrument.schedule), instrument.instrument_id)
    engine.watch_instrument(instrument)
    past = [phase for when, phase in transitions if when <= now]
    if command.enter_current and past:
        _enter_scheduled(engine, instrument, past[-1])
        engine.settle(instrument, at)


def phase_due(engine: Executor, instrument: Instrument, at: i64) -> None:
    """The next phase change of an instrument is due: the end of its phase, else of its schedule."""
    schedule = instrument.schedule
    if instrument.phase_until and (not schedule or instrument.phase_until <= schedule[0][0]):
        enter_phase(engine, instrument, CONTINUOUS, 0, R_SCHEDULE)
    else:
        _, phase = schedule.pop(0)
        _enter_scheduled(engine, instrument, phase)
        engine.watch_instrument(instrument)
    engine.settle(instrument, at)


def break_circuit(engine: Executor, instrument: Instrument, at: i64) -> None:
    """A market order has met the collar: call an auction, where the instrument says so."""
    if instrument.breaker_us and instrument.phase == CONTINUOUS:
        enter_phase(engine, instrument, AUCTION, at + instrument.breaker_us, R_CIRCUIT_BREAKER)


def enter_phase(engine: Executor, instrument: Instrument, phase: i64, until: i64, reason: int) -> None:
    """Change the phase and uncross where that ends a call or opens trading. The caller settles."""
    before = instrument.phase
    instrument.phase = phase
    instrument.phase_until = until
    instrument.settle()
    engine.configured(PHASE_CHANGED, phase, instrument.instrument_id, reason)
    engine.watch_instrument(instrument)
    if phase == CONTINUOUS or (phase == CLOSED and is_call(before)):
        _uncross(engine, instrument)


def _enter_scheduled(engine: Executor, instrument: Instrument, phase: int) -> None:
    """A halt is somebody's decision, and only somebody ends it."""
    if instrument.phase != HALTED and phase != instrument.phase:
        enter_phase(engine, instrument, phase, 0, R_SCHEDULE)


def _is_ascending(transitions: list[tuple[int, int]]) -> bool:
    if len(transitions) > MAX_TRANSITIONS:
        return False
    before = 0
    for when, phase in transitions:
        if when <= before or not CLOSED <= phase <= NO_CANCEL:
            return False
        before = when
    return True


# The uncross


def _uncross(engine: Executor, instrument: Instrument) -> None:
    """Trade what crosses, all at one price, by price, then time."""
    found = indicative(instrument)
    if found is None:
        return
    engine.configured(UNCROSSED, found.volume, instrument.instrument_id, NO_REASON, found.price)
    book = instrument.book
    left = found.volume
    while left:
        assert book.bids.best is not None and book.asks.best is not None
        bid, ask = book.bids.best.head, book.asks.best.head
        assert bid is not None and ask is not None
        quantity = min(bid.remaining - bid.hidden, ask.remaining - ask.hidden, left)
        _cross(engine, instrument, bid, ask, found.price, quantity)
        left -= quantity
    instrument.last_price = found.price


def _cross(engine: Executor, instrument: Instrument, bid: Order, ask: Order, price: int, quantity: int) -> None:
    """One trade of an uncross: two resting orders meet at a price neither needs to have named."""
    maker, taker = (bid, ask) if bid.priority < ask.priority else (ask, bid)
    shown = [order for order in (maker, taker) if instrument.book.fill(order, quantity)]
    value = price * quantity
    bid.holding.bought += quantity
    bid.holding.bought_notional += value
    bid.holding.open_buy -= quantity
    limit: int = bid.price
    bid.holding.rest_value -= limit * quantity
    ask.holding.sold += quantity
    ask.holding.sold_notional += value
    ask.holding.open_sell -= quantity
    for order in (maker, taker):
        order.notional += value
        order.status = PARTIALLY_FILLED if order.remaining else FILLED
        if not order.remaining:
            order.holding.account.open_orders -= 1
        engine.follow(order)
    engine.traded(FILL_MAKER, maker, price, quantity, 0)
    engine.traded(FILL_TAKER, taker, price, quantity, maker.order_id)
    for order in shown:
        order.priority = engine.next_sequence
        engine.happened(REPLENISHED, order, order.remaining - order.hidden, NO_REASON, 0)
