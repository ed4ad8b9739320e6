"""A book is kept exactly, or it is stale."""

from decimal import Decimal
from typing import Any

import pytest

from oms_client.book import Book
from oms_client.following import Broken
from oms_client.models import Level
from oms_client.stats import Stats
from tests.client.venue import checksum

BIDS = [["99.98", "10.000", 2], ["0.05", "0.040", 1]]
ASKS = [["100.02", "3.000", 1], ["100.05", "12.500", 1]]


def message(kind: str, sequence: int, bids: list[Any], asks: list[Any], **more: Any) -> dict[str, Any]:
    return {
        **{"channel": "book", "symbol": "ACME-USD", "type": kind, "epoch": 3, "sequence": sequence, "previous": None},
        **{"bids": bids, "asks": asks, "checksum": checksum(bids, asks)},
        **more,
    }


@pytest.fixture
def book() -> Book:
    book = Book("ACME-USD", 2, Stats())
    book.take(message("snapshot", 10, BIDS, ASKS))
    return book


def broken(book: Book, taken: dict[str, Any]) -> str:
    """The fault that a message is found to have; the book is stale by then."""
    with pytest.raises(Broken) as caught:
        book.take(taken)
    assert book.stale and book.view() is None
    return caught.value.fault


def test_the_checksum_of_the_documentation(book):
    assert book.checksum() == 432354406
    assert Book("EMPTY-USD", 10, Stats()).checksum() == 0


def test_users_see_exact_numbers(book):
    view = book.view()
    assert (view.epoch, view.sequence) == (3, 10)
    assert view.best_bid == Level(Decimal("99.98"), Decimal("10.000"), 2)
    assert str(view.asks[1].quantity) == "12.500"


def test_levels_are_set_removed_and_cut_to_the_depth(book):
    after = [["99.99", "1.000", 1], BIDS[0]], [ASKS[1]]
    changes = {"bids": [["99.99", "1.000", 1]], "asks": [["100.02", "0.000", 0]], "checksum": checksum(*after)}
    book.take(message("update", 12, [], [], previous=10) | changes)
    assert ([list(row) for row in book.bids], [list(row) for row in book.asks]) == after
    assert book.sequence == 12 and not book.stale


def test_an_update_without_levels_moves_the_sequence(book):
    book.take(message("update", 12, [], [], previous=10) | {"checksum": 432354406})
    assert book.sequence == 12


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("gap", {"previous": 9}),
        ("gap", {"epoch": 4}),
        ("gap", {"sequence": 10}),
        ("gap", {"sequence": 5, "previous": 10}),
        ("gap", {"bids": [["99.97", "0.000", 0]]}),
        ("checksum", {"checksum": 1}),
        ("checksum", {"bids": [["99.98", "11.000", 2]]}),
        ("malformed", {"bids": [["99.98", "1e5", 2]]}),
        ("malformed", {"bids": [["99.98", 11, 2]]}),
        ("malformed", {"bids": [["99.98"]]}),
        ("malformed", {"bids": None}),
        ("malformed", {"previous": "10"}),
        ("malformed", {"epoch": None}),
    ],
)
def test_whatever_is_wrong_makes_it_stale_until_a_snapshot(book, fault, change):
    applied = {"sequence": 12, "previous": 10, "checksum": 432354406}
    book._applied.clear()
    assert broken(book, message("update", 12, [], []) | applied | change) == fault
    book.take(message("update", 14, [], [], previous=12))
    assert book.stale
    book.take(message("snapshot", 14, BIDS, []))
    assert book.sequence == 14 and book.view().asks == ()


def test_a_duplicate_and_a_lower_epoch_are_left_out(book):
    update = message("update", 12, [], [], previous=10) | {"checksum": 432354406}
    assert list(book.take(update)) == [book]
    assert list(book.take(update)) == []
    assert list(book.take(message("snapshot", 99, [], [], epoch=2))) == []
    assert (book.sequence, book._stats.duplicates, book._stats.outdated) == (12, 1, 1)


def test_an_unasked_snapshot_must_be_the_book(book):
    assert list(book.take(message("snapshot", 10, BIDS, ASKS))) == []
    assert book._stats.verified_snapshots == 1
    other_count = [["99.98", "10.000", 3], BIDS[1]]
    assert broken(book, message("snapshot", 10, other_count, ASKS)) == "contradiction"


def test_an_unasked_snapshot_repairs_what_was_missed(book):
    book.take(message("snapshot", 20, BIDS, []))
    assert book.sequence == 20 and not book.asks and book._stats.gaps == 1


@pytest.mark.parametrize("bids", [BIDS[::-1], [*BIDS, ["0.01", "1.000", 1]], [["99.98", "0.000", 1]]])
def test_a_snapshot_that_is_none_is_refused(book, bids):
    assert broken(book, message("snapshot", 20, bids, ASKS)) in ("malformed", "gap")


def test_after_a_resync_only_a_snapshot_counts(book):
    book.take({"channel": "book", "symbol": "ACME-USD", "type": "resync", "reason": "gap"})
    assert book.view() is None
    book.take(message("snapshot", 10, BIDS, ASKS, epoch=4))
    assert book.view().epoch == 4
