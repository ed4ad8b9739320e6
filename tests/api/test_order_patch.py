"""PATCH orders/{id}: new terms, the place in the queue, versions."""

import pytest

from tests.api.conftest import Api, bracket
from tests.support.market import set_phase


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


STOP = {"symbol": "ACME-USD", "side": "sell", "quantity": "2"}


@pytest.mark.parametrize(
    ("terms", "change", "told"),
    [
        ({"type": "stop", "stop_price": "95"}, {"stop_price": "96"}, {"stop_price": "96.00"}),
        (
            {"type": "stop_limit", "stop_price": "95", "price": "94"},
            {"stop_price": "96", "price": "95.5"},
            {"stop_price": "96.00", "price": "95.50"},
        ),
        ({"type": "trailing_stop", "trail_price": "3"}, {"trail_price": "4"}, {"trail_price": "4.00"}),
        (
            {"type": "trailing_stop", "trail_price": "3"},
            {"trail_percent": "1.5"},
            {"trail_price": None, "trail_percent": "1.50", "stop_price": "98.50"},
        ),
        (
            {"type": "trailing_stop", "trail_percent": "3"},
            {"trail_price": "1"},
            {"trail_price": "1.00", "trail_percent": None, "stop_price": "99.00"},
        ),
    ],
)
def test_a_stop_that_waits_gets_new_terms(api: Api, terms, change, told):
    api.trade("100")
    placed = api.accepted({**STOP, **terms})
    answer = api.patch(f"orders/{placed['id']}", change)
    assert answer.status == 200, answer.body
    assert (answer.body["status"], answer.body["priority_kept"], answer.body["version"]) == ("untriggered", False, 2)
    assert {name: answer.body[name] for name in told} == told
    assert {name: api.get(f"orders/{placed['id']}").body[name] for name in told} == told


def test_the_limit_of_a_waiting_stop_and_what_an_iceberg_shows_keep_the_place(api: Api):
    waiting = api.accepted({**STOP, "type": "stop_limit", "stop_price": "95", "price": "94"})
    answer = api.patch(f"orders/{waiting['id']}", {"price": "93"}).body
    assert (answer["price"], answer["priority_kept"]) == ("93.00", True)
    iceberg = api.place("sell", "10", "120", display_quantity="2")
    answer = api.patch(f"orders/{iceberg['id']}", {"display_quantity": "3"}).body
    assert (answer["display_quantity"], answer["priority_kept"]) == ("3.000", True)
    assert api.get("instruments/ACME-USD/book").body["asks"] == [["120.00", "3.000", 1]]


def test_until_another_moment(api: Api):
    placed = api.place(time_in_force="gtd", expires_at="2040-01-01T00:00:00Z")
    path = f"orders/{placed['id']}"
    answer = api.patch(path, {"expires_at": "2041-01-01T00:00:00.5Z"}).body
    assert (answer["expires_at"], answer["priority_kept"]) == ("2041-01-01T00:00:00.500000Z", True)
    past = api.patch(path, {"expires_at": "2020-01-01T00:00:00Z"})
    assert (past.code, past.body["errors"][0]["field"]) == ("invalid_request", "expires_at")


@pytest.mark.parametrize(
    ("terms", "change"),
    [
        ({"price": "90"}, {"stop_price": "95"}),
        ({"price": "90"}, {"trail_percent": "1"}),
        ({"price": "90"}, {"display_quantity": "1"}),
        ({"price": "90"}, {"expires_at": "2040-01-01T00:00:00Z"}),
        ({"price": "90", "time_in_force": "day"}, {"expires_at": "2040-01-01T00:00:00Z"}),
        ({"type": "stop", "stop_price": "110"}, {"price": "90"}),
        ({"type": "stop", "stop_price": "110"}, {"trail_price": "1"}),
        ({"type": "trailing_stop", "trail_price": "1"}, {"stop_price": "95"}),
        ({"type": "trailing_stop", "trail_price": "1"}, {"price": "95"}),
        ({"type": "market"}, {"price": "95"}),
    ],
)
def test_what_an_order_does_not_have_cannot_be_amended(api: Api, terms, change):
    placed = api.accepted({**STOP, "side": "buy", **terms})
    answer = api.patch(f"orders/{placed['id']}", change)
    assert (answer.status, answer.code, answer.body["order_id"]) == (409, "not_amendable", placed["id"])
    assert api.get(f"orders/{placed['id']}").body["version"] == 1


def test_a_stop_that_was_triggered_has_no_stop_price_to_amend(api: Api):
    api.trade("100")
    placed = api.accepted({**STOP, "type": "stop_limit", "stop_price": "100", "price": "105"})
    assert placed["status"] == "new"
    assert api.patch(f"orders/{placed['id']}", {"stop_price": "95"}).code == "not_amendable"
    assert api.patch(f"orders/{placed['id']}", {"price": "104"}).body["price"] == "104.00"


def test_of_a_group_prices_can_be_amended_and_quantities_cannot(api: Api):
    group = api.accepted(bracket("buy", "2", "90", stop="80"))
    profit, loss = group["legs"]
    for row in (group, profit, loss):
        assert api.patch(f"orders/{row['id']}", {"quantity": "1"}).code == "not_amendable"
    answer = api.patch(f"orders/{group['id']}", {"price": "91"}).body
    assert (answer["price"], [leg["id"] for leg in answer["legs"]]) == ("91.00", [profit["id"], loss["id"]])
    assert api.patch(f"orders/{profit['id']}", {"price": "115"}).body["price"] == "115.00"
    assert api.patch(f"orders/{loss['id']}", {"stop_price": "85"}).body["stop_price"] == "85.00"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"stop_price": "95.005"}, "price_not_on_tick"),
        ({"stop_price": "0.001"}, "price_not_on_tick"),
        ({"stop_price": "999999999999999"}, "invalid_request"),
        ({"display_quantity": "0.5"}, "not_amendable"),
    ],
)
def test_a_refused_amend_leaves_a_stop_as_it_is(api: Api, change, code):
    placed = api.accepted({**STOP, "type": "stop", "stop_price": "95"})
    assert api.patch(f"orders/{placed['id']}", change).code == code
    told = api.get(f"orders/{placed['id']}").body
    assert (told["stop_price"], told["version"]) == ("95.00", 1)


def test_too_late_before_an_auction_ends(api: Api):
    placed = api.place("buy", "1", "90")
    set_phase("no_cancel")
    answer = api.patch(f"orders/{placed['id']}", {"price": "91"})
    assert (answer.status, answer.code) == (409, "too_late_to_amend") and "auction" in answer.body["detail"]


def test_nobody_elses(api: Api):
    placed = api.place("buy", "5", "90")
    assert api.patch(f"orders/{placed['id']}", {"quantity": "1"}, who="bob").code == "order_not_found"
    assert api.patch("orders/77", {"quantity": "1"}).code == "order_not_found"
    assert api.get(f"orders/{placed['id']}").body["version"] == 1
