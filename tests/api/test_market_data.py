"""GET instruments, book, trades, snapshots."""

import pytest

from matching.values import MAX_UNITS
from orders.snapshots import BookSaver
from tests.api.conftest import Api
from tests.support.market import make_instrument


def test_an_instrument_says_its_rules(api: Api):
    make_instrument(
        "ZETA-EUR",
        price_decimals=4,
        quantity_decimals=0,
        price_tick=25,
        quantity_step=10,
        min_quantity=10,
        max_quantity=5000,
        max_notional=10**9,
        collar_bps=1000,
        reference_price=20_000,
    )
    answer = api.get("instruments/ZETA-EUR", who=None)
    assert answer.body == {
        "symbol": "ZETA-EUR",
        "base": "ZETA",
        "quote": "EUR",
        "state": "continuous",
        "price_decimals": 4,
        "quantity_decimals": 0,
        "price_tick": "0.0025",
        "quantity_step": "10",
        "min_quantity": "10",
        "max_quantity": "5000",
        "max_notional": "100000.0000",
        "price_collar": "0.1000",
        "reference_price": "2.0000",
        "last_price": None,
    }
    assert [row["symbol"] for row in api.get("instruments").body["results"]] == ["ACME-USD", "ZETA-EUR"]


def test_no_limits_are_null(api: Api):
    body = api.get("instruments/ACME-USD").body
    assert (body["max_notional"], body["price_collar"], body["reference_price"]) == (None, None, None)
    assert body["max_quantity"] == f"{MAX_UNITS // 1000}.{MAX_UNITS % 1000}"


def test_the_last_price_follows_the_trades(api: Api):
    api.place("sell", "1", "101.5", who="bob")
    api.place("buy", "1", "102")
    assert api.get("instruments/ACME-USD").body["last_price"] == "101.50"


def test_the_book_of_the_documentation(api: Api):
    """The checksum that the interface contract works out by hand."""
    api.place("sell", "3", "100.02")
    api.place("sell", "12.5", "100.05")
    api.place("buy", "10", "99.98")
    last = api.place("buy", "0.04", "0.05")
    body = api.get("instruments/ACME-USD/book", who=None).body
    assert body["bids"] == [["99.98", "10.000", 1], ["0.05", "0.040", 1]]
    assert body["asks"] == [["100.02", "3.000", 1], ["100.05", "12.500", 1]]
    assert (body["checksum"], body["sequence"], body["symbol"]) == (432354406, last["sequence"], "ACME-USD")
    assert body["epoch"] == api.get("status").body["shards"][0]["epoch"]


def test_an_empty_book(api: Api):
    body = api.get("instruments/ACME-USD/book").body
    assert (body["bids"], body["asks"], body["checksum"], body["sequence"]) == ([], [], 0, 0)


@pytest.mark.parametrize(
    ("depth", "levels"), [(10, 10), (25, 25), (50, 50), (None, 50), (100, 60), (500, 60), (1000, 60)]
)
def test_depths(api: Api, depth, levels):
    batch = [
        {"symbol": "ACME-USD", "side": side, "quantity": "1", "price": str(price)}
        for side, prices in (("buy", range(40, 100)), ("sell", range(100, 160)))
        for price in prices
    ]
    api.post("orders/batch", {"orders": batch})
    body = api.get("instruments/ACME-USD/book" + (f"?depth={depth}" if depth else "")).body
    assert len(body["bids"]) == len(body["asks"]) == levels
    assert (body["bids"][0][0], body["asks"][0][0]) == ("99.00", "100.00")


def test_trades_page_by_page_while_trading_goes_on(api: Api):
    api.place("sell", "100", "100", who="bob")
    numbers = [api.place("buy", "1", "100")["fills"][0]["trade_id"] for _ in range(9)]
    seen = []
    for page in api.pages("instruments/ACME-USD/trades?limit=4", who=None):
        seen += [row["id"] for row in page]
        api.place("buy", "1", "100")
    assert seen == numbers[::-1]
    newest = api.get("instruments/ACME-USD/trades?limit=1").body["results"][0]
    assert (newest["price"], newest["quantity"], newest["taker_side"]) == ("100.00", "1.000", "buy")
    assert set(newest) == {"id", "sequence", "price", "quantity", "taker_side", "time"}


def test_saved_books(api: Api):
    make_instrument("OTHER-EUR")
    api.place("buy", "1", "90")
    api.place("sell", "1", "110")
    BookSaver(0).save()
    rows = api.get("snapshots").body["results"]
    assert {row["symbol"] for row in rows} == {"ACME-USD", "OTHER-EUR"}
    (row,) = api.get("snapshots?symbol=ACME-USD").body["results"]
    assert (row["orders"], row["bid_levels"], row["ask_levels"]) == (2, 1, 1)
    assert (row["best_bid"], row["best_ask"], row["shard"]) == ("90.00", "110.00", 0)
    (other,) = api.get("snapshots?symbol=OTHER-EUR").body["results"]
    assert (other["orders"], other["best_bid"]) == (0, None)
    assert [len(page) for page in api.pages("snapshots?limit=1")] == [1, 1]
    assert api.get("snapshots?symbol=NOPE").code == "unknown_symbol"
