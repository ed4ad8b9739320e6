"""The page's modules on their own, in the browser they are written for: numbers, the checksum, the rules of the book."""

import random
from zlib import crc32

import pytest

from matching.levels import LevelReplica
from orders.schemas.decimals import from_units
from tests.browser.screen import Screen
from tests.browser.site import Site
from tests.support.services import Chromium

DEPTH = 10
RUN = """
const done = arguments[arguments.length - 1];
(async (...a) => { BODY })(...arguments).then((r) => done({r}), (e) => done({e: String(e)}));
"""


@pytest.fixture(scope="module")
def page(chromium: Chromium, site: Site):
    """A page of the site to run modules in: ``page(body, *arguments)`` answers what the async body returns."""
    with chromium.open() as driver:
        screen = Screen(driver, site)
        screen.open("/login")

        def run(body: str, *arguments: object) -> object:
            answer = driver.execute_async_script(RUN.replace("BODY", body), *arguments)
            assert "e" not in answer, answer["e"]
            return answer.get("r")

        yield run
        assert screen.broken() == []


def test_crc32_is_that_of_zlib(page):
    texts = ["", "0", "123456789", "1000230001000512500999810000540", "9" * 400]
    body = "const {crc32} = await import('/static/oms/crc32.js'); return a[0].map(crc32)"
    assert page(body, texts) == [crc32(text.encode()) for text in texts]


def test_units_are_exact_where_a_double_is_not(page):
    cases = [
        ["9007199254740993.5", 1],
        ["0.1", 12],
        ["100.250", 2],
        ["100.255", 2],
        ["007", 0],
        ["123456789012345.123456789012", 12],
    ]
    body = """const {toUnits, fromUnits} = await import('/static/oms/decimals.js');
      return a[0].map(([text, decimals]) => { const units = toUnits(text, decimals);
        return units === null ? null : [String(units), fromUnits(units, decimals)]; })"""
    assert page(body, cases) == [
        None,  # sixteen digits before the point
        ["100000000000", "0.100000000000"],
        ["10025", "100.25"],
        None,  # more decimals than the unit has
        ["7", "7"],
        ["123456789012345123456789012", "123456789012345.123456789012"],
    ]


@pytest.mark.parametrize(
    "text", ["", "1e5", "-1", "+1", " 1", "1 ", ".5", "5.", "1.2.3", "NaN", "٩", "1_000", "0x10", "1,5"]
)
def test_what_is_no_decimal_is_none(page, text):
    body = "const {toUnits} = await import('/static/oms/decimals.js'); return toUnits(a[0], 6) === null"
    assert page(body, text) is True


def test_the_checksum_of_the_contract(page):
    message = {
        "type": "snapshot",
        "epoch": 1,
        "sequence": 7,
        "previous": None,
        "asks": [["100.02", "3.000", 1], ["100.05", "12.500", 2]],
        "bids": [["99.98", "10.000", 1], ["0.05", "0.040", 1]],
        "checksum": 432354406,
    }
    body = """const {Book} = await import('/static/oms/book.js'); const book = new Book(10);
      return [book.apply(a[0]), book.checksum(), book.apply({...a[0], checksum: 1}), book.ready]"""
    assert page(body, message) == ["applied", 432354406, "broken", False]


def test_the_rules_of_the_book(page):
    """What is applied, ignored and broken, message by message."""
    snapshot = {"type": "snapshot", "epoch": 3, "sequence": 10, "previous": None, "bids": [], "asks": [], "checksum": 0}
    update = {**snapshot, "type": "update"}
    steps = [
        ({**update, "sequence": 11, "previous": 10}, "ignored"),  # before any snapshot
        (snapshot, "applied"),
        ({**update, "epoch": 2, "sequence": 11, "previous": 10}, "ignored"),  # a replaced engine
        ({**snapshot, "epoch": 2, "sequence": 99}, "ignored"),
        ({**update, "sequence": 10, "previous": 9}, "ignored"),  # in the snapshot already
        ({**update, "sequence": 14, "previous": 10}, "applied"),
        ({**update, "sequence": 20, "previous": 19}, "broken"),  # one is missing
        ({**update, "sequence": 21, "previous": 20}, "ignored"),  # until the next snapshot
        ({**snapshot, "sequence": 21}, "applied"),
        ({**update, "epoch": 4, "sequence": 22, "previous": 21}, "broken"),  # a new epoch begins with a snapshot
        ({**snapshot, "epoch": 4, "sequence": 5}, "applied"),  # whatever its sequence
        ({**update, "epoch": 4, "sequence": 6, "previous": 5, "checksum": 1}, "broken"),
    ]
    body = """const {Book} = await import('/static/oms/book.js'); const book = new Book(10);
      return a[0].map((message) => book.apply(message))"""
    assert page(body, [message for message, _ in steps]) == [expected for _, expected in steps]


