"""From requests to commands: numbers in units, what units cannot hold, and the fingerprint of a request."""

import json
from hashlib import blake2b
from itertools import count
from typing import Any

import pytest

from matching import values
from matching.commands import OrderGroup
from matching.order import Order
from orders import selectors
from orders.requests import Placing, basis_points, fingerprint_of, placing_of
from orders.schemas.orders import PlaceOrder
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo


@pytest.fixture(autouse=True)
def instruments(monkeypatch) -> None:
    """ACME-USD with two and three decimals, without a table."""
    info = InstrumentInfo(7, "ACME-USD", 0, 2, 3)
    monkeypatch.setattr(selectors, "instrument_by_symbol", lambda symbol: info)


def request(**fields: Any) -> PlaceOrder:
    return PlaceOrder.model_validate({"symbol": "ACME-USD", "side": "buy", "quantity": "10", **fields})


def placing(**fields: Any) -> Placing:
    ids = count(100)
    return placing_of(account_id=3, request=request(**fields), new_id=lambda: next(ids))


def one(**fields: Any) -> Order:
    command = placing(**fields).command
    assert isinstance(command, Order)
    return command


def conditions(order: Order) -> tuple[int, ...]:
    found = order.conditions
    assert found is not None
    return (found.stop_price, found.trail, found.trail_bps, found.display_quantity, found.expires_at)


def test_a_plain_order_has_no_conditions():
    order = one(price="99.98", client_order_id="a", post_only=True)
    assert (order.order_id, order.account_id, order.instrument_id) == (100, 3, 7)
    assert (order.side, order.price, order.quantity, order.type) == (values.BUY, 9998, 10_000, values.LIMIT)
    assert (order.time_in_force, order.post_only, order.client_order_id) == (values.GTC, True, "a")
    assert order.conditions is None and order.off_grid == 0
    assert one(type="market").time_in_force == values.IOC


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"type": "stop", "stop_price": "95"}, (9500, 0, 0, 0, 0)),
        ({"type": "stop_limit", "stop_price": "95", "price": "94"}, (9500, 0, 0, 0, 0)),
        ({"type": "trailing_stop", "trail_price": "1.5"}, (0, 150, 0, 0, 0)),
        ({"type": "trailing_stop", "trail_percent": "1.5"}, (0, 0, 150, 0, 0)),
        ({"price": "95", "display_quantity": "0.5"}, (0, 0, 0, 500, 0)),
        ({"price": "95", "time_in_force": "day"}, (0, 0, 0, 0, 0)),
        (
            {"price": "95", "time_in_force": "gtd", "expires_at": "2026-11-22T17:30:52.000001Z"},
            (0, 0, 0, 0, 1795368652000001),
        ),
        ({"type": "market", "time_in_force": "day"}, (0, 0, 0, 0, 0)),
    ],
)
def test_conditions(fields, found):
    order = one(**fields)
    assert conditions(order) == found
    assert order.conditions is not None and (order.conditions.group_id, order.conditions.role) == (0, 0)


def roles(orders: list[Order]) -> list[tuple[int, ...]]:
    return [
        (order.order_id, order.conditions.group_id, order.conditions.role, order.side, order.type, order.time_in_force)
        for order in orders
        if order.conditions is not None
    ]


def test_an_oco():
    made = placing(
        side="sell", price="110", order_class="oco", stop_loss={"stop_price": "90", "price": "89"}, time_in_force="day"
    )
    assert isinstance(made.command, OrderGroup)
    assert roles(made.orders) == [
        (100, 100, values.OCO_LIMIT, values.SELL, values.LIMIT, values.DAY),
        (101, 100, values.OCO_STOP, values.SELL, values.STOP_LIMIT, values.DAY),
    ]
    assert [(order.price, order.quantity) for order in made.orders] == [(11_000, 10_000), (8_900, 10_000)]


