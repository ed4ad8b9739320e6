"""Groups that are none, and what becomes of those that are: the tables of scenarios/linked.txt tell the rest."""

from __future__ import annotations

from typing import Any

import pytest

from matching.commands import Cancel, DefineInstrument, OrderGroup
from matching.engine import Engine
from matching.events import COMMAND_REFUSED, KIND, REASON
from matching.order import Conditions, Order
from matching.values import (
    BUY,
    ENTRY,
    MARKET,
    OCO_LIMIT,
    OCO_STOP,
    REASON_NAMES,
    SELL,
    STOP,
    STOP_LOSS,
    TAKE_PROFIT,
)


def leg(number: int, role: int, side: int = SELL, **other: Any) -> Order:
    """A limit order at 100, or a stop at 90, of ten units."""
    stops = role in (OCO_STOP, STOP_LOSS)
    conditions = Conditions(group_id=1, role=role, stop_price=90 if stops else 0)
    fields = {"account_id": 1, "instrument_id": 1, "quantity": 10, "type": STOP if stops else 0, **other}
    return Order(number, side=side, price=0 if stops else 100, conditions=conditions, **fields)


def engine() -> Engine:
    made = Engine()
    made.apply(1, 0, DefineInstrument(1, "ACME-USD"))
    return made


BRACKET = [leg(1, ENTRY, BUY), leg(2, TAKE_PROFIT), leg(3, STOP_LOSS)]
WRONG = {
    "nobody": [],
    "one": [leg(1, OCO_LIMIT)],
    "roles": [leg(1, OCO_LIMIT), leg(2, STOP_LOSS)],
    "order of roles": [leg(1, OCO_STOP), leg(2, OCO_LIMIT)],
    "no role": [Order(1, 1, 1, SELL, 100, 10), leg(2, OCO_STOP)],
    "sides of a pair": [leg(1, OCO_LIMIT), leg(2, OCO_STOP, BUY)],
    "sides of a bracket": [leg(1, ENTRY), *BRACKET[1:]],
    "types": [leg(1, OCO_LIMIT, type=MARKET), leg(2, OCO_STOP)],
    "no stop": [leg(1, OCO_LIMIT), leg(2, OCO_STOP, type=MARKET)],
    "accounts": [leg(1, OCO_LIMIT), leg(2, OCO_STOP, account_id=2)],
    "instruments": [leg(1, OCO_LIMIT), leg(2, OCO_STOP, instrument_id=2)],
    "quantities": [leg(1, OCO_LIMIT), leg(2, OCO_STOP, quantity=9)],
    "ids": [leg(1, OCO_LIMIT), leg(1, OCO_STOP)],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_group(wrong: str) -> None:
    made = engine()
    [event] = made.apply(2, 0, OrderGroup(WRONG[wrong]))
    assert (event[KIND], REASON_NAMES[event[REASON]]) == (COMMAND_REFUSED, "invalid_request")
    assert not made.orders and not made.groups


def test_an_order_alone_has_no_role() -> None:
    [event] = engine().apply(2, 0, leg(1, OCO_LIMIT))
    assert (event[KIND], REASON_NAMES[event[REASON]]) == (COMMAND_REFUSED, "invalid_request")


def test_nothing_is_left_of_a_group_that_is_over() -> None:
    made = engine()
    made.apply(2, 0, OrderGroup([leg(1, ENTRY, BUY), leg(2, TAKE_PROFIT), leg(3, STOP_LOSS)]))
    assert set(made.groups) == {1} and set(made.orders) == {1, 2, 3}
    assert (made.accounts[1].open_orders, made.instruments[1].holdings[1].open_sell) == (3, 0)
    made.apply(made.next_sequence, 0, Cancel(2))
    assert not made.groups and not made.orders
    assert made.accounts[1].open_orders == 0
    made.check_invariants()
