"""Every error code this door can answer, seen; and the shape they share."""

from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings

from matching.commands import DefineAccount
from matching.values import ACCOUNT_HALTED, REASON_NAMES, REDUCING
from orders import gateway, history, keys, selectors, submission
from orders.actors import OPERATE
from orders.api import orders as orders_api
from orders.bus import bus
from orders.bus.envelope import Envelope
from orders.codes import CODES
from orders.models import Order
from tests.api.conftest import Answer, Api, oco, order
from tests.support.market import OPERATOR, make_instrument, set_phase

# Codes of other doors.
ELSEWHERE = {"not_acceptable", "too_many_subscriptions", "resume_too_old"}

Provoke = Callable[[Api, pytest.MonkeyPatch], Answer]
PROVOKED: dict[str, Provoke] = {}


def provokes(code: str) -> Callable[[Provoke], Provoke]:
    def keep(function: Provoke) -> Provoke:
        PROVOKED[code] = function
        return function

    return keep


def with_rules(**rules: int) -> dict[str, str]:
    """The start of an order's body for a new instrument with these rules."""
    make_instrument("RULE-USD", **rules)
    return {"symbol": "RULE-USD"}


def with_limits(api: Api, **limits: int) -> None:
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(api.accounts["alice"].id, **limits))


@provokes("invalid_request")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", {})


@provokes("not_authenticated")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.get("orders", who=None)


@provokes("permission_denied")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    api.client.force_login(api.accounts["bob"].members.get())
    api.accounts["bob"].members.clear()
    return api.get("orders", who=None)


@provokes("not_found")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.get("order")


@provokes("unknown_symbol")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(symbol="NOPE"))


@provokes("unknown_account")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    account = api.accounts["alice"]
    _, key = keys.create_key(user=account.members.get(), account=account, scopes=[OPERATE])
    return api.delete("orders?account=nobody", key=key)


@provokes("order_not_found")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.delete("orders/1")


@provokes("method_not_allowed")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.request("PUT", "orders/1", {})


@provokes("market_halted")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    set_phase("halted")
    return api.post("orders", order())


@provokes("market_closed")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    set_phase("closed")
    return api.post("orders", order())


@provokes("market_not_continuous")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    set_phase("auction")
    return api.post("orders", order(price=None))


@provokes("account_halted")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    with_limits(api, state=ACCOUNT_HALTED)
    return api.post("orders", order())


@provokes("account_reducing_only")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    with_limits(api, state=REDUCING)
    return api.post("orders", order())


@provokes("duplicate_client_order_id")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    api.place(client_order_id="one")
    return api.post("orders", order(price="101", client_order_id="one"))


@provokes("too_late_to_cancel")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.delete(f"orders/{api.place(time_in_force='ioc')['id']}")


@provokes("too_late_to_amend")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.patch(f"orders/{api.place(time_in_force='ioc')['id']}", {"quantity": "2"})


@provokes("not_amendable")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.patch(f"orders/{api.place(price=None)['id']}", {"price": "2"})


@provokes("version_conflict")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.patch(f"orders/{api.place()['id']}", {"quantity": "2"}, if_match='"9"')


@provokes("request_too_large")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", raw=b" " * 1_048_577)


@provokes("unsupported_media_type")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(), content_type="application/xml")


@provokes("price_not_on_tick")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(price="100.05", **with_rules(price_tick=10)))


@provokes("quantity_not_on_step")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(quantity="1.005", **with_rules(quantity_step=10)))


@provokes("quantity_below_minimum")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(quantity="1", **with_rules(min_quantity=2000)))


@provokes("display_quantity_too_small")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(quantity="2", display_quantity="0.001"))


@provokes("price_collar")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(price="200", **with_rules(collar_bps=1000, reference_price=10_000)))


@provokes("risk_max_quantity")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(quantity="6", **with_rules(max_quantity=5000)))


