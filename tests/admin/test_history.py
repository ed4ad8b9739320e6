"""Orders, trades, events, positions and saved books: read by everybody allowed to, written by nobody."""

import re

from matching.values import CANCELED
from orders.admin import lists
from orders.models import BookSnapshot, Event, Order, Position, Trade
from tests.admin.conftest import messages_of, text
from tests.support.market import place

MODELS = (Order, Trade, Event, Position, BookSnapshot)
# A list or page asks at most so many questions, however many rows there are: session, user, names, window, count, rows.
MAX_QUERIES = 14


def list_url(model) -> str:
    return f"/admin/orders/{model._meta.model_name}/"


def found(client, model, **query: str) -> list:
    return list(client.get(list_url(model), query).context["cl"].result_list)


def test_nobody_writes(history, root):
    for model in MODELS:
        row = model.objects.first()
        before = list(model.objects.order_by("pk").values())
        base = list_url(model)
        assert root.get(f"{base}add/").status_code == 403
        for address in (f"{base}add/", f"{base}{row.pk}/change/", f"{base}{row.pk}/delete/"):
            assert root.post(address, {"post": "yes", "status": "3", "_save": "Save"}).status_code == 403, address
        root.post(base, {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
        page = text(root.get(f"{base}{row.pk}/change/"))
        assert 'name="_save"' not in page
        assert "deletelink" not in page
        assert list(model.objects.order_by("pk").values()) == before


def test_every_page_answers_in_few_queries(history, root, queries):
    for number in range(30):
        place(history.alice, "buy", "1", f"{50 + number}")
    for model in MODELS:
        with queries() as listed:
            response = root.get(list_url(model))
        assert len(response.context["cl"].result_list) == model.objects.count()
        assert len(listed) <= MAX_QUERIES, [query["sql"] for query in listed]
        assert not any('COUNT(*) FROM "orders_' in query["sql"] for query in listed), "counts the whole table"
        for row in model.objects.all()[:40]:
            with queries() as shown:
                assert root.get(f"{list_url(model)}{row.pk}/change/").status_code == 200
            assert len(shown) <= MAX_QUERIES, [query["sql"] for query in shown]


def test_without_a_permission_nothing_is_seen(history, staff):
    for model in MODELS:
        addresses = (list_url(model), f"{list_url(model)}{model.objects.first().pk}/change/")
        stranger = staff()
        assert [stranger.get(address).status_code for address in addresses] == [403, 403]
        viewer = staff(f"view_{model._meta.model_name}")
        assert [viewer.get(address).status_code for address in addresses] == [200, 200]


def test_orders_are_found_by_what_they_are(history, root):
    rows = {row.id: row for row in Order.objects.all()}
    resting, taker, ask, canceled = (
        rows[key] for key in (history.resting, history.taker, history.ask, history.canceled)
    )
    newest = max(rows.values(), key=lambda row: row.id)  # the market order: took the ask
    cases = [
        ({}, list(rows.values())),
        ({"status": "open"}, [resting]),
        ({"status": "partially_filled"}, [resting]),
        ({"status": "canceled"}, [canceled, newest]),
        ({"side": "sell"}, [taker, ask]),
        ({"type": "market"}, [newest]),
        ({"account": "bob", "side": "sell"}, [taker, ask]),
        ({"account": "alice", "status": "open"}, [resting]),
        ({"symbol": "ACME-USD", "status": "filled"}, [taker, ask]),
        ({"q": str(ask.id)}, [ask]),
        ({"q": "first"}, [resting]),
        ({"q": " hit "}, [taker]),
        ({"q": "alice"}, [resting, canceled, newest]),
        ({"q": "acme-usd"}, list(rows.values())),
        ({"q": "alice", "side": "sell"}, []),
        ({"before": str(ask.id)}, [resting, taker]),
        ({"q": "nothing"}, []),
        ({"q": "9" * 19}, []),
        ({"q": "9" * 400}, []),
        ({"q": "a\x00b"}, list(rows.values())),  # Django drops a text with NUL, and says so
        ({"status": "asleep"}, []),
        ({"symbol": "NONE"}, []),
        ({"account": "nobody"}, []),
    ]
    for query, expected in cases:
        assert found(root, Order, **query) == sorted(expected, key=lambda row: -row.id), query


def test_trades_and_events_are_found_by_what_they_are(history, root):
    first, second = Trade.objects.order_by("id")
    assert found(root, Trade) == [second, first]
    assert found(root, Trade, q=str(history.resting)) == [first]
    assert found(root, Trade, q=str(history.taker)) == [first]
    assert found(root, Trade, q="hit") == [first]
    assert found(root, Trade, q=f"0-{second.sequence}") == [second]
    for query in ({"q": "bob"}, {"account": "bob"}, {"account": "alice"}, {"q": "ACME-USD"}, {"symbol": "ACME-USD"}):
        assert found(root, Trade, **query) == [second, first], query
    assert found(root, Trade, account="alice", before=str(second.id)) == [first]
    events = list(Event.objects.filter(order_id=history.resting).order_by("-id"))
    assert [event.kind for event in events] == [3, 1]
    assert found(root, Event, q=str(history.resting)) == events
    assert found(root, Event, q="first") == events
    assert found(root, Event, q=f"0/{events[0].sequence}") == events[:1]
    assert [event.order_id for event in found(root, Event, event="canceled")] == [
        max(Order.objects.values_list("id", flat=True)),
        history.canceled,
    ]
    assert len(found(root, Event, account="bob", event="accepted")) == 2
    assert [event.kind for event in found(root, Event, event="instrument_defined")] == [9]
    assert len(found(root, Position, account="alice")) == len(found(root, Position, q="bob")) == 1
    assert len(found(root, BookSnapshot, symbol="ACME-USD")) == 1


def test_other_columns_cannot_be_filtered_by(history, root):
    for query in ({"price__gt": "1"}, {"client_order_id": "first"}, {"account__members__password__startswith": "p"}):
        assert root.get(list_url(Order), query).status_code == 400


def test_decimals_and_names_instead_of_units_and_numbers(history, root):
    page = text(root.get(list_url(Order)))
    for shown in ("99.98", "10.000", "4.000", "6.000", "partially_filled", "no_liquidity", "ACME-USD", "alice"):
        assert shown in page
    assert "9998" not in page
    page = text(root.get(list_url(Trade)))
    assert "99.98" in page
    assert "2.500" in page
    page = text(root.get(list_url(Position)))
    assert "6.500" in page  # alice: 4 of the resting order, 2.5 of the market order
    assert "650.04500" in page  # 4 x 99.98 + 2.5 x 100.05, with the decimals of both
    alices = Position.objects.get(account=history.alice_account)
    page = text(root.get(f"/admin/orders/position/{alices.pk}/change/"))
    assert "100.006923" in page  # 650.045 / 6.5
    assert "0.28000" in page  # 6.5 at the last price, 100.05, would bring 650.325


def links(page: str) -> set[str]:
    return set(re.findall(r'href="(/admin/orders/[^"]+)"', page.replace("&amp;", "&")))


def test_links_lead_both_ways(history, root):
    trade = Trade.objects.order_by("id").first()
    order = f"/admin/orders/order/{history.resting}/change/"
    seen = links(text(root.get(order)))
    event = Event.objects.filter(order_id=history.resting).order_by("id").first()
    trade_page = f"/admin/orders/trade/{trade.pk}/change/"
    event_page = f"/admin/orders/event/{event.pk}/change/"
    taker = f"/admin/orders/order/{history.taker}/change/"
    account = f"/admin/orders/account/{history.alice_account.pk}/change/"
    instrument = f"/admin/orders/instrument/{history.acme.id}/change/"
    assert {trade_page, event_page, taker, account, instrument} <= seen
    assert {order, taker} <= links(text(root.get(trade_page)))
    assert {order, account, instrument} <= links(text(root.get(event_page)))
    fill = Event.objects.get(order_id=history.taker, kind=4)
    assert trade_page in links(text(root.get(f"/admin/orders/event/{fill.pk}/change/")))
    onwards = links(text(root.get(instrument)))
    for name in ("order", "trade", "event", "position", "booksnapshot"):
        address = f"/admin/orders/{name}/?symbol=ACME-USD"
        assert address in onwards
        assert root.get(address).status_code == 200
    for address in seen | onwards | links(text(root.get(account))):
        assert root.get(address).status_code == 200, address


def test_long_lists_are_bounded_and_can_be_walked(history, root, monkeypatch):
    for number in range(12):
        place(history.alice, "buy", "1", f"{50 + number}")
    monkeypatch.setattr(lists, "MAX_LISTED", 5)
    seen, address = [], list_url(Order)
    while address:
        changelist = root.get(address).context["cl"]
        assert changelist.result_count <= 5
        seen += list(changelist.result_list)
        address = changelist.older and list_url(Order) + changelist.older
    assert [row.id for row in seen] == list(Order.objects.order_by("-id").values_list("id", flat=True))


def test_a_filter_without_index_looks_at_the_newest_rows_and_can_look_further(history, root, monkeypatch):
    for number in range(9):
        place(history.alice, "buy", "1", f"{50 + number}")
    monkeypatch.setattr(lists, "WINDOW", 4)
    expected = list(Order.objects.filter(side=1).order_by("-id"))
    seen, address, pages = [], list_url(Order) + "?side=sell", 0
    while address:
        response = root.get(address)
        changelist = response.context["cl"]
        assert ("Look further back" in text(response)) == bool(changelist.older)
        seen += list(changelist.result_list)
        address = changelist.older and list_url(Order) + changelist.older
        pages += 1
    assert seen == expected
    assert pages == 4
    # What an index has is found at any age at once: ids, and open orders.
    assert [row.id for row in found(root, Order, q="first")] == [history.resting]
    assert found(root, Order, q="alice")[-1].id == history.resting
    assert len(found(root, Order, status="open")) == 10


def test_a_saved_book_is_verified_on_its_page(history, root):
    snapshot = BookSnapshot.objects.get()
    address = f"/admin/orders/booksnapshot/{snapshot.pk}/change/"
    page = text(root.get(address))
    assert "Intact: 1 orders, checksum equal." in page
    assert "<td>99.98</td><td>6.000</td><td>1</td>" in page
    BookSnapshot.objects.update(data=b"nonsense")
    assert "Corrupt: cannot be decompressed" in text(root.get(address))
    BookSnapshot.objects.update(orders=10**6)
    assert "Run manage.py verify_books" in text(root.get(address))


# Cancel on behalf


def test_cancel_on_behalf_asks_then_cancels_what_is_open(history, root):
    data = {"action": "cancel_on_behalf", "_selected_action": [history.resting, history.taker]}
    page = text(root.post(list_url(Order), data))
    assert f"{history.resting}: buy 6.000 ACME-USD at 99.98, alice" in page
    assert f'value="{history.taker}"' not in page
    assert Order.objects.get(id=history.resting).remaining
    response = root.post(list_url(Order), {**data, "confirmed": "1"}, follow=True)
    assert "1 of 1 orders were canceled." in messages_of(response)
    row = Order.objects.get(id=history.resting)
    assert (row.status, row.remaining, row.canceled) == (CANCELED, 0, 6_000)
    event = Event.objects.filter(order_id=row.id).order_by("-id").first()
    assert (event.reason, event.actor.username) == (7, "root")
    assert "Canceled on behalf" in text(root.get(f"/admin/orders/order/{row.id}/history/"))
    response = root.post(list_url(Order), {**data, "confirmed": "1"}, follow=True)
    assert "None of the selected orders is open" in messages_of(response)


def test_cancel_on_behalf_needs_the_permission(history, staff):
    data = {"action": "cancel_on_behalf", "_selected_action": history.resting, "confirmed": "1"}
    viewer = staff("view_order")
    assert "cancel_on_behalf" not in text(viewer.get(list_url(Order)))
    viewer.post(list_url(Order), data)
    assert Order.objects.get(id=history.resting).remaining
    operator = staff("view_order", "change_order")
    assert operator.post(f"{list_url(Order)}{history.resting}/change/", {"price": "1"}).status_code == 403
    operator.post(list_url(Order), data)
    assert not Order.objects.get(id=history.resting).remaining


def test_cancel_on_behalf_without_an_engine_says_so(history, root):
    history.engine.stop()
    data = {"action": "cancel_on_behalf", "_selected_action": history.resting, "confirmed": "1"}
    said = messages_of(root.post(list_url(Order), data, follow=True))
    assert f"Order {history.resting}: The engine is not running. Nothing was changed." in said
    assert Order.objects.get(id=history.resting).remaining
