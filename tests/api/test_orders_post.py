"""POST orders: what is accepted, what a repeated request gets, what the answer holds."""

import pytest

from orders.models import Order
from tests.api.conftest import Api, count_orders, order

ORDER_FIELDS = {
    *(
        "id",
        "client_order_id",
        "account",
        "symbol",
        "side",
        "type",
        "time_in_force",
        "post_only",
        "price",
        "stop_price",
    ),
    *("quantity", "display_quantity", "expires_at", "self_trade_prevention", "filled_quantity", "remaining_quantity"),
    *("trail_price", "trail_percent", "order_class", "group_id", "role"),
    *("canceled_quantity", "average_price", "status", "reason", "version", "sequence", "created_at", "updated_at"),
}


def test_a_resting_order(api: Api):
    answer = api.post("orders", order("buy", "10", "99.98", client_order_id="a:1.x_y-z"))
    assert answer.status == 201
    body = answer.body
    assert set(body) == ORDER_FIELDS | {"fills", "legs"}
    assert (body["quantity"], body["price"], body["remaining_quantity"]) == ("10.000", "99.98", "10.000")
    assert (body["account"], body["client_order_id"], body["status"]) == ("alice", "a:1.x_y-z", "new")
    assert (body["type"], body["time_in_force"], body["self_trade_prevention"]) == ("limit", "gtc", "cancel_newest")
    assert (body["average_price"], body["reason"], body["fills"]) == (None, None, [])
    assert body["created_at"] == body["updated_at"] > "2026"
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Location"] == f"/api/v1/orders/{body['id']}"
    assert isinstance(body["id"], str) and Order.objects.get(id=int(body["id"])).remaining == 10_000


def test_a_match_is_in_the_answer(api: Api):
    first = api.place("sell", "4", "100.10", who="bob")
    second = api.place("sell", "4", "100.20", who="bob")
    taken = api.place("buy", "6", "100.20")
    assert (taken["status"], taken["filled_quantity"], taken["remaining_quantity"]) == ("filled", "6.000", "0.000")
    assert taken["average_price"] == "100.13"  # (4 * 100.10 + 2 * 100.20) / 6
    assert [(fill["price"], fill["quantity"], fill["liquidity"]) for fill in taken["fills"]] == [
        ("100.10", "4.000", "taker"),
        ("100.20", "2.000", "taker"),
    ]
    assert {fill["order_id"] for fill in taken["fills"]} == {taken["id"]}
    assert api.get(f"orders/{first['id']}", who="bob").body["status"] == "filled"
    assert api.get(f"orders/{second['id']}", who="bob").body["status"] == "partially_filled"


@pytest.mark.parametrize(
    ("fields", "status", "reason", "canceled"),
    [
        ({"time_in_force": "ioc"}, "canceled", "ioc", "3.000"),
        ({"time_in_force": "fok"}, "canceled", "fok", "5.000"),
        ({"price": None}, "canceled", "no_liquidity", "3.000"),
    ],
)
def test_what_ends_at_once_was_accepted(api: Api, fields, status, reason, canceled):
    api.place("sell", "2", "100", who="bob")
    body = api.place("buy", "5", **{"price": "100", **fields})
    assert (body["status"], body["reason"], body["canceled_quantity"]) == (status, reason, canceled)
    assert body["remaining_quantity"] == "0.000"


def test_an_order_stops_at_ones_own(api: Api):
    api.place("sell", "2", "100")
    body = api.place("buy", "5", "100")
    assert (body["status"], body["reason"], body["filled_quantity"]) == ("canceled", "self_trade", "0.000")


def test_the_same_request_again_is_the_same_order(api: Api):
    placed = api.place("buy", "10", "99.98", client_order_id="once")
    api.place("sell", "4", "99.98", who="bob")
    again = order(
        "buy", "10.000", "099.980", client_order_id="once", time_in_force="gtc", type="limit", post_only=False
    )
    answer = api.post("orders", again)
    assert answer.status == 200
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.body["id"] == placed["id"]
    assert (answer.body["status"], answer.body["filled_quantity"]) == ("partially_filled", "4.000")
    (fill,) = answer.body["fills"]
    assert (fill["quantity"], fill["price"], fill["liquidity"], fill["side"]) == ("4.000", "99.98", "maker", "buy")
    assert count_orders() == 2


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": "11"},
        {"price": "99.99"},
        {"side": "sell"},
        {"time_in_force": "ioc"},
        {"post_only": True},
        {"self_trade_prevention": "none"},
    ],
)
def test_the_same_id_for_another_request_is_a_conflict(api: Api, other):
    placed = api.place("buy", "10", "99.98", client_order_id="once")
    answer = api.post("orders", {**order("buy", "10", "99.98", client_order_id="once"), **other})
    assert answer.code == "duplicate_client_order_id"
    assert answer.body["order_id"] == placed["id"]
    assert count_orders() == 1


def test_ids_belong_to_an_account(api: Api):
    ours = api.place(client_order_id="same")
    theirs = api.place(client_order_id="same", who="bob")
    assert ours["id"] != theirs["id"]


def test_a_refused_order_is_kept_and_repeats_its_problem(api: Api):
    body = order("buy", "1", "100.005", client_order_id="off")
    first = api.post("orders", body)
    assert (first.status, first.code) == (422, "price_not_on_tick")
    assert first.body["outcome"] == "not_accepted"
    kept = api.get(f"orders/{first.body['order_id']}").body
    assert (kept["status"], kept["reason"]) == ("rejected", "price_not_on_tick")
    again = api.post("orders", body)
    assert (again.code, again.body["order_id"]) == ("price_not_on_tick", first.body["order_id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert count_orders() == 1


def test_an_id_lives_as_long_as_its_account(api: Api):
    placed = api.place(client_order_id="once")
    api.delete(f"orders/{placed['id']}")
    answer = api.post("orders", order(client_order_id="once"))
    assert (answer.status, answer.body["status"]) == (200, "canceled")


def test_a_program_reads_its_own_writes(api: Api):
    for number in range(20):
        placed = api.place("buy", "1", f"{90 + number}", client_order_id=f"n{number}")
        assert api.get(f"orders/by-client-id/n{number}").body["id"] == placed["id"]
        assert api.get("orders").body["results"][0]["id"] == placed["id"]
        assert api.get("instruments/ACME-USD/book").body["bids"][0] == [f"{90 + number}.00", "1.000", 1]


def test_a_key_costs_no_query_while_it_is_known(api: Api, django_assert_num_queries, monkeypatch):
    monkeypatch.setattr("orders.keys._CACHE_SECONDS", 600)
    api.place()
    with django_assert_num_queries(0):
        api.place()
