"""What events mean for outcomes and the record: whose doing a step is, which trades are a command's own."""

import json
import random
from typing import Any

import pytest

from matching.commands import Amend, Cancel, CancelAll, DefineAccount, DefineInstrument, SetPhase, Transfer
from matching.engine import Engine
from matching.events import (
    ACCEPTED,
    CANCELED,
    DECREMENTED,
    FILL_MAKER,
    FILL_TAKER,
    KIND_NAMES,
    PHASE_CHANGED,
    UNCROSSED,
)
from matching.order import Conditions, Order
from matching.values import (
    AUCTION,
    CONTINUOUS,
    GTC,
    IOC,
    R_LINKED_ORDER,
    R_SELF_TRADE,
    SECOND_US,
    STP_CANCEL_OLDEST,
    STP_DECREMENT,
    TRAILING_STOP,
    UNTRIGGERED,
)
from orders import selectors
from orders.batch import Batch
from orders.bus.envelope import DONE, REFUSED, Envelope, OrderRecord, Outcome
from orders.engine.recovery import recover
from orders.models import Deposit, Event, Instrument, Shard
from orders.models import Order as OrderRow
from tests.engine.desk import Desk

pytestmark = pytest.mark.django_db(transaction=True)

BUY, SELL = 0, 1
SENDER = 7


def steps() -> list[tuple[str, int | None, bool]]:
    """Kind, order and whether the sender is named, of every event since the orders were there."""
    rows = Event.objects.filter(order__isnull=False).order_by("id")
    for row in rows:
        assert row.actor_id is None or row.received_at is not None
    return [(KIND_NAMES[row.kind], row.order_id, row.actor_id == SENDER) for row in rows]


def test_the_sender_is_named_on_what_happened_to_his_order_only(desk: Desk) -> None:
    """One sell: its own acceptance and fills are its sender's doing, all that it sets off is not."""
    bid = desk.order(desk.alice, BUY, 100, 5)
    stop = desk.stop(desk.alice, BUY, 100, 5, type=2)
    desk.do(bid, stop, desk.order(desk.alice, SELL, 105, 5))
    before = len(steps())
    sell = desk.order(desk.bob, SELL, 100, 2)
    (outcome,) = desk.do(sell, actor_id=SENDER)
    assert [(kind, order_id == sell.order_id, named) for kind, order_id, named in steps()[before:]] == [
        ("accepted", True, True),
        ("fill_maker", False, False),
        ("fill_taker", True, True),
        ("triggered", False, False),
        ("canceled", False, False),  # the stop met its own account's order
    ]
    assert [(price, quantity) for _, price, quantity in outcome.fills] == [(100, 2)]


def test_a_triggered_stops_fills_are_not_those_of_the_command_that_set_it_off(desk: Desk) -> None:
    stop = desk.stop(desk.alice, BUY, 100, 3)
    desk.do(desk.order(desk.bob, SELL, 100, 5), stop)
    (outcome,) = desk.do(desk.order(desk.alice, BUY, 100, 1))
    assert [(price, quantity) for _, price, quantity in outcome.fills] == [(100, 1)]
    assert len(outcome.makers) == 1
    assert Event.objects.filter(kind=FILL_TAKER).count() == 2


def test_a_stop_that_is_through_at_entry_has_its_fills_at_once(desk: Desk) -> None:
    desk.do(desk.order(desk.bob, SELL, 100, 5), desk.order(desk.alice, BUY, 100, 1))
    stop = desk.stop(desk.alice, BUY, 99, 3)
    (outcome,) = desk.do(stop, actor_id=SENDER)
    assert [(price, quantity) for _, price, quantity in outcome.fills] == [(100, 3)]
    assert [(kind, named) for kind, order_id, named in steps() if order_id == stop.order_id] == [
        ("accepted", True),
        ("triggered", True),
        ("fill_taker", True),
    ]


def test_the_entry_of_a_bracket_that_trades_has_no_level_of_its_own(desk: Desk) -> None:
    """Its legs are accepted between it and its trades: it is a taker all the same, and never rested."""
    told: list[tuple[int, int]] = []
    desk.loop.publisher.listeners.append(
        lambda message: told.extend(level[:2] for change in message.books for level in change.levels)
    )
    desk.do(desk.order(desk.bob, SELL, 101, 10))
    told.clear()
    desk.do(desk.bracket(desk.alice, BUY, 105, 110, 90, 4))
    assert sorted(told) == [(SELL, 101), (SELL, 110)]


