"""Session calendars in the admin: text in, clear errors, a look ahead, and instruments that follow at once."""

import json

import pytest
from django.contrib.admin.models import LogEntry

from matching.events import SCHEDULE_SET
from matching.values import CLOSED, CONTINUOUS, HALTED, PRE_OPEN
from orders import gateway
from orders.models import Calendar, Event, Instrument, KeptSchedule
from orders.schedules import calendar_of
from orders.schemas.calendars import WEEKDAYS
from tests.admin.conftest import messages_of, text
from tests.admin.test_instruments import change_url as instrument_url
from tests.admin.test_instruments import rules

LIST = "/admin/orders/calendar/"
ADD = f"{LIST}add/"
PREVIEW = f"{LIST}preview/"
DAY = "08:00 pre_open, 09:25 auction, 09:29:30 no_cancel, 09:30 continuous, 16:00 closed"
NEW = {
    "name": "New York stocks",
    "timezone": "America/New_York",
    **dict.fromkeys(WEEKDAYS[:5], DAY),
    "saturday": "",
    "sunday": "",
    "holidays": "2026-12-25\n2027-01-01",
    "special_days": "2026-12-24: 09:30 continuous, 13:00 closed\n",
}
# The same phase all day: what is entered now does not depend on when the test runs.
ALL_DAY = {**NEW, "name": "all day", "timezone": "Etc/GMT+1", **dict.fromkeys(WEEKDAYS, "00:00 pre_open")}


def change_url(row: Calendar) -> str:
    return f"{LIST}{row.pk}/change/"


def acme() -> Instrument:
    return Instrument.objects.get(symbol="ACME-USD")


@pytest.fixture
def followed(market, root) -> Calendar:
    """A calendar that ACME-USD follows."""
    root.post(ADD, {**ALL_DAY, "holidays": "", "special_days": ""})
    row = Calendar.objects.get()
    root.post(instrument_url(acme()), {**rules(root, acme()), "calendar": row.pk})
    return row


def test_a_new_calendar_is_what_was_typed(market, root):
    response = root.post(ADD, NEW)
    row = Calendar.objects.get()
    assert (response.status_code, response.url) == (302, LIST)
    said = calendar_of(row)
    assert (said.name, said.timezone, said.holidays) == (
        "New York stocks",
        "America/New_York",
        ["2026-12-25", "2027-01-01"],
    )
    assert [f"{step.at} {step.phase}" for step in said.weekly["friday"]] == DAY.split(", ")
    assert said.weekly["sunday"] == []
    assert [step.at for step in said.special_days["2026-12-24"]] == ["09:30", "13:00"]
    assert (row.version, LogEntry.objects.get().object_repr) == (1, "New York stocks")
    form = root.get(change_url(row)).context["adminform"].form
    assert {name: form[name].value() for name in NEW} == {**NEW, "special_days": NEW["special_days"].strip()}
    assert "09:29:30" in text(root.get(change_url(row)))


IMPOSSIBLE = [
    ({"monday": "9:30 continuous"}, "monday", "step 1, at: must be a time of day"),
    ({"tuesday": "09:30 continuous, 10:00 lunch"}, "tuesday", "step 2, phase: Input should be 'closed'"),
    ({"wednesday": "09:30"}, "wednesday", "step 1, phase"),
    ({"thursday": "09:30 continuous, 09:00 closed"}, "thursday", "09:00 does not come after 09:30"),
    ({"friday": "09:30 continuous; 16:00 closed"}, "friday", "step 1, phase"),
    ({"friday": "09:30 halted"}, "friday", "step 1, phase"),
    ({"holidays": "2026-12-25, christmas"}, "holidays", "christmas: must be a date"),
    ({"holidays": "2026-02-30"}, "holidays", "2026-02-30: must be a date"),
    ({"special_days": "tomorrow: 09:30 continuous"}, "special_days", "tomorrow: must be a date"),
    ({"special_days": "2026-12-31"}, "special_days", "2026-12-31: has no steps"),
    ({"special_days": "2026-12-31: 09:30 open"}, "special_days", "2026-12-31, step 1, phase"),
    ({"timezone": "Mars/Olympus"}, "timezone", "not one of the available choices"),
    ({"name": ""}, "name", "required"),
    ({"name": "x" * 65}, "name", "at most 64"),
    (dict.fromkeys(WEEKDAYS, ""), "__all__", "no weekday has a session"),
    ({"holidays": "2026-12-24"}, "__all__", "2026-12-24 is a holiday and a special day"),
]


def test_what_no_calendar_can_be_is_an_error_of_its_field(market, root):
    for changes, field, message in IMPOSSIBLE:
        response = root.post(ADD, {**NEW, **changes})
        form = response.context["adminform"].form
        assert list(form.errors) == [field], changes
        assert message in " ".join(form.errors[field]), changes
        assert form["tuesday"].value() == {**NEW, **changes}["tuesday"]
    assert not Calendar.objects.exists()
    root.post(ADD, NEW)
    assert "in use" in str(root.post(ADD, NEW).context["adminform"].form.errors["name"])


