"""Saved books: what is saved is what stands in the tables; what is corrupt is told apart; old ones go."""

import pytest

from orders import gateway, snapshots
from orders.engine.recovery import recover
from orders.models import BookSnapshot, Order, Shard
from orders.open_orders import totals_in_rows
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


def test_milestones_stay_so_that_the_past_is_never_far_from_a_saved_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MILESTONE_EVENTS", 10)
    alice = actor_for(make_account("alice"))
    saver = BookSaver(0, keep=2)
    with running_engine():
        make_instrument()
        for number in range(35):
            place(alice, "buy", "1", str(50 + number))
            if number % 3 == 0:
                saver.save()
    last = Shard.objects.get().last_sequence
    sequences = list(BookSnapshot.objects.order_by("sequence").values_list("sequence", flat=True))
    assert len(sequences) == 4 and last == 36
    starts = [0, *sequences]
    assert all(after - before <= 20 for before, after in zip(starts, [*starts[1:], last], strict=True))


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


def test_what_waits_outside_the_book_is_saved_and_is_in_no_level() -> None:
    alice = actor_for(make_account("alice"))
    saver = BookSaver(0)
    with running_engine():
        make_instrument()
        place(alice, "buy", "5", "100")
        place(alice, "sell", "5", "105", order_class="oco", stop_loss={"stop_price": "90"})
        first = saver.save()
        assert first is not None and (first.saved, first.orders) == (1, 3)
        # no level changes, and yet there is something new to save
        stop = place(alice, "sell", "1", None, type="stop", stop_price="80")
        second = saver.save()
        assert second is not None and (second.saved, second.unchanged, second.orders) == (1, 0, 4)
        entry = {"take_profit": {"price": "120"}, "stop_loss": {"trail_percent": "5"}}
        place(alice, "buy", "2", "99", order_class="bracket", **entry)
        gateway.order_cancel(actor=alice, order_id=stop.order_id)
        third = saver.save()
        assert third is not None and (third.saved, third.orders) == (1, 6)
        assert recover(0).engine.orders.keys() == set(Order.objects.filter(status__lte=2).values_list("id", flat=True))
    newest = BookSnapshot.objects.order_by("-sequence").first()
    assert newest is not None
    assert (newest.bid_levels, newest.ask_levels, newest.best_bid, newest.best_ask) == (2, 1, 10_000, 10_500)
    assert newest.orders == len(decode(newest)) == 6
    loaded = load_latest(0)
    assert loaded is not None and loaded[0].totals() == totals_in_rows(0)


def test_hidden_quantity_is_saved_and_counts_in_the_comparison() -> None:
    alice, bob = actor_for(make_account("alice")), actor_for(make_account("bob"))
    with running_engine():
        make_instrument()
        place(alice, "sell", "9", "100", display_quantity="2")
        place(bob, "buy", "3", "100")
    BookSaver(0).save()
    (iceberg,) = decode(BookSnapshot.objects.get())
    assert (iceberg.remaining, iceberg.hidden) == (6_000, 5_000)
    assert totals_in_rows(0) == {(iceberg.instrument_id, 1): (1, 6_000, 5_000)}
