"""One book's copy: windows, checksums, and the law that a snapshot and its updates equal a fresh snapshot."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.levels import LevelReplica
from matching.values import BUY, SELL
from orders.feed import books
from orders.feed.books import BookFeed, Window
from orders.feed.publisher import BookChange
from orders.levels import InstrumentLevels
from orders.selectors import InstrumentInfo
from tests.feed.client import BookClient, checksum

ACME = InstrumentInfo(1, "ACME-USD", 0, 2, 3)
DEPTHS = (10, 25, 100, 500, 1000)


def levels(*rows: tuple[int, int, int, int], sequence: int = 0) -> InstrumentLevels:
    return InstrumentLevels(ACME, sequence, 0, list(rows))


def loaded(*rows: tuple[int, int, int, int], sequence: int = 0) -> BookFeed:
    book = BookFeed(ACME)
    assert book.load(levels(*rows, sequence=sequence), epoch=1, at=0)
    return book


def change(sequence: int, previous: int, *rows: tuple[int, int, int, int]) -> BookChange:
    return BookChange(ACME.id, sequence, previous, rows)


def test_the_published_example_of_the_checksum():
    book = loaded((SELL, 10002, 3000, 1), (SELL, 10005, 12500, 2), (BUY, 9998, 10000, 1), (BUY, 5, 40, 1))
    snapshot = json.loads(book.snapshot(25).data)
    assert snapshot["asks"] == [["100.02", "3.000", 1], ["100.05", "12.500", 2]]
    assert snapshot["bids"] == [["99.98", "10.000", 1], ["0.05", "0.040", 1]]
    assert snapshot["checksum"] == 432354406 == checksum(snapshot["bids"], snapshot["asks"])
    assert book.view(10).checksum == 432354406


def test_an_empty_book_has_checksum_zero():
    assert json.loads(loaded().snapshot(10).data)["checksum"] == 0


def test_every_depth_is_told_of_every_change_with_empty_sides_outside_its_window():
    book = loaded(*((BUY, 100 + n, 5, 1) for n in range(20)))
    book.open_window(10)
    book.open_window(25)
    told = {depth: json.loads(frame.data) for depth, frame in book.apply(change(7, 0, (BUY, 101, 9, 2)), at=1)}
    assert told[10]["bids"] == told[10]["asks"] == []
    assert told[25]["bids"] == [["1.01", "0.009", 2]]
    assert {message["sequence"] for message in told.values()} == {7}
    assert {message["previous"] for message in told.values()} == {0}
    assert told[10]["checksum"] == told[25]["checksum"]


def test_a_level_that_comes_back_into_the_window_is_told_again():
    book = loaded(*((BUY, 100 + n, 5, 1) for n in range(11)))
    book.open_window(10)
    ((_, frame),) = book.apply(change(1, 0, (BUY, 110, 0, 0)), at=1)
    assert json.loads(frame.data)["bids"] == [["1.10", "0.000", 0], ["1.00", "0.005", 1]]


def test_a_level_pushed_out_is_not_told():
    book = loaded(*((SELL, 100 + n, 5, 1) for n in range(10)))
    book.open_window(10)
    ((_, frame),) = book.apply(change(1, 0, (SELL, 99, 4, 1)), at=1)
    assert json.loads(frame.data)["asks"] == [["0.99", "0.004", 1]]


def test_a_snapshot_is_encoded_once_until_the_book_moves():
    book = loaded((BUY, 100, 5, 1))
    assert book.snapshot(25) is book.snapshot(25)
    before = book.snapshot(25)
    book.apply(change(1, 0, (BUY, 100, 6, 1)), at=1)
    assert book.snapshot(25) != before


def test_changes_kept_while_loading_are_carried_out_where_they_are_newer():
    book = BookFeed(ACME)
    for number, previous in ((3, 1), (5, 3), (8, 5)):
        assert book.offer(change(number, previous, (BUY, number, 1, 1)), 1, 0)
    assert book.load(levels((BUY, 3, 1, 1), (BUY, 5, 1, 1), sequence=5), 1, 0)
    assert book.live and book.sequence == 8
    assert [row[0] for row in book.view(10).bids] == [8, 5, 3]


def test_levels_read_too_early_are_not_enough():
    book = BookFeed(ACME)
    book.offer(change(8, 5, (BUY, 8, 1, 1)), 1, 0)
    assert not book.load(levels(sequence=3), 1, 0) and not book.live
    assert book.load(levels((BUY, 5, 1, 1), sequence=5), 1, 0)
    assert [row[0] for row in book.view(10).bids] == [8, 5]


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(books, "MAX_KEPT_CHANGES", 2)
    book = BookFeed(ACME)
    assert book.offer(change(1, 0), 1, 0) and book.offer(change(2, 1), 1, 0)
    assert not book.offer(change(3, 2), 1, 0)
    assert book.kept == []


touched = st.lists(
    st.tuples(st.sampled_from((BUY, SELL)), st.integers(1, 40), st.integers(0, 3), st.integers(1, 4)),
    max_size=12,
    unique_by=lambda row: row[:2],
)


@pytest.mark.parametrize("depth", DEPTHS[:2])
@given(st.lists(touched, max_size=25))
def test_snapshot_and_updates_equal_a_fresh_snapshot(depth, commits):
    """Bids are 1 to 40, asks 41 to 80: at depth 10 most changes move the window."""
    book = loaded()
    client = BookClient(depth)
    client.take(book.snapshot(depth).data)
    book.open_window(depth)
    for number, rows in enumerate(commits, 1):
        shifted = [(side, price + 40 * side, quantity, orders) for side, price, quantity, orders in rows]
        ((_, frame),) = book.apply(change(number, number - 1, *shifted), at=number)
        update, known = json.loads(frame.data), client.bids + client.asks
        assert not [level for level in update["bids"] + update["asks"] if level in known], "told twice"
        client.take(update)
        fresh = json.loads(book.snapshot(depth).data)
        assert (client.bids, client.asks) == (fresh["bids"], fresh["asks"])


def test_nothing_is_told_that_readers_know():
    levels = LevelReplica()
    for price in range(1, 13):
        levels.set(BUY, price, 5, 1)
    window = Window(10, levels)
    assert window.move(levels, BUY, {}) == []
    same = {12: (12, 5, 1), 2: (2, 5, 1), 99: None}
    assert window.move(levels, BUY, same) == []
    levels.set(BUY, 12, 0, 0)
    assert window.move(levels, BUY, {12: (12, 5, 1)}) == [(12, 0, 0), (2, 5, 1)]
