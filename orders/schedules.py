"""Keeps the schedule of every instrument that follows a calendar: the phase changes of the days to come, given to the engine.

A turn (``keep_schedules``) compares what each instrument was given last (``KeptSchedule``) with its calendar, and touches only
what is to change: an instrument that was put on another calendar, or whose calendar was edited, enters at once the phase that
the calendar says; one that merely comes to the end of what it was given gets the days that follow.

A turn may be done by any process, and twice: the engine is told the same again, which does no harm.
"""

import logging
import threading
from time import time_ns

from django.db import DatabaseError, connection
from django.db.models import Q

from matching.values import DAY_US
from orders import gateway
from orders.actors import SCOPES, Actor
from orders.calendar import Transition, current, transitions
from orders.fields import datetime_to_micros
from orders.models import Calendar, Instrument, KeptSchedule
from orders.schemas.calendars import HORIZON_DAYS, SessionCalendar
from orders.schemas.problems import ProblemError

log = logging.getLogger(__name__)

HORIZON_US = HORIZON_DAYS * DAY_US
# Given out again when a day of it is used up.
RENEW_US = HORIZON_US - DAY_US
# Between two turns: how soon an edited calendar holds, at the cost of two small queries.
TURN_SECONDS = 5.0
KEEPER = Actor(0, "calendar", 0, "", frozenset(SCOPES))


def now_us() -> int:
    return time_ns() // 1000


def calendar_of(row: Calendar) -> SessionCalendar:
    """A calendar's row in the words it was validated by."""
    return SessionCalendar(
        name=row.name,
        timezone=row.timezone,
        weekly=row.weekly,
        holidays=row.holidays,
        special_days=row.special_days,
    )


def keep_schedules(now: int | None = None, actor: Actor = KEEPER) -> list[str]:
    """One turn at ``now`` (microseconds). Returns the symbols whose schedule was set.

    Raises ``ProblemError`` where the engine is away: those before it are done, the others are for the next turn. An
    instrument whose schedule it will not have is told of in the log, and does not stop the others.
    """
    now = now_us() if now is None else now
    rows = Instrument.objects.select_related("calendar", "kept_schedule").order_by("symbol")
    done = []
    for row in rows.filter(Q(calendar__isnull=False) | Q(kept_schedule__isnull=False)):
        try:
            if keep_schedule(row, now, actor):
                done.append(row.symbol)
        except ProblemError as problem:
            if problem.code.retryable:
                raise
            log.error("%s: the engine does not take the schedule of its calendar: %s", row.symbol, problem)
    return done


def keep_schedule(row: Instrument, now: int | None = None, actor: Actor = KEEPER) -> bool:
    """Bring one instrument's schedule up to date. Returns whether the engine was told anything."""
    now = now_us() if now is None else now
    kept: KeptSchedule | None = getattr(row, "kept_schedule", None)
    if row.calendar is None:
        if kept is None:
            return False
        gateway.instrument_set_schedule(actor=actor, instrument_id=row.pk, transitions=[], enter_current=False)
        kept.delete()
        return True
    is_same = kept is not None and (kept.calendar_id, kept.version) == (row.calendar_id, row.calendar.version)
    until = datetime_to_micros(kept.until) if kept is not None else 0
    if is_same and until - now > RENEW_US:
        return False
    # What came after the end of the schedule, while nobody kept it, was missed.
    is_current = is_same and until >= now
    follow_calendar(row, now, actor, enter_current=not is_current)
    return True


def follow_calendar(row: Instrument, now: int, actor: Actor = KEEPER, *, enter_current: bool) -> None:
    """Give an instrument the days to come of its calendar, and remember that it has them."""
    assert row.calendar is not None
    coming = days_ahead(calendar_of(row.calendar), now)
    gateway.instrument_set_schedule(actor=actor, instrument_id=row.pk, transitions=coming, enter_current=enter_current)
    KeptSchedule.objects.update_or_create(
        instrument_id=row.pk,
        defaults={"calendar_id": row.calendar_id, "version": row.calendar.version, "until": now + HORIZON_US},
    )


def days_ahead(calendar: SessionCalendar, now: int) -> list[Transition]:
    """What a calendar says from now on: the phase it is in, and the changes of the days to come."""
    return [current(calendar, now), *transitions(calendar, now + 1, now + HORIZON_US)]


def keep_periodically(stop: threading.Event, interval_seconds: float = TURN_SECONDS) -> None:
    """Turn after turn, until ``stop``. What fails is told once, and tried again at the next turn."""
    trouble = ""
    while not stop.is_set():
        try:
            for symbol in keep_schedules():
                log.info("%s: the schedule is set to the calendar", symbol)
            trouble = ""
        except (ProblemError, DatabaseError) as error:
            if str(error) != trouble:
                log.warning("schedules were not kept: %s", error)
            trouble = str(error)
        finally:
            connection.close()
        stop.wait(interval_seconds)
