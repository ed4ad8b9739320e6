"""GET instruments/{symbol}/book?sequence=N: the book as it stood, over REST."""

import csv
import gzip
import os
import random
from itertools import groupby
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

import pytest

from matching.commands import DefineInstrument
from matching.engine import Engine
from orders import gateway, history
from orders.flow import FlowLine, read_flow
from orders.models import BookSnapshot, Event, Shard
from orders.models.trading import event_id
from orders.replaying import DurableReplay
from orders.schemas.render import wire_time
from orders.snapshots import BookSaver
from orders.translating import Translator
from tests.api.conftest import Api
from tests.support.market import OPERATOR, make_account, make_instrument

BOOK = "instruments/ACME-USD/book"
RECORDING = (
    Path(os.environ.get("ORDERFLOW_DIR", Path(__file__).resolve().parents[3] / "shared" / "data" / "orderflow"))
    / "lobster_AAPL_L50_first50k"
)
# Lines of a replay from one save of its book to the next, and how many of the recorded books are asked for.
SAVE_EVERY_LINES = 12_000
POINTS = 100


def last_sequence() -> int:
    return Shard.objects.get().last_sequence


def test_each_answer_was_once_the_book(api: Api):
    """What the book said at a moment is what it says of that moment later. (Without a feed it says what time it is.)"""
    told = {}

    def look() -> None:
        told[last_sequence()] = api.get(BOOK).body

    look()
    for step in (
        lambda: api.place("sell", "5", "101", display_quantity="2"),
        lambda: api.place("buy", "3", "99", who="bob"),
        lambda: api.place("buy", "3", "101", who="bob"),
        lambda: api.place("sell", "1", "99", who="carol", time_in_force="ioc"),
        lambda: api.place("sell", "1", None, who="carol"),
        lambda: api.delete("orders"),
    ):
        step()
        look()
    for sequence, body in told.items():
        then = api.get(f"{BOOK}?sequence={sequence}", who=None).body
        assert then | {"time": body["time"]} == body
        if then["sequence"]:
            assert then["time"] == wire_time(Event.objects.get(id=event_id(0, then["sequence"])).at)
    assert len({body["checksum"] for body in told.values()}) == len(told)


def test_between_two_changes_the_book_stands_as_it_did(api: Api):
    first = api.place("buy", "1", "99")
    other = make_instrument("OTHER-EUR")
    api.place("buy", "1", "50", symbol="OTHER-EUR", who="bob")
    assert other.shard_id == 0 and last_sequence() > first["sequence"]
    then, now = (api.get(f"{BOOK}?sequence={number}").body for number in (first["sequence"], last_sequence()))
    assert then == now and now["sequence"] == first["sequence"]


def test_nothing_was_there_before_the_first_event(api: Api):
    api.place("buy", "1", "99")
    body = api.get(f"{BOOK}?sequence=0").body
    assert (body["bids"], body["asks"], body["sequence"], body["checksum"]) == ([], [], 0, 0)
    assert body["time"] < api.get(BOOK).body["time"]


def test_the_depth_cuts_the_levels_and_not_the_checksum(api: Api):
    for price in range(80, 100):
        last = api.place("buy", "1", str(price))
    whole, top = (api.get(f"{BOOK}?sequence={last['sequence']}&depth={depth}").body for depth in (25, 10))
    assert len(whole["bids"]) == 20 and top["bids"] == whole["bids"][:10] and top["checksum"] == whole["checksum"]


@pytest.mark.parametrize("text", ["-1", "1.5", "", "x", "1e3", "9" * 16])
def test_a_sequence_that_is_none(api: Api, text: str):
    assert api.get(f"{BOOK}?sequence={text}").code == "invalid_request"


def test_a_sequence_that_is_yet_to_come(api: Api):
    api.place("buy", "1", "99")
    answer = api.get(f"{BOOK}?sequence={last_sequence() + 1}")
    assert (answer.code, answer.body["errors"][0]["code"]) == ("invalid_request", "not_reached")
    assert api.get("instruments/NOPE/book?sequence=1").code == "unknown_symbol"


def test_an_amended_iceberg_showed_what_it_showed_then(api: Api):
    """An order's row only has its latest displayed quantity; the log has all of them."""
    order = api.place("sell", "10", "101", display_quantity="2")
    shown = {order["sequence"]: "2.000"}
    for quantity in ("5", "1"):
        amended = api.patch(f"orders/{order['id']}", {"display_quantity": quantity}).body
        shown[amended["sequence"]] = f"{quantity}.000"
    api.delete("orders")
    for sequence, quantity in shown.items():
        assert api.get(f"{BOOK}?sequence={sequence}").body["asks"] == [["101.00", quantity, 1]]


def test_inside_a_command_an_order_is_in_the_book_once_its_execution_is_over(api: Api):
    api.place("sell", "1", "101", who="bob")
    api.place("sell", "1", "102", who="bob")
    taker = api.place("buy", "3", "102")
    accepted = taker["fills"][0]["sequence"] - 2
    books = [api.get(f"{BOOK}?sequence={accepted + number}").body for number in range(5)]
    assert taker["sequence"] == accepted + 4
    assert [book["bids"] for book in books] == [[], [], [], [], [["102.00", "1.000", 1]]]
    assert [len(book["asks"]) for book in books] == [2, 1, 1, 0, 0]
    assert [book["sequence"] - accepted for book in books] == [-1, 1, 1, 3, 4]
    gone = api.place("buy", "3", "100", time_in_force="ioc")
    assert api.get(f"{BOOK}?sequence={gone['sequence'] - 1}").body == books[-1]


