"""PATCH orders/{id}: new terms, the place in the queue, versions."""

import pytest

from tests.api.conftest import Api


def test_less_keeps_the_place(api: Api):
    placed = api.place("buy", "5", "90")
    api.place("buy", "5", "90", who="bob")
    answer = api.patch(f"orders/{placed['id']}", {"quantity": "3"})
    assert answer.status == 200
    body = answer.body
    assert (body["priority_kept"], body["quantity"], body["remaining_quantity"]) == (True, "3.000", "3.000")
    assert (body["version"], answer.headers["ETag"]) == (2, '"2"')
    assert body["updated_at"] > body["created_at"] == placed["created_at"]
    assert api.place("sell", "1", "90", who="carol")["filled_quantity"] == "1.000"
    assert api.get(f"orders/{placed['id']}").body["filled_quantity"] == "1.000"


@pytest.mark.parametrize("terms", [{"quantity": "6"}, {"price": "89"}, {"price": "91", "quantity": "1"}])
def test_more_or_another_price_takes_a_new_place(api: Api, terms):
    placed = api.place("buy", "5", "90")
    answer = api.patch(f"orders/{placed['id']}", terms)
    assert answer.body["priority_kept"] is False
    assert answer.body["sequence"] > placed["sequence"]


def test_an_amend_may_trade(api: Api):
    resting = api.place("sell", "2", "95", who="bob")
    placed = api.place("buy", "5", "90")
    body = api.patch(f"orders/{placed['id']}", {"price": "95"}).body
    assert (body["status"], body["filled_quantity"]) == ("partially_filled", "2.000")
    (fill,) = body["fills"]
    assert (fill["price"], fill["quantity"], fill["liquidity"]) == ("95.00", "2.000", "taker")
    assert api.get(f"orders/{resting['id']}", who="bob").body["status"] == "filled"


def test_down_to_what_is_filled_ends_it(api: Api):
    placed = api.place("buy", "5", "90")
    api.place("sell", "2", "90", who="bob")
    body = api.patch(f"orders/{placed['id']}", {"quantity": "2"}).body
    assert (body["status"], body["reason"]) == ("canceled", "amended_to_filled")


def test_only_the_version_asked_for(api: Api):
    path = f"orders/{api.place('buy', '5', '90')['id']}"
    assert api.patch(path, {"quantity": "4"}, if_match='"1"').body["version"] == 2
    stale = api.patch(path, {"quantity": "3"}, if_match='"1"')
    assert (stale.status, stale.code) == (412, "version_conflict")
    assert api.patch(path, {"quantity": "3"}, if_match='W/"2"').body["version"] == 3
    assert api.patch(path, {"quantity": "2"}, if_match="*").body["version"] == 4
    assert api.get(path).body["quantity"] == "2.000"


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *(('"0"', "version_conflict"), ('"abc"', "version_conflict"), ('""', "version_conflict")),
        *(("1", "invalid_request"), ('"1", "2"', "invalid_request"), ('"1', "invalid_request")),
        ('"' + "9" * 30 + '"', "version_conflict"),
    ],
)
def test_tags_that_no_order_has(api: Api, tag, code):
    path = f"orders/{api.place('buy', '5', '90')['id']}"
    assert api.patch(path, {"quantity": "4"}, if_match=tag).code == code
    assert api.get(path).body["version"] == 1


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"price": "90.005"}, "price_not_on_tick"),
        ({"quantity": "1.0005"}, "quantity_not_on_step"),
        ({"price": "999999999999999"}, "invalid_request"),
    ],
)
def test_a_refused_amend_changes_nothing(api: Api, terms, code):
    placed = api.place("buy", "5", "90")
    answer = api.patch(f"orders/{placed['id']}", terms)
    assert answer.code == code
    del placed["fills"]
    assert api.get(f"orders/{placed['id']}").body == placed


def test_a_post_only_order_stays_one(api: Api):
    api.place("sell", "1", "95", who="bob")
    placed = api.place("buy", "1", "90", post_only=True)
    assert api.patch(f"orders/{placed['id']}", {"price": "95"}).code == "post_only_would_cross"


def test_too_late(api: Api):
    placed = api.place("buy", "1", "90", time_in_force="ioc")
    answer = api.patch(f"orders/{placed['id']}", {"quantity": "2"})
    assert (answer.status, answer.code, answer.body["order_id"]) == (409, "too_late_to_amend", placed["id"])


def test_a_market_order_has_no_price_to_amend(api: Api):
    placed = api.place("buy", "1", None)
    assert api.patch(f"orders/{placed['id']}", {"price": "2"}).code == "not_amendable"


def test_nobody_elses(api: Api):
    placed = api.place("buy", "5", "90")
    assert api.patch(f"orders/{placed['id']}", {"quantity": "1"}, who="bob").code == "order_not_found"
    assert api.patch("orders/77", {"quantity": "1"}).code == "order_not_found"
    assert api.get(f"orders/{placed['id']}").body["version"] == 1
