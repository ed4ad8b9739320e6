"""POST orders with order_class: placed whole or not at all, answered with legs, linked for life."""

import pytest

from matching.commands import DefineAccount
from orders import gateway
from orders.models import ClientOrderId, Order
from tests.api.conftest import Api, bracket, count_orders, oco, order
from tests.support.market import OPERATOR


def role_of(body: dict) -> tuple:
    return body["role"], body["type"], body["side"], body["status"]


def test_an_oco_is_answered_with_its_stop(api: Api):
    placed = api.accepted(oco(client_order_id="pair", time_in_force="day"))
    (leg,) = placed["legs"]
    assert role_of(placed) == ("oco_limit", "limit", "sell", "new")
    assert role_of(leg) == ("oco_stop", "stop", "sell", "untriggered")
    assert placed["group_id"] == leg["group_id"] == placed["id"] != leg["id"]
    assert placed["order_class"] == leg["order_class"] == "oco"
    assert (placed["client_order_id"], leg["client_order_id"]) == ("pair", None)
    assert leg["quantity"] == placed["quantity"] == "10.000"
    assert leg["expires_at"] == placed["expires_at"] is not None
    assert leg["time_in_force"] == "day"
    assert api.get("instruments/ACME-USD/book").body["asks"] == [["110.00", "10.000", 1]]


def test_a_bracket_waits_for_its_entry(api: Api):
    placed = api.accepted(bracket(stop_loss={"stop_price": "90", "price": "89"}, time_in_force="day"))
    profit, loss = placed["legs"]
    assert role_of(placed) == ("entry", "limit", "buy", "new")
    assert role_of(profit) == ("take_profit", "limit", "sell", "untriggered")
    assert role_of(loss) == ("stop_loss", "stop_limit", "sell", "untriggered")
    assert (profit["price"], loss["stop_price"], loss["price"]) == ("110.00", "90.00", "89.00")
    assert {profit["time_in_force"], loss["time_in_force"]} == {"gtc"}
    api.place("sell", "4", "100", who="bob")
    assert api.status(profit["id"]) == "untriggered"
    api.delete(f"orders/{placed['id']}")
    told = api.get(f"orders/{placed['id']}").body
    assert (told["status"], told["reason"], told["filled_quantity"]) == ("canceled", "user_request", "4.000")
    profit, loss = told["legs"]
    assert (profit["status"], profit["quantity"], loss["status"], loss["quantity"]) == (
        "new",
        "4.000",
        "untriggered",
        "4.000",
    )
    api.place("buy", "1", "110", who="bob")
    assert api.get(f"orders/{loss['id']}").body["remaining_quantity"] == "3.000"
    api.delete(f"orders/{loss['id']}")
    assert api.get(f"orders/{profit['id']}").body["reason"] == "linked_order"


def test_an_entry_that_fills_at_once_releases_its_children(api: Api):
    api.place("sell", "10", "100", who="bob")
    placed = api.accepted(bracket(price=None))
    assert (placed["status"], placed["time_in_force"], len(placed["fills"])) == ("filled", "ioc", 1)
    assert [leg["status"] for leg in placed["legs"]] == ["new", "untriggered"]
    assert api.get("instruments/ACME-USD/book").body["asks"] == [["110.00", "10.000", 1]]


def test_an_entry_that_fills_nothing_takes_its_children_along(api: Api):
    placed = api.accepted(bracket(time_in_force="ioc"))
    assert (placed["status"], placed["reason"]) == ("canceled", "ioc")
    assert {(leg["status"], leg["reason"]) for leg in placed["legs"]} == {("canceled", "linked_order")}


def test_what_the_limit_trades_the_stop_loses(api: Api):
    placed = api.accepted(oco())
    api.place("buy", "4", "110", who="bob")
    (leg,) = api.get(f"orders/{placed['id']}").body["legs"]
    assert (leg["remaining_quantity"], leg["canceled_quantity"]) == ("6.000", "4.000")
    api.trade("90")
    told = api.get(f"orders/{placed['id']}").body
    assert (told["status"], told["reason"], told["legs"][0]["reason"]) == ("canceled", "linked_order", "no_liquidity")


def test_deleting_one_ends_the_other(api: Api):
    placed = api.accepted(oco())
    answer = api.delete(f"orders/{placed['id']}")
    assert (answer.body["status"], answer.body["legs"][0]["reason"]) == ("canceled", "linked_order")
    assert api.get("orders?status=open").body["results"] == []


def test_trailing_legs_stand_where_the_market_says(api: Api):
    api.trade("100")
    pair = api.accepted(oco(stop_loss={"trail_percent": "5"}))
    assert pair["legs"][0]["stop_price"] == "95.00"
    held = api.accepted(bracket(price="99", profit="120", stop_loss={"trail_price": "5"}))
    assert held["legs"][1]["stop_price"] is None  # it waits for its entry first
    api.trade("104")
    assert api.get(f"orders/{pair['id']}").body["legs"][0]["stop_price"] == "98.80"
    assert api.get(f"orders/{held['id']}").body["legs"][1]["stop_price"] is None
    api.place("sell", "10", "99", who="bob")
    assert api.get(f"orders/{held['id']}").body["legs"][1]["stop_price"] == "94.00"


