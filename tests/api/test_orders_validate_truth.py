"""POST orders/validate against the truth: over random books, what it tells is what placing the same order does."""

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matching.commands import DefineAccount
from matching.values import MONEY_DECIMALS
from orders import gateway
from tests.api.conftest import Api
from tests.support.market import OPERATOR, make_instrument, set_phase

WHO = ("alice", "bob", "carol")
# Few prices and small quantities, so that orders meet; some of both off the grid or beyond the limits.
PRICES = st.sampled_from([f"{price}" for price in range(97, 104)] * 4 + ["100.005", "80", "120"])
QUANTITIES = st.sampled_from(["1", "2", "3", "5", "6"] * 4 + ["8", "0.0005", "60"])
STP = st.sampled_from(["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"])
symbols = count()

truth = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@st.composite
def new_orders(draw: st.DrawFn) -> dict[str, Any]:
    """An order of any type, on its own or with others, without its symbol; most of them make sense."""
    kind = draw(st.sampled_from(["limit"] * 5 + ["market", "market", "stop", "stop_limit", "trailing_stop"]))
    body: dict[str, Any] = {
        **{"side": draw(st.sampled_from(["buy", "sell"])), "type": kind, "quantity": draw(QUANTITIES)},
        "self_trade_prevention": draw(STP),
    }
    if kind in ("limit", "stop_limit"):
        body["price"] = draw(PRICES)
        body["time_in_force"] = draw(st.sampled_from(["gtc", "gtc", "day", "ioc", "fok"]))
    if kind in ("stop", "stop_limit"):
        body["stop_price"] = draw(PRICES)
    if kind == "trailing_stop":
        body |= draw(st.sampled_from([{"trail_price": "2"}, {"trail_percent": "0.01"}, {"trail_percent": "3"}]))
    rests = kind == "limit" and body["time_in_force"] in ("gtc", "day")
    if rests:
        body["post_only"] = draw(st.sampled_from([False, False, False, True]))
    if rests and draw(st.integers(0, 4)) == 0:
        body["display_quantity"] = "0.5" if body["quantity"] != "0.0005" else "0.0001"
    shape = draw(st.sampled_from(["simple"] * 4 + ["oco", "bracket"]))
    low, high = ("90", "110.005") if draw(st.integers(0, 4)) == 0 else ("90", "110")
    sells = (body["side"] == "sell") == (shape == "oco")
    if shape == "bracket":
        profit, stop = (high, low) if sells else (low, high)
        body |= {"order_class": shape, "take_profit": {"price": profit}, "stop_loss": {"stop_price": stop}}
    elif shape == "oco" and rests and body["price"] not in ("80", "120"):
        body |= {"order_class": shape, "stop_loss": {"stop_price": low if sells else high}}
    return body


def market(api: Api) -> str:
    """A new instrument with every kind of limit, and accounts that may run into theirs."""
    number = next(symbols)
    symbol = f"TRUE{number}-COIN{number}"  # money of its own: what an earlier market left is none of its business
    make_instrument(
        symbol,
        price_tick=50,
        min_quantity=500,
        max_quantity=50_000,
        max_notional=80_000_000,
        collar_bps=1_500,
        reference_price=10_000,
    )
    limits: dict[str, dict[str, Any]] = {
        **{"alice": {"max_position": 20_000}, "bob": {"max_order_quantity": 7_000}},
        "carol": {"funded": True},
    }
    for who in WHO:
        api.delete("orders", who=who)
        gateway.account_define(actor=OPERATOR, definition=DefineAccount(api.accounts[who].id))
        for side, price in (("buy", "98"), ("buy", "99"), ("sell", "101"), ("sell", "102")):
            api.place(side, "3", price, symbol=symbol, who=who)
    api.place("buy", "1", None, symbol=symbol, who="carol")
    for who in WHO:
        definition = DefineAccount(api.accounts[who].id, max_open_orders=16, **limits[who])
        gateway.account_define(actor=OPERATOR, definition=definition)
    for currency, amount in ((f"COIN{number}", 1_600), (f"TRUE{number}", 12)):
        gateway.account_transfer(
            actor=OPERATOR,
            account_id=api.accounts["carol"].id,
            currency=currency,
            amount=amount * 10**MONEY_DECIMALS,
        )
    return symbol