def test_an_arrival_is_recorded_quickly_as_it_is_the_long_way() -> None:
    """Plain orders that rest, trade, are refused or canceled: where the quick way is taken, both leave the same batch."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    engine = Engine()
    engine.apply(1, 1, DefineInstrument(1, "ACME-USD", "ACME", "USD", 2, 3))
    engine.apply(2, 1, DefineAccount(2, max_rate=1_000))
    quick, long = Batch(3, engine), Batch(3, engine)
    arrivals = 0
    for order_id in range(1, 300):
        order = Order(order_id, rng.randint(1, 2), 1, rng.randrange(2), rng.randint(98, 102), rng.randint(1, 9))
        order.time_in_force = rng.choice((GTC, GTC, IOC))
        envelope = Envelope([order], actor_id=order.account_id, received_at=5)
        events = engine.apply(engine.next_sequence, order_id, order)
        detail = rng.choice((None, "{}"))
        arrivals += [event[0] for event in events] == [ACCEPTED]
        outcomes = (
            quick.record(order, events, order_id, envelope, detail),
            long._record_any(order, events, order_id, envelope, detail),
        )
        assert plain(outcomes[0]) == plain(outcomes[1])
        assert vars(quick) == vars(long)
    assert arrivals > 50 and quick.trades and quick.rated


def plain(outcome: Outcome) -> dict[str, Any]:
    """All that an outcome says, to compare."""
    said = {name: getattr(outcome, name) for name in Outcome.__slots__}
    said["order"] = {name: getattr(outcome.order, name) for name in OrderRecord.__slots__}
    return said


def test_linked_orders_follow_without_a_sender(desk: Desk) -> None:
    pair = desk.oco(desk.alice, SELL, 110, 90, 5)
    desk.do(pair)
    desk.do(desk.order(desk.bob, BUY, 110, 2), actor_id=SENDER)
    (outcome,) = desk.do(Cancel(pair.orders[0].order_id, desk.alice.id), actor_id=SENDER)
    assert outcome.order is not None and outcome.order.id == pair.orders[0].order_id
    followed = Event.objects.filter(reason=R_LINKED_ORDER)
    assert {(row.kind, row.actor_id) for row in followed} == {(DECREMENTED, None), (CANCELED, None)}
    assert Event.objects.get(kind=CANCELED, order_id=pair.orders[0].order_id).actor_id == SENDER


@pytest.mark.parametrize("mode", [STP_CANCEL_OLDEST, STP_DECREMENT])
def test_own_orders_in_the_way_go_without_a_sender(desk: Desk, mode: int) -> None:
    resting = desk.order(desk.alice, SELL, 100, 5)
    desk.do(resting)
    taker = desk.order(desk.alice, BUY, 100, 7)
    taker.self_trade_prevention = mode
    desk.do(taker, actor_id=SENDER)
    for row in Event.objects.filter(reason=R_SELF_TRADE):
        assert (row.order_id == taker.order_id) == (row.actor_id == SENDER)


def test_cancel_all_lists_what_it_ended_and_names_the_sender_on_what_he_named(desk: Desk) -> None:
    pair = desk.oco(desk.alice, SELL, 110, 90, 5)
    other = desk.order(desk.bob, SELL, 110, 5)
    lone = desk.order(desk.alice, BUY, 50, 5)
    desk.do(pair, other, lone)
    (outcome,) = desk.do(CancelAll(desk.alice.id), actor_id=SENDER)
    assert sorted(outcome.canceled) == sorted([*(order.order_id for order in pair.orders), lone.order_id])
    (nothing,) = desk.do(CancelAll(desk.alice.id))
    assert nothing.kind == DONE and nothing.canceled == ()


def test_configuration_names_the_sender_and_an_uncross_nobody_in_it(desk: Desk) -> None:
    desk.do(SetPhase(desk.instrument.id, AUCTION), actor_id=SENDER)
    desk.do(desk.order(desk.alice, SELL, 100, 5), desk.order(desk.bob, BUY, 101, 5))
    desk.do(SetPhase(desk.instrument.id, CONTINUOUS), actor_id=SENDER)
    assert set(Event.objects.filter(kind__in=(PHASE_CHANGED, UNCROSSED)).values_list("actor_id", flat=True)) == {SENDER}
    fills = Event.objects.filter(kind__in=(FILL_MAKER, FILL_TAKER))
    assert {row.actor_id for row in fills} == {None}


def test_a_detail_is_kept_with_the_first_step_only(desk: Desk) -> None:
    bid = desk.order(desk.alice, BUY, 100, 5)
    desk.do(bid)
    envelope = desk.envelope(desk.order(desk.bob, SELL, 100, 2))
    envelope.details = ['{"asked":"so"}']
    desk.group(envelope)
    assert [(row.kind, row.detail) for row in Event.objects.exclude(detail=None)] == [(ACCEPTED, '{"asked":"so"}')]


def test_a_trailing_stop_is_answered_where_it_stands_and_its_row_does_not_move(desk: Desk) -> None:
    """Its stop follows the market without a row or event of its own; the answer, the tables and the engine agree."""
    desk.do(desk.order(desk.bob, BUY, 100, 9), desk.order(desk.alice, SELL, 100, 1))
    trail = desk.stop(desk.alice, SELL, 0, 2, type=TRAILING_STOP, trail=7)
    (outcome,) = desk.do(trail)
    assert outcome.order is not None and (outcome.order.stop_price, outcome.order.trail) == (93, 7)
    untouched = OrderRow.objects.get(id=trail.order_id)
    assert (untouched.status, untouched.stop_price, selectors.trail_best(untouched)) == (UNTRIGGERED, None, 100)
    desk.do(desk.order(desk.bob, SELL, 104, 1), desk.order(desk.alice, BUY, 104, 1))
    row = OrderRow.objects.get(id=trail.order_id)
    assert row.sequence == untouched.sequence and selectors.trail_best(row) == 104
    assert json.loads(Instrument.objects.get().trails) == {"buy": [], "sell": [[row.priority, 104]]}
    desk.start()
    (amended,) = desk.do(Amend(trail.order_id, desk.alice.id, expected_version=1, trail=4))
    assert amended.order is not None and amended.order.stop_price == 100
    desk.do(desk.order(desk.alice, SELL, 100, 1))
    row = OrderRow.objects.get(id=trail.order_id)
    assert (row.status, row.stop_price) == (3, 100)
    assert json.loads(Instrument.objects.get().trails) == {"buy": [], "sell": []}


def test_counted_messages_are_remembered_even_where_they_were_refused(desk: Desk) -> None:
    desk.do(DefineAccount(desk.alice.id, max_rate=3))
    order = desk.order(desk.alice, BUY, 100, 5)
    order.post_only = True
    desk.do(order, desk.order(desk.bob, SELL, 105, 5))
    before = selectors.message_rate(account_id=desk.alice.id, shard_id=0)
    (refused,) = desk.do(Amend(order.order_id, desk.alice.id, 105))  # it would trade
    assert refused.kind == REFUSED
    after = selectors.message_rate(account_id=desk.alice.id, shard_id=0)
    assert after == before + SECOND_US // 3
    assert recover(0).engine.accounts[desk.alice.id].rate_at == after
    batch = Shard.objects.get(id=0).batch
    (limited,) = desk.do(Amend(order.order_id, desk.alice.id, 104))
    (limited,) = desk.do(Amend(order.order_id, desk.alice.id, 103))
    assert limited.kind == REFUSED and Shard.objects.get(id=0).batch == batch + 1, "what was not counted is not written"


def test_money_survives_and_its_event_tells_how_much(desk: Desk) -> None:
    desk.do(DefineAccount(desk.alice.id, funded=True), Transfer(desk.alice.id, "USD", 10**24 * 10**9))
    desk.do(Transfer(desk.alice.id, "USD", -(10**24)), actor_id=SENDER)
    assert Deposit.objects.get().amount == 10**24 * (10**9 - 1)
    event = Event.objects.order_by("-id").first()
    assert event is not None and event.account_id == desk.alice.id and event.actor_id == SENDER
    assert json.loads(event.detail) == {"currency": "USD", "amount": -(10**24)}
    desk.start()
    account = desk.loop.state.engine.accounts[desk.alice.id]
    assert account.funded and account.deposits == {"USD": 10**24 * (10**9 - 1)}
    (refused,) = desk.do(Transfer(desk.alice.id, "USD", -(10**24) * 10**9))
    assert refused.kind == REFUSED


def test_an_iceberg_shows_its_tip_and_hides_the_rest_across_a_crash(desk: Desk) -> None:
    iceberg = desk.order(desk.alice, SELL, 100, 10)
    iceberg.conditions = Conditions(display_quantity=4)
    desk.do(iceberg)
    desk.start()
    desk.do(desk.order(desk.bob, BUY, 100, 5))
    row = OrderRow.objects.get(id=iceberg.order_id)
    assert (row.remaining, row.hidden, row.display_quantity) == (5, 2, 4)
    assert row.priority > Event.objects.filter(order_id=row.id).order_by("id")[0].sequence
