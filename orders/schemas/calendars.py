"""Session calendars as operators say them: what an instrument's phase is, by local wall-clock time.

A day is a list of steps, each a time and the phase that begins then; a phase lasts until the next step, over midnight and
over days without steps too. A holiday has no steps, and what would still be going on ends when it begins. A special day has
steps of its own, in place of its weekday's.
"""

import re
from datetime import date, time
from functools import cache
from itertools import pairwise
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from matching.values import MAX_TRANSITIONS, PHASE_NAMES
from orders.schemas.orders import Request

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Days whose phase changes an instrument is given ahead: a long weekend and the week after it.
HORIZON_DAYS = 8
# Steps of one day: so many on each day of the horizon, and of the days cut at both its ends, fit a schedule.
MAX_STEPS = MAX_TRANSITIONS // (HORIZON_DAYS + 2)
# Holidays and special days of one calendar: decades of them.
MAX_DAYS = 1_000

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
# A halt is for an operator to begin and to end; a calendar that did so would overrule one.
SessionPhase = Literal["closed", "pre_open", "auction", "no_cancel", "continuous"]

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _is_time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise PydanticCustomError("time", "must be a time of day such as 09:30 or 09:29:30")
    return text


def _is_date(text: str) -> str:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("date", "must be a date such as 2026-12-25") from None
    return text


@cache
def timezones() -> frozenset[str]:
    """Names of the IANA database. (Looked for once: that walks through directories.)"""
    return frozenset(available_timezones())


def _is_timezone(text: str) -> str:
    if text not in timezones():
        raise PydanticCustomError("timezone", "must be a time zone of the IANA database such as America/New_York")
    return text


class Step(Request):
    """From this local time on the instrument is in this phase."""

    at: Annotated[str, AfterValidator(_is_time)]
    phase: SessionPhase

    @property
    def wall_time(self) -> time:
        return time.fromisoformat(self.at)

    @property
    def phase_number(self) -> int:
        return PHASE_NAMES.index(self.phase)


def _in_order(steps: list[Step]) -> list[Step]:
    for earlier, later in pairwise(steps):
        if later.wall_time <= earlier.wall_time:
            raise PydanticCustomError(
                "order", "{later} does not come after {earlier}", {"later": later.at, "earlier": earlier.at}
            )
        if later.phase == earlier.phase:
            raise PydanticCustomError("same_phase", "at {at} it is {phase} already", later.model_dump())
    return steps


def _not_empty(steps: list[Step]) -> list[Step]:
    if not steps:
        raise PydanticCustomError("no_steps", "has no steps: a day without sessions is a holiday")
    return steps


Steps = Annotated[list[Step], Field(max_length=MAX_STEPS), AfterValidator(_in_order)]
SomeSteps = Annotated[Steps, AfterValidator(_not_empty)]
DateText = Annotated[str, AfterValidator(_is_date)]


class SessionCalendar(Request):
    """A calendar: steps by weekday, days without sessions, and days with steps of their own."""

    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=r"^[!-~]([ -~]*[!-~])?$")]
    timezone: Annotated[str, AfterValidator(_is_timezone)]
    weekly: dict[Weekday, Steps]
    holidays: Annotated[list[DateText], Field(max_length=MAX_DAYS)] = []
    special_days: Annotated[dict[DateText, SomeSteps], Field(max_length=MAX_DAYS)] = {}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if not any(self.weekly.values()):
            raise PydanticCustomError("no_sessions", "no weekday has a session")
        if len(set(self.holidays)) < len(self.holidays):
            twice = next(day for day in self.holidays if self.holidays.count(day) > 1)
            raise PydanticCustomError("twice", "{day} is a holiday twice", {"day": twice})
        for day in self.holidays:
            if day in self.special_days:
                raise PydanticCustomError("both", "{day} is a holiday and a special day", {"day": day})
        return self

    def steps_of(self, day: date) -> list[Step] | None:
        """The steps of a day; None where it is a holiday."""
        text = day.isoformat()
        if text in self.holidays:
            return None
        special = self.special_days.get(text)
        return self.weekly.get(WEEKDAYS[day.weekday()], []) if special is None else special
