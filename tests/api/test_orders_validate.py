"""POST orders/validate: every check, what would trade, where the rest would stand; and that nothing comes of it."""

from typing import Any

import pytest

from matching.commands import DefineAccount
from matching.values import MONEY_DECIMALS, REDUCING
from orders import gateway, scratch
from orders.models import ClientOrderId, Event, Order
from tests.api.conftest import Api, bracket, oco, order
from tests.support.market import OPERATOR, make_instrument, set_phase


def trial(api: Api, body: dict[str, Any], *, who: str = "alice") -> dict[str, Any]:
    """The answer, once it is sure that nothing was written for it."""
    before = (Order.objects.count(), Event.objects.count(), ClientOrderId.objects.count())
    answer = api.post("orders/validate", body, who=who)
    assert answer.status == 200, answer.body
    assert (Order.objects.count(), Event.objects.count(), ClientOrderId.objects.count()) == before
    return answer.body


def check(told: dict[str, Any], name: str, place: int = 0) -> tuple[str | None, str | None, bool]:
    """Limit, value and outcome of a check, the ``place``-th of its name."""
    found = [one for one in told["checks"] if one["check"] == name]
    return found[place]["limit"], found[place]["value"], found[place]["passed"]


def with_limits(api: Api, **limits: int) -> None:
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(api.accounts["alice"].id, **limits))


@pytest.fixture
def book(api: Api) -> Api:
    """Bob's asks at 101 (2 and 3) and 102 (5), his bids at 99 (4) and 98 (1)."""
    for side, quantity, price in (("sell", "2", "101"), ("sell", "3", "101"), ("sell", "5", "102")):
        api.place(side, quantity, price, who="bob")
    for quantity, price in (("4", "99"), ("1", "98")):
        api.place("buy", quantity, price, who="bob")
    return api


def test_a_whole_answer(book: Api):
    told = trial(book, order("buy", "6", "101", client_order_id="free"))
    assert {name: told[name] for name in told if name not in ("checks", "time", "sequence")} == {
        "accepted": True,
        "reason": None,
        "fills": [{"price": "101.00", "quantity": "5.000"}],
        "filled_quantity": "5.000",
        "average_price": "101.00",
        "remaining_quantity": "1.000",
        "status": "partially_filled",
        "canceled_reason": None,
        "self_trade": [],
        "queue": {"price": "101.00", "quantity_ahead": "0.000", "orders_ahead": 0},
        "triggered": False,
        "legs": [],
        "replayed": False,
        "order_id": None,
        "truncated": False,
    }
    assert [one["check"] for one in told["checks"]] == [
        *("market_closed", "market_halted", "market_not_continuous", "account_halted", "price_not_on_tick"),
        *("quantity_not_on_step", "quantity_below_minimum", "risk_max_quantity", "risk_max_open_orders"),
    ]
    assert all(one["passed"] for one in told["checks"])
    assert check(told, "market_halted") == ("continuous", "continuous", True)
    assert check(told, "account_halted") == ("active", "active", True)
    assert check(told, "price_not_on_tick") == ("0.01", "101.00", True)
    assert check(told, "risk_max_open_orders") == ("200000", "1", True)
    assert told["sequence"] == book.get("status").body["shards"][0]["sequence"]


def test_a_market_order_goes_from_level_to_level(book: Api):
    told = trial(book, order("buy", "7", None))
    assert told["fills"] == [{"price": "101.00", "quantity": "5.000"}, {"price": "102.00", "quantity": "2.000"}]
    assert (told["average_price"], told["status"], told["queue"]) == ("101.29", "filled", None)
    told = trial(book, order("sell", "7", None))
    assert told["fills"] == [{"price": "99.00", "quantity": "4.000"}, {"price": "98.00", "quantity": "1.000"}]
    assert (told["status"], told["canceled_reason"], told["remaining_quantity"]) == (
        "canceled",
        "no_liquidity",
        "0.000",
    )


def test_the_rest_stands_behind_what_is_shown(book: Api):
    book.place("buy", "20", "99", display_quantity="2", who="carol")
    assert trial(book, order("buy", "1", "99"))["queue"] == {
        "price": "99.00",
        "quantity_ahead": "6.000",
        "orders_ahead": 2,
    }
    assert trial(book, order("buy", "1", "99", time_in_force="ioc"))["queue"] is None


