"""DELETE orders/{id} and DELETE orders: cancel one, cancel all that match."""

import pytest

from orders import keys
from orders.actors import OPERATE
from tests.api.conftest import Api, bracket
from tests.support.market import make_instrument, set_phase


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


def test_what_is_linked_goes_along(api: Api):
    group = api.accepted(bracket("buy", "2", "90"))
    everything = {group["id"], *(leg["id"] for leg in group["legs"])}
    other = api.place("sell", "1", "120")["id"]
    answer = api.delete("orders?side=buy")
    assert set(answer.body["canceled"]) == everything
    assert api.status(other) == "new"


def test_a_waiting_stop_is_canceled_like_any_other(api: Api):
    body = {"symbol": "ACME-USD", "side": "sell", "quantity": "2", "type": "stop", "stop_price": "95"}
    placed = api.accepted(body)
    ended = api.delete(f"orders/{placed['id']}").body
    assert (ended["status"], ended["canceled_quantity"], ended["legs"]) == ("canceled", "2.000", [])


def test_too_late_before_an_auction_ends(api: Api):
    make_instrument("OTHER-EUR")
    placed = api.place("buy", "1", "90")
    other = api.place("buy", "1", "90", symbol="OTHER-EUR")
    set_phase("no_cancel")
    one = api.delete(f"orders/{placed['id']}")
    assert (one.status, one.code, one.body["order_id"]) == (409, "too_late_to_cancel", placed["id"])
    assert "auction" in one.body["detail"]
    assert api.delete("orders?symbol=ACME-USD").code == "too_late_to_cancel"
    assert api.delete("orders").body["canceled"] == [other["id"]]
    assert api.status(placed["id"]) == "new"


def test_an_operator_cancels_by_account_symbol_and_side(api: Api):
    make_instrument("OTHER-EUR")
    account = api.accounts["carol"]
    _, key = keys.create_key(user=account.members.get(), account=account, scopes=[OPERATE])
    bids = [api.place("buy", "1", "90", symbol=symbol)["id"] for symbol in ("ACME-USD", "OTHER-EUR")]
    ask = api.place("sell", "1", "110")["id"]
    api.place("buy", "1", "90", who="bob")
    assert api.delete("orders?account=alice&side=buy&symbol=OTHER-EUR", key=key).body["canceled"] == [bids[1]]
    assert api.delete("orders?account=alice&side=buy", key=key).body["canceled"] == [bids[0]]
    assert api.status(ask) == "new"
    assert api.delete("orders?account=nobody", key=key).code == "unknown_account"
    assert api.get("orders?status=open", who="bob").body["results"]
    last = api.get(f"orders/{bids[0]}/events").body["results"][-1]
    assert (last["reason"], last["actor"]) == ("operator_request", "carol")


def test_an_unknown_symbol_cancels_nothing(api: Api):
    api.place("buy", "1", "90")
    assert api.delete("orders?symbol=NOPE").code == "unknown_symbol"
    assert api.delete("orders?sied=buy").code == "invalid_request"
    assert len(api.get("orders?status=open").body["results"]) == 1
