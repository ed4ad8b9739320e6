"""What is due by itself happens: before the next command, in an idle engine, after a crash; and is nobody's doing."""

import threading
from time import monotonic, time_ns
from typing import Any

import pytest

from matching.commands import AdvanceTime, Amend, CancelAfter, Command, SetPhase, SetSchedule
from matching.engine import Engine
from matching.events import CANCEL_AFTER_FIRED, CANCELED, EXPIRED, PHASE_CHANGED
from matching.events import Event as CoreEvent
from matching.order import Conditions, Order
from matching.values import (
    AUCTION,
    CLOSED,
    CONTINUOUS,
    GTD,
    HALTED,
    NO_CANCEL,
    R_CANCEL_AFTER,
    SECOND_US,
)
from matching.values import CANCELED as STATUS_CANCELED
from matching.values import EXPIRED as STATUS_EXPIRED
from orders import status
from orders.batch import Batch
from orders.bus.envelope import DONE, REFUSED, UNAVAILABLE
from orders.engine import statements
from orders.engine.loop import TimersFailed
from orders.engine.recovery import recover
from orders.fields import micros_to_datetime
from orders.models import Event, Instrument, Lease, Shard
from orders.models import Order as OrderRow
from tests.engine.desk import Desk, fail_once
from tests.support.market import actor_for, make_account, make_instrument, place, running_engine

pytestmark = pytest.mark.django_db(transaction=True)


def dated(desk: Desk, account: Any, expires_at: int, price: int = 100) -> Order:
    """A good-till-date order."""
    order = desk.order(account, 0, price, 5)
    order.time_in_force = GTD
    order.conditions = Conditions(expires_at=expires_at)
    return order


def test_an_idle_engine_lets_happen_what_is_due(desk: Desk) -> None:
    order = dated(desk, desk.alice, desk.clock + 2 * SECOND_US)
    desk.do(order)
    desk.clock += 2 * SECOND_US - 1
    assert not desk.loop.run_once(0)
    desk.clock += 1
    assert desk.loop.run_once(0)
    row = OrderRow.objects.get(id=order.order_id)
    assert (row.status, row.remaining, row.canceled) == (STATUS_EXPIRED, 0, 5)
    assert not desk.loop.run_once(0), "nothing more is due"


