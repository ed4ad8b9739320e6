"""GET instruments, book, trades, snapshots."""

from datetime import UTC, datetime, timedelta
from time import time_ns

import pytest

from matching.values import AUCTION, CLOSED, MAX_UNITS, PRE_OPEN
from orders import gateway, selectors
from orders.schemas.render import wire_time
from orders.snapshots import BookSaver
from tests.api.conftest import Api
from tests.support.market import OPERATOR, make_instrument, set_phase


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
        breaker_us=120_000_000,
    )
    answer = api.get("instruments/ZETA-EUR", who=None)
    assert answer.body == {
        "symbol": "ZETA-EUR",
        "base": "ZETA",
        "quote": "EUR",
        "state": "continuous",
        "phase_ends_at": None,
        "price_decimals": 4,
        "quantity_decimals": 0,
        "price_tick": "0.0025",
        "quantity_step": "10",
        "min_quantity": "10",
        "max_quantity": "5000",
        "max_notional": "100000.0000",
        "price_collar": "0.1000",
        "reference_price": "2.0000",
        "circuit_breaker_seconds": 120,
        "last_price": None,
        "schedule": [],
        "indicative": None,
    }
    assert [row["symbol"] for row in api.get("instruments").body["results"]] == ["ACME-USD", "ZETA-EUR"]


def test_no_limits_are_null(api: Api):
    body = api.get("instruments/ACME-USD").body
    assert (body["max_notional"], body["price_collar"], body["reference_price"]) == (None, None, None)
    assert body["max_quantity"] == f"{MAX_UNITS // 1000}.{MAX_UNITS % 1000}"


def test_an_auction_says_where_it_stands(api: Api):
    set_phase("auction", lasts_seconds=3600)
    body = api.get("instruments/ACME-USD", who=None).body
    ends = datetime.fromisoformat(body["phase_ends_at"]) - datetime.now(UTC)
    assert (body["state"], body["indicative"]) == ("auction", None)
    assert timedelta(seconds=3500) < ends < timedelta(seconds=3700)
    api.place("buy", "5", "101")
    api.place("sell", "3", "99", who="bob")
    body = api.get("instruments/ACME-USD").body
    assert body["indicative"] == {"price": "101.00", "volume": "3.000", "surplus": "2.000"}
    api.place("sell", "4", "99", who="carol")
    indicative = {"price": "99.00", "volume": "5.000", "surplus": "-2.000"}
    assert api.get("instruments").body["results"][0]["indicative"] == indicative
    set_phase("no_cancel")
    body = api.get("instruments/ACME-USD").body
    assert (body["state"], body["phase_ends_at"], body["indicative"]) == ("no_cancel", None, indicative)
    set_phase("continuous")
    body = api.get("instruments/ACME-USD").body
    assert (body["state"], body["indicative"], body["last_price"]) == ("continuous", None, "99.00")


def test_hidden_quantity_takes_part_in_an_auction_but_is_not_in_its_book(api: Api):
    set_phase("auction")
    api.place("buy", "9", "101", display_quantity="1")
    api.place("sell", "6", "101", who="bob")
    body = api.get("instruments/ACME-USD").body
    assert body["indicative"] == {"price": "101.00", "volume": "6.000", "surplus": "3.000"}
    assert api.get("instruments/ACME-USD/book").body["bids"] == [["101.00", "1.000", 1]]


def test_a_schedule_tells_what_comes(api: Api):
    instrument_id = selectors.instrument_by_symbol("ACME-USD").id
    now = time_ns() // 1000
    day = ((0, PRE_OPEN), (60_000_000, AUCTION), (90_000_000, CLOSED))
    coming = [(now + number * 86_400_000_000 + offset, phase) for number in range(1, 20) for offset, phase in day]
    gateway.instrument_set_schedule(
        actor=OPERATOR, instrument_id=instrument_id, transitions=[(now - 1, CLOSED), *coming]
    )
    body = api.get("instruments/ACME-USD").body
    assert body["state"] == "continuous"
    assert [row["state"] for row in body["schedule"]] == (["pre_open", "auction", "closed"] * 7)[:20]
    assert body["schedule"][0]["at"] == wire_time(coming[0][0])
    gateway.instrument_set_schedule(
        actor=OPERATOR, instrument_id=instrument_id, transitions=[(now - 1, CLOSED), *coming], enter_current=True
    )
    assert api.get("instruments/ACME-USD").body["state"] == "closed"


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