def test_nobodys_hidden_quantity_is_told(api: Api):
    api.place("sell", "50", "100", display_quantity="2", who="bob")
    api.place("sell", "1", "101", who="bob")
    told = trial(api, order("buy", "10", None))
    assert told["fills"] == [{"price": "100.00", "quantity": "2.000"}, {"price": "101.00", "quantity": "1.000"}]
    assert trial(api, order("buy", "10", "100", time_in_force="fok"))["canceled_reason"] == "fok"


def test_nobodys_stop_is_told(book: Api):
    book.accepted(
        {"symbol": "ACME-USD", "side": "sell", "quantity": "3", "type": "stop", "stop_price": "101"}, who="carol"
    )
    told = trial(book, order("buy", "6", "101"))
    assert (told["filled_quantity"], told["status"]) == ("5.000", "partially_filled")


@pytest.mark.parametrize(
    ("mode", "status", "reason", "filled", "met"),
    [
        ("cancel_newest", "canceled", "self_trade", "2.000", ["first"]),
        ("cancel_oldest", "filled", None, "5.000", ["first", "second"]),
        ("cancel_both", "canceled", "self_trade", "2.000", ["first"]),
        ("decrement", "canceled", "self_trade", "4.000", ["first", "second"]),
        ("none", "filled", None, "5.000", ["first"]),  # the second stands behind what is enough
    ],
)
def test_ones_own_orders_in_the_way(api: Api, mode, status, reason, filled, met):
    api.place("sell", "2", "101", who="bob")
    own = {"first": api.place("sell", "1", "101")["id"]}
    api.place("sell", "2", "101", who="bob")
    own["second"] = api.place("sell", "1", "101")["id"]
    api.place("sell", "9", "101", who="bob")
    quantity = "6" if mode == "decrement" else "5"
    told = trial(api, order("buy", quantity, "101", self_trade_prevention=mode))
    assert told["self_trade"] == [own[name] for name in met]
    placed = api.place("buy", quantity, "101", self_trade_prevention=mode)
    assert (told["status"], told["canceled_reason"], told["filled_quantity"]) == (
        placed["status"],
        placed["reason"],
        placed["filled_quantity"],
    )


def test_a_stop_that_would_fire(book: Api):
    book.trade("100")
    fires = {"symbol": "ACME-USD", "side": "sell", "quantity": "5", "type": "stop", "stop_price": "100"}
    told = trial(book, fires)
    assert (told["triggered"], told["filled_quantity"], told["status"]) == (True, "5.000", "filled")
    told = trial(book, {**fires, "stop_price": "99.99"})
    assert (told["triggered"], told["fills"], told["status"], told["queue"]) == (False, [], "untriggered", None)
    told = trial(book, {**fires, "type": "stop_limit", "price": "99"})
    assert (told["triggered"], told["fills"]) == (True, [{"price": "99.00", "quantity": "4.000"}])
    assert told["queue"] == {"price": "99.00", "quantity_ahead": "0.000", "orders_ahead": 0}
    told = trial(book, {**fires, "type": "trailing_stop", "stop_price": None, "trail_percent": "0.01"})
    assert (told["triggered"], told["status"]) == (False, "untriggered")


@pytest.mark.parametrize(
    ("fields", "name", "limit", "value"),
    [
        ({"price": "101.005"}, "price_not_on_tick", "0.01", "101.005"),
        ({"quantity": "1.0005"}, "quantity_not_on_step", "0.001", "1.0005"),
        ({"price": "101.01"}, "price_not_on_tick", "0.01", "101.01"),
    ],
)
def test_what_is_off_the_grid_is_told_as_it_was_sent(book: Api, fields, name, limit, value):
    told = trial(book, {**order("buy", "1", "101"), **fields})
    passed = fields == {"price": "101.01"}
    assert check(told, name) == (limit, value, passed)
    assert (told["accepted"], told["reason"]) == (passed, None if passed else name)
    if not passed:
        assert (told["status"], told["fills"], told["queue"]) == ("rejected", [], None)


