"""GET positions: what the account has, what it cost, what it has gained and would gain."""

from orders.models import Instrument
from tests.api.conftest import Api, order
from tests.support.market import make_instrument


def positions(api: Api, query: str = "", who: str = "alice") -> list[dict]:
    answer = api.get(f"positions{query}", who=who)
    assert answer.status == 200, answer.body
    return answer.body["results"]


def deal(api: Api, buyer: str, seller: str, quantity: str, price: str, symbol: str = "ACME-USD") -> None:
    api.accepted(order("sell", quantity, price, symbol=symbol), who=seller)
    api.accepted(order("buy", quantity, price, symbol=symbol), who=buyer)


def test_nothing_traded_nothing_held(api: Api):
    api.place("buy", "5", "90")
    assert api.get("positions").body == {"results": [], "next": None}


def test_a_position_in_all_its_numbers(api: Api):
    deal(api, "alice", "bob", "10", "100")
    deal(api, "alice", "bob", "5", "101")
    deal(api, "carol", "alice", "6", "110")
    assert positions(api) == [
        {
            "symbol": "ACME-USD",
            "quantity": "9.000",
            "bought": "15.000",
            "sold": "6.000",
            "bought_notional": "1505.00000",
            "sold_notional": "660.00000",
            "average_price": "100.333333",  # 1505 / 15
            "realized_pnl": "58.00000",  # 6 * 110 - 6 * 1505 / 15
            "mark_price": "110.00",
            "unrealized_pnl": "87.00000",  # 9 * 110 - 903
        }
    ]
    (short,) = positions(api, who="bob")
    assert (short["quantity"], short["average_price"]) == ("-15.000", "100.333333")
    assert (short["realized_pnl"], short["unrealized_pnl"]) == ("0.00000", "-145.00000")


def test_closed_and_turned_around(api: Api):
    deal(api, "alice", "bob", "2", "100")
    deal(api, "bob", "alice", "2", "90")
    (closed,) = positions(api)
    assert (closed["quantity"], closed["average_price"]) == ("0.000", None)
    assert (closed["realized_pnl"], closed["unrealized_pnl"]) == ("-20.00000", "0.00000")
    deal(api, "alice", "bob", "2", "100")
    deal(api, "bob", "alice", "5", "120")
    (turned,) = positions(api)
    assert (turned["quantity"], turned["average_price"]) == ("-3.000", "120.000000")
    assert (turned["realized_pnl"], turned["unrealized_pnl"]) == ("20.00000", "0.00000")


def test_pages_and_symbols(api: Api):
    symbols = ["ACME-USD", "BETA-USD", "CETA-USD"]
    for symbol in symbols:
        if symbol != "ACME-USD":
            make_instrument(symbol)
        deal(api, "alice", "bob", "1", "100", symbol)
    pages = list(api.pages("positions?limit=2"))
    assert [[row["symbol"] for row in page] for page in pages] == [symbols[:2], symbols[2:]]
    assert [row["symbol"] for row in positions(api, "?symbol=BETA-USD")] == ["BETA-USD"]
    assert positions(api, "?symbol=BETA-USD", who="carol") == []
    last = Instrument.objects.get(symbol="CETA-USD").id
    assert positions(api, f"?cursor={last}") == positions(api, f"?cursor={10**19 - 1}") == []
    assert api.get("positions?symbol=NONE").code == "unknown_symbol"
    assert api.get("positions?cursor=x").code == "invalid_request"
    assert api.get("positions?limit=501").code == "invalid_request"
