"""Why an amend is refused, rung by rung: of two reasons that both hold, the upper one is the answer."""

from __future__ import annotations

import pytest

from matching.commands import REDUCTION, Amend, DefineInstrument, OrderGroup, SetPhase
from matching.engine import Engine
from matching.events import COMMAND_REFUSED, KIND, REASON
from matching.order import Conditions, Order
from matching.values import (
    BUY,
    CLOSED,
    GTD,
    HALTED,
    LIMIT,
    NO_CANCEL,
    OCO_LIMIT,
    OCO_STOP,
    REASON_NAMES,
    SELL,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
)

NOW = 1_000
# Alice's orders by what they are.
LIMIT_ORDER, WAITING, WAITING_LIMIT, TRAILING, ICEBERG, EXPIRING, PAIRED, PAIRED_STOP = range(1, 9)


def engine() -> Engine:
    made = Engine()
    made.apply(1, NOW, DefineInstrument(1, "ACME-USD"))
    pair = [Conditions(group_id=PAIRED, role=OCO_LIMIT), Conditions(group_id=PAIRED, role=OCO_STOP, stop_price=90)]
    for command in (
        Order(LIMIT_ORDER, 1, 1, BUY, 100, 10),
        Order(WAITING, 1, 1, BUY, 0, 10, STOP, conditions=Conditions(stop_price=120)),
        Order(WAITING_LIMIT, 1, 1, BUY, 120, 10, STOP_LIMIT, conditions=Conditions(stop_price=120)),
        Order(TRAILING, 1, 1, BUY, 0, 10, TRAILING_STOP, conditions=Conditions(trail=5)),
        Order(ICEBERG, 1, 1, BUY, 99, 10, conditions=Conditions(display_quantity=2)),
        Order(EXPIRING, 1, 1, BUY, 98, 10, LIMIT, GTD, conditions=Conditions(expires_at=2_000)),
        OrderGroup(
            [
                Order(PAIRED, 1, 1, SELL, 110, 10, conditions=pair[0]),
                Order(PAIRED_STOP, 1, 1, SELL, 0, 10, STOP, conditions=pair[1]),
            ]
        ),
    ):
        made.apply(made.next_sequence, NOW, command)
    made.check_invariants()
    return made


def reason(made: Engine, amend: Amend) -> str:
    """The reason of a refusal, which leaves everything as it was; "" where the amend was taken."""
    before = made.next_sequence
    events = made.apply(before, NOW, amend)
    made.check_invariants()
    if events[0][KIND] != COMMAND_REFUSED:
        return ""
    assert made.next_sequence == before and len(events) == 1
    return REASON_NAMES[events[0][REASON]]


NEGATIVE = [
    {name: -1} for name in ("price", "quantity", "stop_price", "trail", "trail_bps", "display_quantity", "expires_at")
]


@pytest.mark.parametrize("numbers", [*NEGATIVE, {"basis": REDUCTION}], ids=str)
def test_numbers_that_cannot_be_come_first(numbers: dict[str, int]) -> None:
    """Before it is asked whether there is such an order."""
    assert reason(engine(), Amend(99, 1, **numbers)) == "invalid_request"


@pytest.mark.parametrize(
    ("order_id", "terms", "expected"),
    [
        (LIMIT_ORDER, {"stop_price": 5}, "not_amendable"),
        (LIMIT_ORDER, {"trail": 5}, "not_amendable"),
        (LIMIT_ORDER, {"display_quantity": 5}, "not_amendable"),
        (LIMIT_ORDER, {"expires_at": 5_000}, "not_amendable"),
        (LIMIT_ORDER, {"price": 101, "stop_price": 5}, "not_amendable"),
        (WAITING, {"price": 5}, "not_amendable"),
        (WAITING, {"trail_bps": 5}, "not_amendable"),
        (WAITING, {"stop_price": 119}, ""),
        (WAITING_LIMIT, {"price": 119, "stop_price": 119}, ""),
        (TRAILING, {"price": 5}, "not_amendable"),
        (TRAILING, {"stop_price": 5}, "not_amendable"),
        (TRAILING, {"trail": 5, "trail_bps": 5}, "not_amendable"),
        (TRAILING, {"trail_bps": 5}, ""),
        (ICEBERG, {"display_quantity": 3}, ""),
        (ICEBERG, {"display_quantity": 99}, ""),
        (EXPIRING, {"expires_at": NOW}, "invalid_request"),
        (EXPIRING, {"expires_at": NOW + 1}, ""),
        (EXPIRING, {"expires_at": NOW, "stop_price": 5}, "not_amendable"),
        (PAIRED, {"quantity": 9}, "not_amendable"),
        (PAIRED_STOP, {"quantity": 10}, "not_amendable"),
        (PAIRED, {"price": 111}, ""),
    ],
    ids=str,
)
def test_what_an_order_does_not_have(order_id: int, terms: dict[str, int], expected: str) -> None:
    assert reason(engine(), Amend(order_id, 1, **terms)) == expected


def test_who_comes_before_what() -> None:
    """Unknown, then the version, then the phase, then what it has, then what it would be."""
    made = engine()
    bad = {"stop_price": 5, "quantity": 0}
    made.apply(made.next_sequence, NOW, SetPhase(1, NO_CANCEL))
    assert reason(made, Amend(LIMIT_ORDER, 2, expected_version=9, **bad)) == "order_not_found"
    assert reason(made, Amend(LIMIT_ORDER, 1, expected_version=9, **bad)) == "version_conflict"
    assert reason(made, Amend(LIMIT_ORDER, 1, expected_version=1, **bad)) == "too_late_to_amend"
    made.apply(made.next_sequence, NOW, SetPhase(1, HALTED))
    assert reason(made, Amend(LIMIT_ORDER, 1, **bad)) == "not_amendable"
    assert reason(made, Amend(LIMIT_ORDER, 1, price=101)) == "market_halted"
    made.apply(made.next_sequence, NOW, SetPhase(1, CLOSED))
    assert reason(made, Amend(LIMIT_ORDER, 1, quantity=10, basis=REDUCTION)) == "market_closed"