def test_a_look_ahead_without_saving(market, root, staff):
    page = text(root.post(PREVIEW, {**NEW, "name": "whatever"}))
    assert page.count("<td>continuous</td>") >= 4
    assert "Nothing is saved yet" in page
    page = text(root.post(PREVIEW, {**NEW, "monday": "9:30 continuous"}))
    assert "Monday: step 1, at: must be a time of day" in page
    assert "<table" not in page
    assert not Calendar.objects.exists()
    assert root.get(PREVIEW).status_code == 405
    assert staff("view_order").post(PREVIEW, NEW).status_code == 403


def test_an_instrument_follows_at_once(market, root):
    root.post(ADD, {**ALL_DAY, "holidays": "", "special_days": ""})
    row = Calendar.objects.get()
    response = root.post(instrument_url(acme()), {**rules(root, acme()), "calendar": row.pk}, follow=True)
    assert "ACME-USD follows all day." in messages_of(response)
    after = acme()
    assert (after.calendar, after.phase, len(json.loads(after.schedule))) == (row, PRE_OPEN, 8)
    event = Event.objects.get(kind=SCHEDULE_SET)
    assert event.actor.username == "root"
    assert not Event.objects.filter(kind=9).exclude(id=Event.objects.filter(kind=9).earliest("id").id).exists()
    page = text(root.get(instrument_url(after)))
    assert page.count("<td>pre_open</td>") == 8
    assert "8 phase changes to come" in text(root.get(f"/admin/orders/event/{event.pk}/change/"))
    assert "all day" in text(root.get("/admin/orders/instrument/"))


def test_a_new_instrument_can_follow_from_the_start(market, root):
    from tests.admin.test_instruments import ADD as ADD_INSTRUMENT
    from tests.admin.test_instruments import NEW as NEW_INSTRUMENT

    root.post(ADD, {**ALL_DAY, "holidays": "", "special_days": ""})
    root.post(ADD_INSTRUMENT, {**NEW_INSTRUMENT, "phase": "closed", "calendar": Calendar.objects.get().pk})
    row = Instrument.objects.get(symbol="GOLD-EUR")
    assert (row.phase, row.calendar.name) == (PRE_OPEN, "all day")


def test_an_edited_calendar_holds_at_once(followed, root):
    edited = {**ALL_DAY, "holidays": "", "special_days": "", **dict.fromkeys(WEEKDAYS, "00:00 closed")}
    response = root.post(change_url(followed), edited, follow=True)
    assert "ACME-USD follows all day." in messages_of(response)
    followed.refresh_from_db()
    assert (followed.version, acme().phase) == (2, CLOSED)
    events = Event.objects.count()
    root.post(change_url(followed), edited)  # the same again
    followed.refresh_from_db()
    assert (followed.version, Event.objects.count()) == (2, events)


def test_without_an_engine_it_is_saved_and_said_that_it_follows_later(followed, market, root):
    market.engine.stop()
    edited = {**ALL_DAY, "holidays": "", "special_days": "", **dict.fromkeys(WEEKDAYS, "00:00 closed")}
    response = root.post(change_url(followed), edited, follow=True)
    assert "It follows as soon as the engine can." in messages_of(response)
    followed.refresh_from_db()
    assert (followed.version, acme().phase) == (2, PRE_OPEN)


def test_follow_the_calendar_again_after_a_phase_set_by_hand(followed, market, root):
    address = f"/admin/orders/instrument/{acme().pk}/phase/calendar/"
    gateway.instrument_set_phase(actor=market.alice, instrument_id=acme().pk, phase="continuous")
    page = text(root.get(address))
    assert "ACME-USD: now continuous; all day says pre_open" in page
    assert "Follow calendar" in text(root.get(instrument_url(acme())))
    assert acme().phase == CONTINUOUS
    assert "ACME-USD follows all day: pre_open." in messages_of(root.post(address, {"confirmed": "1"}, follow=True))
    assert acme().phase == PRE_OPEN
    gateway.instrument_set_phase(actor=market.alice, instrument_id=acme().pk, phase="halted")
    root.post(address, {"confirmed": "1"})
    assert acme().phase == HALTED
    market.engine.stop()
    assert "Nothing was changed" in messages_of(root.post(address, {"confirmed": "1"}, follow=True))


def test_only_what_nothing_follows_can_be_deleted(followed, root):
    assert root.post(f"{LIST}{followed.pk}/delete/", {"post": "yes"}).status_code == 403
    root.post(instrument_url(acme()), {**rules(root, acme()), "calendar": ""})
    assert (acme().calendar, acme().schedule, KeptSchedule.objects.count()) == (None, "[]", 0)
    assert root.post(f"{LIST}{followed.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Calendar.objects.exists()


def test_viewers_see_and_change_nothing(followed, staff):
    viewer = staff("view_calendar", "view_instrument")
    page = text(viewer.get(change_url(followed)))
    assert "00:00 pre_open" in page
    assert 'name="monday"' not in page
    assert viewer.post(change_url(followed), NEW).status_code == 403
    assert viewer.post(ADD, NEW).status_code == 403
    page = text(viewer.get(instrument_url(acme())))
    assert "all day" in page
    assert viewer.post(f"/admin/orders/instrument/{acme().pk}/phase/calendar/", {"confirmed": "1"}).status_code == 403
