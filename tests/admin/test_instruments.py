"""Instruments in the admin: decimals in, units in the row, and the engine's word is the last."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from matching.values import CLOSED, CONTINUOUS, HALTED, MAX_UNITS
from orders import gateway
from orders.models import Event, Instrument, Order
from orders.schemas.problems import ProblemError
from tests.admin.conftest import messages_of, text
from tests.support.market import place

ADD = "/admin/orders/instrument/add/"
LIST = "/admin/orders/instrument/"
NEW = {
    "symbol": "GOLD-EUR",
    "base": "GOLD",
    "quote": "EUR",
    "price_decimals": "3",
    "quantity_decimals": "4",
    "price_tick": "0.005",
    "quantity_step": "0.01",
    "min_quantity": "0.1",
    "max_quantity": "1000",
    "max_notional": "2500000.50",
    "price_collar": "0.05",
    "reference_price": "1800",
    "circuit_breaker_seconds": "120",
    "phase": "continuous",
}
RULES = (
    "price_tick",
    "quantity_step",
    "min_quantity",
    "max_quantity",
    "max_notional",
    "price_collar",
    "reference_price",
)
RULES = (*RULES, "circuit_breaker_seconds", "calendar")


def change_url(row) -> str:
    return f"/admin/orders/instrument/{row.id}/change/"


def rules(client: Client, row) -> dict[str, str]:
    """What the change page's form holds, ready to be sent back."""
    form = client.get(change_url(row)).context["adminform"].form
    return {name: form[name].value() or "" for name in RULES}


