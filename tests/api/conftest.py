"""A running market behind the REST door: alice, bob and carol with an account and a key each, and ACME-USD."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from orders import keys
from orders.actors import CANCEL, READ, TRADE
from orders.models import Account, Order
from tests.support.market import make_account, make_instrument, running_engine

V1 = "/api/v1/"


@dataclass
class Answer:
    """What came back. ``body`` is the JSON, or the text where it is none."""

    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> str | None:
        """The problem's code; None where all went well."""
        if self.status < 400:
            return None
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        assert self.body["status"] == self.status
        return self.body["code"]


@dataclass
class Api:
    """Sends requests as somebody: ``api.post("orders", {...}, who="bob")``; ``who=None`` sends no key."""

    accounts: dict[str, Account] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=Client)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = "alice",
        key: str | None = None,
        raw: bytes | None = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key or who:
            sent["authorization"] = f"Bearer {key or self.keys[who]}"
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        address = path if path.startswith("/") else V1 + path
        # Said apart too, because the client leaves it out where there is no body.
        sent["content-type"] = content_type
        response = self.client.generic(method, address, data, content_type=content_type, headers=sent)
        is_json = "json" in response.headers.get("Content-Type", "")
        text = response.content.decode()
        return Answer(response.status_code, json.loads(text) if is_json and text else text, response.headers)

    def get(self, path: str, **kwargs: Any) -> Answer:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        return self.request("POST", path, body, **kwargs)

    def patch(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        return self.request("PATCH", path, body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Answer:
        return self.request("DELETE", path, **kwargs)

    def place(self, side: str = "buy", quantity: str = "1", price: str | None = "100", **kwargs: Any) -> dict[str, Any]:
        """An order that is accepted: ``api.place("sell", "2", "100.5", who="bob", client_order_id="b1")``."""
        who = kwargs.pop("who", "alice")
        return self.accepted(order(side, quantity, price, **kwargs), who=who)

    def accepted(self, body: dict[str, Any], *, who: str = "alice") -> dict[str, Any]:
        """The answer to a new order that is accepted, and is not a replay."""
        answer = self.post("orders", body, who=who)
        assert answer.status == 201, answer.body
        return answer.body

    def trade(self, price: str, quantity: str = "1") -> None:
        """A trade at a price, between bob and carol: it becomes the last price."""
        self.place("sell", quantity, price, who="bob")
        taken = self.place("buy", quantity, price, who="carol")
        assert taken["status"] == "filled" and {fill["price"] for fill in taken["fills"]} == {taken["price"]}

    def status(self, order_id: str, *, who: str = "alice") -> str:
        return self.get(f"orders/{order_id}", who=who).body["status"]

    def pages(self, path: str, **kwargs: Any) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list, following ``next``."""
        cursor = None
        mark = "&" if "?" in path else "?"
        while True:
            answer = self.get(path + (f"{mark}cursor={cursor}" if cursor else ""), **kwargs)
            assert answer.status == 200, answer.body
            yield answer.body["results"]
            cursor = answer.body["next"]
            if cursor is None:
                return


def order(side: str = "buy", quantity: str = "1", price: str | None = "100", **fields: Any) -> dict[str, Any]:
    """The body of a new order; without a price a market order, unless its type is said."""
    terms = {"type": "market"} if price is None else {"price": price}
    return {"symbol": "ACME-USD", "side": side, "quantity": quantity, **terms, **fields}


def oco(
    side: str = "sell", quantity: str = "10", price: str = "110", stop: str = "90", **fields: Any
) -> dict[str, Any]:
    """The body of a limit order and a stop of which one cancels the other."""
    return order(side, quantity, price, **{"order_class": "oco", "stop_loss": {"stop_price": stop}, **fields})


def bracket(
    side: str = "buy",
    quantity: str = "10",
    price: str | None = "100",
    profit: str = "110",
    stop: str = "90",
    **fields: Any,
) -> dict[str, Any]:
    """The body of an entry with a take-profit and a stop."""
    legs = {"take_profit": {"price": profit}, "stop_loss": {"stop_price": stop}}
    return order(side, quantity, price, **{"order_class": "bracket", **legs, **fields})


def count_orders() -> int:
    return Order.objects.count()


@pytest.fixture
def api(transactional_db: None) -> Iterator[Api]:
    keys.forget_keys()
    with running_engine():
        make_instrument()
        made = Api()
        for name in ("alice", "bob", "carol"):
            account = made.accounts[name] = make_account(name)
            user = account.members.get()
            _, made.keys[name] = keys.create_key(user=user, account=account, scopes=[READ, TRADE, CANCEL])
        yield made