def test_an_amend_that_ends_the_order_has_taken_it_from_its_level(api: Api):
    """It leaves its old place, meets an order of its own account and rests nowhere: the change is that of the amend."""
    api.place("sell", "1", "101")
    order = api.place("buy", "1", "99")
    amended = api.patch(f"orders/{order['id']}", {"price": "101"}).body
    assert (amended["status"], amended["reason"]) == ("canceled", "self_trade")
    book = api.get(BOOK).body
    assert book["sequence"] == amended["sequence"] - 1 and book["bids"] == []
    for sequence in (book["sequence"], last_sequence()):
        assert api.get(f"{BOOK}?sequence={sequence}").body | {"time": book["time"]} == book


def test_from_the_nearest_good_saved_book(api: Api, caplog: pytest.LogCaptureFixture):
    saver = BookSaver(0)
    for price in ("97", "98", "99"):
        api.place("buy", "1", price)
        saver.save()
    last = last_sequence()
    told = [api.get(f"{BOOK}?sequence={sequence}").body for sequence in range(last + 1)]
    newest = BookSnapshot.objects.order_by("-sequence")[0]
    BookSnapshot.objects.filter(id=newest.id).update(data=b"not what was saved")
    assert [api.get(f"{BOOK}?sequence={sequence}").body for sequence in range(last + 1)] == told
    assert "corrupt" in caplog.text
    # One that does not tell its book's last change, as they did not once, is no place to start from either.
    BookSnapshot.objects.update(book_sequence=None)
    assert [api.get(f"{BOOK}?sequence={sequence}").body for sequence in range(last + 1)] == told


def test_the_work_is_bounded_by_the_events_since_the_saved_book(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "MAX_EVENTS", 4)
    monkeypatch.setattr(history, "WINDOW_EVENTS", 2)
    while last_sequence() < 4:
        api.place("buy", "1", "99")
    assert len(api.get(f"{BOOK}?sequence=4").body["bids"]) == 1
    api.place("buy", "1", "98")
    answer = api.get(f"{BOOK}?sequence=5")
    assert (answer.status, answer.code) == (410, "history_too_long") and "snapshots" in answer.body["detail"]
    BookSaver(0).save()
    assert len(api.get(f"{BOOK}?sequence=5").body["bids"]) == 2


def test_one_is_made_at_a_time_and_none_waits_for_ever(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "TURN_SECONDS", 0.05)
    answers: list[Any] = []
    with history._one_at_a_time():
        asking = Thread(target=lambda: answers.append(api.get(f"{BOOK}?sequence=0", who=None)))
        asking.start()
        asking.join()
    (answer,) = answers
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, "rate_limited", "1")
    assert api.get(f"{BOOK}?sequence=0").status == 200


# A recorded market


@pytest.mark.slow
def test_a_recorded_market_at_random_moments(api: Api, request: pytest.FixtureRequest):
    """Each of a hundred of the books that the exchange published, and all of the recording's own, from a durable replay."""
    if not RECORDING.is_dir():
        pytest.skip(f"the recording {RECORDING.name} is not here (ORDERFLOW_DIR names the folder of recordings)")
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    lines = read_flow(RECORDING / "flow.csv.gz")
    before = replay_with_saves(lines)
    sequences = sequences_by_line(lines, before)
    assert last_sequence() == max(sequences.values()) and BookSnapshot.objects.filter(orders__gt=0).count() >= 3
    points = random.Random(seed).sample(recorded("book_real.csv.gz"), POINTS) + recorded("expected_book.csv.gz")
    seconds = []
    for line, levels in points:
        started = perf_counter()
        body = api.get(f"instruments/AAPL/book?sequence={sequences[line]}&depth=10", who=None).body
        seconds.append(perf_counter() - started)
        for side, level, price, quantity, *orders in levels:
            found = body["bids" if side == "B" else "asks"][int(level) - 1]
            assert found == [price, quantity, *(map(int, orders) if orders else found[2:])], f"after line {line}"
    seconds.sort()
    p50, longest = seconds[len(seconds) // 2] * 1000, seconds[-1] * 1000
    print(f"{len(points)} books of {last_sequence()} events: p50 {p50:.1f} ms, max {longest:.1f} ms")


def replay_with_saves(lines: list[FlowLine]) -> int:
    """Replay durably, saving books on the way; the number of the last event before."""
    instrument = make_instrument("AAPL", price_decimals=0, quantity_decimals=0)
    before = last_sequence()
    replay = DurableReplay(
        account_id=make_account("replay").id,
        instrument_id=instrument.id,
        new_id=gateway.order_ids.next,
        submit=lambda commands: gateway.commands_submit(actor=OPERATOR, commands=commands),
        books=False,
        after=before,
    )
    saver = BookSaver(0)
    saved = [0]

    def progress(done: int) -> None:
        if done - saved[0] >= SAVE_EVERY_LINES:
            saver.save()
            saved[0] = done

    replay.run(lines, progress)
    return before


def sequences_by_line(lines: list[FlowLine], before: int) -> dict[int, int]:
    """The number of the last event up to and with each line, from the same commands on a bare core."""
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "AAPL"))
    offset = before - engine.next_sequence + 1
    translator = Translator(1, 1, iter(range(1, len(lines) + 2)).__next__)
    sequences = {}
    for line in lines:
        command = translator.command(line)
        if command is not None:
            engine.apply(engine.next_sequence, 0, command)
        sequences[line.seq] = engine.next_sequence - 1 + offset
    return sequences


def recorded(name: str) -> list[tuple[int, list[list[str]]]]:
    """The books of a recording: line, and rows of side, level, price, quantity and perhaps orders."""
    with gzip.open(RECORDING / name, "rt") as file:
        rows = list(csv.reader(file))[1:]
    return [(int(line), [row[1:] for row in levels]) for line, levels in groupby(rows, key=lambda row: row[0])]
