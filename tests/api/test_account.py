"""GET account: its limits, its money, and what the credentials may do."""

import random

from matching import funds
from matching.commands import DefineAccount, Transfer
from matching.values import MONEY_DECIMALS, REDUCING
from orders import balances, gateway, keys
from orders.actors import READ
from orders.engine.recovery import recover
from orders.schemas.decimals import money_text
from tests.api.conftest import Api, bracket, order
from tests.support.market import OPERATOR, make_instrument


def pay(api: Api, amount: int, currency: str, who: str = "alice") -> None:
    command = Transfer(api.accounts[who].id, currency, amount * 10**MONEY_DECIMALS)
    gateway.commands_submit(actor=OPERATOR, commands=[command]).result(5)


def balances_of(api: Api, who: str = "alice") -> dict[str, tuple[str, str, str]]:
    body = api.get("account", who=who).body
    return {row["currency"]: (row["total"], row["held"], row["available"]) for row in body["balances"]}


def test_an_account_that_has_done_nothing(api: Api):
    assert api.get("account").body == {
        **api.get("account/limits").body,
        "scopes": ["read", "trade", "cancel"],
        "balances": [],
    }


def test_limits_are_those_of_account_limits(api: Api):
    definition = DefineAccount(api.accounts["alice"].id, REDUCING, 10, 5_000, 20_000, 50, funded=True)
    api.accepted(bracket())
    gateway.account_define(actor=OPERATOR, definition=definition)
    api.post("cancel-after", {"seconds": 60})
    body = api.get("account").body
    limits = api.get("account/limits").body
    assert limits.items() <= body.items()
    assert (body["state"], body["open_orders"], body["funded"], body["max_rate"]) == ("reducing_only", 3, True, 50)
    assert body["cancel_after_expires_at"] is not None


def test_scopes_are_the_keys_own(api: Api):
    alice = api.accounts["alice"]
    _, key = keys.create_key(user=alice.members.get(), account=alice, scopes=[READ])
    assert api.get("account", key=key).body["scopes"] == ["read"]


def test_money_that_is_held_and_money_that_was_spent(api: Api):
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(api.accounts["alice"].id, funded=True))
    pay(api, 1_000, "USD")
    assert balances_of(api) == {"USD": ("1000", "0", "1000")}
    api.place("buy", "2.5", "99.50")
    assert balances_of(api) == {"USD": ("1000", "248.75", "751.25")}
    api.place("sell", "1", "99.25", who="bob")
    assert balances_of(api) == {"ACME": ("1", "0", "1"), "USD": ("900.5", "149.25", "751.25")}
    api.place("sell", "0.4", "120")
    assert balances_of(api)["ACME"] == ("1", "0.4", "0.6")
    # A stop waits: it holds nothing yet.
    api.accepted(order("sell", "0.5", None, type="stop", stop_price="50"))
    assert balances_of(api)["ACME"] == ("1", "0.4", "0.6")
    # Bob is not funded: what he traded is told all the same.
    api.place("buy", "7", "1", who="bob")
    assert balances_of(api, "bob") == {"ACME": ("-1", "0", "-1"), "USD": ("99.5", "0", "99.5")}
    assert api.get("account").body["balances"][0]["shard"] == 0


def test_what_the_engine_would_say(api: Api):
    """Random orders on instruments that share their money: the same sums as the core's."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    symbols = ["ACME-USD", "BETA-ACME", "GAMA-USD"]
    make_instrument("BETA-ACME", price_decimals=5, quantity_decimals=0)
    make_instrument("GAMA-USD", price_decimals=0, quantity_decimals=8)
    for name in ("alice", "bob"):
        for currency in ("USD", "ACME", "BETA", "GAMA"):
            pay(api, 10**6, currency, name)
        gateway.account_define(actor=OPERATOR, definition=DefineAccount(api.accounts[name].id, funded=True))
    for _ in range(80):
        body = order(
            rng.choice(("buy", "sell")),
            str(rng.randrange(1, 9)),
            str(rng.randrange(95, 105)),
            symbol=rng.choice(symbols),
        )
        if rng.random() < 0.2:
            body |= {"type": "stop_limit", "stop_price": "100"}
        elif rng.random() < 0.2:
            body |= {"display_quantity": "1"}
        elif rng.random() < 0.2:
            body |= {
                "order_class": "bracket",
                "take_profit": {"price": "90" if body["side"] == "sell" else "110"},
                "stop_loss": {"stop_price": "110" if body["side"] == "sell" else "90"},
            }
        api.post("orders", body, who=rng.choice(("alice", "bob", "carol")))
    for account in api.accounts.values():
        live = recover(0).engine.accounts[account.id]
        account.refresh_from_db()
        told = balances.balance_list(account)
        assert told
        for balance in told:
            assert balance.total == funds.balance(live, balance.currency), balance
            assert balance.held == (funds.reserved(live, balance.currency) if account.funded else 0), balance
        assert {balance.currency for balance in told} >= {
            currency for currency in ("USD", "ACME", "BETA", "GAMA") if funds.balance(live, currency)
        }


def test_money_without_needless_zeros() -> None:
    assert [money_text(units) for units in (0, 10**24, -15 * 10**23, 1)] == ["0", "1", "-1.5", f"0.{'0' * 23}1"]