def test_an_engine_waits_no_longer_than_until_something_is_due(desk: Desk) -> None:
    desk.do(dated(desk, desk.alice, desk.clock + SECOND_US // 20))
    started = monotonic()
    assert not desk.loop.run_once(5)  # the clock of the test stands still: there is nothing to do yet
    assert 0.04 < monotonic() - started < 2
    desk.clock += SECOND_US
    started = monotonic()
    assert desk.loop.run_once(5)
    assert monotonic() - started < 2


def test_what_is_due_happens_before_a_command_that_comes_later_and_is_nobodys_doing(desk: Desk) -> None:
    resting = dated(desk, desk.alice, desk.clock + SECOND_US)
    desk.do(resting)
    desk.clock += SECOND_US
    (outcome,) = desk.do(desk.order(desk.bob, 1, 100, 5), actor_id=7)
    assert outcome.fills == () and outcome.order is not None and outcome.order.remaining == 5
    events = list(Event.objects.order_by("id"))
    assert [event.kind for event in events[-2:]] == [EXPIRED, 1]
    assert (events[-2].actor_id, events[-2].received_at) == (None, None)
    assert events[-1].actor_id == 7 and events[-1].received_at is not None


def test_what_is_due_happens_even_where_the_command_changes_nothing(desk: Desk) -> None:
    resting = dated(desk, desk.alice, desk.clock + SECOND_US)
    desk.do(resting)
    desk.clock += SECOND_US
    (outcome,) = desk.do(Amend(resting.order_id, desk.alice.id, 99))
    assert outcome.kind == REFUSED
    assert OrderRow.objects.get(id=resting.order_id).status == STATUS_EXPIRED


def test_a_lease_cancels_everything_unless_renewed(desk: Desk) -> None:
    order = desk.order(desk.alice, 0, 100, 5)
    stop = desk.stop(desk.alice, 1, 50, 5)
    armed, *_ = desk.do(CancelAfter(desk.alice.id, 3 * SECOND_US), order, stop)
    assert armed.due_at == desk.clock + 3 * SECOND_US
    desk.clock += 2 * SECOND_US
    (renewed,) = desk.do(CancelAfter(desk.alice.id, 3 * SECOND_US))
    desk.clock += 2 * SECOND_US
    desk.loop.run_once(0)
    assert Lease.objects.count() == 1 and renewed.due_at == armed.due_at + 2 * SECOND_US
    desk.start()  # a crash does not disarm it
    desk.clock += SECOND_US
    assert desk.loop.run_once(0)
    assert set(OrderRow.objects.values_list("status", flat=True)) == {STATUS_CANCELED}
    assert Lease.objects.count() == 0
    canceled = Event.objects.filter(kind=CANCELED)
    assert {(event.reason, event.actor_id) for event in canceled} == {(R_CANCEL_AFTER, None)}


def test_a_lease_can_be_disarmed(desk: Desk) -> None:
    desk.do(CancelAfter(desk.alice.id, SECOND_US))
    (outcome,) = desk.do(CancelAfter(desk.alice.id, 0))
    assert (outcome.kind, outcome.due_at) == (DONE, 0)
    assert Lease.objects.count() == 0
    (outcome,) = desk.do(CancelAfter(desk.alice.id, 0))
    assert (outcome.kind, outcome.due_at) == (DONE, 0)


def test_a_lease_that_finds_no_cancels_taken_tries_again_every_second(desk: Desk) -> None:
    desk.do(desk.order(desk.alice, 0, 100, 5), CancelAfter(desk.alice.id, SECOND_US))
    desk.do(SetPhase(desk.instrument.id, NO_CANCEL))
    for _ in range(2):
        desk.clock += SECOND_US
        assert desk.loop.run_once(0)
        desk.start()
    assert Event.objects.filter(kind=CANCEL_AFTER_FIRED).count() == 2
    desk.do(SetPhase(desk.instrument.id, AUCTION))
    desk.clock += SECOND_US
    assert desk.loop.run_once(0)
    assert OrderRow.objects.get().status == STATUS_CANCELED and Lease.objects.count() == 0


def test_a_schedule_is_followed_across_crashes(desk: Desk) -> None:
    plan = [(desk.clock + number * SECOND_US, phase) for number, phase in ((1, AUCTION), (2, CONTINUOUS), (3, CLOSED))]
    desk.do(SetSchedule(desk.instrument.id, plan))
    phases = []
    for _ in plan:
        desk.start()
        desk.clock += SECOND_US
        assert desk.loop.run_once(0)
        phases.append(Instrument.objects.get().phase)
    assert phases == [AUCTION, CONTINUOUS, CLOSED]
    assert recover(0).engine.instruments[desk.instrument.id].schedule == []
    assert Event.objects.filter(kind=PHASE_CHANGED, actor__isnull=True).count() == 3


def test_a_phase_change_that_a_halt_outlasts_is_used_up_without_an_event(desk: Desk) -> None:
    desk.do(SetSchedule(desk.instrument.id, [(desk.clock + SECOND_US, AUCTION)]), SetPhase(desk.instrument.id, HALTED))
    before = Shard.objects.get(id=0)
    desk.clock += SECOND_US
    assert desk.loop.run_once(0)
    after = Shard.objects.get(id=0)
    assert after.last_sequence == before.last_sequence and after.at == desk.clock
    assert recover(0).engine.instruments[desk.instrument.id].schedule == []
    assert not desk.loop.run_once(0)


def test_a_phase_that_ends_by_itself_ends_after_a_crash_too(desk: Desk) -> None:
    desk.do(SetPhase(desk.instrument.id, AUCTION, 5 * SECOND_US))
    assert Instrument.objects.get().phase_until == desk.clock + 5 * SECOND_US
    desk.start()
    desk.clock += 5 * SECOND_US
    assert desk.loop.run_once(0)
    row = Instrument.objects.get()
    assert (row.phase, row.phase_until) == (CONTINUOUS, 0)


@pytest.mark.parametrize("when", ["before", "at", "after"])
def test_a_failing_commit_of_what_is_due_is_found_out(desk: Desk, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    order = dated(desk, desk.alice, desk.clock + SECOND_US)
    desk.do(order)
    desk.clock += SECOND_US
    fail_once(monkeypatch, when)
    desk.loop.run_once(0)
    desk.loop.run_once(0)
    assert OrderRow.objects.get(id=order.order_id).status == STATUS_EXPIRED
    assert Event.objects.filter(kind=EXPIRED).count() == 1


def test_timers_that_make_the_core_stumble_stop_the_shard_and_no_command_is_blamed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.do(dated(desk, desk.alice, desk.clock + SECOND_US))
    desk.clock += SECOND_US
    envelope = desk.envelope(desk.order(desk.bob, 1, 100, 5, "b"))
    desk.loop.bus.submit(envelope)

    apply = Engine.apply

    def stumbling(engine: Engine, next_sequence: int, at: int, command: Command) -> list[CoreEvent]:
        if isinstance(command, AdvanceTime):
            raise ZeroDivisionError("a bug")
        return apply(engine, next_sequence, at, command)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "apply", stumbling)
        with pytest.raises(TimersFailed):
            desk.loop.run_once(0)
    assert envelope.future.result(0)[0].kind == UNAVAILABLE
    assert desk.loop.status.state == status.STOPPED


def test_rows_the_database_refuses_of_what_is_due_are_no_commands_fault(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expiry whose row the database refuses: the command that came at that moment is not failed for it."""
    desk.do(dated(desk, desk.alice, desk.clock + SECOND_US))
    desk.clock += SECOND_US
    original = Batch.record

    def spoil(self: Batch, command: Any, events: Any, *arguments: Any) -> Any:
        outcome = original(self, command, events, *arguments)
        if isinstance(command, AdvanceTime) and self.events:
            kind = statements.EVENT.columns.index("kind")
            self.events[-1] = (*self.events[-1][:kind], 99, *self.events[-1][kind + 1 :])
        return outcome

    envelope = desk.envelope(desk.order(desk.bob, 1, 100, 5, "b"))
    desk.loop.bus.submit(envelope)
    with monkeypatch.context() as patch:
        patch.setattr(Batch, "record", spoil)
        with pytest.raises(TimersFailed):
            desk.loop.run_once(0)
    assert envelope.future.result(0)[0].kind == UNAVAILABLE
    assert OrderRow.objects.count() == 1


def test_a_running_engine_wakes_up_by_itself() -> None:
    """The real thread, the real clock: a day's work of half a second."""
    alice = actor_for(make_account("alice"))
    expired = threading.Event()
    with running_engine([lambda message: expired.set() if EXPIRED in {e.kind for e in message.executions} else None]):
        make_instrument()
        soon = micros_to_datetime(time_ns() // 1000 + SECOND_US // 2)
        place(alice, "buy", "1", "99", time_in_force="gtd", expires_at=soon.isoformat().replace("+00:00", "Z"))
        assert expired.wait(5)