@provokes("risk_max_notional")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", order(**with_rules(max_notional=99 * 100_000)))


@provokes("risk_max_open_orders")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    with_limits(api, max_open_orders=1)
    api.place()
    return api.post("orders", order())


@provokes("risk_max_position")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    with_limits(api, max_position=999)
    return api.post("orders", order())


@provokes("too_many_trailing_stops")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    trailing = order(price=None, type="trailing_stop", trail_price="1")
    for _ in range(20):
        api.post("orders/batch", {"orders": [trailing] * 500})
    return api.post("orders", trailing)


@provokes("insufficient_funds")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    with_limits(api, funded=True)
    return api.post("orders", order())


@provokes("linked_order_refused")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    return api.post("orders", oco(stop="90.005"))


@provokes("rate_limited")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    with_limits(api, max_rate=1)
    api.place()
    return api.post("orders", order())


@provokes("post_only_would_cross")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    api.place("sell", who="bob")
    return api.post("orders", order(post_only=True))


@provokes("history_too_long")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    patch.setattr(history, "MAX_EVENTS", 0)
    return api.get("instruments/ACME-USD/book?sequence=1")


@provokes("internal_error")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    def broken(**kwargs: object) -> None:
        raise RuntimeError("on purpose")

    patch.setattr(selectors, "order_list", broken)
    return api.get("orders")


@provokes("engine_unavailable")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    patch.setattr(bus(), "_capacity", 0)
    return api.post("orders", order())


@provokes("command_expired")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    patch.setattr(submission, "COMMAND_TTL_SECONDS", -1)
    return api.post("orders", order())


def lose_answers(patch: pytest.MonkeyPatch) -> None:
    """The engine carries out what it gets, but whoever sent it does not hear of it in time."""

    def submit(envelope: Envelope, **options: Any) -> None:
        unheard = copy(envelope)
        unheard.future = Future()
        bus().submit(unheard, **options)

    patch.setattr(submission, "enqueue", submit)
    patch.setattr(submission, "ANSWER_TIMEOUT_SECONDS", 0)


@provokes("engine_timeout")
def _(api: Api, patch: pytest.MonkeyPatch) -> Answer:
    lose_answers(patch)
    return api.post("orders", order())


def test_every_code_of_the_registry_is_provoked_here():
    assert set(PROVOKED) | ELSEWHERE == set(CODES)


# Why orders end, and why things happen by themselves; all other reasons of the core refuse something.
ENDS = {
    *("", "ioc", "fok", "no_liquidity", "self_trade", "amended_to_filled", "user_request", "operator_request"),
    *("day", "gtd", "linked_order", "cancel_after", "schedule", "circuit_breaker"),
}


def test_every_reason_to_refuse_is_a_code():
    # A doubled order id is our own mistake, and told as such.
    assert set(REASON_NAMES) - ENDS - {"duplicate_order_id"} <= set(CODES)


@pytest.mark.parametrize("code", PROVOKED)
def test_each_code(api: Api, monkeypatch, code):
    with monkeypatch.context() as patch:
        answer = PROVOKED[code](api, patch)
    known = CODES[code]
    assert (answer.code, answer.status) == (code, known.status)
    body = answer.body
    assert set(body) - {"order_id"} == {
        *("type", "title", "status", "detail", "code", "errors", "retryable", "outcome", "request_id")
    }
    assert (body["title"], body["retryable"]) == (known.title, known.retryable)
    assert body["type"] == f"/api/v1/docs#{code}"
    assert body["outcome"] == ("unknown" if code == "engine_timeout" else "not_accepted")
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert ("Retry-After" in answer.headers) == (known.status in (429, 503))
    assert ("WWW-Authenticate" in answer.headers) == (known.status == 401)
    if known.status == 422:
        kept = Order.objects.get(id=int(body["order_id"]))
        assert kept.get_status_display() == "rejected" and kept.get_reason_display() == code


