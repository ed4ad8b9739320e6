"""What is not an order: each with its code, and nothing placed."""

import json

import pytest

from orders.models import ClientOrderId, Order
from tests.api.conftest import Api, order

GOOD = order(client_order_id="bad-input")


def with_price(text: str) -> bytes:
    """The body with ``text`` as it stands where the price belongs."""
    return json.dumps(GOOD).replace('"price": "100"', f'"price": {text}').encode()


def changed(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


MALFORMED = {
    "price as a number": with_price("100"),
    "price as a fraction": with_price("100.5"),
    "price with an exponent": with_price('"1e5"'),
    "price not a number": with_price('"NaN"'),
    "price infinite": with_price('"Infinity"'),
    "price with a sign": with_price('"+100"'),
    "price of 400 digits": with_price('"' + "9" * 400 + '"'),
    "price in Arabic digits": with_price('"\u0661\u0660\u0660"'),
    "price with underscores": with_price('"1_000"'),
    "price with spaces": with_price('" 100 "'),
    "price with a line end": with_price('"100\\n"'),
    "price without digits before the point": with_price('".5"'),
    "price without digits after the point": with_price('"5."'),
    "price in hexadecimal": with_price('"0x10"'),
    "price empty": with_price('""'),
    "price zero": with_price('"0.00"'),
    "price negative": with_price('"-1"'),
    "price beyond what is held": with_price('"999999999999999"'),
    "price a list": with_price('["100"]'),
    "price true": with_price("true"),
    "price a bare NaN": with_price("NaN"),
    "quantity zero": changed(quantity="0"),
    "quantity negative": changed(quantity="-5"),
    "quantity a number": changed(quantity=5),
    "quantity of 400 digits": changed(quantity="1" * 400),
    "quantity beyond what is held": changed(quantity="999999999999999"),
    "unknown field": changed(leverage="10"),
    "no side": json.dumps({key: value for key, value in GOOD.items() if key != "side"}).encode(),
    "unknown side": changed(side="BUY"),
    "unknown type": changed(type="iceberg"),
    "post_only as text": changed(post_only="true"),
    "post_only as a number": changed(post_only=1),
    "a stop order with only a price": changed(type="stop"),
    "a moment that is none": changed(time_in_force="gtd", expires_at="tomorrow"),
    "a moment as a number": changed(time_in_force="gtd", expires_at=1795368652),
    "a group without its stop": changed(order_class="oco"),
    "a stop loss of a thousand fields": changed(order_class="oco", stop_loss={f"a{n}": 1 for n in range(1000)}),
    "a stop loss that is a list": changed(order_class="oco", stop_loss=[]),
    "a limit order without a price": changed(price=None),
    "a market order with a price": changed(type="market"),
    "post-only and immediate": changed(post_only=True, time_in_force="ioc"),
    "id with a NUL": changed(client_order_id="a\0b"),
    "id with an escaped NUL": json.dumps(GOOD).replace("bad-input", "a\\u0000b").encode(),
    "id with a lone surrogate": json.dumps(GOOD).replace("bad-input", "a\\ud800b").encode(),
    "id with raw surrogate bytes": json.dumps(GOOD).encode().replace(b"bad-input", b"a\xed\xa0\x80b"),
    "id with a space": changed(client_order_id="a b"),
    "id with a line end": changed(client_order_id="ab\n"),
    "id empty": changed(client_order_id=""),
    "id of 37 characters": changed(client_order_id="a" * 37),
    "id a number": changed(client_order_id=17),
    "symbol with a NUL": changed(symbol="ACME\0"),
    "symbol with a lone surrogate": json.dumps(GOOD).replace("ACME-USD", "\\udfff").encode(),
    "symbol of 33 characters": changed(symbol="A" * 33),
    "symbol a list": changed(symbol=["ACME-USD"]),
    "duplicate keys": json.dumps(GOOD)[:-1].encode() + b', "side": "sell"}',
    "duplicate keys deep inside": b'{"a": {"b": 1, "b": 2}}',
    "10,000 deep": b"[" * 10_000,
    "10,000 deep and closed": b"[" * 10_000 + b"]" * 10_000,
    "10,000 deep in a field": with_price("[" * 10_000 + "]" * 10_000),
    "a number of a million digits": with_price("1" * 900_000),
    "a list": b"[]",
    "a text": b'"order"',
    "null": b"null",
    "nothing": b"",
    "half a body": json.dumps(GOOD).encode()[:-5],
    "two bodies": json.dumps(GOOD).encode() * 2,
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "Latin-1": b'{"symbol": "\xe9"}',
}


def test_what_is_malformed_is_not_kept(api: Api):
    for name, raw in MALFORMED.items():
        answer = api.post("orders", raw=raw)
        assert (answer.status, answer.code) == (400, "invalid_request"), name
        assert answer.body["outcome"] == "not_accepted" and answer.body["detail"], name
        assert len(json.dumps(answer.body)) < 10_000, name
    assert Order.objects.count() == ClientOrderId.objects.count() == 0
    assert api.post("orders", GOOD).status == 201


def test_the_field_is_named(api: Api):
    answer = api.post("orders", {**order(), "price": 100, "leverage": "10"})
    assert {(error["field"], error["code"]) for error in answer.body["errors"]} == {
        ("price", "string_type"),
        ("leverage", "unknown_field"),
    }


def test_an_unknown_symbol_is_not_kept(api: Api):
    answer = api.post("orders", order(symbol="NOPE-USD"))
    assert (answer.status, answer.code) == (404, "unknown_symbol")
    assert Order.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"price": "100.005"}, "price_not_on_tick"), ({"quantity": "1.0005"}, "quantity_not_on_step")],
)
def test_what_the_engine_refuses_is_kept_as_rejected(api: Api, fields, code):
    answer = api.post("orders", order(**fields))
    assert (answer.status, answer.code) == (422, code)
    kept = api.get(f"orders/{answer.body['order_id']}").body
    assert (kept["status"], kept["reason"], kept["filled_quantity"]) == ("rejected", code, "0.000")
    assert api.get("orders?status=open").body["results"] == []
    assert api.get("instruments/ACME-USD/book").body["bids"] == []


