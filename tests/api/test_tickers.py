"""GET instruments/{symbol}/ticker, tickers."""

from tests.api.conftest import Api
from tests.support.market import make_instrument

NOTHING = dict.fromkeys(("last", "bid", "bid_quantity", "ask", "ask_quantity", "open", "high", "low"))


def ticker(api: Api, symbol: str = "ACME-USD") -> dict:
    answer = api.get(f"instruments/{symbol}/ticker", who=None)
    assert answer.status == 200, answer.body
    return answer.body


def test_an_instrument_at_a_glance(api: Api):
    api.trade("100.00", "2")
    api.trade("104.00", "1")
    api.trade("99.00", "1")
    api.place("buy", "3", "98.50")
    last = api.place("sell", "4", "99.50", who="bob")
    api.place("buy", "3", "90.00")
    body = ticker(api)
    assert body.pop("time") >= last["updated_at"] and body.pop("epoch") == 1
    assert body == {
        "symbol": "ACME-USD",
        "sequence": api.get("instruments/ACME-USD/book").body["sequence"],
        "last": "99.00",
        "bid": "98.50",
        "bid_quantity": "3.000",
        "ask": "99.50",
        "ask_quantity": "4.000",
        "open": "100.00",
        "high": "104.00",
        "low": "99.00",
        "volume": "4.000",
        "vwap": "100.75",
        "change": "-1.00",
        "change_percent": "-1.00",
        "trades": 3,
    }


def test_nothing_is_null(api: Api):
    body = ticker(api)
    assert {name: body[name] for name in NOTHING} == NOTHING
    assert (body["volume"], body["trades"]) == ("0.000", 0)
    assert body["vwap"] is body["change"] is body["change_percent"] is None


def test_all_of_them_by_symbol(api: Api):
    make_instrument("AAA-USD")
    api.trade("100")
    listed = api.get("tickers", who=None).body
    assert listed["next"] is None
    assert [row["symbol"] for row in listed["results"]] == ["AAA-USD", "ACME-USD"]
    assert {**listed["results"][1], "time": ""} == {**ticker(api), "time": ""}


def test_an_unknown_symbol_and_an_unknown_parameter(api: Api):
    assert api.get("instruments/NOPE/ticker").code == "unknown_symbol"
    assert api.get("instruments/ACME-USD/ticker?depth=1").code == "invalid_request"
    assert api.get("tickers?limit=1").code == "invalid_request"
