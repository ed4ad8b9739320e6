"""GET account/limits: what the account may do, and how much of it is used."""

from matching.commands import DefineAccount
from matching.values import REDUCING
from orders import gateway
from tests.api.conftest import Api, bracket
from tests.support.market import OPERATOR


def test_an_account_that_nobody_limited(api: Api):
    assert api.get("account/limits").body == {
        "account": "alice",
        "state": "active",
        "max_open_orders": 200_000,
        "open_orders": 0,
        "max_order_quantity": None,
        "max_position": None,
        "max_rate": None,
        "funded": False,
        "cancel_after_expires_at": None,
    }


def test_limits_and_what_is_used_of_them(api: Api):
    definition = DefineAccount(api.accounts["alice"].id, REDUCING, 10, 5_000, 20_000, 50, funded=True)
    api.place("buy", "1", "90")
    api.accepted(bracket())
    api.place("buy", "1", "91", time_in_force="ioc")
    api.place("buy", "1", "90", who="bob")
    gateway.account_define(actor=OPERATOR, definition=definition)
    body = api.get("account/limits").body
    assert (body["state"], body["max_open_orders"], body["open_orders"]) == ("reducing_only", 10, 4)
    assert (body["max_order_quantity"], body["max_position"], body["max_rate"]) == ("5000", "20000", 50)
    assert body["funded"] is True
    assert api.get("account/limits", who="bob").body["open_orders"] == 1
