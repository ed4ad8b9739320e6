"""Orders of every type in the admin, their links to each other, and canceling them in masses."""

import re
from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry

from matching.values import CANCELED, LAST_OPEN_STATUS, R_LINKED_ORDER, R_OPERATOR_REQUEST
from orders import gateway
from orders.models import Event, Order
from tests.admin.conftest import messages_of, text
from tests.admin.test_history import MAX_QUERIES, found, list_url
from tests.support.market import make_instrument, place

CANCEL = "/admin/orders/order/cancel/"


def order_url(order_id: int) -> str:
    return f"/admin/orders/order/{order_id}/change/"


def shown(page: str) -> str:
    """The page's text without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.fixture
def types(market) -> SimpleNamespace:
    """One of each, after a trade at 100; stops wait on both sides of it."""
    place(market.alice, "sell", "1", "100")
    place(market.bob, "buy", "1", "100")

    def placed(side: str, quantity: str, price: str | None = None, **fields: object) -> int:
        return place(market.alice, side, quantity, price, **fields).order_id

    market.stop = placed("sell", "2", type="stop", stop_price="95")
    market.stop_limit = placed("buy", "2", "105.50", type="stop_limit", stop_price="105", time_in_force="day")
    market.trailing = placed("sell", "3", type="trailing_stop", trail_percent="1.5")
    market.iceberg = placed("buy", "50", "99", display_quantity="2")
    market.oco = placed("sell", "4", "110", order_class="oco", stop_loss={"trail_price": "5"})
    market.bracket = placed(
        "buy", "6", "98", order_class="bracket", take_profit={"price": "103"}, stop_loss={"stop_price": "94"}
    )
    market.gtd = placed("buy", "1", "97", time_in_force="gtd", expires_at="2100-01-01T00:00:00Z")
    return market


def test_what_each_type_shows(types, root):
    for order_id, words in (
        (types.stop, "Stop price: 95.00 Trails by:"),
        (types.stop_limit, "Price: 105.50 Quantity: 2.000 Stop price: 105.00"),
        (types.trailing, "Stop price: 98.50 Trails by: 1.50 %"),
        (types.iceberg, "Shown at a time: 2.000"),
        (types.iceberg, "Remaining: 50.000 Of it hidden: 48.000"),
        (types.gtd, "Expires (UTC): 2100-01-01 00:00:00.000000"),
        (types.oco, "Its part: oco limit"),
        (types.bracket, "Its part: entry"),
    ):
        assert words in shown(text(root.get(order_url(order_id)))), words
    listed = shown(text(root.get(list_url(Order))))
    for words in ("98.50", "stop_limit", "trailing_stop", "untriggered"):
        assert words in listed


def test_linked_orders_lead_to_each_other(types, root):
    page = text(root.get(order_url(types.bracket)))
    profit, loss = Order.objects.filter(group_id=types.bracket).exclude(id=types.bracket).order_by("id")
    assert order_url(profit.id) in page and order_url(loss.id) in page
    assert "take profit sell limit 103.00" in shown(page)
    assert "stop loss sell stop – 94.00" in shown(page)  # noqa: RUF001
    assert order_url(types.bracket) in text(root.get(order_url(profit.id)))
    (pair,) = Order.objects.filter(group_id=types.oco).exclude(id=types.oco)
    assert "oco stop sell trailing_stop – 95.00" in shown(text(root.get(order_url(types.oco))))  # noqa: RUF001
    assert order_url(types.oco) in text(root.get(order_url(pair.id)))


def test_they_are_found_by_what_they_are(types, root):
    def ids(**query: str) -> set[int]:
        return {row.id for row in found(root, Order, **query)}

    assert ids(type="stop_limit") == {types.stop_limit}
    assert ids(type="trailing_stop", role="oco_stop") == ids(type="trailing_stop") - {types.trailing}
    assert ids(time_in_force="gtd") == {types.gtd}
    assert ids(iceberg="yes") == {types.iceberg}
    assert types.iceberg not in ids(iceberg="no")
    assert ids(iceberg="maybe") == set()
    assert ids(role="entry") == {types.bracket}
    assert ids(status="untriggered") >= {types.stop, types.stop_limit, types.trailing}
    instrument = text(root.get(f"/admin/orders/instrument/{types.acme.id}/change/"))
    assert f'status=untriggered">{len(ids(status="untriggered"))}</a>' in instrument


def test_pages_of_all_of_them_ask_few_questions(types, root, queries):
    with queries() as listed:
        root.get(list_url(Order))
    assert len(listed) <= MAX_QUERIES + 2  # and the marks and entries of the trailing stops
    for order_id in (types.trailing, types.oco, types.bracket):
        with queries() as asked:
            root.get(order_url(order_id))
        assert len(asked) <= MAX_QUERIES + 4, [query["sql"] for query in asked]


def test_events_say_what_happened_and_how_the_order_stood(types, root):
    place(types.bob, "buy", "7", "94.00")
    gateway.order_cancel(actor=types.alice, order_id=types.iceberg)
    gateway.order_cancel(actor=types.alice, order_id=types.bracket)
    gateway.order_cancel(actor=types.alice, order_id=types.gtd)
    place(types.alice, "sell", "1", "94.00")  # through both stops
    page = shown(text(root.get(order_url(types.stop))))
    assert "triggered – 2.000 0.000 2.000 new by the last price 94.00" in page  # noqa: RUF001
    assert "accepted – 2.000 0.000 2.000 untriggered stop at 95.00 alice" in page  # noqa: RUF001
    legs = Order.objects.filter(group_id=types.bracket, reason=R_LINKED_ORDER)
    assert legs.count() == 2
    assert "canceled linked_order" in shown(text(root.get(order_url(legs[0].id))))
    kinds = found(root, Event, event="triggered")
    assert {event.order_id for event in kinds} >= {types.stop, types.trailing}
    gateway.cancel_after(actor=types.alice, seconds=60)
    (event,) = found(root, Event, event="cancel_after_set")
    assert "cancels at 20" in text(root.get(f"/admin/orders/event/{event.pk}/change/"))
    assert "unless renewed" in text(root.get(f"/admin/orders/account/{types.alice_account.pk}/change/"))
    gateway.cancel_after(actor=types.alice, seconds=0)
    assert "nothing is canceled by itself" in text(root.get(f"/admin/orders/account/{types.alice_account.pk}/change/"))


# Canceling


def test_linked_orders_selected_together_are_all_canceled(types, root):
    group = list(Order.objects.filter(group_id=types.bracket).values_list("id", flat=True))
    data = {"action": "cancel_on_behalf", "_selected_action": group, "confirmed": "1"}
    assert "3 of 3 orders were canceled." in messages_of(root.post(list_url(Order), data, follow=True))
    assert not Order.objects.filter(id__in=group, status__lte=LAST_OPEN_STATUS).exists()


def test_a_mass_cancel_counts_asks_and_cancels(types, root):
    make_instrument("GOLD-EUR")
    place(types.alice, "buy", "1", "50", symbol="GOLD-EUR")
    place(types.bob, "buy", "1", "50")
    assert "Mass cancel" in text(root.get(list_url(Order)))
    assert 'name="account"' in text(root.get(CANCEL))
    chosen = {"account": "alice", "symbol": "ACME-USD", "side": "sell"}
    hit = Order.objects.filter(
        account=types.alice_account, instrument_id=types.acme.id, side=1, status__lte=LAST_OPEN_STATUS
    )
    count = hit.count()
    page = text(root.post(CANCEL, chosen))
    assert f"Cancel {count} open orders (alice, ACME-USD, sell)?" in page
    assert f"alice, ACME-USD: {count}" in page
    assert hit.count() == count
    response = root.post(CANCEL, {**chosen, "confirmed": "1"}, follow=True)
    assert "orders were canceled." in messages_of(response)
    assert hit.count() == 0
    assert Order.objects.filter(reason=R_OPERATOR_REQUEST, status=CANCELED).count() >= count - 2
    assert LogEntry.objects.filter(change_message="Canceled by a mass cancel.").exists()
    page = text(root.post(CANCEL, {}))
    assert "(everything)?" in page and "alice, GOLD-EUR: 1" in page and "bob, ACME-USD: 1" in page
    root.post(CANCEL, {"confirmed": "1"})
    assert not Order.objects.filter(status__lte=LAST_OPEN_STATUS).exists()


def test_a_mass_cancel_where_nothing_is_canceled(types, root):
    gateway.instrument_set_phase(actor=types.alice, instrument_id=types.acme.id, phase="no_cancel")
    said = messages_of(root.post(CANCEL, {"confirmed": "1"}, follow=True))
    assert "0 orders were canceled." in said
    assert "matching orders are open: placed just now, or where no cancels are taken." in said


@pytest.mark.parametrize("wrong", [{"account": "nobody"}, {"symbol": "NONE"}, {"side": "both"}])
def test_a_mass_cancel_of_nobody_is_asked_again(types, root, wrong):
    before = Order.objects.filter(status__lte=LAST_OPEN_STATUS).count()
    page = root.post(CANCEL, {**wrong, "confirmed": "1"})
    assert page.context["form"].errors
    assert Order.objects.filter(status__lte=LAST_OPEN_STATUS).count() == before


def test_a_mass_cancel_needs_the_permission_and_an_engine(types, root, staff):
    viewer = staff("view_order")
    assert "Mass cancel" not in text(viewer.get(list_url(Order)))
    assert viewer.get(CANCEL).status_code == 403
    assert viewer.post(CANCEL, {"confirmed": "1"}).status_code == 403
    types.engine.stop()
    assert "Nothing was changed" in messages_of(root.post(CANCEL, {"confirmed": "1"}, follow=True))
