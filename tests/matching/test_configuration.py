"""Configuration is a command: what is refused, what changes, what stays."""

from __future__ import annotations

from typing import Any

import pytest

from matching.commands import CancelAfter, DefineAccount, DefineInstrument, SetPhase, SetSchedule
from matching.engine import Engine
from matching.events import (
    ACCOUNT_DEFINED,
    CANCEL_AFTER_SET,
    COMMAND_REFUSED,
    INSTRUMENT_DEFINED,
    KIND,
    OTHER,
    PHASE_CHANGED,
    QUANTITY,
    REASON,
    SCHEDULE_SET,
)
from matching.order import Order
from matching.values import (
    AUCTION,
    BUY,
    CLOSED,
    CONTINUOUS,
    HALTED,
    MAX_UNITS,
    NO_CANCEL,
    PHASE_NAMES,
    PRE_OPEN,
    REASON_NAMES,
)


def engine() -> Engine:
    made = Engine()
    [event] = made.apply(1, 0, DefineInstrument(1, "ACME-USD", price_decimals=2))
    assert (event[KIND], event[OTHER]) == (INSTRUMENT_DEFINED, 1)
    return made


def reason(made: Engine, command: Any) -> str:
    before = made.next_sequence
    [event] = made.apply(before, 0, command)
    assert event[KIND] == COMMAND_REFUSED and made.next_sequence == before
    return REASON_NAMES[event[REASON]]


@pytest.mark.parametrize(
    "rules",
    [
        {"price_tick": 0},
        {"price_tick": MAX_UNITS + 1},
        {"quantity_step": 0},
        {"quantity_step": -1},
        {"min_quantity": 0},
        {"min_quantity": 6, "max_quantity": 5},
        {"max_quantity": MAX_UNITS + 1},
        {"max_notional": -1},
        {"collar_bps": -1},
        {"reference_price": -1},
        {"reference_price": MAX_UNITS + 1},
        {"phase": 6},
        {"phase": -1},
        {"breaker_us": -1},
        {"price_decimals": 3},
        {"quantity_decimals": 1},
        {"symbol": "OTHER"},
        {"symbol": ""},
        {"instrument_id": 0},
        {"instrument_id": 2},
    ],
    ids=str,
)
def test_rules_that_cannot_be(rules: dict[str, Any]) -> None:
    """Out of bounds, against what is fixed (symbol, decimals), or a symbol that is taken (instrument 2)."""
    made = engine()
    command = DefineInstrument(**{"instrument_id": 1, "symbol": "ACME-USD", "price_decimals": 2, **rules})
    assert reason(made, command) == "invalid_request"
    assert set(made.instruments) == {1} and made.instruments[1].price_tick == 1


def test_rules_change_and_phase_and_orders_stay() -> None:
    made = engine()
    made.apply(2, 0, Order(1, 1, 1, BUY, 101, 3))
    made.apply(3, 0, SetPhase(1, HALTED))
    made.apply(4, 0, DefineInstrument(1, "ACME-USD", price_decimals=2, price_tick=5, phase=CONTINUOUS))
    assert made.instruments[1].phase == HALTED
    assert (made.instruments[1].price_tick, made.orders[1].price) == (5, 101)


def test_phases() -> None:
    made = engine()
    assert reason(made, SetPhase(2, HALTED)) == "unknown_symbol"
    for phase in (99, -1):
        assert reason(made, SetPhase(1, phase)) == "invalid_request"
    assert reason(made, SetPhase(1, AUCTION, -1)) == reason(made, SetPhase(1, CONTINUOUS, 5)) == "invalid_request"
    assert made.apply(2, 0, SetPhase(1, CONTINUOUS)) == [] and made.next_sequence == 2
    for sequence, phase in enumerate((PRE_OPEN, AUCTION, NO_CANCEL, HALTED, CLOSED), 2):
        [event] = made.apply(sequence, 0, SetPhase(1, phase))
        assert (event[KIND], event[QUANTITY], event[OTHER]) == (PHASE_CHANGED, phase, 1)


def test_a_schedule_that_cannot_be() -> None:
    made = engine()
    assert reason(made, SetSchedule(2, [])) == "unknown_symbol"
    for transitions in ([(5, 6)], [(5, -1)], [(5, HALTED), (5, CLOSED)], [(6, HALTED), (5, CLOSED)]):
        assert reason(made, SetSchedule(1, transitions)) == "invalid_request"
    assert reason(made, SetSchedule(1, [(at, CLOSED) for at in range(1, 502)])) == "invalid_request"
    [event] = made.apply(2, 100, SetSchedule(1, [(at, CLOSED) for at in range(1, 501)]))
    assert (event[KIND], event[QUANTITY], event[OTHER]) == (SCHEDULE_SET, 400, 1)
    assert made.instruments[1].phase == CONTINUOUS


def test_a_new_instrument_may_begin_in_any_phase() -> None:
    for phase in range(len(PHASE_NAMES)):
        made = engine()
        made.apply(2, 0, DefineInstrument(2, "ZETA-USD", phase=phase))
        assert made.instruments[2].phase == phase


@pytest.mark.parametrize(
    "limits",
    [
        {"state": 3},
        {"state": -1},
        {"max_open_orders": -1},
        {"max_order_quantity": -1},
        {"max_position": -1},
        {"max_rate": -1},
        {"max_rate": 1_000_001},
        {"account_id": 0},
    ],
    ids=str,
)
def test_limits_that_cannot_be(limits: dict[str, int]) -> None:
    made = engine()
    assert reason(made, DefineAccount(**{"account_id": 1, **limits})) == "invalid_request"
    assert not made.accounts


def test_limits_are_set_and_taken_back() -> None:
    made = engine()
    [event] = made.apply(2, 0, DefineAccount(7, max_order_quantity=5))
    assert (event[KIND], event[OTHER]) == (ACCOUNT_DEFINED, 7)
    [event] = made.apply(3, 0, Order(1, 7, 1, BUY, 100, 6))
    assert REASON_NAMES[event[REASON]] == "risk_max_quantity"
    made.apply(4, 0, DefineAccount(7))
    made.apply(5, 0, Order(2, 7, 1, BUY, 100, 6))
    assert 2 in made.orders


def test_leases() -> None:
    made = engine()
    assert reason(made, CancelAfter(7, -1)) == reason(made, CancelAfter(0, 5)) == "invalid_request"
    assert made.apply(2, 10, CancelAfter(7, 0)) == []
    [event] = made.apply(2, 10, CancelAfter(7, 5))
    assert (event[KIND], event[QUANTITY], event[OTHER]) == (CANCEL_AFTER_SET, 15, 7)
    made.apply(3, 11, DefineAccount(7, max_position=5))
    assert made.accounts[7].cancel_after_at == 15
    [event] = made.apply(4, 12, CancelAfter(7, 0))
    assert (event[KIND], event[QUANTITY], made.accounts[7].cancel_after_at) == (CANCEL_AFTER_SET, 0, 0)