def test_a_random_book_follows_the_replica_of_the_server(page):
    """Updates of a window of ten levels, levels that leave and re-enter it included."""
    rng = random.Random(20)
    replica = LevelReplica()
    messages = [book_message("snapshot", 0, replica, window(replica))]
    books = [rendered(replica)]
    for sequence in range(1, 400):
        before = window(replica)
        for _ in range(rng.randint(1, 3)):
            side = rng.randint(0, 1)
            price = rng.randint(9, 120) if side == 0 else rng.randint(121, 10_300)
            replica.set(side, price, rng.choice((0, 0, rng.randint(1, 10**6))), rng.randint(1, 9))
        after = window(replica)
        changed = [[row for row in new if row not in old] for old, new in zip(before, after, strict=True)]
        for side in (0, 1):
            still = {row[0] for row in after[side]}
            gone = [row for row in before[side] if row[0] not in still and not level_lives(replica, side, row)]
            changed[side] += [(price, 0, 0) for price, _, _ in gone]
        messages.append(book_message("update", sequence, replica, changed))
        books.append(rendered(replica))
    body = """const {Book} = await import('/static/oms/book.js'); const book = new Book(10);
      return a[0].map((m) => [book.apply(m), structuredClone(book.bids), structuredClone(book.asks)])"""
    for (result, bids, asks), (expected_bids, expected_asks) in zip(page(body, messages), books, strict=True):
        assert result == "applied"
        assert (bids, asks) == (expected_bids, expected_asks)


def window(replica: LevelReplica) -> list[list[tuple[int, int, int]]]:
    return [replica.top(0, DEPTH), replica.top(1, DEPTH)]


def level_lives(replica: LevelReplica, side: int, row: tuple[int, int, int]) -> bool:
    return any(price == row[0] for price, _, _ in replica.top(side, 10_000))


def wire(rows: list[tuple[int, int, int]]) -> list[list[object]]:
    return [[from_units(price, 2), from_units(quantity, 3), orders] for price, quantity, orders in rows]


def rendered(replica: LevelReplica) -> tuple[list[list[object]], list[list[object]]]:
    bids, asks = window(replica)
    return wire(bids), wire(asks)


def book_message(kind: str, sequence: int, replica: LevelReplica, sides: list[list[tuple[int, int, int]]]) -> dict:
    bids, asks = (wire(rows) for rows in sides)
    message = {"type": kind, "epoch": 1, "sequence": sequence, "previous": sequence - 1 if sequence else None}
    return {**message, "bids": bids, "asks": asks, "checksum": replica.checksum()}


def test_a_tape_that_skipped_trades_begins_anew(page):
    """``skipped`` means: subscribe again; until the snapshot nothing is added."""

    def told(kind: str, sequence: int, previous: int | None) -> dict[str, object]:
        trade = {"price": "1.00", "quantity": "1", "taker_side": "buy", "time": "2026-11-22T17:30:52.000000Z"}
        return {"type": kind, "sequence": sequence, "previous": previous, "trades": [trade]}

    messages = [
        told("snapshot", 3, None),
        told("update", 5, 3),
        {"type": "skipped", "count": 2, "previous": 5, "sequence": 9},
        told("update", 11, 9),
        told("snapshot", 11, None),
        told("update", 12, 11),
    ]
    body = """const parts = '<table><tbody id="tape"></tbody></table><p id="tape-empty"></p><b id="last-price"></b>';
      document.body.insertAdjacentHTML('beforeend', parts + '<i id="content" data-symbol="X"></i>');
      const {Tape} = await import('/static/oms/tape.js'); const tape = new Tape();
      return a[0].map((message) => [tape.apply(message), tape.body.children.length])"""
    assert page(body, messages) == [[True, 1], [True, 2], [False, 2], [True, 2], [True, 1], [True, 2]]
