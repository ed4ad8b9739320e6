"""Recorded order flow: through gateway, engine and database, or through the bare core; the same trades and books.

The project's own small flow (``examples/flow.csv``) is compared with a naive matcher written here; real recordings, where
they are at hand, with the trades and books that really happened.
"""

import csv
import gzip
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orders.engine.verification import verify
from orders.models import Event, Order, Shard
from tests.support.market import actor_for, make_account, make_instrument, place, running_engine

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "flow.csv"
HEADER = "seq,ts_ns,op,order_id,side,price,qty,tif,src\n"
RECORDINGS = Path(os.environ.get("ORDERFLOW_DIR", ROOT.parent / "shared" / "data" / "orderflow"))
SETS = ("lobster_AAPL_L50_first50k", "quantcup1_score_feed", "coinbase_BTCUSD_20160312", "cme_ESM4_20240508")
CLOSING = re.compile(r"^(\d+) lines, (\d+) trades, \d+ lines/s, group p50 [\d.]+ ms p99 [\d.]+ ms$")


def naive(rows: list[dict[str, str]]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Price-time matching over one sorted list, and the top of the book every 1000 lines and at the end."""
    book: list[dict[str, Any]] = []
    trades: list[list[Any]] = []
    pictures: list[list[Any]] = []

    def enter(row: dict[str, str], order: dict[str, Any], keep: bool) -> None:
        buys = order["side"] == "B"
        others = [o for o in book if o["side"] != order["side"]]
        others.sort(key=lambda o: o["price"] if buys else -o["price"])  # stable: first come stays first
        for other in others:
            if not order["qty"] or (other["price"] > order["price"] if buys else other["price"] < order["price"]):
                break
            quantity = min(order["qty"], other["qty"])
            trades.append([row["seq"], order["id"], other["id"], order["side"], other["price"], quantity])
            order["qty"] -= quantity
            other["qty"] -= quantity
            if not other["qty"]:
                book.remove(other)
        if order["qty"] and keep:
            book.append(order)

    for number, row in enumerate(rows, 1):
        found = next((o for o in book if o["id"] == row["order_id"]), None)
        if row["op"] == "N":
            order = {"id": row["order_id"], "side": row["side"], "price": int(row["price"]), "qty": int(row["qty"])}
            enter(row, order, row["tif"] == "GTC")
        elif found is not None and row["op"] == "C":
            book.remove(found)
        elif found is not None and row["op"] == "R":
            found["qty"] -= int(row["qty"])
            if found["qty"] <= 0:
                book.remove(found)
        elif found is not None and row["op"] == "M":
            price, quantity = int(row["price"]), int(row["qty"])
            if price == found["price"] and quantity <= found["qty"]:
                found["qty"] = quantity
            else:
                book.remove(found)
                enter(row, {**found, "price": price, "qty": quantity}, keep=True)
        for _ in range((number % 1000 == 0) + (number == len(rows))):
            for side, sign in (("B", -1), ("S", 1)):
                prices = sorted({o["price"] for o in book if o["side"] == side}, key=lambda p: sign * p)[:10]
                for place_, price in enumerate(prices, 1):
                    here = [o["qty"] for o in book if o["side"] == side and o["price"] == price]
                    pictures.append([row["seq"], side, place_, price, sum(here), len(here)])
    return trades, pictures


def run(
    file: Path, tmp_path: Path, *options: str, symbol: str = "FLOW"
) -> tuple[list[list[str]], list[list[str]], str]:
    """Replay a file; rows of trades and books (with headers), and the closing line."""
    trades, books = tmp_path / "trades.csv", tmp_path / "books.csv"
    out = io.StringIO()
    call_command(
        "replay", str(file), f"--symbol={symbol}", f"--trades={trades}", f"--books={books}", *options, stdout=out
    )
    with open(trades) as first, open(books) as second:
        return list(csv.reader(first)), list(csv.reader(second)), out.getvalue().strip()


def as_text(rows: list[list[Any]]) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in rows]


@pytest.mark.parametrize("options", [(), ("--memory",)], ids=["durable", "memory"])
def test_the_example_equals_a_naive_matcher(tmp_path: Path, options: tuple[str, ...]) -> None:
    with open(EXAMPLE) as file:
        rows = list(csv.DictReader(file))
    trades, books, closing = run(EXAMPLE, tmp_path, *options)
    expected_trades, expected_books = naive(rows)
    assert len(expected_trades) > 300
    assert trades[1:] == as_text(expected_trades)
    assert books[1:] == as_text(expected_books)
    match = CLOSING.match(closing)
    assert match and match.groups() == (str(len(rows)), str(len(expected_trades)))
    if not options:
        assert verify(0).differences == []
        assert Order.objects.count() == sum(row["op"] == "N" for row in rows)
    else:
        assert Order.objects.count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--memory",)], ids=["durable", "memory"])
@pytest.mark.parametrize("name", SETS)
def test_recordings_come_out_as_they_happened(name: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = RECORDINGS / name
    if not folder.is_dir():
        pytest.skip(f"the recording {name} is not here (ORDERFLOW_DIR names the folder of recordings)")
    trades, books, closing = run(folder / "flow.csv.gz", tmp_path, *options)
    print(name, *options, closing)
    with gzip.open(folder / "expected_trades.csv.gz", "rt") as file:
        expected = [[row[0], *row[2:]] for row in csv.reader(file)]
    assert trades == expected
    with gzip.open(folder / "expected_book.csv.gz", "rt") as file:
        assert books == list(csv.reader(file))
    if not options:
        assert verify(0).differences == []


def test_gzip_and_plain_are_the_same(tmp_path: Path) -> None:
    packed = tmp_path / "flow.csv.gz"
    packed.write_bytes(gzip.compress(EXAMPLE.read_bytes()))
    assert run(packed, tmp_path, "--memory")[:2] == run(EXAMPLE, tmp_path, "--memory")[:2]


GOOD = "0,1,N,1,B,100,5,GTC,real\n"
MALFORMED = {
    "no header": (GOOD, "line 1: the header"),
    "an op that is none": (HEADER + GOOD + "1,1,X,1,B,100,5,GTC,real\n", "line 3: op is 'X'"),
    "a column too few": (HEADER + GOOD + "1,1,N,2,B,100,5,GTC\n", "line 3: 8 columns"),
    "a price that is no integer": (HEADER + GOOD + "1,1,N,2,B,1.5,5,GTC,real\n", "line 3: price is '1.5'"),
    "no price": (HEADER + "0,1,N,2,B,,5,GTC,real\n", "line 2: price is ''"),
    "a negative quantity": (HEADER + "0,1,N,2,B,100,-5,GTC,real\n", "line 2: qty must be"),
    "a price of nothing": (HEADER + "0,1,N,2,B,0,5,GTC,real\n", "line 2: price must be"),
    "a side that is none": (HEADER + "0,1,N,2,X,100,5,GTC,real\n", "line 2: side is 'X'"),
    "a time in force that is none": (HEADER + "0,1,N,2,B,100,5,DAY,real\n", "line 2: tif is 'DAY'"),
    "numbers that go back": (HEADER + GOOD + "0,1,N,2,B,100,5,GTC,real\n", "line 3: seq 0 does not follow 0"),
    "too large": (HEADER + f"0,1,N,2,B,{2**53},5,GTC,real\n", "line 2: price must be"),
    "not text": (b"\x1f\x8b broken", "broken gzip"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_line_stops_before_anything_is_applied(name: str, tmp_path: Path) -> None:
    content, message = MALFORMED[name]
    file = tmp_path / "bad.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CommandError, match=re.escape(message)):
        call_command("replay", str(file), "--symbol=BAD")
    assert Event.objects.count() == 0 and not Shard.objects.exists()


def test_a_book_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    alice = actor_for(make_account("alice"))
    with running_engine():
        make_instrument("FLOW")
        place(alice, symbol="FLOW")
    with pytest.raises(CommandError, match="not empty"):
        call_command("replay", str(EXAMPLE), "--symbol=FLOW")
    assert Order.objects.count() == 1


def test_a_running_server_is_not_disturbed() -> None:
    with running_engine(), pytest.raises(CommandError, match="Another server owns"):
        call_command("replay", str(EXAMPLE), "--symbol=FLOW")


def test_a_missing_file_is_said_so() -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("replay", "nowhere.csv", "--symbol=FLOW")
