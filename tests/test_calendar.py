"""Session calendars: what is refused, and which moments local times are, over changes of the clocks and other odd days."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from matching.values import CLOSED, MAX_TRANSITIONS, PHASE_NAMES
from orders.calendar import current, transitions
from orders.fields import datetime_to_micros, micros_to_datetime
from orders.schedules import days_ahead
from orders.schemas.calendars import MAX_STEPS, WEEKDAYS, SessionCalendar

DAY = {"09:30": "continuous", "16:00": "closed"}


def steps(times: dict[str, str]) -> list[dict[str, str]]:
    return [{"at": at, "phase": phase} for at, phase in times.items()]


def calendar(
    timezone: str = "America/New_York", *, days: tuple[str, ...] = WEEKDAYS, **fields: object
) -> SessionCalendar:
    """A calendar with the same steps on each of ``days``; ``times`` are those, ``holidays`` and ``special`` further days."""
    times = fields.pop("times", DAY)
    special = {day: steps(its) for day, its in fields.pop("special", {}).items()}
    said = {"name": "test", "timezone": timezone, "weekly": dict.fromkeys(days, steps(times)), "special_days": special}
    return SessionCalendar.model_validate(said | fields)


def moment(text: str) -> int:
    return datetime_to_micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def told(found: list[tuple[int, int]]) -> list[str]:
    """Phase changes as text, in UTC."""
    return [f"{micros_to_datetime(at):%m-%d %H:%M:%S} {PHASE_NAMES[phase]}" for at, phase in found]


def week(of: SessionCalendar, start: str, end: str) -> list[str]:
    return told(transitions(of, moment(start), moment(end)))


# Clocks that change


def test_new_york_goes_forward() -> None:
    """2026-03-08: at 02:00 it is 03:00. The session keeps its local time; 02:30 does not exist and becomes 03:30."""
    assert week(calendar(), "2026-03-07", "2026-03-10") == [
        "03-07 14:30:00 continuous",
        "03-07 21:00:00 closed",
        "03-08 13:30:00 continuous",
        "03-08 20:00:00 closed",
        "03-09 13:30:00 continuous",
        "03-09 20:00:00 closed",
    ]
    night = calendar(times={"02:30": "pre_open", "05:00": "continuous", "06:00": "closed"})
    assert week(night, "2026-03-08", "2026-03-09")[:2] == ["03-08 07:30:00 pre_open", "03-08 09:00:00 continuous"]


def test_a_step_moved_behind_the_next_is_left_out() -> None:
    """02:30 would become 03:30, but from 03:10 on it is open already."""
    night = calendar(times={"02:30": "pre_open", "03:10": "continuous", "06:00": "closed"})
    assert week(night, "2026-03-08", "2026-03-09") == ["03-08 07:10:00 continuous", "03-08 10:00:00 closed"]


def test_new_york_goes_back() -> None:
    """2026-11-01: 01:00 to 02:00 comes twice, and 01:30 is the first."""
    night = calendar(times={"01:30": "continuous", "02:30": "closed"})
    assert week(night, "2026-10-31", "2026-11-02") == [
        "10-31 05:30:00 continuous",
        "10-31 06:30:00 closed",
        "11-01 05:30:00 continuous",
        "11-01 07:30:00 closed",
    ]


def test_sydney_goes_the_other_way() -> None:
    """2026-04-05: 02:00 to 03:00 comes twice. 2026-10-04: 02:30 does not exist and becomes 03:30."""
    night = calendar("Australia/Sydney", times={"02:30": "continuous", "10:00": "closed"})
    assert week(night, "2026-04-04T12:00", "2026-04-06T12:00") == [
        "04-04 15:30:00 continuous",
        "04-05 00:00:00 closed",
        "04-05 16:30:00 continuous",
        "04-06 00:00:00 closed",
    ]
    assert week(night, "2026-10-03T12:00", "2026-10-05") == [
        "10-03 16:30:00 continuous",
        "10-03 23:00:00 closed",
        "10-04 15:30:00 continuous",
        "10-04 23:00:00 closed",
    ]


def test_half_an_hour_and_a_day_that_never_was() -> None:
    """Lord Howe changes by thirty minutes; Samoa left out 2011-12-30 whole."""
    night = calendar("Australia/Lord_Howe", times={"02:15": "continuous", "10:00": "closed"})
    assert week(night, "2026-10-03T12:00", "2026-10-04T12:00") == ["10-03 15:45:00 continuous", "10-03 23:00:00 closed"]
    samoa = calendar("Pacific/Apia", times={"09:30": "continuous", "16:00": "closed"})
    assert week(samoa, "2011-12-29T12:00", "2011-12-31T12:00") == [
        "12-29 19:30:00 continuous",
        "12-30 02:00:00 closed",
        "12-30 19:30:00 continuous",
        "12-31 02:00:00 closed",
    ]


# Days that are not like the others


def test_holidays_and_special_days() -> None:
    stocks = calendar(
        days=WEEKDAYS[:5], holidays=["2026-12-25"], special={"2026-12-24": {"09:30": "continuous", "13:00": "closed"}}
    )
    assert week(stocks, "2026-12-23", "2026-12-29") == [
        "12-23 14:30:00 continuous",
        "12-23 21:00:00 closed",
        "12-24 14:30:00 continuous",
        "12-24 18:00:00 closed",
        "12-28 14:30:00 continuous",
        "12-28 21:00:00 closed",
    ]


def test_a_holiday_closes_what_goes_on_over_midnight() -> None:
    """Open from Sunday evening to Friday evening; a holiday on Wednesday begins at its midnight."""
    futures = SessionCalendar.model_validate(
        {
            "name": "futures",
            "timezone": "America/Chicago",
            "weekly": {"sunday": steps({"17:00": "continuous"}), "friday": steps({"16:00": "closed"})},
            "holidays": ["2026-11-25"],
        }
    )
    assert week(futures, "2026-11-22", "2026-11-30") == [
        "11-22 23:00:00 continuous",
        "11-25 06:00:00 closed",
        "11-27 22:00:00 closed",
        "11-29 23:00:00 continuous",
    ]
    assert current(futures, moment("2026-11-24T12:00")) == (moment("2026-11-22T23:00"), PHASE_NAMES.index("continuous"))
    assert current(futures, moment("2026-11-26T12:00"))[1] == CLOSED


def test_the_phase_now_and_the_days_ahead() -> None:
    stocks = calendar(days=WEEKDAYS[:5])
    saturday = moment("2026-11-28T12:00")
    assert told([current(stocks, saturday)]) == ["11-27 21:00:00 closed"]
    assert told([current(stocks, moment("2026-11-30T14:30"))]) == ["11-30 14:30:00 continuous"]
    ahead = days_ahead(stocks, saturday)
    assert told(ahead)[:3] == ["11-27 21:00:00 closed", "11-30 14:30:00 continuous", "11-30 21:00:00 closed"]
    assert told(ahead)[-1] == "12-04 21:00:00 closed"


WALL = st.times().map(lambda at: at.replace(microsecond=0, tzinfo=None).isoformat())
ZONES = st.sampled_from(
    (
        "UTC",
        "America/New_York",
        "Australia/Sydney",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Europe/London",
        "Africa/Cairo",
    )
)
PHASES = st.sampled_from(("closed", "pre_open", "auction", "no_cancel", "continuous"))


@st.composite
def calendars(draw: st.DrawFn) -> SessionCalendar:
    weekly: dict[str, list[dict[str, str]]] = {}
    for day in WEEKDAYS:
        times = sorted(draw(st.sets(WALL, max_size=4)))
        phases = [draw(PHASES) for _ in times]
        weekly[day] = [
            {"at": at, "phase": phase}
            for index, (at, phase) in enumerate(zip(times, phases, strict=True))
            if not index or phases[index - 1] != phase
        ]
    weekly["monday"] = weekly["monday"] or steps(DAY)
    days = draw(st.sets(st.integers(0, 700), max_size=6))
    holidays = [(datetime(2025, 6, 1) + timedelta(days=day)).date().isoformat() for day in days]
    said = {"name": "any", "timezone": draw(ZONES), "weekly": weekly, "holidays": holidays}
    return SessionCalendar.model_validate(said)


@given(calendars(), st.integers(moment("2025-07-01"), moment("2027-01-01")), st.integers(1, 20 * 86_400 * 10**6))
def test_it_is_one_timeline_wherever_one_begins_to_look(of: SessionCalendar, start: int, length: int) -> None:
    """Ascending; a part of a longer look is the same; the phase now is the last change before; a schedule has room."""
    found = transitions(of, start, start + length)
    times = [at for at, _ in found]
    assert times == sorted(set(times))
    middle = start + length // 2
    assert transitions(of, start, middle) + transitions(of, middle, start + length) == found
    before = [one for one in found if one[0] <= middle]
    if before:
        assert current(of, middle) == before[-1]
    assert len(days_ahead(of, start)) <= MAX_TRANSITIONS
    zone = ZoneInfo(of.timezone)
    for at, _ in found[:5]:
        local = micros_to_datetime(at).astimezone(zone)
        if not of.steps_of(local.date()):
            # Nothing but a holiday's close, or a step that its own day did not have.
            assert of.steps_of(local.date()) is None or local.hour < 2


def test_the_busiest_calendar_fits_a_schedule() -> None:
    times = {f"{minute // 60:02}:{minute % 60:02}": ("auction", "closed")[minute % 2] for minute in range(MAX_STEPS)}
    busy = calendar("UTC", times=times)
    assert len(days_ahead(busy, moment("2026-11-23T00:00"))) <= MAX_TRANSITIONS


# What no calendar can be

STEP = {"at": "09:30", "phase": "continuous"}
IMPOSSIBLE = [
    ({"timezone": "New York"}, "timezone", "must be a time zone"),
    ({"timezone": "../../etc/passwd"}, "timezone", "must be a time zone"),
    ({"weekly": {}}, "", "no weekday has a session"),
    ({"weekly": {"monday": []}}, "", "no weekday has a session"),
    ({"weekly": {"someday": [STEP]}}, "weekly.someday.[key]", "'monday'"),
    ({"weekly": {"monday": [{**STEP, "at": "9:30"}]}}, "weekly.monday.0.at", "must be a time of day"),
    ({"weekly": {"monday": [{**STEP, "at": "24:00"}]}}, "weekly.monday.0.at", "must be a time of day"),
    ({"weekly": {"monday": [{**STEP, "phase": "open"}]}}, "weekly.monday.0.phase", "'continuous'"),
    ({"weekly": {"monday": [{**STEP, "phase": "halted"}]}}, "weekly.monday.0.phase", "'continuous'"),
    ({"weekly": {"monday": [STEP, {"at": "09:30:00", "phase": "closed"}]}}, "weekly.monday", "does not come after"),
    ({"weekly": {"monday": [STEP, {**STEP, "at": "10:00"}]}}, "weekly.monday", "it is continuous already"),
    ({"holidays": ["2026-02-29"]}, "holidays.0", "must be a date"),
    ({"holidays": ["20261225"]}, "holidays.0", "must be a date"),
    ({"holidays": ["2026-12-25", "2026-12-25"]}, "", "2026-12-25 is a holiday twice"),
    ({"special_days": {"2026-12-24": []}}, "special_days.2026-12-24", "has no steps"),
    ({"special_days": {"2026-13-24": [STEP]}}, "special_days.2026-13-24.[key]", "must be a date"),
    ({"holidays": ["2026-12-24"], "special_days": {"2026-12-24": [STEP]}}, "", "a holiday and a special day"),
    ({"name": ""}, "name", "at least 1 character"),
    ({"sessions": []}, "sessions", "Extra inputs"),
]


@pytest.mark.parametrize(("changes", "field", "message"), IMPOSSIBLE)
def test_what_no_calendar_can_be(changes: dict[str, object], field: str, message: str) -> None:
    good = {"name": "test", "timezone": "Europe/London", "weekly": {"monday": [STEP]}}
    with pytest.raises(ValidationError) as caught:
        SessionCalendar.model_validate(good | changes)
    (error,) = caught.value.errors()[:1]
    assert ".".join(str(part) for part in error["loc"]) == field
    assert message in error["msg"]
