"""DELETE orders/{id} and DELETE orders: cancel one, cancel all that match."""

import pytest

from tests.api.conftest import Api
from tests.support.market import make_instrument


def test_the_final_order_is_answered(api: Api):
    placed = api.place("buy", "5", "90")
    api.place("sell", "2", "90", who="bob")
    answer = api.delete(f"orders/{placed['id']}")
    assert answer.status == 200
    body = answer.body
    assert (body["status"], body["reason"]) == ("canceled", "user_request")
    assert (body["filled_quantity"], body["canceled_quantity"], body["remaining_quantity"]) == (
        "2.000",
        "3.000",
        "0.000",
    )
    assert api.get(f"orders/{placed['id']}").body == body
    assert api.get("instruments/ACME-USD/book").body["bids"] == []


def test_only_once(api: Api):
    placed = api.place("buy", "5", "90")
    assert api.delete(f"orders/{placed['id']}").status == 200
    again = api.delete(f"orders/{placed['id']}")
    assert (again.status, again.code, again.body["order_id"]) == (409, "too_late_to_cancel", placed["id"])


def test_nobody_elses(api: Api):
    placed = api.place("buy", "5", "90")
    assert api.delete(f"orders/{placed['id']}", who="bob").code == "order_not_found"
    assert api.delete("orders/77").code == "order_not_found"
    assert api.get(f"orders/{placed['id']}").body["status"] == "new"


@pytest.mark.parametrize(
    ("query", "gone"),
    [
        ("", {"acme buy", "acme sell", "other buy"}),
        ("?symbol=ACME-USD", {"acme buy", "acme sell"}),
        ("?side=buy", {"acme buy", "other buy"}),
        ("?symbol=ACME-USD&side=sell", {"acme sell"}),
        ("?symbol=OTHER-EUR&side=sell", set()),
    ],
)
def test_all_that_match_and_nothing_else(api: Api, query, gone):
    make_instrument("OTHER-EUR")
    ours = {
        "acme buy": api.place("buy", "1", "90")["id"],
        "acme sell": api.place("sell", "1", "110")["id"],
        "other buy": api.place("buy", "1", "90", symbol="OTHER-EUR")["id"],
    }
    theirs = api.place("buy", "1", "90", who="bob")["id"]
    answer = api.delete(f"orders{query}")
    assert answer.status == 200
    assert set(answer.body["canceled"]) == {ours[name] for name in gone}
    assert answer.body["count"] == len(gone)
    left = {row["id"] for row in api.get("orders?status=open").body["results"]}
    assert left == {ours[name] for name in ours.keys() - gone}
    assert api.get(f"orders/{theirs}", who="bob").body["status"] == "new"


def test_an_unknown_symbol_cancels_nothing(api: Api):
    api.place("buy", "1", "90")
    assert api.delete("orders?symbol=NOPE").code == "unknown_symbol"
    assert api.delete("orders?sied=buy").code == "invalid_request"
    assert len(api.get("orders?status=open").body["results"]) == 1
