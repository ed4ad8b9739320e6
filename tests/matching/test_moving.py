"""An instrument that moves goes on as if it had not: a random market, moved in the middle, beside the same one left alone."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from matching.codec import decode_order, encode_order
from matching.commands import Cancel, DefineAccount, DefineInstrument, SetPhase, Transfer
from matching.engine import Engine
from matching.events import (
    COMMAND_REFUSED,
    INSTRUMENT_ARRIVED,
    INSTRUMENT_DEPARTED,
    KIND,
    MOVED,
    ORDER,
    PRICE,
    REASON,
    Event,
)
from matching.image import load_state, state_hash, state_lines
from matching.lifecycle import is_step
from matching.moving import Arrival
from matching.order import Order
from matching.state import Instrument
from matching.transit import AdoptInstrument, ReleaseInstrument
from matching.values import CONTINUOUS, HALTED, R_INVALID_COMMAND, R_UNKNOWN_SYMBOL
from tests.matching.dice import Dice
from tests.matching.driver import Pair, to_command

STEPS_BEFORE, STEPS_AFTER = 250, 400


def copy_of(engine: Engine) -> Engine:
    made = Engine()
    load_state(made, list(state_lines(engine)))
    made.next_sequence = engine.next_sequence
    return made


def arrival_of(instrument: Instrument, orders: Iterable[Order], engine: Engine) -> Arrival:
    """What a database would bring: everything as new objects, with nothing of the books they were in."""
    made = Instrument(
        instrument.instrument_id,
        instrument.symbol,
        instrument.price_decimals,
        instrument.quantity_decimals,
        instrument.price_tick,
        instrument.quantity_step,
        instrument.min_quantity,
        instrument.max_quantity,
        instrument.max_notional,
        instrument.collar_bps,
        instrument.reference_price,
        instrument.phase,
        engine.orders,
        breaker_us=instrument.breaker_us,
        base=instrument.base,
        quote=instrument.quote,
    )
    made.phase_until, made.schedule = instrument.phase_until, list(instrument.schedule)
    made.last_price = instrument.last_price
    holdings = [
        (key, one.bought, one.bought_notional, one.sold, one.sold_notional) for key, one in instrument.holdings.items()
    ]
    copies = []
    for order in sorted(orders, key=lambda one: one.priority):
        copy = decode_order(encode_order(order), instrument.instrument_id)
        if order.conditions is not None and copy.conditions is not None:
            copy.conditions.best = order.conditions.best
        copies.append(copy)
    return Arrival(made, holdings, copies)


def in_other_words(events: list[Event]) -> dict[int, list[tuple[Any, ...]]]:
    """Events by instrument, without the numbers of the shard. (What meets several goes by their age among each other.)"""
    told: dict[int, list[tuple[Any, ...]]] = {}
    for event in events:
        order = event[ORDER]
        key, order_id = (0, 0) if order is None else (order.instrument_id, order.order_id)
        told.setdefault(key, []).append((event[KIND], order_id, *event[PRICE:]))
    return told


@pytest.mark.parametrize("run", range(4))
def test_a_market_that_moved_goes_on_as_if_it_had_not(run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice, pair = Dice(seed), Pair()
    monkeypatch.setattr(dice, "transfer", lambda: {"account": 1, "currency": "USD", "amount": 0})
    rules = dice.rules

    def rules_without_funds(pair: Pair) -> Any:
        op, arguments = rules(pair)
        return op, arguments | {"funded": False} if op == "define_account" else arguments

    monkeypatch.setattr(dice, "rules", rules_without_funds)
    for _ in range(STEPS_BEFORE):
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
    pair.do("set_phase", instrument=1, phase="halted")

    moved = copy_of(pair.engine)
    opened = [order for order in moved.orders.values() if order.instrument_id == 1]
    instrument = moved.instruments[1]
    brought = arrival_of(instrument, opened, moved)
    left = moved.apply(moved.next_sequence, pair.now, ReleaseInstrument(1, 5))
    assert [event[KIND] for event in left] == [INSTRUMENT_DEPARTED]
    assert not any(order.instrument_id == 1 for order in moved.orders.values())
    moved.check_invariants()
    came = moved.apply(moved.next_sequence + 1_000, pair.now, AdoptInstrument(1, brought))
    assert [event[KIND] for event in came] == [INSTRUMENT_ARRIVED, *[MOVED] * len(opened)]
    assert [event[ORDER].order_id for event in came[1:]] == [
        order.order_id for order in sorted(opened, key=lambda one: one.priority)
    ]
    assert all(is_step(event[7], MOVED, event[7]) for event in came[1:])
    moved.check_invariants()

    pair.do("set_phase", instrument=1, phase="continuous")
    in_step(moved, pair)
    for _ in range(STEPS_AFTER):
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
        in_step(moved, pair)


def in_step(moved: Engine, pair: Pair) -> None:
    """The other engine takes the pair's latest step, and must say the same."""
    at, op, arguments = pair.steps[-1]
    events = moved.apply(moved.next_sequence, at, to_command(op, arguments))
    assert in_other_words(events) == in_other_words(pair.latest)
    moved.check_invariants()


def test_what_may_not_leave() -> None:
    engine = Engine()
    engine.apply(1, 1, DefineInstrument(1, "ACME-USD", "ACME", "USD"))
    refused = engine.apply(2, 1, ReleaseInstrument(1, 5))
    assert (refused[0][KIND], refused[0][REASON]) == (COMMAND_REFUSED, R_INVALID_COMMAND)  # it trades
    assert engine.apply(2, 1, ReleaseInstrument(9, 5))[0][REASON] == R_UNKNOWN_SYMBOL
    engine.apply(2, 1, Transfer(7, "USD", 10))
    engine.apply(3, 1, Order(1, 7, 1, 0, 100, 5))
    engine.apply(4, 1, SetPhase(1, HALTED))
    before = state_hash(engine)
    assert engine.apply(5, 1, ReleaseInstrument(1, 5))[0][REASON] == R_INVALID_COMMAND  # money would stay behind
    assert state_hash(engine) == before
    engine.apply(5, 1, Cancel(1))
    engine.apply(6, 1, DefineAccount(8, funded=True))
    engine.apply(7, 1, Order(2, 9, 1, 0, 100, 5))
    engine.apply(8, 1, SetPhase(1, CONTINUOUS))
    engine.apply(9, 1, Order(3, 9, 1, 0, 100, 5))
    engine.apply(10, 1, SetPhase(1, HALTED))
    # Accounts that pay or have money, and do nothing here, are in nobody's way.
    assert engine.apply(11, 1, ReleaseInstrument(1, 5))[0][KIND] == INSTRUMENT_DEPARTED
    # From here on it is as if it had never been.
    assert engine.apply(12, 1, Order(4, 9, 1, 0, 100, 5))[0][REASON] == R_UNKNOWN_SYMBOL
    assert engine.apply(12, 1, SetPhase(1, CONTINUOUS))[0][REASON] == R_UNKNOWN_SYMBOL
    assert engine.accounts[9].open_orders == 0 and not engine.accounts[9].holdings


def test_nothing_is_adopted_that_nobody_brought() -> None:
    engine = Engine()
    assert engine.apply(1, 1, AdoptInstrument(1))[0][REASON] == R_UNKNOWN_SYMBOL
    engine.apply(1, 1, DefineInstrument(1, "ACME-USD", "ACME", "USD"))
    assert engine.apply(2, 1, AdoptInstrument(1)) == []
