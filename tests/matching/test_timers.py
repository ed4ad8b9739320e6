"""Reminders of what is due: never late, and not more of them than needed. What happens then is in scenarios/time.txt."""

from __future__ import annotations

from matching.commands import AdvanceTime, Amend, Cancel, CancelAfter, DefineInstrument, SetPhase, SetSchedule
from matching.engine import Engine
from matching.events import KIND, PHASE_CHANGED, SEQUENCE
from matching.order import Conditions, Order
from matching.timers import SPARE_REMINDERS
from matching.values import AUCTION, BUY, CLOSED, DAY, DAY_US, GTD, LIMIT, NEVER


def engine() -> Engine:
    made = Engine()
    made.apply(1, 0, DefineInstrument(1, "ACME-USD"))
    return made


def expiring(number: int, expires_at: int) -> Order:
    return Order(number, 1, 1, BUY, 100, 10, LIMIT, GTD, conditions=Conditions(expires_at=expires_at))


def test_the_earliest_of_all_is_next() -> None:
    made = engine()
    assert made.next_due == NEVER
    for command, due in (
        (Order(1, 1, 1, BUY, 100, 10, time_in_force=DAY), DAY_US),
        (SetSchedule(1, [(9_000, CLOSED)]), 9_000),
        (CancelAfter(2, 8_000), 8_000),
        (expiring(2, 7_000), 7_000),
        (SetPhase(1, AUCTION, 6_000), 6_000),
    ):
        made.apply(made.next_sequence, 0, command)
        assert made.next_due == due
    for at, due in ((6_000, 7_000), (7_500, 8_000), (8_000, 9_000), (9_000, DAY_US), (DAY_US, NEVER)):
        made.apply(made.next_sequence, at, AdvanceTime())
        assert made.next_due == due
    made.check_invariants()


def test_what_was_taken_back_does_not_happen() -> None:
    made = engine()
    made.apply(2, 0, expiring(1, 500))
    made.apply(3, 0, CancelAfter(1, 400))
    made.apply(4, 0, SetPhase(1, AUCTION, 300))
    made.apply(5, 0, Cancel(1))
    made.apply(6, 0, CancelAfter(1, 0))
    made.apply(7, 0, SetPhase(1, AUCTION))
    assert made.apply(8, 1_000, AdvanceTime()) == [] and made.next_due == NEVER


def test_what_is_due_comes_before_the_command_and_is_numbered_before_it() -> None:
    made = engine()
    made.apply(2, 0, SetPhase(1, AUCTION, 300))
    events = made.apply(3, 300, expiring(1, 500))
    assert events[0][KIND] == PHASE_CHANGED
    assert [event[SEQUENCE] for event in events] == [3, 4]


def test_reminders_do_not_pile_up() -> None:
    """An order that puts off its end for ever leaves reminders that mean nothing: they are thrown away in time."""
    made = engine()
    made.apply(2, 0, expiring(1, 10**6))
    for number in range(5 * SPARE_REMINDERS):
        made.apply(made.next_sequence, 0, Amend(1, 1, expires_at=10**6 + number + 1))
        assert len(made.timers) <= SPARE_REMINDERS + 6
    made.check_invariants()
    assert made.apply(made.next_sequence, 10**6 + 5 * SPARE_REMINDERS - 1, AdvanceTime()) == []
    assert len(made.apply(made.next_sequence, 10**6 + 5 * SPARE_REMINDERS, AdvanceTime())) == 1
