"""GET orders and GET orders/by-client-id: filters, pages, the order as it stands."""

import pytest

from tests.api.conftest import Api, order
from tests.support.market import make_instrument


def ids(rows: list[dict]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.fixture
def some(api: Api) -> dict[str, str]:
    """Orders in every state this market knows, by what they are."""
    make_instrument("OTHER-EUR")
    placed = {
        "open": api.place("buy", "5", "90", client_order_id="o:1"),
        "partial": api.place("sell", "5", "110"),
        "other": api.place("sell", "5", "120", symbol="OTHER-EUR"),
        "ended": api.place("buy", "5", "80"),
        "ioc": api.place("buy", "5", "91", time_in_force="ioc"),
    }
    api.place("buy", "2", "110", who="bob")
    api.delete(f"orders/{placed['ended']['id']}")
    found = {name: row["id"] for name, row in placed.items()}
    found["refused"] = api.post("orders", order(price="0.001")).body["order_id"]
    return found


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["refused", "ioc", "ended", "other", "partial", "open"]),
        ("?status=open", ["other", "partial", "open"]),
        ("?status=new", ["other", "open"]),
        ("?status=partially_filled", ["partial"]),
        ("?status=canceled", ["ioc", "ended"]),
        ("?status=rejected", ["refused"]),
        ("?status=filled", []),
        ("?side=sell", ["other", "partial"]),
        ("?symbol=OTHER-EUR", ["other"]),
        ("?symbol=ACME-USD&side=sell&status=open", ["partial"]),
        ("?client_order_id=o:1", ["open"]),
        ("?client_order_id=none", []),
        ("?limit=2", ["refused", "ioc"]),
    ],
)
def test_filters(api: Api, some, query, names):
    answer = api.get(f"orders{query}")
    assert answer.status == 200
    assert ids(answer.body["results"]) == [some[name] for name in names]


def test_an_unknown_symbol_is_an_error(api: Api):
    assert api.get("orders?symbol=NOPE").code == "unknown_symbol"


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_pages_are_complete_while_orders_are_added(api: Api, limit):
    before = [api.place("buy", "1", "90")["id"] for _ in range(20)]
    seen = []
    for page in api.pages(f"orders?limit={limit}"):
        assert len(page) <= limit
        seen += ids(page)
        api.place("buy", "1", "90")
    assert seen == before[::-1]


def test_the_last_page_says_so(api: Api):
    for _ in range(4):
        api.place("buy", "1", "90")
    assert [len(page) for page in api.pages("orders?limit=2")] == [2, 2]


def test_one_order(api: Api):
    placed = api.place("buy", "5", "90", client_order_id="dots.and:colons-_1")
    del placed["fills"]
    by_id = api.get(f"orders/{placed['id']}")
    by_client_id = api.get("orders/by-client-id/dots.and:colons-_1")
    assert by_id.body == by_client_id.body == placed
    assert by_id.headers["ETag"] == by_client_id.headers["ETag"] == '"1"'


def test_orders_that_are_not_there(api: Api):
    assert api.get("orders/123456").code == "order_not_found"
    assert api.get("orders/by-client-id/never").code == "order_not_found"


def test_a_client_id_is_found_in_its_account_only(api: Api):
    api.place(client_order_id="mine")
    assert api.get("orders/by-client-id/mine", who="bob").code == "order_not_found"


def test_a_head_request_has_no_body(api: Api):
    answer = api.request("HEAD", "orders")
    assert (answer.status, answer.body) == (200, "")
