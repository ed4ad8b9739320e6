"""When an instrument's phase changes, by its calendar: from local wall-clock time to moments, pure.

* A wall-clock time that does not exist (clocks go forward over it) is moved forward by as much as the clocks are; one that
  exists twice means the first. (The rule of RFC 5545, and of ``zoneinfo`` with ``fold=0``.)
* Moved so, a step can come to lie at or behind the next, whose time does exist: then it is left out.
* A holiday closes what is still going on when it begins, at local midnight.
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from matching.values import CLOSED
from orders.fields import datetime_to_micros, micros_to_datetime
from orders.schemas.calendars import SessionCalendar

# A moment in microseconds since 1970, and the phase that begins then.
Transition = tuple[int, int]

# Whatever happened a week and a day ago, some step has come since: every weekday has been, with its steps, with those of a
# special day, or as a holiday that closed.
LOOK_BACK = timedelta(days=9)
ONE_DAY = timedelta(days=1)


def transitions(calendar: SessionCalendar, start: int, end: int) -> list[Transition]:
    """The phase changes from ``start`` on and before ``end`` (microseconds), in ascending time."""
    return [found for found in _since_long_before(calendar, start, end) if start <= found[0] < end]


def current(calendar: SessionCalendar, at: int) -> Transition:
    """The phase at a moment, and since when."""
    return [found for found in _since_long_before(calendar, at, at) if found[0] <= at][-1]


def _since_long_before(calendar: SessionCalendar, start: int, end: int) -> list[Transition]:
    zone = ZoneInfo(calendar.timezone)
    first = micros_to_datetime(start).astimezone(zone).date() - LOOK_BACK
    # A step that does not exist in its own day may be moved into the next: look a day further at both ends.
    last = micros_to_datetime(end).astimezone(zone).date() + ONE_DAY
    found: list[Transition] = []
    day = first
    while day <= last:
        for wall_time, phase in _steps(calendar, day, found):
            at = datetime_to_micros(datetime.combine(day, wall_time, zone))
            while found and found[-1][0] >= at:
                found.pop()
            found.append((at, phase))
        day += ONE_DAY
    return found


def _steps(calendar: SessionCalendar, day: date, before: list[Transition]) -> list[tuple[time, int]]:
    steps = calendar.steps_of(day)
    if steps is not None:
        return [(step.wall_time, step.phase_number) for step in steps]
    is_closed = bool(before) and before[-1][1] == CLOSED
    return [] if is_closed else [(time.min, CLOSED)]