def test_two_megabytes_are_too_much(api: Api):
    answer = api.post("orders", raw=b'{"symbol": "' + b"A" * 2_000_000 + b'"}')
    assert (answer.status, answer.code) == (413, "request_too_large")
    assert Order.objects.count() == 0


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(api: Api, content_type):
    answer = api.post("orders", order(), content_type=content_type)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert Order.objects.count() == 0


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_by_any_other_name(api: Api, content_type):
    assert api.post("orders", order(), content_type=content_type).status == 201


BAD_QUERIES = [
    *("orders?unknown=1", "orders?limit=0", "orders?limit=501", "orders?limit=1_0", "orders?limit=%D9%A1%D9%A0"),
    *("orders?limit=%2010", "orders?limit=10&limit=20", "orders?cursor=abc", "orders?cursor=-1", "orders?status=live"),
    *("orders?side=BUY", "orders?client_order_id=%00", "orders?client_order_id=%ED%A0%80", "orders?symbol=%00"),
    *("orders?symbol=", "orders?symbol=%FF", "fills?order_id=x", "fills?order_id=%00", "fills?symbol=%00"),
    *("events?shard=x", "events?shard=-1", "events?after_sequence=1e3", "events?after_sequence=9999999999999999"),
    *("events?limit=", "snapshots?symbol=%00", "snapshots?cursor=%00", "instruments?x=1", "time?x=1"),
    *("instruments/ACME-USD/book?depth=7", "instruments/ACME-USD/book?depth=x", "instruments/ACME-USD/book?depth="),
    *("instruments/ACME-USD/trades?cursor=1.5", "instruments/ACME-USD/trades?limit=1000", "orders/1?x=1"),
    *("orders?group_id=x", "orders?group_id=", "orders?group_id=-1", "orders?group_id=%00"),
    "orders?" + "&".join(f"a{number}=1" for number in range(2000)),
]


def test_parameters_that_make_no_sense(api: Api):
    for path in BAD_QUERIES:
        answer = api.get(path)
        assert (answer.status, answer.code) == (400, "invalid_request"), path


BAD_IDS = ["0", "-1", "abc", "1.5", "%00", "9" * 19, "9" * 400, "%D9%A1", "%ED%A0%80", "1%20", "%F0%9F%92%A5", "1%0A"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_ids_that_are_none(api: Api, method):
    for text in BAD_IDS:
        answer = api.request(method, f"orders/{text}", {"quantity": "1"} if method == "PATCH" else None)
        assert (answer.status, answer.code) == (404, "order_not_found"), text
    for text in BAD_IDS:
        assert api.get(f"orders/{text}/events").code == "order_not_found", text


@pytest.mark.parametrize("text", ["%00", "a%20b", "a" * 37, "%ED%A0%80", "a%0A", "%C3%A9"])
def test_client_ids_that_are_none(api: Api, text):
    assert api.get(f"orders/by-client-id/{text}").code == "order_not_found"


@pytest.mark.parametrize("text", ["%00", "a%20b", "A" * 33, "%ED%A0%80", "ACME-USD%0A", "acme-usd"])
def test_symbols_that_are_none(api: Api, text):
    for path in (f"instruments/{text}", f"instruments/{text}/book", f"instruments/{text}/trades"):
        assert api.get(path).code == "unknown_symbol", path


@pytest.mark.parametrize(
    "body", [{"orders": []}, {"orders": [order()] * 501}, {"orders": {}}, {}, [], {"orders": [order()], "atomic": True}]
)
def test_batches_that_are_none(api: Api, body):
    assert api.post("orders/batch", body).code == "invalid_request"
    assert Order.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"price": 5}, {"quantity": "0"}, {"price": "1e2"}, {"side": "sell"}, {"price": None}, [], None),
        *({"trail_price": "1", "trail_percent": "1"}, {"trail_percent": "100"}, {"expires_at": "soon"}),
        *({"stop_price": 95}, {"display_quantity": "0"}, {"time_in_force": "day"}),
    ],
)
def test_amends_that_are_none(api: Api, body):
    placed = api.place()
    assert api.patch(f"orders/{placed['id']}", body).code == "invalid_request"
    assert api.get(f"orders/{placed['id']}").body["version"] == 1


@pytest.mark.parametrize(
    "body", [{}, {"seconds": -1}, {"seconds": "5"}, {"seconds": 1.5}, {"seconds": 86401}, [], None]
)
def test_leases_that_are_none(api: Api, body):
    assert api.post("cancel-after", body).code == "invalid_request"
    assert api.get("account/limits").body["cancel_after_expires_at"] is None


def test_what_to_cancel_is_said_clearly_or_nothing_is(api: Api):
    api.place("buy", "1", "90")
    for query in (
        "?account=",
        "?account=%00",
        "?account=" + "a" * 65,
        "?account=a&account=b",
        "?side=both",
        "?symbol=",
    ):
        assert api.delete(f"orders{query}").code == "invalid_request", query
    assert len(api.get("orders?status=open").body["results"]) == 1


def test_one_key_in_the_address_is_not_looked_at(api: Api):
    for name in ("key", "api_key", "access_token"):
        answer = api.get(f"orders?{name}={api.keys['alice']}", who=None)
        assert answer.code == "not_authenticated"
