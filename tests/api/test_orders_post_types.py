"""POST orders of every type: what waits, what triggers, what is shown, when it expires; and retries of all of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders.api.schema_views import openapi_document
from tests.api.conftest import Api, count_orders, order
from tests.support.market import make_instrument, set_phase


def moment(**ahead: int) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def stop(side: str = "sell", quantity: str = "2", **fields: Any) -> dict[str, Any]:
    """The body of a stop of any kind, told by its fields."""
    if "stop_price" not in fields:
        kind = "trailing_stop"
    else:
        kind = "stop_limit" if "price" in fields else "stop"
    return {"symbol": "ACME-USD", "side": side, "quantity": quantity, "type": kind, **fields}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"stop_price": "95"}, {"type": "stop", "stop_price": "95.00", "price": None}),
        ({"stop_price": "95", "price": "94.5"}, {"type": "stop_limit", "stop_price": "95.00", "price": "94.50"}),
        (
            {"trail_price": "3"},
            {"type": "trailing_stop", "trail_price": "3.00", "trail_percent": None, "stop_price": None},
        ),
        ({"trail_percent": "2.5"}, {"type": "trailing_stop", "trail_price": None, "trail_percent": "2.50"}),
    ],
)
def test_a_stop_waits(api: Api, fields, told):
    placed = api.accepted(stop(**fields))
    assert (placed["status"], placed["time_in_force"], placed["fills"], placed["legs"]) == (
        "untriggered",
        "gtc",
        [],
        [],
    )
    assert {name: placed[name] for name in told} == told
    assert (placed["order_class"], placed["group_id"], placed["role"]) == ("simple", None, None)
    stored = api.get(f"orders/{placed['id']}").body
    assert {**stored, "fills": []} == placed
    assert api.get("orders?status=open").body["results"][0]["id"] == placed["id"]
    assert api.get("instruments/ACME-USD/book").body["asks"] == []


def test_a_stop_triggers_on_the_last_price(api: Api):
    placed = api.accepted(stop(stop_price="95"))
    api.trade("95.01")
    assert api.status(placed["id"]) == "untriggered"
    api.place("buy", "2", "94", who="bob")
    api.trade("95")
    ended = api.get(f"orders/{placed['id']}").body
    assert (ended["status"], ended["average_price"]) == ("filled", "94.00")
    events = [row["event"] for row in api.get(f"orders/{placed['id']}/events").body["results"]]
    assert events == ["accepted", "triggered", "fill_taker"]


def test_a_stop_already_through_fires_at_once(api: Api):
    api.trade("90")
    api.place("buy", "1", "89", who="bob")
    placed = api.accepted(stop(stop_price="95"))
    assert (placed["status"], placed["reason"], placed["filled_quantity"]) == ("canceled", "no_liquidity", "1.000")
    assert [(fill["price"], fill["liquidity"]) for fill in placed["fills"]] == [("89.00", "taker")]


def test_a_stop_limit_rests_once_triggered(api: Api):
    placed = api.accepted(stop(stop_price="95", price="96"))
    api.trade("94")
    assert api.status(placed["id"]) == "new"
    assert api.get("instruments/ACME-USD/book").body["asks"] == [["96.00", "2.000", 1]]


@pytest.mark.parametrize(
    ("fields", "stops"),
    [({"trail_price": "3"}, ["97.00", "100.50", "100.50"]), ({"trail_percent": "2"}, ["98.00", "101.43", "101.43"])],
)
def test_a_trailing_stop_is_told_where_it_stands_now(api: Api, fields, stops):
    api.trade("100")
    placed = api.accepted(stop(**fields))
    assert placed["stop_price"] == stops[0]
    before_any = api.accepted(stop(symbol="QUIET-USD", trail_price="3")) if make_instrument("QUIET-USD") else None
    for price, expected in zip(("103.50", "102"), stops[1:], strict=True):
        api.trade(price)
        assert api.get(f"orders/{placed['id']}").body["stop_price"] == expected
        listed = {row["id"]: row["stop_price"] for row in api.get("orders").body["results"]}
        assert listed == {placed["id"]: expected, before_any["id"]: None}
    api.place("buy", "2", "99", who="bob")
    api.trade("99.5")
    ended = api.get(f"orders/{placed['id']}").body
    assert (ended["status"], ended["stop_price"], ended["average_price"]) == ("filled", stops[-1], "99.00")


def test_only_the_tip_of_an_iceberg_is_shown(api: Api):
    placed = api.place("sell", "10", "100", display_quantity="3")
    assert (placed["display_quantity"], placed["remaining_quantity"]) == ("3.000", "10.000")
    assert api.get("instruments/ACME-USD/book").body["asks"] == [["100.00", "3.000", 1]]
    taken = api.place("buy", "4", "100", who="bob")
    assert (taken["filled_quantity"], len(taken["fills"])) == ("4.000", 2)
    assert api.get("instruments/ACME-USD/book").body["asks"] == [["100.00", "2.000", 1]]


@pytest.mark.parametrize(("kind", "fields"), [("limit", {"price": "100"}), ("stop", {"stop_price": "105"})])
def test_orders_for_a_day_expire_at_its_end(api: Api, kind, fields):
    body = {"symbol": "ACME-USD", "side": "buy", "quantity": "1", "type": kind, **fields, "time_in_force": "day"}
    placed = api.accepted(body)
    midnight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert placed["expires_at"] in (moment_of(midnight), moment_of(midnight - timedelta(days=1)))


def moment_of(value: datetime) -> str:
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_an_order_until_a_moment(api: Api):
    until = moment(hours=1)
    placed = api.place(time_in_force="gtd", expires_at=until)
    assert (placed["status"], placed["expires_at"], placed["time_in_force"]) == ("new", until, "gtd")
    over = api.place(time_in_force="gtd", expires_at="2020-01-01T00:00:00Z")
    assert (over["status"], over["reason"], over["canceled_quantity"]) == ("expired", "gtd", "1.000")
    assert over["expires_at"] == "2020-01-01T00:00:00.000000Z"


def test_a_market_order_for_the_day_does_not_wait_for_it(api: Api):
    api.place("sell", "1", "100", who="bob")
    placed = api.place("buy", "3", None, time_in_force="day")
    assert (placed["status"], placed["reason"], placed["filled_quantity"]) == ("canceled", "no_liquidity", "1.000")
    assert api.get(f"orders/{placed['id']}").body["time_in_force"] == "day"


BOOK = [("sell", "1", "101"), ("sell", "2", "102"), ("buy", "1", "99"), ("buy", "2", "98")]


def test_every_example_of_the_documentation_is_accepted(api: Api):
    examples = openapi_document()["components"]["schemas"]["PlaceOrder"]["examples"]
    assert {example.get("type", "limit") for example in examples} == {
        *("limit", "market", "stop", "stop_limit", "trailing_stop")
    }
    assert {example.get("order_class", "simple") for example in examples} == {"simple", "oco", "bracket"}
    for side, quantity, price in BOOK:
        api.place(side, quantity, price, who="bob")
    for example in examples:
        api.accepted({**example, "self_trade_prevention": "none"})


# Every term of an order, and the same with another value of it.
RETRIES = [
    (stop(stop_price="95.0"), stop(stop_price="95.00"), stop(stop_price="95.01")),
    (stop(stop_price="95", price="94"), stop(stop_price="95", price="94.0"), stop(stop_price="95", price="94.01")),
    (stop(trail_price="3"), stop(trail_price="03.00"), stop(trail_price="3.01")),
    (stop(trail_percent="1.5"), stop(trail_percent="1.50"), stop(trail_percent="1.51")),
    (stop(trail_percent="1.5"), stop(trail_percent="01.500"), stop(trail_price="1.5")),
    (
        order(quantity="9", display_quantity="3"),
        order(quantity="9", display_quantity="3.0"),
        order(quantity="9", display_quantity="4"),
    ),
    (order(quantity="9", display_quantity="3"), order(quantity="9.0", display_quantity="3"), order(quantity="9")),
    (
        order(time_in_force="gtd", expires_at="2040-01-01T00:00:00Z"),
        order(time_in_force="gtd", expires_at="2040-01-01T00:00:00.000+00:00"),
        order(time_in_force="gtd", expires_at="2040-01-01T00:00:00.000001Z"),
    ),
    (order(time_in_force="day"), order(time_in_force="day"), order(time_in_force="gtc")),
    (stop(stop_price="95"), stop(stop_price="95", time_in_force="gtc"), stop(stop_price="95", time_in_force="day")),
]


@pytest.mark.parametrize(("first", "same", "other"), RETRIES)
def test_retries_are_compared_by_value(api: Api, first, same, other):
    placed = api.accepted({**first, "client_order_id": "once"})
    again = api.post("orders", {**same, "client_order_id": "once"})
    assert (again.status, again.headers["Idempotency-Replayed"], again.body) == (200, "true", placed)
    conflict = api.post("orders", {**other, "client_order_id": "once"})
    assert (conflict.code, conflict.body["order_id"]) == ("duplicate_client_order_id", placed["id"])
    assert count_orders() == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (stop(stop_price="95.005"), "price_not_on_tick"),
        (stop(stop_price="95", price="94.005"), "price_not_on_tick"),
        (stop(stop_price="0.001"), "price_not_on_tick"),
        (stop(trail_price="0.001"), "price_not_on_tick"),
        (stop(trail_price="3.005"), "price_not_on_tick"),
        (stop(quantity="1.0005", stop_price="95"), "quantity_not_on_step"),
        (order(quantity="9", display_quantity="0.0005"), "quantity_not_on_step"),
        (order(quantity="9.0005", display_quantity="3"), "quantity_not_on_step"),
        (order(quantity="9", display_quantity="0.008"), "display_quantity_too_small"),
    ],
)
def test_what_the_engine_refuses_is_kept_with_its_reason(api: Api, body, code):
    answer = api.post("orders", {**body, "client_order_id": "off"})
    assert (answer.status, answer.code) == (422, code)
    kept = api.get(f"orders/{answer.body['order_id']}").body
    assert (kept["status"], kept["reason"], kept["type"]) == ("rejected", code, body.get("type", "limit"))
    again = api.post("orders", {**body, "client_order_id": "off"})
    assert (again.code, again.headers["Idempotency-Replayed"]) == (code, "true")
    assert count_orders() == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "stop", "stop_price": "999999999999999", "price": None}, "stop_price"),
        ({"type": "trailing_stop", "trail_price": "999999999999999", "price": None}, "trail_price"),
        ({"quantity": "999999999999999", "display_quantity": "1"}, "quantity"),
        (
            {"order_class": "oco", "side": "sell", "stop_loss": {"trail_price": "999999999999999"}},
            "stop_loss.trail_price",
        ),
    ],
)
def test_numbers_beyond_what_is_held_name_their_field(api: Api, fields, field):
    answer = api.post("orders", {**order(), **fields})
    assert (answer.status, answer.body["errors"][0]["field"]) == (400, field)
    assert count_orders() == 0


@pytest.mark.parametrize("phase", ["pre_open", "auction", "no_cancel"])
def test_only_what_can_rest_is_taken_before_trading(api: Api, phase):
    set_phase(phase)
    for body in (order(price=None), order(time_in_force="ioc"), order(time_in_force="fok")):
        answer = api.post("orders", body)
        assert (answer.status, answer.code) == (409, "market_not_continuous")
        assert api.status(answer.body["order_id"]) == "rejected"
    assert api.place("sell", "1", "99", who="bob")["status"] == "new"
    crossing = api.place("buy", "1", "101", post_only=True)
    assert (crossing["status"], crossing["fills"]) == ("new", [])
    assert api.accepted(stop("buy", stop_price="105", price="106", time_in_force="ioc"))["status"] == "untriggered"
