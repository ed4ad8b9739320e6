"""Phases set by operators: every one of them, with an end where it has one, for one instrument or for several."""

import pytest

from matching.events import PHASE_CHANGED, UNCROSSED
from matching.values import AUCTION, CONTINUOUS, NO_CANCEL, PRE_OPEN, R_CIRCUIT_BREAKER
from orders import gateway
from orders.models import Event, Instrument
from orders.schemas.problems import ProblemError
from tests.admin.conftest import messages_of, text
from tests.admin.test_instruments import LIST, change_url, phase
from tests.support.market import make_instrument, place


def acme() -> Instrument:
    return Instrument.objects.get(symbol="ACME-USD")


@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        ("pre-open", PRE_OPEN, "it is before the open"),
        ("auction", AUCTION, "an auction is called"),
        ("no-cancel", NO_CANCEL, "cancels are not taken"),
    ],
)
def test_every_phase_of_a_call(market, root, change, expected, said):
    page = text(root.get(f"/admin/orders/instrument/{acme().pk}/phase/{change}/"))
    assert "lasts_seconds" in page
    assert said in messages_of(phase(root, acme(), change, confirmed="1"))
    assert (acme().phase, acme().phase_until) == (expected, 0)
    with pytest.raises(ProblemError, match="market_not_continuous"):
        place(market.alice, "buy", "1", None)
    assert place(market.alice, "buy", "1", "99").order_id


def test_a_phase_with_an_end(market, root):
    before = acme().created_at
    said = messages_of(phase(root, acme(), "auction", confirmed="1", lasts_seconds="300"))
    assert "an auction is called, for 300 seconds" in said
    row = acme()
    assert 290 < row.phase_until / 1_000_000 - before.timestamp() < 330
    page = text(root.get(change_url(row)))
    assert "auction" in page
    # The same phase with another end is another wish.
    assert "for 60 seconds" in messages_of(phase(root, row, "auction", confirmed="1", lasts_seconds="60"))
    assert acme().phase_until < row.phase_until
    assert "trading is resumed" in messages_of(phase(root, acme(), "resume", confirmed="1"))
    assert (acme().phase, acme().phase_until) == (CONTINUOUS, 0)


@pytest.mark.parametrize("seconds", ["0", "-5", "86401", "1.5", "soon", "9" * 30])
def test_an_end_that_is_none_is_asked_again(market, root, seconds):
    page = phase(root, acme(), "auction", confirmed="1", lasts_seconds=seconds)
    assert page.context["form"].errors["lasts_seconds"]
    assert acme().phase == CONTINUOUS
    assert f'value="{seconds}"' in text(page)


def test_trading_has_no_end(market, root):
    assert "lasts_seconds" not in text(root.get(f"/admin/orders/instrument/{acme().pk}/phase/resume/"))
    phase(root, acme(), "auction", confirmed="1")
    phase(root, acme(), "resume", confirmed="1", lasts_seconds="60")
    assert (acme().phase, acme().phase_until) == (CONTINUOUS, 0)


def test_an_auction_shows_what_it_would_come_to(market, root):
    phase(root, acme(), "auction", confirmed="1")
    assert "no auction is called, or nothing crosses" in text(root.get(change_url(acme())))
    place(market.alice, "buy", "5", "100.05")
    place(market.bob, "sell", "3", "99.95")
    assert "3.000 would trade at 100.05, 2.000 more to buy" in text(root.get(change_url(acme())))
    phase(root, acme(), "resume", confirmed="1")
    event = Event.objects.get(kind=UNCROSSED)
    page = text(root.get(f"/admin/orders/event/{event.pk}/change/"))
    assert "uncrossed" in page
    assert "100.05" in page and "3.000" in page
    assert "10005" not in text(root.get("/admin/orders/event/")), "a number of the column, in units"


def test_several_at_once_from_the_list(market, root):
    make_instrument("GOLD-EUR")
    rows = list(Instrument.objects.order_by("symbol"))
    data = {"action": "auction", "_selected_action": [row.pk for row in rows]}
    page = text(root.post(LIST, data))
    assert "ACME-USD: now continuous, 0 open orders" in page and "GOLD-EUR: now continuous" in page
    wrong = text(root.post(LIST, {**data, "confirmed": "1", "lasts_seconds": "x"}))
    assert "Enter a whole number" in wrong
    root.post(LIST, {**data, "confirmed": "1", "lasts_seconds": "60"})
    assert set(Instrument.objects.values_list("phase", flat=True)) == {AUCTION}
    assert not Instrument.objects.filter(phase_until=0).exists()
    assert [row.symbol for row in root.get(LIST, {"state": "auction"}).context["cl"].result_list] == [
        "ACME-USD",
        "GOLD-EUR",
    ]


def test_a_circuit_breaker_is_told_of(market, root):
    from matching.commands import DefineInstrument

    definition = DefineInstrument(
        acme().pk, "ACME-USD", "ACME", "USD", 2, 3, collar_bps=500, reference_price=10_000, breaker_us=60_000_000
    )
    gateway.instrument_define(actor=market.alice, definition=definition)
    place(market.alice, "sell", "1", "100")
    place(market.alice, "sell", "1", "105.00")
    place(market.bob, "buy", "1", "100")
    gateway.instrument_define(
        actor=market.alice,
        definition=DefineInstrument(acme().pk, "ACME-USD", "ACME", "USD", 2, 3, collar_bps=100, breaker_us=60_000_000),
    )
    place(market.bob, "buy", "1", None)
    assert acme().phase == AUCTION
    event = Event.objects.filter(kind=PHASE_CHANGED, reason=R_CIRCUIT_BREAKER).get()
    assert "now auction (circuit_breaker)" in text(root.get(f"/admin/orders/event/{event.pk}/change/"))
    assert "60 s" in text(root.get(LIST))