def test_the_group_is_listed_by_its_id(api: Api):
    api.place()
    placed = api.accepted(bracket())
    rows = api.get(f"orders?group_id={placed['id']}").body["results"]
    assert [row["role"] for row in rows] == ["stop_loss", "take_profit", "entry"]
    assert api.get(f"orders?group_id={placed['id']}", who="bob").body["results"] == []
    assert api.get("orders?group_id=1").body["results"] == []
    for row in rows[:2]:
        assert api.get(f"orders/{row['id']}").body["legs"] == []


def test_a_group_can_be_sent_again(api: Api):
    body = bracket(client_order_id="whole", stop_loss={"trail_percent": "2.5"})
    placed = api.accepted(body)
    same = bracket(
        "buy", "10.0", "100.0", profit="110.00", client_order_id="whole", stop_loss={"trail_percent": "2.50"}
    )
    again = api.post("orders", same)
    assert (again.status, again.body) == (200, placed)
    assert count_orders() == 3
    assert ClientOrderId.objects.count() == 1
    assert api.get("orders/by-client-id/whole").body["legs"] == placed["legs"]


@pytest.mark.parametrize(
    "other",
    [
        {"order_class": "simple", "take_profit": None, "stop_loss": None},
        {"order_class": "oco", "side": "sell", "take_profit": None},
        {"take_profit": {"price": "111"}},
        {"stop_loss": {"stop_price": "91"}},
        {"stop_loss": {"stop_price": "90", "price": "90"}},
        {"stop_loss": {"trail_price": "90"}},
    ],
)
def test_another_group_is_a_conflict(api: Api, other):
    placed = api.accepted(bracket(client_order_id="whole"))
    answer = api.post("orders", {**bracket(client_order_id="whole"), **other})
    assert (answer.code, answer.body["order_id"]) == ("duplicate_client_order_id", placed["id"])


@pytest.mark.parametrize(
    ("body", "code", "field", "leg_code"),
    [
        (bracket(stop_loss={"stop_price": "90.005"}), "linked_order_refused", "stop_loss", "price_not_on_tick"),
        (bracket(profit="110.005"), "linked_order_refused", "take_profit", "price_not_on_tick"),
        (oco(stop="90.005"), "linked_order_refused", "stop_loss", "price_not_on_tick"),
        (oco(stop_loss={"trail_price": "0.005"}), "linked_order_refused", "stop_loss", "price_not_on_tick"),
        (bracket(price="100.005"), "price_not_on_tick", None, None),
        (bracket(quantity="1.0005"), "quantity_not_on_step", "take_profit", "quantity_not_on_step"),
    ],
)
def test_a_group_is_refused_as_a_whole(api: Api, body, code, field, leg_code):
    body = {**body, "client_order_id": "no"}
    for answer in (api.post("orders", body), api.post("orders", body)):
        assert (answer.status, answer.code, answer.body["outcome"]) == (422, code, "not_accepted")
        told = {(error["field"], error["code"]) for error in answer.body["errors"]}
        assert not told if field is None else (field, leg_code) in told
    assert answer.headers["Idempotency-Replayed"] == "true"
    kept = api.get(f"orders/{answer.body['order_id']}").body
    assert (kept["status"], kept["reason"]) == ("rejected", code)
    reasons = {leg["reason"] for leg in kept["legs"]}
    assert reasons <= {"linked_order_refused", leg_code or "linked_order_refused"}
    assert Order.objects.count() == 1 + len(kept["legs"])
    assert api.get("orders?status=open").body["results"] == []


def test_a_limit_on_open_orders_counts_all_of_a_group(api: Api):
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(api.accounts["alice"].id, max_open_orders=2))
    answer = api.post("orders", bracket())
    assert (answer.code, answer.body["errors"][0]) == (
        "linked_order_refused",
        {"field": "stop_loss", "code": "risk_max_open_orders", "message": "The account has too many open orders."},
    )
    assert api.accepted(oco())["status"] == "new"


def test_a_batch_takes_groups(api: Api):
    batch = [order(price="98"), bracket(client_order_id="b"), oco(stop="90.005"), bracket(client_order_id="b"), oco()]
    results = api.post("orders/batch", {"orders": batch}).body["results"]
    assert [len(result["order"]["legs"]) if "order" in result else result["problem"]["code"] for result in results] == [
        *(0, 2, "linked_order_refused", 2, 1)
    ]
    assert results[3]["order"] == results[1]["order"]
    wrong = api.post("orders/batch", {"orders": [oco(stop_loss={"price": "1"})]}).body["results"][0]["problem"]
    assert wrong["errors"][0]["field"] == "orders.0.stop_loss.stop_price"
