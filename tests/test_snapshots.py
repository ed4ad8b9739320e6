"""Saved books: what is saved is what stands in the tables; what is corrupt is told apart; old ones go."""

import pytest

from orders import gateway
from orders.models import BookSnapshot
from orders.snapshots import BookSaver, CorruptSnapshot, decode, load_latest
from tests.support.market import actor_for, make_account, make_instrument, place, running_engine

pytestmark = pytest.mark.django_db(transaction=True)


def test_save_follows_the_tables_beside_a_running_engine() -> None:
    alice = actor_for(make_account("alice"))
    saver = BookSaver(0)
    with running_engine():
        make_instrument()
        make_instrument("BTC-USD")
        first = place(alice, "buy", "5", "100")
        report = saver.save()
        assert report is not None and (report.saved, report.unchanged, report.orders) == (2, 0, 1)
        assert saver.save() is None  # nothing happened since
        place(alice, "sell", "1", "101", symbol="BTC-USD", self_trade_prevention="none")
        gateway.order_cancel(actor=alice, order_id=first.order_id)
        place(alice, "buy", "5", "99")
        place(alice, "buy", "5", "98")
        report = saver.save()
        assert report is not None and (report.saved, report.unchanged, report.orders) == (2, 0, 3)
        place(alice, "buy", "5", "97")
        report = saver.save()
        assert report is not None and (report.saved, report.unchanged) == (1, 1)
    newest = BookSnapshot.objects.filter(instrument__symbol="ACME-USD").order_by("-sequence").first()
    assert newest is not None
    assert [order.price for order in decode(newest)] == [9900, 9800, 9700]
    assert (newest.best_bid, newest.best_ask, newest.bid_levels, newest.orders) == (9700 + 200, None, 3, 3)
    loaded = load_latest(0)
    assert loaded is not None and loaded[0].sequence == newest.sequence and loaded[1] == []


def test_old_saved_books_are_pruned() -> None:
    alice = actor_for(make_account("alice"))
    saver = BookSaver(0, keep=3)
    with running_engine():
        make_instrument()
        for number in range(6):
            place(alice, "buy", "1", str(90 + number))
            saver.save()
    assert [row.orders for row in BookSnapshot.objects.order_by("sequence")] == [4, 5, 6]


@pytest.mark.parametrize(
    ("field", "value"),
    [("data", b"not zlib"), ("checksum", "0" * 32), ("orders", 7), ("schema_version", 99)],
)
def test_whatever_is_wrong_with_a_saved_book_is_told(field: str, value: object) -> None:
    alice = actor_for(make_account("alice"))
    with running_engine():
        make_instrument()
        place(alice, "buy", "1", "90")
    BookSaver(0).save()
    row = BookSnapshot.objects.get()
    assert len(decode(row)) == 1
    setattr(row, field, value)
    with pytest.raises(CorruptSnapshot):
        decode(row)
