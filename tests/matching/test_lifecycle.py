"""The lifecycle table: nothing happens that is not in it, and everything in it happens."""

from __future__ import annotations

import pytest

from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    FILL_MAKER,
    INSTRUMENT_ARRIVED,
    INSTRUMENT_DEPARTED,
    KIND_NAMES,
    MOVED,
    RELEASED,
    TRIGGERED,
)
from matching.lifecycle import TRANSITIONS, UNBORN, is_step
from matching.values import (
    EXPIRED,
    FILLED,
    LAST_OPEN_STATUS,
    NEW,
    PARTIALLY_FILLED,
    REASON_NAMES,
    STATUS_NAMES,
    UNTRIGGERED,
)
from tests.matching.dice import Dice
from tests.matching.driver import Pair

# Reasons the driver does not see: an operator's cancel is a door's, ten thousand trailing stops have a test of their own
# (test_checks), and funded accounts are still to come.
OTHER_REASONS = {"operator_request", "too_many_trailing_stops"}


def test_the_driver_sees_the_whole_table_and_nothing_else() -> None:
    dice, pair = Dice(7), Pair()
    for _ in range(12_000):
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
    # The twin is one shard: what moves between two is in test_moving.
    table = {(one, kind, after) for (one, kind), allowed in TRANSITIONS.items() for after in allowed if kind != MOVED}
    assert pair.seen == table
    assert set(REASON_NAMES) - pair.reasons == OTHER_REASONS
    assert pair.kinds == set(KIND_NAMES) - {
        KIND_NAMES[kind] for kind in (MOVED, INSTRUMENT_ARRIVED, INSTRUMENT_DEPARTED)
    }


def test_an_end_is_the_end() -> None:
    """No row starts from a status that is not open."""
    assert all(status == UNBORN or status <= LAST_OPEN_STATUS for status, _ in TRANSITIONS)
    assert {NEW, PARTIALLY_FILLED, UNTRIGGERED} == {status for status, _ in TRANSITIONS} - {UNBORN}


@pytest.mark.parametrize("status", [*range(LAST_OPEN_STATUS + 1, len(STATUS_NAMES))])
def test_nothing_follows_an_end(status: int) -> None:
    assert not any(is_step(status, CANCELED, after) for after in range(len(STATUS_NAMES)))


def test_steps() -> None:
    assert is_step(UNBORN, ACCEPTED, NEW) and is_step(UNBORN, ACCEPTED, UNTRIGGERED)
    assert is_step(NEW, FILL_MAKER, PARTIALLY_FILLED) and is_step(NEW, FILL_MAKER, FILLED)
    assert is_step(PARTIALLY_FILLED, AMENDED, PARTIALLY_FILLED) and not is_step(PARTIALLY_FILLED, AMENDED, NEW)
    assert is_step(UNTRIGGERED, TRIGGERED, NEW) and not is_step(UNTRIGGERED, FILL_MAKER, FILLED)
    assert is_step(UNTRIGGERED, RELEASED, NEW) and not is_step(NEW, TRIGGERED, NEW)
    assert not is_step(NEW, ACCEPTED, NEW)
    assert STATUS_NAMES[EXPIRED] == "expired"