def by_price(fills: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Thousandths by price, in the order of trading."""
    found: dict[str, int] = {}
    for fill in fills:
        found[fill["price"]] = found.get(fill["price"], 0) + thousandths(fill["quantity"])
    return list(found.items())


def thousandths(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction)


def own_orders(api: Api, who: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in api.get("orders?status=open&limit=500", who=who).body["results"]}


def try_and_place(api: Api, body: dict[str, Any], who: str) -> tuple[dict[str, Any], Any]:
    tried = api.post("orders/validate", body, who=who)
    assert tried.status == 200, tried.body
    return tried.body, api.post("orders", body, who=who)


def first_failing(checks: list[dict[str, Any]]) -> str | None:
    return next((check["check"] for check in checks if not check["passed"]), None)


def check_refusal(told: dict[str, Any], placed: Any) -> None:
    """Why the order, or one of its group, is refused."""
    assert not told["accepted"] and told["reason"] == placed.code and told["status"] == "rejected"
    assert told["fills"] == [] and told["queue"] is None
    if told["reason"] != "linked_order_refused":
        assert first_failing(told["checks"]) == told["reason"]
    expected = [(error["field"], error["code"]) for error in placed.body["errors"]]
    assert [
        (("stop_loss" if leg["role"] == "oco_stop" else leg["role"]), leg["reason"])
        for leg in told["legs"]
        if leg["reason"] != "linked_order_refused"
    ] == expected
    for leg in told["legs"]:
        assert leg["reason"] in (first_failing(leg["checks"]), "linked_order_refused")


def check_acceptance(api: Api, told: dict[str, Any], placed: dict[str, Any], who: str) -> None:
    assert told["accepted"] and told["reason"] is None
    assert first_failing(told["checks"]) is None
    assert by_price(told["fills"]) == by_price(placed["fills"])
    for name in ("status", "filled_quantity", "average_price", "remaining_quantity"):
        assert told[name] == placed[name], name
    assert told["canceled_reason"] == placed["reason"]
    events = [row["event"] for row in api.get(f"orders/{placed['id']}/events", who=who).body["results"]]
    assert told["triggered"] == ("triggered" in events)
    if told["queue"] is None:
        assert placed["status"] not in ("new", "partially_filled")
        return
    book = api.get(f"instruments/{placed['symbol']}/book?depth=1000").body
    levels = {level[0]: level for level in book["bids" if placed["side"] == "buy" else "asks"]}
    _, quantity, orders = levels[told["queue"]["price"]]
    shown = min(thousandths(placed["remaining_quantity"]), thousandths(placed["display_quantity"] or "9" * 9))
    assert thousandths(told["queue"]["quantity_ahead"]) == thousandths(quantity) - shown
    assert told["queue"]["orders_ahead"] == orders - 1


def check_own(told: dict[str, Any], placed: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
    """Own orders that it met: those that changed, or the one that stopped it."""
    legs = {leg["id"] for leg in placed["legs"]}
    changed = {order_id for order_id, row in before.items() if after.get(order_id) != row} - legs
    assert changed <= set(told["self_trade"]) <= set(before)
    if placed["reason"] == "self_trade":
        assert told["self_trade"]


@truth
@given(st.lists(st.tuples(st.sampled_from(WHO), new_orders()), min_size=10, max_size=30))
def test_it_does_as_it_was_told(api: Api, steps):
    """While nothing is hidden: what would stay hidden, or wait, is canceled before the next order."""
    symbol = market(api)
    for who, terms in steps:
        body = {"symbol": symbol, **terms}
        before = own_orders(api, who)
        told, placed = try_and_place(api, body, who)
        if placed.status == 201:
            check_acceptance(api, told, placed.body, who)
            check_own(told, placed.body, before, own_orders(api, who))
        else:
            check_refusal(told, placed)
        for order_id, row in own_orders(api, who).items():
            if row["status"] == "untriggered" or row["display_quantity"] or row["group_id"]:
                api.delete(f"orders/{order_id}", who=who)


@truth
@given(st.lists(st.tuples(st.sampled_from(WHO), new_orders()), min_size=10, max_size=30))
def test_it_never_tells_what_is_hidden(api: Api, steps):
    """With icebergs and stops about: never more than is displayed, never more than comes of it."""
    symbol = market(api)
    for who, terms in steps:
        body = {"symbol": symbol, **terms}
        book = api.get(f"instruments/{symbol}/book?depth=1000").body
        side = {level[0]: thousandths(level[1]) for level in book["asks" if body["side"] == "buy" else "bids"]}
        own = own_orders(api, who).values()
        told, placed = try_and_place(api, body, who)
        for price, quantity in by_price(told["fills"]):
            hidden = sum(thousandths(row["remaining_quantity"]) for row in own if row["price"] == price)
            assert quantity <= side[price] + hidden
        if placed.status == 201:
            assert told["accepted"]
            assert thousandths(told["filled_quantity"]) <= thousandths(placed.body["filled_quantity"])
        else:
            check_refusal(told, placed)


@truth
@given(
    st.lists(st.tuples(st.sampled_from(WHO), new_orders()), min_size=5, max_size=15),
    st.sampled_from(["pre_open", "auction", "no_cancel", "halted", "closed"]),
)
def test_in_every_phase(api: Api, steps, phase):
    symbol = market(api)
    set_phase(phase, symbol)
    for who, terms in steps:
        told, placed = try_and_place(api, {"symbol": symbol, **terms}, who)
        if placed.status == 201:
            check_acceptance(api, told, placed.body, who)
        else:
            check_refusal(told, placed)
    set_phase("halted", symbol)
