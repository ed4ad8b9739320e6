"""Start-up and recovery: from saved books or rows alone, the state is the one before, hash for hash."""

import logging
import random

import pytest

from benchmarks.recovery import MIDDLE, make_order
from matching.commands import Cancel, DefineAccount
from matching.image import state_hash
from orders import gateway
from orders.engine.recovery import recover
from orders.engine.verification import verify
from orders.models import BookSnapshot, Order
from orders.open_orders import OpenOrders
from orders.schemas.orders import AmendOrder
from orders.schemas.problems import ProblemError
from orders.selectors import consistent_read
from orders.snapshots import BookSaver
from tests.engine.desk import Desk
from tests.support.market import OPERATOR, actor_for, make_account, make_instrument, place, running_engine

pytestmark = pytest.mark.django_db(transaction=True)


def busy_market(rng: random.Random, steps: int) -> None:
    """Random orders, amends and cancels of three accounts, through the gateway."""
    actors = [actor_for(make_account(name)) for name in ("alice", "bob", "carol")]
    for _ in range(steps):
        actor = rng.choice(actors)
        mine = list(Order.objects.filter(account_id=actor.account_id, status__lte=1).values_list("id", flat=True))
        try:
            if mine and rng.random() < 0.2:
                gateway.order_cancel(actor=actor, order_id=rng.choice(mine))
            elif mine and rng.random() < 0.3:
                price = f"{rng.randint(9_995, 10_005) / 100:.2f}"
                request = AmendOrder(price=price, quantity=str(rng.randint(1, 9)))
                gateway.order_amend(actor=actor, order_id=rng.choice(mine), request=request)
            else:
                price = f"{rng.randint(9_995, 10_005) / 100:.2f}"
                place(actor, rng.choice(("buy", "sell")), str(rng.randint(1, 9)), price)
        except ProblemError:
            pass


def live_hash(steps: int, rng: random.Random) -> str:
    with running_engine() as engine:
        if not engine.loop.state.engine.instruments:
            make_instrument()
        busy_market(rng, steps)
        return state_hash(engine.loop.state.engine)


@pytest.fixture
def rng() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_from_rows_alone(rng: random.Random) -> None:
    before = live_hash(120, rng)
    assert state_hash(recover(0).engine) == before


def test_from_a_saved_book_and_newer_rows(rng: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    live_hash(60, rng)
    report = BookSaver(0).save()
    assert report is not None and report.saved == 1
    before = live_hash(60, rng)
    with caplog.at_level(logging.ERROR):
        assert state_hash(recover(0).engine) == before
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_queues_survive_restarts() -> None:
    """First come, first served, also when the one who came first was partly filled and the server restarted twice."""
    alice, bob, carol = (actor_for(make_account(name)) for name in ("alice", "bob", "carol"))
    with running_engine():
        make_instrument()
        first = place(alice, "buy", "5", "100")
        second = place(bob, "buy", "5", "100")
        place(carol, "sell", "2", "100")
    for _ in range(2):
        with running_engine() as engine:
            engine.loop.state.engine.check_invariants()
    with running_engine():
        taker = place(carol, "sell", "4", "100")
    assert taker.makers == (first.order_id, second.order_id)
    assert [quantity for _, _, quantity in taker.fills] == [3000, 1000]


def test_a_corrupt_saved_book_is_skipped_and_reported(rng: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    live_hash(40, rng)
    BookSaver(0).save()
    live_hash(20, rng)
    BookSaver(0).save()
    before = live_hash(20, rng)
    newest = BookSnapshot.objects.order_by("-sequence").first()
    assert newest is not None
    newest.data = bytes(newest.data)[:-9] + b"corrupted"
    newest.save()
    with caplog.at_level(logging.ERROR):
        assert state_hash(recover(0).engine) == before
    assert any("corrupt" in record.getMessage() for record in caplog.records)
    assert any("saved books" in text for text in verify(0).differences)


def test_a_saved_book_that_lies_is_found_out(rng: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    """A book with a right checksum and a wrong order: the aggregate disagrees, and the rows alone are believed."""
    live_hash(40, rng)
    saver = BookSaver(0)
    saver.save()
    row = BookSnapshot.objects.get()
    orders = saver._orders.in_priority(row.instrument_id)  # type: ignore[union-attr]
    assert orders, "the market must not be empty"
    orders[0].remaining += 1
    from orders.snapshots import encode

    row.data, row.checksum = encode(orders)
    row.save()
    before = live_hash(0, rng)
    with caplog.at_level(logging.ERROR):
        assert state_hash(recover(0).engine) == before
    assert any("starting from the rows alone" in record.getMessage() for record in caplog.records)


def test_halts_limits_and_positions_survive() -> None:
    alice, bob = actor_for(make_account("alice")), actor_for(make_account("bob"))
    with running_engine():
        instrument = make_instrument(collar_bps=500)
        place(alice, "buy", "5", "100")
        place(bob, "sell", "2", "100")
        gateway.account_define(actor=OPERATOR, definition=DefineAccount(bob.account_id, max_position=2_000))
        gateway.instrument_set_phase(actor=OPERATOR, instrument_id=instrument.id, phase="halted")
    with running_engine():
        with pytest.raises(ProblemError, match="market_halted"):
            place(alice, "buy", "1", "99")
        gateway.instrument_set_phase(actor=OPERATOR, instrument_id=instrument.id, phase="continuous")
        with pytest.raises(ProblemError, match="price_collar"):  # around the last trade, which survived
            place(alice, "buy", "1", "105.01")
        with pytest.raises(ProblemError, match="risk_max_position"):
            place(bob, "sell", "0.001", "105")
    assert verify(0).differences == []


def test_twenty_thousand_open_orders_come_back_by_every_way(desk: Desk, rng: random.Random) -> None:
    """Plain ones, icebergs, some with an expiry, stops: from rows, from saved books, from what a standby had followed."""
    accounts = [desk.alice.id, desk.bob.id]
    desk.do(*(DefineAccount(account_id, max_open_orders=10**6) for account_id in accounts))
    desk.do(desk.order(desk.alice, 0, MIDDLE, 1), desk.order(desk.bob, 1, MIDDLE, 1))  # a last price, for what trails
    ids = range(1, 20_001)
    for start in range(0, len(ids), 1_000):
        desk.do(*(make_order(rng, number, accounts, [desk.instrument.id]) for number in ids[start : start + 1_000]))
    engine = desk.loop.state.engine
    assert len(engine.orders) == len(ids)
    assert state_hash(recover(0).engine) == state_hash(engine)
    BookSaver(0).save()
    warm = OpenOrders(0)
    with consistent_read():
        warm.load_rows(desk.loop.state.last_sequence)
    desk.do(*(Cancel(order_id) for order_id in rng.sample(ids, 500)))
    desk.do(*(make_order(rng, order_id, accounts, [desk.instrument.id]) for order_id in range(20_001, 20_501)))
    expected = state_hash(engine)
    assert state_hash(recover(0).engine) == expected
    assert state_hash(recover(0, warm).engine) == expected
    BookSnapshot.objects.all().delete()
    assert state_hash(recover(0).engine) == expected