def test_every_limit_with_its_value(api: Api):
    make_instrument(
        *("RULE-USD",),
        price_tick=5,
        quantity_step=500,
        min_quantity=1_000,
        max_quantity=50_000,
        max_notional=400_000_000,
        collar_bps=1_000,
        reference_price=10_000,
    )
    with_limits(api, max_open_orders=7, max_order_quantity=40_000, max_position=30_000, max_rate=10)
    api.place("buy", "10", "95", symbol="RULE-USD")
    told = trial(api, order("buy", "45", "120.02", symbol="RULE-USD", display_quantity="0.03", post_only=True))
    assert [(one["check"], one["limit"], one["value"]) for one in told["checks"] if not one["passed"]] == [
        ("price_not_on_tick", "0.05", "120.02"),
        ("quantity_not_on_step", "0.500", "45.000"),
        ("display_quantity_too_small", "0.045", "0.030"),
        ("price_collar", "110.00", "120.02"),
        ("risk_max_quantity", "40.000", "45.000"),
        ("risk_max_notional", "4000.00000", "5400.90000"),
        ("risk_max_position", "30.000", "55.000"),
    ]
    assert check(told, "quantity_below_minimum") == ("1.000", "45.000", True)
    assert check(told, "risk_max_quantity") == ("50.000", "45.000", True)
    assert check(told, "risk_max_open_orders") == ("7", "2", True)
    assert check(told, "post_only_would_cross") == (None, "120.02", True)
    assert check(told, "rate_limited")[0] == "10"
    assert told["reason"] == "price_not_on_tick"


def test_an_account_that_may_only_reduce(book: Api):
    with_limits(book, state=REDUCING)
    told = trial(book, order("buy", "1", "90"))
    assert (check(told, "account_reducing_only"), told["reason"]) == (
        ("0.000", "1.000", False),
        "account_reducing_only",
    )


def test_post_only(book: Api):
    told = trial(book, order("buy", "1", "101", post_only=True))
    assert (check(told, "post_only_would_cross"), told["reason"]) == (
        ("101.00", "101.00", False),
        "post_only_would_cross",
    )


@pytest.mark.parametrize(
    ("phase", "reason"),
    [("closed", "market_closed"), ("halted", "market_halted"), ("auction", None), ("no_cancel", None)],
)
def test_phases_without_trading(book: Api, phase, reason):
    set_phase(phase)
    told = trial(book, order("buy", "1", "101"))
    assert (told["reason"], told["fills"]) == (reason, [])
    assert check(told, reason or "market_not_continuous") == ("continuous", phase, reason is None)
    if reason is None:
        assert told["queue"] == {"price": "101.00", "quantity_ahead": "0.000", "orders_ahead": 0}
        assert trial(book, order("buy", "1", None))["reason"] == "market_not_continuous"


def test_the_circuit_breaker(api: Api):
    make_instrument("CALM-USD", collar_bps=100, reference_price=10_000, breaker_us=60_000_000)
    api.place("sell", "1", "100", symbol="CALM-USD", who="bob")
    set_phase("auction", "CALM-USD")
    set_phase("continuous", "CALM-USD")
    told = trial(api, order("buy", "1", None, symbol="CALM-USD"))
    assert (told["status"], told["fills"]) == ("filled", [{"price": "100.00", "quantity": "1.000"}])
    assert api.get("instruments/CALM-USD").body["state"] == "continuous"


def test_a_group_with_its_legs(book: Api):
    told = trial(book, bracket("buy", "3", "101", stop="90.005"))
    assert (told["accepted"], told["reason"]) == (False, "linked_order_refused")
    profit, loss = told["legs"]
    assert (profit["role"], profit["accepted"], profit["reason"]) == ("take_profit", False, "linked_order_refused")
    assert (loss["role"], loss["accepted"], loss["reason"]) == ("stop_loss", False, "price_not_on_tick")
    assert check(loss, "price_not_on_tick") == ("0.01", "90.005", False)
    assert check(profit, "price_not_on_tick") == ("0.01", "110.00", True)
    assert [check(one, "risk_max_open_orders")[1] for one in (told, profit, loss)] == ["1", "2", "3"]
    told = trial(book, bracket("buy", "3", "101"))
    assert (told["accepted"], told["filled_quantity"], told["status"]) == (True, "3.000", "filled")
    assert all(leg["accepted"] and leg["reason"] is None for leg in told["legs"])
    told = trial(book, oco("sell", "5", "99", stop="80"))
    assert (told["filled_quantity"], told["status"], told["legs"][0]["role"]) == (
        "4.000",
        "partially_filled",
        "oco_stop",
    )