@pytest.fixture
def no_save(monkeypatch) -> None:
    """Any ``save`` of an instrument's row is a write behind the engine's back."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the row is the engine's")

    monkeypatch.setattr(Instrument, "save", refuse)


def test_a_new_instrument_is_in_units_and_tradable_at_once(market, root, no_save):
    response = root.post(ADD, NEW)
    row = Instrument.objects.get(symbol="GOLD-EUR")
    assert (response.status_code, response.url) == (302, LIST)
    assert (row.base, row.quote, row.price_decimals, row.quantity_decimals) == ("GOLD", "EUR", 3, 4)
    assert (row.price_tick, row.quantity_step, row.min_quantity, row.max_quantity) == (5, 100, 1_000, 10_000_000)
    assert (row.max_notional, row.collar_bps, row.reference_price) == (25_000_005_000_000, 500, 1_800_000)
    assert (row.phase, row.breaker_us) == (CONTINUOUS, 120_000_000)
    outcome = place(market.alice, "buy", "0.5", "1800.005", symbol="GOLD-EUR")
    assert Order.objects.get(id=outcome.order_id).price == 1_800_005
    with pytest.raises(ProblemError, match="price_collar"):
        place(market.alice, "buy", "0.5", "1900", symbol="GOLD-EUR")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.object_repr, entry.user.username) == (str(row.id), "GOLD-EUR", "root")


def test_what_is_left_empty_has_no_limit(market, root):
    limits = (
        "min_quantity",
        "max_quantity",
        "max_notional",
        "price_collar",
        "reference_price",
        "circuit_breaker_seconds",
    )
    empty = dict.fromkeys(limits, "")
    root.post(ADD, {**NEW, **empty, "phase": "halted"})
    row = Instrument.objects.get(symbol="GOLD-EUR")
    assert (row.min_quantity, row.max_quantity, row.max_notional) == (row.quantity_step, MAX_UNITS, 0)
    assert (row.collar_bps, row.reference_price, row.breaker_us, row.phase) == (0, 0, 0, HALTED)


# What is sent instead -> the one field that is wrong, and what is said.
IMPOSSIBLE = [
    ({"price_tick": "0"}, "price_tick", "greater than zero"),
    ({"price_tick": "0.0001"}, "price_tick", "more than 3 decimals"),
    ({"price_tick": "-1"}, "price_tick", "Digits and at most"),
    ({"price_tick": "1e5"}, "price_tick", "Digits and at most"),
    ({"price_tick": "٣"}, "price_tick", "Digits and at most"),
    ({"price_tick": ""}, "price_tick", "required"),
    ({"quantity_step": "NaN"}, "quantity_step", "Digits and at most"),
    ({"max_quantity": "0.05"}, "max_quantity", "below the minimum"),
    ({"min_quantity": "0.11", "max_quantity": "0.12", "quantity_step": "0.05"}, "quantity_step", "no multiple"),
    ({"max_quantity": "999999999999999"}, "max_quantity", "too large"),
    ({"max_notional": "1.12345678"}, "max_notional", "more than 7 decimals"),
    ({"price_collar": "-0.1"}, "price_collar", "fraction"),
    ({"price_collar": "0"}, "price_collar", "fraction"),
    ({"price_collar": "0.12345"}, "price_collar", "fraction"),
    ({"reference_price": "0.0001"}, "reference_price", "more than 3 decimals"),
    ({"circuit_breaker_seconds": "0"}, "circuit_breaker_seconds", "greater than or equal to 1"),
    ({"circuit_breaker_seconds": "86401"}, "circuit_breaker_seconds", "less than or equal to 86400"),
    ({"circuit_breaker_seconds": "1.5"}, "circuit_breaker_seconds", "whole number"),
    ({"price_collar": ""}, "circuit_breaker_seconds", "needs a price collar"),
    ({"calendar": "99"}, "calendar", "not one of the available choices"),
    ({"symbol": "ACME-USD"}, "symbol", "in use"),
    ({"symbol": "gold"}, "symbol", "Capital letters"),
    ({"symbol": "../X"}, "symbol", "Capital letters"),
    ({"base": ""}, "base", "required"),
    ({"base": "x" * 17}, "base", "Capital letters"),
    ({"price_decimals": "13"}, "price_decimals", "less than or equal to 12"),
    ({"price_decimals": "-1"}, "price_decimals", "greater than or equal to 0"),
    ({"price_decimals": "two"}, "price_decimals", "whole number"),
    ({"phase": "auction"}, "phase", "valid choice"),
]


def test_what_no_instrument_can_be_is_an_error_of_its_field(market, root):
    events = Event.objects.count()
    for changes, field, message in IMPOSSIBLE:
        response = root.post(ADD, {**NEW, **changes})
        assert response.status_code == 200, changes
        form = response.context["adminform"].form
        assert [name for name in form.errors if name != "__all__"] == [field], changes
        assert message in " ".join(form.errors[field]), changes
        assert form["quote"].value() == "EUR"
    assert (Instrument.objects.count(), Event.objects.count()) == (1, events)


def test_rules_change_in_decimals_and_hold_at_once(market, root, no_save):
    row = Instrument.objects.get()
    response = root.post(change_url(row), {**rules(root, row), "price_tick": "0.05", "max_quantity": "5"}, follow=True)
    row.refresh_from_db()
    assert (row.price_tick, row.max_quantity) == (5, 5_000)
    assert "was changed successfully" in messages_of(response)
    event = Event.objects.filter(kind=9).order_by("-id").first()
    assert (event.actor.username, json.loads(event.detail)["price_tick"]) == ("root", 5)
    assert "&quot;max_quantity&quot;: 5000" in text(root.get(f"/admin/orders/event/{event.pk}/change/"))
    with pytest.raises(ProblemError, match="price_not_on_tick"):
        place(market.alice, "buy", "1", "99.98")
    with pytest.raises(ProblemError, match="risk_max_quantity"):
        place(market.alice, "buy", "5.001", "99.95")
    assert place(market.alice, "buy", "5", "99.95").order_id


def test_symbol_and_decimals_are_fixed(market, root):
    row = Instrument.objects.get()
    names = root.get(change_url(row)).context["adminform"].form.fields.keys()
    assert not names & {"symbol", "base", "quote", "price_decimals", "quantity_decimals", "phase"}
    smuggled = {"symbol": "OTHER", "price_decimals": "5", "quantity_decimals": "0", "phase": "closed", "base": "ACMEX"}
    root.post(change_url(row), {**rules(root, row), **smuggled, "max_quantity": "7"})
    after = Instrument.objects.get()
    assert (after.symbol, after.price_decimals, after.quantity_decimals, after.phase) == ("ACME-USD", 2, 3, CONTINUOUS)
    assert (after.base, after.max_quantity) == ("ACME", 7_000)


def test_nothing_changed_is_no_command(market, root):
    row = Instrument.objects.get()
    events = Event.objects.count()
    assert root.post(change_url(row), rules(root, row)).status_code == 302
    assert Event.objects.count() == events


def test_without_an_engine_nothing_changes_and_nothing_typed_is_lost(market, root):
    row = Instrument.objects.get()
    sent = {**rules(root, row), "price_tick": "0.25"}
    market.engine.stop()
    for address, data in ((change_url(row), sent), (ADD, NEW)):
        response = root.post(address, data)
        form = response.context["adminform"].form
        assert response.status_code == 200
        assert form.non_field_errors() == ["The engine is not running. Nothing was changed."]
        assert form["price_tick"].value() == data["price_tick"]
        assert f'value="{data["price_tick"]}"' in text(response)
    row.refresh_from_db()
    assert (row.price_tick, Instrument.objects.count(), LogEntry.objects.count()) == (1, 1, 0)


def test_what_the_engine_refuses_is_said(market, root, monkeypatch):
    def refuse(**kwargs: object) -> None:
        raise ProblemError("engine_timeout", outcome="unknown")

    monkeypatch.setattr(gateway, "instrument_define", refuse)
    form = root.post(ADD, NEW).context["adminform"].form
    assert "is not known: look before you try again" in form.non_field_errors()[0]


def phase(client: Client, row, change: str, **data: str):
    return client.post(f"/admin/orders/instrument/{row.id}/phase/{change}/", data, follow=True)


def test_halt_refuses_orders_lets_cancels_pass_and_resume_ends_it(market, root, no_save):
    row = Instrument.objects.get()
    resting = place(market.alice, "buy", "1", "99").order_id
    page = root.get(f"/admin/orders/instrument/{row.id}/phase/halt/")
    assert "ACME-USD: now continuous, 1 open orders" in text(page)
    assert Instrument.objects.get().phase == CONTINUOUS
    assert "confirmed" in text(phase(root, row, "halt"))  # not yet: a post without the answer asks again
    assert Instrument.objects.get().phase == CONTINUOUS

    assert "trading is halted" in messages_of(phase(root, row, "halt", confirmed="1"))
    assert Instrument.objects.get().phase == HALTED
    with pytest.raises(ProblemError, match="market_halted"):
        place(market.alice, "buy", "1", "99")
    assert gateway.order_cancel(actor=market.alice, order_id=resting).order_id == resting
    assert "is halted already" in messages_of(phase(root, row, "halt", confirmed="1"))

    phase(root, row, "resume", confirmed="1")
    assert place(market.alice, "buy", "1", "99").order_id
    phase(root, row, "close", confirmed="1")
    assert Instrument.objects.get().phase == CLOSED
    said = LogEntry.objects.order_by("id").values_list("change_message", flat=True)
    assert list(said) == ["Trading is halted.", "Trading is resumed.", "Trading is closed."]
    actors = Event.objects.filter(kind=10).values_list("actor__username", flat=True)
    assert set(actors) == {"root"}


def test_halt_as_an_action_asks_first(market, root):
    row = Instrument.objects.get()
    data = {"action": "halt", "_selected_action": row.id}
    page = root.post(LIST, data)
    assert f'name="_selected_action" value="{row.id}"' in text(page)
    assert Instrument.objects.get().phase == CONTINUOUS
    response = root.post(LIST, {**data, "confirmed": "1"}, follow=True)
    assert "trading is halted" in messages_of(response)
    assert Instrument.objects.get().phase == HALTED


def test_halt_without_an_engine_says_so(market, root):
    row = Instrument.objects.get()
    market.engine.stop()
    response = phase(root, row, "halt", confirmed="1")
    assert messages_of(response) == "ACME-USD: The engine is not running. Nothing was changed."
    assert Instrument.objects.get().phase == CONTINUOUS


def test_halting_needs_the_permission_to_change(market, staff):
    row = Instrument.objects.get()
    viewer = staff("view_instrument")
    assert viewer.get(LIST).status_code == 200
    page = viewer.get(change_url(row))
    assert "/phase/halt/" not in text(page)
    assert 'name="_save"' not in text(page)
    assert "0.01" in text(page)
    assert viewer.get(f"/admin/orders/instrument/{row.id}/phase/halt/").status_code == 403
    assert phase(viewer, row, "halt", confirmed="1").status_code == 403
    viewer.post(LIST, {"action": "halt", "_selected_action": row.id, "confirmed": "1"})
    assert viewer.post(change_url(row), {"price_tick": "1"}).status_code == 403
    assert viewer.post(ADD, NEW).status_code == 403
    assert Instrument.objects.get().phase == CONTINUOUS
    assert Instrument.objects.count() == 1
    operator = staff("view_instrument", "change_instrument")
    phase(operator, row, "halt", confirmed="1")
    assert Instrument.objects.get().phase == HALTED


def test_unknown_instruments_and_changes_are_not_found(market, root):
    row = Instrument.objects.get()
    assert root.get(f"/admin/orders/instrument/{row.id}/phase/lunch/").status_code == 404
    assert root.get(f"/admin/orders/instrument/{row.id}/phase/calendar/").status_code == 404  # it has none
    assert root.get("/admin/orders/instrument/999/phase/halt/").status_code == 404


def test_the_list_shows_decimals_and_open_orders(market, root):
    root.post(ADD, NEW)
    place(market.alice, "buy", "1", "99")
    place(market.bob, "sell", "1", "99")
    place(market.bob, "sell", "1", "101")
    page = text(root.get(LIST))
    for shown in ("GOLD-EUR", "0.005", "0.0100", "0.1000", "1000.0000", "5.00 %", "no trade yet", "99.00"):
        assert shown in page
    assert "?symbol=ACME-USD&amp;status=open" in page
    assert [row.open_orders for row in root.get(LIST).context["cl"].result_list] == [1, 0]
    halted = root.get(LIST, {"state": "halted"}).context["cl"]
    assert list(halted.result_list) == []
