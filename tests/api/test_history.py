"""GET orders/{id}/events, fills, events: what happened, complete and in order."""

import pytest

from tests.api.conftest import Api
from tests.support.market import make_instrument


def test_the_life_of_an_order(api: Api):
    placed = api.place("buy", "5", "90", client_order_id="life")
    api.place("sell", "2", "90", who="bob")
    api.patch(f"orders/{placed['id']}", {"quantity": "4"})
    api.delete(f"orders/{placed['id']}")
    answer = api.get(f"orders/{placed['id']}/events")
    assert answer.body["next"] is None
    rows = answer.body["results"]
    told = [
        (row["event"], row["quantity"], row["filled_quantity"], row["remaining_quantity"], row["status"])
        for row in rows
    ]
    assert told == [
        ("accepted", "5.000", "0.000", "5.000", "new"),
        ("fill_maker", "2.000", "2.000", "3.000", "partially_filled"),
        ("amended", "4.000", "2.000", "2.000", "partially_filled"),
        ("canceled", "2.000", "2.000", "0.000", "canceled"),
    ]
    assert [row["actor"] for row in rows] == ["alice", None, "alice", "alice"]
    assert rows[-1]["reason"] == "user_request"
    assert {row["client_order_id"] for row in rows} == {"life"}
    sequences = [row["sequence"] for row in rows]
    assert sequences == sorted(set(sequences))


def test_fills_say_what_each_side_did(api: Api):
    maker = api.place("sell", "5", "100")
    taker = api.place("buy", "2", "101", who="bob")
    (ours,) = api.get("fills").body["results"]
    (theirs,) = api.get("fills", who="bob").body["results"]
    assert (ours["order_id"], ours["side"], ours["liquidity"]) == (maker["id"], "sell", "maker")
    assert (theirs["order_id"], theirs["side"], theirs["liquidity"]) == (taker["id"], "buy", "taker")
    assert ours["price"] == theirs["price"] == "100.00"
    assert theirs == taker["fills"][0]
    (public,) = api.get("instruments/ACME-USD/trades", who=None).body["results"]
    assert ours["trade_id"] == theirs["trade_id"] == public["id"]


def test_fills_by_symbol_and_order(api: Api):
    make_instrument("OTHER-EUR")
    for symbol in ("ACME-USD", "OTHER-EUR"):
        api.place("sell", "5", "100", symbol=symbol, who="bob")
    first = api.place("buy", "1", "100")
    api.place("buy", "1", "100", symbol="OTHER-EUR")
    assert len(api.get("fills").body["results"]) == 2
    (row,) = api.get("fills?symbol=OTHER-EUR").body["results"]
    assert row["symbol"] == "OTHER-EUR"
    (row,) = api.get(f"fills?order_id={first['id']}").body["results"]
    assert row["symbol"] == "ACME-USD"
    assert api.get("fills?order_id=9999999999999999999").body["results"] == []
    assert api.get("fills?symbol=NOPE").code == "unknown_symbol"


@pytest.mark.parametrize("limit", [1, 4])
def test_pages_of_fills_are_complete_while_trading_goes_on(api: Api, limit):
    api.place("sell", "100", "100", who="bob")
    bought = [api.place("buy", "1", "100")["fills"][0]["trade_id"] for _ in range(10)]
    seen = []
    for page in api.pages(f"fills?limit={limit}"):
        seen += [row["trade_id"] for row in page]
        api.place("buy", "1", "100")
    assert seen == bought[::-1]


def test_events_go_on_from_a_sequence(api: Api):
    for number in range(7):
        api.place("buy", "1", f"{90 + number}")
        api.place("buy", "1", "80", who="bob")
    seen, after = [], 0
    while after is not None:
        answer = api.get(f"events?shard=0&after_sequence={after}&limit=3")
        assert len(answer.body["results"]) <= 3
        seen += answer.body["results"]
        after = answer.body["next"]
    assert [row["price"] for row in seen] == [f"{90 + number}.00" for number in range(7)]
    last = seen[-1]["sequence"]
    assert api.get(f"events?after_sequence={last}").body == {"results": [], "next": None}
    api.place("buy", "1", "99")
    (row,) = api.get(f"events?after_sequence={last}").body["results"]
    assert row["price"] == "99.00"


def test_a_shard_nobody_has_holds_no_events(api: Api):
    api.place()
    assert api.get("events?shard=7").body["results"] == []
    assert api.get("events?shard=999999999").body["results"] == []
    assert api.get("events?after_sequence=999999999999999").body["results"] == []