def test_a_client_order_id_that_is_known(book: Api):
    body = order("buy", "6", "101", client_order_id="mine")
    placed = book.accepted(body)
    told = trial(book, body)
    assert (told["replayed"], told["order_id"], told["accepted"], told["checks"]) == (True, placed["id"], True, [])
    assert (told["filled_quantity"], told["average_price"], told["status"]) == ("5.000", "101.00", "partially_filled")
    conflict = book.post("orders/validate", {**body, "quantity": "7"})
    assert (conflict.code, conflict.body["order_id"]) == ("duplicate_client_order_id", placed["id"])
    assert trial(book, body, who="bob")["replayed"] is False
    refused = book.post("orders", order(price="100.005", client_order_id="off")).body["order_id"]
    told = trial(book, order(price="100.005", client_order_id="off"))
    assert (told["replayed"], told["order_id"], told["reason"]) == (True, refused, "price_not_on_tick")


def test_what_is_too_much_to_look_at(book: Api, monkeypatch):
    monkeypatch.setattr(scratch, "MAX_RESTING", 2)
    told = trial(book, order("buy", "9", None))
    assert (told["truncated"], told["filled_quantity"]) == (True, "5.000")
    assert trial(book, order("buy", "5", None))["truncated"] is False


def pay_in(api: Api, currency: str, amount: int) -> None:
    account_id = api.accounts["alice"].id
    gateway.account_transfer(
        actor=OPERATOR, account_id=account_id, currency=currency, amount=amount * 10**MONEY_DECIMALS
    )


def test_funds_of_every_market_count(book: Api):
    make_instrument("ACME-EUR")
    make_instrument("WIDG-USD", price_decimals=0, quantity_decimals=0)
    with_limits(book, funded=True)
    funds = "insufficient_funds"
    assert check(trial(book, order("buy", "1", "90")), funds) == ("0", "90", False)
    pay_in(book, "USD", 1_000)
    pay_in(book, "ACME", 3)
    assert check(trial(book, order("buy", "1.5", "99.25")), funds) == ("1000", "148.875", True)
    book.place("buy", "2", "101")  # 202 are spent, two more are had
    book.place("buy", "5", "2", symbol="WIDG-USD")
    book.place("buy", "3", "90")
    book.place("sell", "1", "120", symbol="ACME-EUR")
    book.accepted({**order("buy", "4", None), "type": "stop", "stop_price": "150"})  # asks for nothing yet
    told = trial(book, order("buy", "6", "90"))
    assert check(told, funds) == ("518", "540", False)
    assert (told["accepted"], told["reason"]) == (False, funds)
    assert check(trial(book, order("sell", "5", "120")), funds) == ("4", "5", False)
    assert check(trial(book, order("buy", "4", None)), funds) == ("518", "405", True)
    assert funds not in [one["check"] for one in trial(book, order("buy", "1", "90"), who="bob")["checks"]]
    assert funds not in [
        one["check"] for one in trial(book, {**order("buy", "99", None), "type": "stop", "stop_price": "150"})["checks"]
    ]


def test_positions_and_open_orders_count(book: Api):
    with_limits(book, max_position=10_000)
    book.place("buy", "2", "101")
    book.place("buy", "3", "90")
    held = book.accepted(bracket("buy", "1", "90", stop="80"))
    told = trial(book, order("buy", "5", "90"))
    assert check(told, "risk_max_position") == ("10.000", "11.000", False)  # 2 held, 3 and 1 open; no child counts
    told = trial(book, order("sell", "9", "120"))
    assert check(told, "risk_max_position") == ("10.000", "7.000", True)
    book.delete(f"orders/{held['id']}")
    assert check(trial(book, order("buy", "5", "90")), "risk_max_position") == ("10.000", "10.000", True)


@pytest.mark.parametrize("body", [{}, order(price=None, type="limit"), order(symbol="NOPE"), order(quantity="1" * 15)])
def test_what_is_no_order_is_no_trial(api: Api, body):
    placed = api.post("orders", body)
    tried = api.post("orders/validate", body)
    assert (tried.status, tried.code, tried.body["errors"]) == (placed.status, placed.code, placed.body["errors"])
