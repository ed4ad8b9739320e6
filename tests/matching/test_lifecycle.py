"""The lifecycle table: nothing happens that is not in it, and everything in it happens."""

from __future__ import annotations

import pytest

from matching.events import ACCEPTED, AMENDED, CANCELED, FILL_MAKER
from matching.lifecycle import TRANSITIONS, UNBORN, status_after
from matching.values import EXPIRED, FILLED, LAST_OPEN_STATUS, NEW, PARTIALLY_FILLED, REASON_NAMES, STATUS_NAMES
from tests.matching.driver import Dice, Pair

# Reasons that only the doors give: an amend of an order that has ended, a cancel by an operator.
DOOR_REASONS = {"not_amendable", "operator_request"}


def test_the_driver_sees_the_whole_table_and_nothing_else() -> None:
    dice, pair = Dice(7), Pair()
    for _ in range(6_000):
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
    table = {(status, kind, after) for (status, kind), allowed in TRANSITIONS.items() for after in allowed}
    assert pair.seen == table
    assert set(REASON_NAMES) - pair.reasons == DOOR_REASONS


def test_an_end_is_the_end() -> None:
    """No row starts from a status that is not open."""
    assert all(status == UNBORN or status <= LAST_OPEN_STATUS for status, _ in TRANSITIONS)
    assert {NEW, PARTIALLY_FILLED} == {status for status, _ in TRANSITIONS} - {UNBORN}


@pytest.mark.parametrize("status", [*range(LAST_OPEN_STATUS + 1, len(STATUS_NAMES))])
def test_nothing_follows_an_end(status: int) -> None:
    with pytest.raises(ValueError, match="can follow"):
        status_after(status, CANCELED, 0)


def test_what_remains_decides() -> None:
    assert status_after(NEW, FILL_MAKER, 1) == PARTIALLY_FILLED
    assert status_after(NEW, FILL_MAKER, 0) == FILLED
    assert status_after(PARTIALLY_FILLED, AMENDED, 5) == PARTIALLY_FILLED
    with pytest.raises(ValueError, match="can follow"):
        status_after(NEW, ACCEPTED, 1)
    assert STATUS_NAMES[EXPIRED] == "expired"