def test_who_sends_too_fast_is_told_when_to_come_again(api: Api):
    with_limits(api, max_rate=2)
    kinds = [api.post("orders", order()).status for _ in range(3)]
    assert kinds == [201, 201, 429]
    answer = api.post("orders/batch", {"orders": [order()]})
    assert answer.body["results"][0]["problem"]["code"] == "rate_limited"
    group = api.post("orders", oco())
    assert group.code == "rate_limited"
    assert group.headers["Retry-After"] == "1"
    assert group.headers["RateLimit-Policy"] == '"messages";q=2;w=1'
    assert group.headers["RateLimit"] == '"messages";r=0;t=1'
    resting = api.get("orders?status=open").body["results"][0]["id"]
    amended = api.patch(f"orders/{resting}", {"price": "99"})
    assert (amended.code, amended.headers["RateLimit-Policy"]) == ("rate_limited", '"messages";q=2;w=1')
    assert api.delete(f"orders/{resting}").status == 200
    assert api.delete("orders").status == 200


def test_an_order_whose_answer_is_unknown_can_be_found_by_its_id(api: Api, monkeypatch):
    with monkeypatch.context() as patch:
        lose_answers(patch)
        lost = api.post("orders", order(client_order_id="lost"))
    assert (lost.code, lost.body["outcome"]) == ("engine_timeout", "unknown")
    again = api.post("orders", order(client_order_id="lost"))
    assert (again.status, again.body["id"]) == (200, lost.body["order_id"])
    assert Order.objects.count() == 1


def test_cancels_get_through_when_orders_do_not(api: Api, monkeypatch):
    placed = api.place()
    monkeypatch.setattr(bus(), "_capacity", 0)
    assert api.post("orders", order()).code == "engine_unavailable"
    assert api.patch(f"orders/{placed['id']}", {"quantity": "0.5"}).code == "engine_unavailable"
    assert api.delete(f"orders/{placed['id']}").status == 200
    assert api.delete("orders").status == 200


def test_when_we_stumble_after_the_commit_the_outcome_is_unknown(api: Api, monkeypatch):
    def broken(*args: object) -> None:
        raise RuntimeError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(orders_api, "outcome_body", broken)
        answer = api.post("orders", order(client_order_id="stumbled"))
    assert (answer.code, answer.body["outcome"]) == ("internal_error", "unknown")
    assert "on purpose" not in str(answer.body)
    assert api.post("orders", order(client_order_id="stumbled")).status == 200


def test_a_database_that_does_not_answer(api: Api, monkeypatch):
    def broken(**kwargs: object) -> None:
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(selectors, "order_list", broken)
    answer = api.get("orders")
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "engine_unavailable", "1")
    assert "disk" not in answer.body["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "orders", "GET, HEAD, POST, DELETE"),
        ("OPTIONS", "orders", "GET, HEAD, POST, DELETE"),
        ("TRACE", "orders/1", "GET, HEAD, PATCH, DELETE"),
        ("POST", "instruments", "GET, HEAD"),
        ("GET", "orders/batch", "POST"),
        ("BREW", "time", "GET, HEAD"),
    ],
)
def test_methods_that_are_not(api: Api, method, path, allowed):
    answer = api.request(method, path)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == set(allowed.split(", "))


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/orders/", "/api/v1/orders/1/", "/api/v1/x/y/z", "/api/v1/%00"])
def test_addresses_that_are_not(api: Api, path, debug):
    with override_settings(DEBUG=debug):
        assert api.get(path, who=None).code == "not_found"


def test_the_root_without_its_slash(api: Api):
    assert api.get("/api/v1", who=None).code == "not_found"


def test_a_host_that_is_not_ours(api: Api):
    assert api.get("time", who=None, host="evil.example").code == "invalid_request"


def test_elsewhere_django_answers(api: Api):
    assert api.get("/nowhere", who=None).headers["Content-Type"].startswith("text/html")
