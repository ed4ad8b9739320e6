"""Schedules follow calendars: at once where something was changed, day by day where nothing was, and never otherwise."""

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from matching.events import SCHEDULE_SET
from matching.values import CLOSED, CONTINUOUS, DAY_US, HALTED, PRE_OPEN
from orders import gateway, schedules
from orders.fields import datetime_to_micros
from orders.models import Calendar, Event, Instrument, KeptSchedule
from orders.schedules import HORIZON_US, calendar_of, days_ahead, keep_periodically, keep_schedules, now_us
from orders.schemas.calendars import WEEKDAYS
from orders.schemas.problems import ProblemError
from tests.support.market import OPERATOR, make_instrument, running_engine

# Something changes every day, but not around the test's own time of day: what is entered now is entered for hours.
ALWAYS_PRE_OPEN = [{"at": "00:00", "phase": "pre_open"}]
ALWAYS_CLOSED = [{"at": "00:00", "phase": "closed"}]


@pytest.fixture
def market(transactional_db) -> Iterator[SimpleNamespace]:
    with running_engine() as engine:
        make_instrument("ACME-USD")
        make_instrument("GOLD-EUR")
        yield SimpleNamespace(engine=engine, calendar=make_calendar("one", ALWAYS_PRE_OPEN))


def make_calendar(name: str, steps: list[dict[str, str]]) -> Calendar:
    return Calendar.objects.create(
        name=name, timezone="Etc/GMT+1", weekly=dict.fromkeys(WEEKDAYS, steps), changed_at=now_us()
    )


def acme() -> Instrument:
    return Instrument.objects.select_related("calendar", "kept_schedule").get(symbol="ACME-USD")


def assign(calendar: Calendar | None) -> None:
    Instrument.objects.filter(symbol="ACME-USD").update(calendar=calendar)


def set_count() -> int:
    return Event.objects.filter(kind=SCHEDULE_SET).count()


def phase_by_hand(phase: str) -> None:
    gateway.instrument_set_phase(actor=OPERATOR, instrument_id=acme().id, phase=phase)


def grow_old(days: float) -> None:
    """As if the schedule had been given so long ago."""
    kept = KeptSchedule.objects.get()
    KeptSchedule.objects.update(until=datetime_to_micros(kept.until) - int(days * DAY_US))


def test_an_assigned_calendar_holds_at_once(market: SimpleNamespace) -> None:
    assert keep_schedules() == []
    assign(market.calendar)
    assert keep_schedules() == ["ACME-USD"]
    row = acme()
    assert row.phase == PRE_OPEN
    coming = json.loads(row.schedule)
    assert len(coming) == 8
    assert [tuple(one) for one in coming] == days_ahead(calendar_of(market.calendar), now_us())[1:]
    assert (row.kept_schedule.calendar, row.kept_schedule.version) == (market.calendar, 1)
    assert Instrument.objects.get(symbol="GOLD-EUR").schedule == "[]"


def test_what_is_unchanged_is_not_touched(market: SimpleNamespace) -> None:
    assign(market.calendar)
    keep_schedules()
    phase_by_hand("continuous")
    for _ in range(3):
        assert keep_schedules() == []
    assert set_count() == 1
    assert acme().phase == CONTINUOUS


def test_days_are_added_as_they_pass_without_entering_anything(market: SimpleNamespace) -> None:
    assign(market.calendar)
    keep_schedules()
    phase_by_hand("continuous")
    grow_old(0.9)
    assert keep_schedules() == []
    grow_old(0.2)
    assert keep_schedules() == ["ACME-USD"]
    assert acme().phase == CONTINUOUS
    assert datetime_to_micros(acme().kept_schedule.until) > now_us() + HORIZON_US - DAY_US
    assert keep_schedules() == []


def test_what_was_missed_is_made_up_for(market: SimpleNamespace) -> None:
    """Nobody kept the schedule for longer than it reached: the phase of now is entered."""
    assign(market.calendar)
    keep_schedules()
    phase_by_hand("continuous")
    grow_old(9)
    assert keep_schedules() == ["ACME-USD"]
    assert acme().phase == PRE_OPEN


def test_an_edited_calendar_and_another_one_hold_at_once(market: SimpleNamespace) -> None:
    assign(market.calendar)
    keep_schedules()
    Calendar.objects.update(weekly=dict.fromkeys(WEEKDAYS, ALWAYS_CLOSED), version=2)
    assert keep_schedules() == ["ACME-USD"]
    assert acme().phase == CLOSED
    assign(make_calendar("two", ALWAYS_PRE_OPEN))
    assert keep_schedules() == ["ACME-USD"]
    assert (acme().phase, acme().kept_schedule.calendar.name) == (PRE_OPEN, "two")


def test_without_a_calendar_the_schedule_is_empty_and_the_phase_stays(market: SimpleNamespace) -> None:
    assign(market.calendar)
    keep_schedules()
    assign(None)
    assert keep_schedules() == ["ACME-USD"]
    assert (acme().schedule, acme().phase) == ("[]", PRE_OPEN)
    assert not KeptSchedule.objects.exists()
    assert keep_schedules() == []


def test_a_halt_stays(market: SimpleNamespace) -> None:
    phase_by_hand("halted")
    assign(market.calendar)
    keep_schedules()
    assert acme().phase == HALTED
    assert len(json.loads(acme().schedule)) == 8


def test_an_engine_that_is_away_is_asked_again(market: SimpleNamespace) -> None:
    assign(market.calendar)
    market.engine.stop()
    with pytest.raises(ProblemError, match="engine_unavailable"):
        keep_schedules()
    assert not KeptSchedule.objects.exists()
    with running_engine():
        assert keep_schedules() == ["ACME-USD"]
        assert acme().phase == PRE_OPEN


def test_one_that_the_engine_refuses_does_not_stop_the_others(
    market: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Instrument.objects.update(calendar=market.calendar)
    refused = acme().id
    really = gateway.instrument_set_schedule

    def refuse(*, instrument_id: int, **kwargs: object) -> object:
        if instrument_id == refused:
            raise ProblemError("invalid_request")
        return really(instrument_id=instrument_id, **kwargs)

    monkeypatch.setattr(gateway, "instrument_set_schedule", refuse)
    assert keep_schedules() == ["GOLD-EUR"]
    assert "ACME-USD: the engine does not take the schedule" in caplog.text


def test_turn_after_turn_until_it_is_stopped(market: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    assign(market.calendar)
    stop, turns = threading.Event(), []

    def turn() -> list[str]:
        turns.append(keep_schedules())
        if len(turns) == 3:
            stop.set()
        return turns[-1]

    monkeypatch.setattr(schedules, "keep_schedules", turn)
    thread = threading.Thread(target=keep_periodically, args=(stop, 0.01))
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert turns == [["ACME-USD"], [], []]


def test_trouble_is_told_once_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, turns = threading.Event(), []

    def turn() -> list[str]:
        turns.append(len(turns))
        if len(turns) == 3:
            stop.set()
        raise ProblemError("engine_unavailable", "The engine is not running.")

    monkeypatch.setattr(schedules, "keep_schedules", turn)
    monkeypatch.setattr(schedules, "connection", SimpleNamespace(close=lambda: None))
    keep_periodically(stop, 0.001)
    assert len(turns) == 3
    assert caplog.text.count("schedules were not kept") == 1
