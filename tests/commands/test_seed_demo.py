"""The demo market: as the interface contract says, and the same after a second run; its sessions, and `run_calendar`."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from matching.values import CONTINUOUS
from orders.calendar import current
from orders.management.commands.seed_demo import CALENDAR
from orders.models import Calendar, Event, Instrument, KeptSchedule
from orders.schedules import calendar_of, now_us
from tests.support.market import running_engine

pytestmark = pytest.mark.django_db(transaction=True)


def run(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


def test_the_demo_market() -> None:
    said = run("seed_demo")
    assert "ACME-USD" in said and "WIDG-USD" in said
    acme = Instrument.objects.get(symbol="ACME-USD")
    assert (acme.price_decimals, acme.price_tick, acme.quantity_decimals, acme.quantity_step) == (2, 1, 3, 1)
    assert (acme.phase, acme.phase_until, acme.schedule, acme.calendar) == (CONTINUOUS, 0, "[]", None)
    assert (acme.last_price, acme.collar_bps, acme.breaker_us) == (0, 0, 0)

    stock = Instrument.objects.get(symbol="WIDG-USD")
    assert (stock.collar_bps, stock.breaker_us, stock.calendar.name) == (500, 60_000_000, CALENDAR.name)
    assert stock.phase == current(CALENDAR, now_us())[1]
    assert len(json.loads(stock.schedule)) > 6
    assert calendar_of(stock.calendar) == CALENDAR


def test_a_repeat_changes_nothing_but_what_is_missing() -> None:
    run("seed_demo")
    Instrument.objects.filter(symbol="WIDG-USD").update(calendar=None)  # somebody's decision
    run("seed_demo")
    assert Instrument.objects.get(symbol="WIDG-USD").calendar is None
    events = Event.objects.count()
    run("seed_demo")
    assert (Event.objects.count(), Calendar.objects.count()) == (events, 1)


def test_run_calendar_once() -> None:
    run("seed_demo")
    assert run("run_calendar", "--once") == "every schedule is up to date\n"
    KeptSchedule.objects.all().delete()
    assert run("run_calendar", "--once") == "WIDG-USD: the schedule is set to the calendar\n"


def test_run_calendar_leaves_a_running_server_alone() -> None:
    run("seed_demo")
    with running_engine(), pytest.raises(CommandError, match="Another server owns"):
        run("run_calendar", "--once")
    with pytest.raises(CommandError, match="must be positive"):
        run("run_calendar", "--interval", "0")