def test_a_brackets_children_are_on_the_other_side_and_outlive_the_day():
    made = placing(
        price="100",
        order_class="bracket",
        time_in_force="day",
        post_only=True,
        client_order_id="mine",
        self_trade_prevention="none",
        take_profit={"price": "110"},
        stop_loss={"trail_percent": "2"},
    )
    assert roles(made.orders) == [
        (100, 100, values.ENTRY, values.BUY, values.LIMIT, values.DAY),
        (101, 100, values.TAKE_PROFIT, values.SELL, values.LIMIT, values.GTC),
        (102, 100, values.STOP_LOSS, values.SELL, values.TRAILING_STOP, values.GTC),
    ]
    assert [order.client_order_id for order in made.orders] == ["mine", "", ""]
    assert [order.post_only for order in made.orders] == [True, False, False]
    assert {order.self_trade_prevention for order in made.orders} == {values.STP_NONE}


@pytest.mark.parametrize(
    ("fields", "off", "detail"),
    [
        ({"price": "95.005"}, values.PRICE_OFF_GRID, {"price": "95.005", "quantity": "10"}),
        ({"price": "95", "quantity": "1.0005"}, values.QUANTITY_OFF_GRID, {"price": "95", "quantity": "1.0005"}),
        (
            {"type": "stop", "stop_price": "95.005"},
            values.PRICE_OFF_GRID,
            {"stop_price": "95.005", "quantity": "10"},
        ),
        (
            {"price": "95", "display_quantity": "1.0005"},
            values.QUANTITY_OFF_GRID,
            {"price": "95", "quantity": "10", "display_quantity": "1.0005"},
        ),
    ],
)
def test_what_units_cannot_hold_is_told_and_kept_as_text(fields, off, detail):
    made = placing(**fields)
    assert made.orders[0].off_grid == off
    assert made.detail is not None and json.loads(made.detail) == detail


def test_a_group_keeps_the_text_of_all_of_it():
    made = placing(price="100", order_class="bracket", take_profit={"price": "110"}, stop_loss={"stop_price": "90.005"})
    assert [order.off_grid for order in made.orders] == [0, 0, values.PRICE_OFF_GRID]
    assert made.detail is not None
    assert json.loads(made.detail)["stop_loss"] == {"stop_price": "90.005"}
    made = placing(
        quantity="1.0005",
        price="100",
        order_class="bracket",
        take_profit={"price": "110"},
        stop_loss={"stop_price": "90"},
    )
    assert {order.off_grid for order in made.orders} == {values.QUANTITY_OFF_GRID}
    assert {order.quantity for order in made.orders} == {0}


def test_a_leg_that_is_too_large_is_named():
    with pytest.raises(ProblemError) as caught:
        placing(side="sell", price="9", order_class="oco", stop_loss={"trail_price": "999999999999999"})
    assert caught.value.errors[0]["field"] == "stop_loss.trail_price"


@pytest.mark.parametrize(("text", "bps"), [(None, 0), ("1.5", 150), ("0.01", 1), ("99.99", 9999), ("05.500", 550)])
def test_percentages(text, bps):
    assert basis_points(text) == bps


def test_a_plain_request_has_the_fingerprint_it_always_had():
    """Claims are for life: a retry that comes after an upgrade must find its order."""
    meaning = ("ACME-USD", "buy", "limit", "gtc", "10.", "99.98", False, "cancel_newest")
    assert fingerprint_of(request(price="99.980")) == blake2b(repr(meaning).encode(), digest_size=16).digest()


def test_fingerprints_differ_by_meaning_only():
    same = [
        request(type="stop", stop_price="95"),
        request(type="stop", stop_price="095.00", quantity="10.000", time_in_force="gtc"),
    ]
    others = [
        request(type="stop", stop_price="95.01"),
        request(type="stop", stop_price="95", time_in_force="day"),
        request(type="stop_limit", stop_price="95", price="95"),
        request(type="trailing_stop", trail_price="95"),
        request(type="trailing_stop", trail_percent="95"),
        request(price="95"),
        request(price="95", display_quantity="5"),
        request(price="95", order_class="bracket", take_profit={"price": "99"}, stop_loss={"stop_price": "90"}),
        request(price="95", order_class="bracket", take_profit={"price": "99"}, stop_loss={"trail_price": "90"}),
        request(price="95", order_class="oco", stop_loss={"stop_price": "99"}),
    ]
    assert len({fingerprint_of(one) for one in same}) == 1
    assert len({fingerprint_of(one) for one in same + others}) == 1 + len(others)
