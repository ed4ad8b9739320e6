"""Instruments that move between shards: halted, with everything that is open of them, and back."""

import random
from time import time_ns
from typing import Any

import pytest

from matching.commands import Command, DefineAccount, SetPhase
from matching.events import KIND_NAMES
from matching.order import Order as CoreOrder
from matching.transit import AdoptInstrument, ReleaseInstrument
from matching.values import CONTINUOUS, HALTED, LAST_OPEN_STATUS, R_INVALID_COMMAND, R_UNKNOWN_SYMBOL, SELL
from orders import gateway, history, selectors
from orders.bus.envelope import DONE, REFUSED, Outcome
from orders.engine.recovery import recover
from orders.engine.verification import verify
from orders.fields import datetime_to_micros
from orders.models import Event, Instrument, Order, Position, Trade
from orders.models.market import IN_TRANSIT
from orders.models.trading import event_id
from orders.schemas.orders import AmendOrder, OrderFilter
from orders.schemas.problems import ProblemError
from orders.snapshots import BookSaver
from orders.submission import submit, wait
from tests.support.market import OPERATOR, actor_for, make_account, place, set_phase

pytestmark = pytest.mark.django_db(transaction=True)

# What a move changes of an order.
NUMBERS = ("shard_id", "priority", "sequence", "updated_at")


@pytest.fixture
def alice(shards):
    return actor_for(make_account("alice"))


@pytest.fixture
def bob(shards):
    return actor_for(make_account("bob"))


def move(symbol: str = "ACME-USD", to: int = 1) -> None:
    set_phase("halted", symbol)
    gateway.instrument_move(actor=OPERATOR, symbol=symbol, shard_id=to)


def code_of(attempt) -> str:
    with pytest.raises(ProblemError) as raised:
        attempt()
    return raised.value.code.name


def standing(symbol: str = "ACME-USD") -> list[dict[str, Any]]:
    """Every order of an instrument, in its order of priority, without what a move changes."""
    info = selectors.instrument_get(symbol=symbol)
    rows = Order.objects.filter(instrument_id=info.id).order_by("priority").values()
    opened = [row for row in rows if row["status"] <= LAST_OPEN_STATUS]
    return [{key: value for key, value in row.items() if key not in NUMBERS} for row in opened]


def a_bit_of_everything(alice, bob) -> None:
    """Queues, a partly filled iceberg, stops of every kind, a pair, a bracket that waits and one that is live."""
    place(alice, "buy", "5", "99")
    place(bob, "buy", "3", "99")
    place(alice, "sell", "10", "101", display_quantity="2")
    place(bob, "buy", "3", "101")  # eats the iceberg's first tip and half of the next
    place(bob, "sell", "4", "101")
    place(alice, "sell", "1", None, type="stop", stop_price="98")
    place(bob, "sell", "1", None, type="trailing_stop", trail_price="2")
    place(alice, "buy", "2", None, type="trailing_stop", trail_percent="1.5")
    linked = {"stop_loss": {"stop_price": "90"}}
    place(alice, "sell", "2", "105", order_class="oco", **linked)
    place(bob, "buy", "2", "95", order_class="bracket", take_profit={"price": "110"}, **linked)
    place(bob, "buy", "1", "101", order_class="bracket", take_profit={"price": "111"}, **linked)
    place(alice, "buy", "1", "97", time_in_force="gtd", expires_at="2040-01-01T00:00:00Z")


# What stays and what changes


def test_everything_that_is_open_moves_as_it_stands(shards, alice, bob):
    a_bit_of_everything(alice, bob)
    set_phase("halted")
    before, hidden = standing(), recover(0)
    gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)
    assert standing() == before and len(before) > 10
    row = Instrument.objects.get(symbol="ACME-USD")
    assert (row.shard_id, row.moving_to) == (1, None)
    assert set(
        Order.objects.filter(instrument=row, status__lte=LAST_OPEN_STATUS).values_list("shard_id", flat=True)
    ) == {1}
    # What decides the next command is the same, but for the places in the queue.
    assert timeless(recover(1), row.id) == timeless(hidden, row.id)
    assert timeless(shards[1].loop.state, row.id) == timeless(hidden, row.id)
    assert row.id not in shards[0].loop.state.engine.instruments
    shards[1].loop.state.engine.check_invariants()
    shards[0].loop.state.engine.check_invariants()


def timeless(state: Any, instrument_id: int) -> list[Any]:
    """What is open of an instrument and who holds what, each order's place in the queue replaced by its rank."""
    engine = state.engine
    orders = sorted(
        (one for one in engine.orders.values() if one.instrument_id == instrument_id), key=lambda one: one.priority
    )
    rank = {order.priority: number for number, order in enumerate(orders)}
    best = [(order.order_id, order.conditions.best if order.conditions else 0) for order in orders]
    groups = sorted(engine.groups)
    terms = [(one.order_id, one.remaining, one.hidden, one.status, rank[one.priority]) for one in orders]
    held = sorted(
        (key, one.open_buy, one.open_sell, one.rest_value, one.waiting_sell, one.bought, one.sold)
        for key, one in engine.instruments[instrument_id].holdings.items()
    )
    return [best, groups, terms, held]


def test_it_trades_on_in_its_old_order(shards, alice, bob):
    first = place(alice, "buy", "1", "99").order.id
    second = place(bob, "buy", "1", "99").order.id
    third = place(alice, "buy", "1", "99.5").order.id
    move()
    set_phase("continuous")
    carol = actor_for(make_account("carol"))
    taken = place(carol, "sell", "3", "99")
    assert list(taken.makers) == [third, first, second]
    assert taken.order.shard_id == 1
    assert gateway.order_cancel_matching(actor=alice).canceled == ()


def test_orders_can_be_amended_and_canceled_where_they_are_now(shards, alice):
    order = place(alice, "buy", "5", "99").order.id
    move()
    assert (
        code_of(lambda: gateway.order_amend(actor=alice, order_id=order, request=AmendOrder(price="98")))
        == "market_halted"
    )
    assert gateway.order_cancel(actor=alice, order_id=order).order.shard_id == 1


def test_the_life_of_an_order_is_told_in_its_order(shards, alice, bob):
    """Also where it went from a shard with a higher number to one with a lower, and back."""
    order = place(alice, "buy", "9", "99").order.id
    for target in (1, 0, 1):
        place(bob, "sell", "1", "99")
        move(to=target)
        set_phase("continuous")
    place(bob, "sell", "6", "99")
    events = selectors.order_event_list(account_id=alice.account_id, order_id=order)
    names = [KIND_NAMES[event.kind] for event in events]
    assert names == ["accepted", *["fill_maker", "moved"] * 3, "fill_maker"]
    assert [event.shard_id for event in events] == [0, 0, 1, 1, 0, 0, 1, 1]
    assert [event.remaining for event in events] == [9_000, 8_000, 8_000, 7_000, 7_000, 6_000, 6_000, 0]
    trades, _ = selectors.trade_list(symbol="ACME-USD", cursor=None, limit=10)
    assert [trade.shard_id for trade in trades] == [1, 0, 1, 0]
    page, cursor = selectors.trade_list(symbol="ACME-USD", cursor=None, limit=2)
    rest, _ = selectors.trade_list(symbol="ACME-USD", cursor=cursor, limit=10)
    assert page + rest == trades
    fills, _ = selectors.fill_list(account_id=alice.account_id, symbol=None, order_id=None, cursor=None, limit=10)
    assert [fill.shard_id for fill in fills] == [1, 0, 1, 0]
    assert Position.objects.get(account_id=alice.account_id).bought == 9_000


# On the way


def test_between_the_shards_nobody_has_it_and_everybody_is_told_to_try_again(shards, alice):
    order = place(alice, "buy", "5", "99").order.id
    other = place(alice, symbol="BOLT-USD").order.id
    set_phase("halted")
    assert let_go().kind == DONE
    assert Order.objects.get(id=order).shard_id == IN_TRANSIT
    for attempt in (
        lambda: place(alice),
        lambda: gateway.order_cancel(actor=alice, order_id=order),
        lambda: gateway.order_amend(actor=alice, order_id=order, request=AmendOrder(price="98")),
        lambda: gateway.order_cancel_matching(actor=alice, symbol="ACME-USD"),
        lambda: set_phase("continuous"),
    ):
        with pytest.raises(ProblemError) as raised:
            attempt()
        assert (raised.value.code.name, raised.value.code.retryable) == ("engine_unavailable", True)
    for engine in (shards[0], shards[1]):
        engine.stop()
        engine.start()
    assert verify(0).differences == verify(1).differences == []
    assert gateway.order_cancel(actor=alice, order_id=other)
    # Whoever asks again goes on with it, and only there.
    with pytest.raises(ProblemError, match="on its way"):
        gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=0)
    gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)
    assert gateway.order_cancel(actor=alice, order_id=order).order.shard_id == 1


def carry_out(command: Command, shard_id: int) -> Outcome:
    """A command by itself, past the questions that are asked before."""
    (outcome,) = wait(submit([command], lambda found: found, shards=[shard_id], actor=OPERATOR))
    return outcome


def let_go(symbol: str = "ACME-USD", to: int = 1) -> Outcome:
    """The first half of a move."""
    row = selectors.instrument_get(symbol=symbol)
    return carry_out(ReleaseInstrument(row.id, to), row.shard_id)


def test_no_engine_lets_go_before_the_other_has_answered(shards, alice):
    order = place(alice, "buy", "5", "99").order.id
    set_phase("halted")
    shards[1].bus.close()
    with pytest.raises(ProblemError) as raised:
        gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)
    assert raised.value.detail == "The engine of shard 1 is not running."
    assert gateway.order_cancel(actor=alice, order_id=order).order.shard_id == 0


def test_adopting_twice_is_adopting_once(shards, alice):
    place(alice, "buy", "5", "99")
    move()
    events = Event.objects.count()
    row = selectors.instrument_get(symbol="ACME-USD")
    assert carry_out(AdoptInstrument(row.id), 1).kind == DONE
    assert Event.objects.count() == events
    # And where it is not on its way to, not at all.
    assert carry_out(AdoptInstrument(row.id), 0).reason == R_UNKNOWN_SYMBOL


# What may not move


def test_only_what_is_halted_moves(shards):
    with pytest.raises(ProblemError, match="halt it first"):
        gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)
    assert let_go().reason == R_INVALID_COMMAND
    set_phase("halted")
    with pytest.raises(ProblemError, match="there already"):
        gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=0)
    with pytest.raises(ProblemError, match="no such shard"):
        gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=7)


@pytest.mark.parametrize("funded", [True, False])
def test_money_stays_where_it_is(shards, alice, bob, funded):
    """Who pays for what they do, or has money there, keeps an instrument where it is once they are in it."""
    gateway.account_transfer(actor=OPERATOR, account_id=alice.account_id, currency="USD", amount=10**30, shard_id=0)
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(alice.account_id, funded=funded))
    order = place(alice, "buy", "1", "99").order.id
    set_phase("halted")
    with pytest.raises(ProblemError, match=r"money does not move along.*: alice"):
        gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)
    # The engine says so too, to whoever did not ask.
    assert let_go().reason == R_INVALID_COMMAND
    gateway.order_cancel(actor=alice, order_id=order)
    gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)


# Saved books, books of the past


def test_saved_books_follow(shards, alice, bob):
    savers = {0: BookSaver(0), 1: BookSaver(1)}
    place(alice, "buy", "5", "99")
    gone = place(bob, "buy", "2", "98").order.id
    for saver in savers.values():
        saver.save()
    for target in (1, 0, 1):
        move(to=target)
        set_phase("continuous")
        place(bob, "sell", "1", "99")
        if target == 0:
            gateway.order_cancel(actor=bob, order_id=gone)
        for saver in savers.values():
            saver.save()
        for shard_id in (0, 1):
            assert verify(shard_id).differences == []
            shards[shard_id].stop()
            shards[shard_id].start()
    assert savers[1].save() is None


def test_a_saver_that_sleeps_through_two_moves_forgets_what_ended_elsewhere(shards, alice, bob):
    saver = BookSaver(0)
    order = place(alice, "buy", "5", "99").order.id
    kept = place(alice, "buy", "5", "98").order.id
    saver.save()
    move(to=1)
    gateway.order_cancel(actor=alice, order_id=order)
    move(to=0)
    saver.save()
    assert verify(0).differences == []
    assert [row.order_id for row in saver._orders.in_priority(selectors.instrument_get(symbol="ACME-USD").id)] == [kept]


def test_books_of_the_past_begin_with_the_arrival(shards, alice, bob):
    place(alice, "sell", "10", "101", display_quantity="2")
    place(bob, "buy", "5", "99")
    place(bob, "sell", "1", None, type="stop", stop_price="90")
    move()
    info = selectors.instrument_by_symbol("ACME-USD")
    row = Instrument.objects.get(id=info.id)
    arrived = row.since_sequence
    last = Event.objects.filter(id__gt=event_id(1, 0)).count()
    book = history.book_at(info=info, sequence=last, depth=10)
    assert (book.bids, book.asks) == ([(9_900, 5_000, 1)], [(10_100, 2_000, 1)])
    assert book.sequence == row.book_sequence
    assert history.book_at(info=info, sequence=arrived, depth=10).bids == []
    assert code_of(lambda: history.book_at(info=info, sequence=arrived - 1, depth=10)) == "history_too_long"
    set_phase("continuous")
    place(bob, "buy", "3", "101")  # the tip, and half of the next
    now = history.book_at(info=info, sequence=current(1), depth=10)
    assert now.asks == [(10_100, 1_000, 1)]


def current(shard_id: int) -> int:
    return next(row.last_sequence for row in selectors.shard_list() if row.id == shard_id)


# Random markets


@pytest.mark.parametrize("run", range(3))
def test_a_random_market_with_moves_in_the_middle(shards, run, request):
    """Two instruments change shards now and then while everybody trades; the tables of both shards always agree."""
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    chance = random.Random(seed)
    cast = [actor_for(make_account(name)) for name in ("alice", "bob", "carol")]
    savers = [BookSaver(0), BookSaver(1)]
    where = {"ACME-USD": 0, "BOLT-USD": 1}
    for step in range(140):
        symbol, actor = chance.choice(list(where)), chance.choice(cast)
        try:
            if step % 23 == 22:
                before = standing_halted(symbol)
                where[symbol] = 1 - where[symbol]
                gateway.instrument_move(actor=OPERATOR, symbol=symbol, shard_id=where[symbol])
                assert standing(symbol) == before, seed
                set_phase("continuous", symbol)
            elif step % 31 == 30:
                chance.choice(savers).save()
            elif step % 37 == 36:
                again = shards[chance.randrange(2)]
                again.stop()
                again.start()
            else:
                act(chance, actor, symbol)
        except ProblemError as problem:
            assert problem.code.status < 500, (seed, step, problem)
    for shard_id in (0, 1):
        assert verify(shard_id).differences == [], seed
    bought = sum(row.bought for row in Position.objects.all())
    assert bought == sum(trade.quantity for trade in Trade.objects.all()), seed


def standing_halted(symbol: str) -> list[dict[str, Any]]:
    set_phase("halted", symbol)
    return standing(symbol)


def act(chance: random.Random, actor: Any, symbol: str) -> None:
    """One thing that a trader does."""
    side = chance.choice(["buy", "sell"])
    price = str(100 + chance.randrange(-4, 5))
    kind = chance.randrange(9)
    if kind < 4:
        place(actor, side, str(chance.randrange(1, 6)), price, symbol=symbol)
    elif kind == 4:
        place(actor, side, "10", price, symbol=symbol, display_quantity="2")
    elif kind == 5:
        stop = str(100 + (6 if side == "buy" else -6))
        place(actor, side, "2", None, symbol=symbol, type="stop", stop_price=stop)
    elif kind == 6:
        place(actor, side, "2", None, symbol=symbol, type="trailing_stop", trail_price="2")
    elif kind == 7:
        away = 1 if side == "buy" else -1
        legs = {"take_profit": {"price": str(100 + 8 * away)}, "stop_loss": {"stop_price": str(100 - 8 * away)}}
        place(actor, side, "2", price, symbol=symbol, order_class="bracket", **legs)
    else:
        rows, _ = selectors.order_list(account_id=actor.account_id, filters=OrderFilter(status="open"))
        if rows:
            gateway.order_cancel(actor=actor, order_id=chance.choice(rows).id)


# Commands in one group


def test_a_group_that_trades_halts_and_lets_go(shards, alice, bob):
    """What was done before it in the same commit is written too, and what comes after it finds no instrument."""
    resting = place(alice, "buy", "5", "99").order.id
    info = selectors.instrument_by_symbol("ACME-USD")
    taker = CoreOrder(gateway.order_ids.next(), bob.account_id, info.id, SELL, 9_900, 2_000)
    late = CoreOrder(gateway.order_ids.next(), bob.account_id, info.id, SELL, 9_900, 1_000)
    commands = [taker, SetPhase(info.id, HALTED), ReleaseInstrument(info.id, 1), late, SetPhase(info.id, CONTINUOUS)]
    outcomes = wait(submit(commands, lambda found: found, shards=[0] * 5, actor=OPERATOR))
    assert [outcome.kind for outcome in outcomes] == [DONE] * 3 + [REFUSED] * 2
    row = Order.objects.get(id=resting)
    assert (row.filled, row.shard_id) == (2_000, IN_TRANSIT)
    outcomes = wait(
        submit(
            [AdoptInstrument(info.id), SetPhase(info.id, CONTINUOUS), late],
            lambda found: found,
            shards=[1] * 3,
            actor=OPERATOR,
        )
    )
    assert [outcome.kind for outcome in outcomes] == [DONE] * 3
    row.refresh_from_db()
    assert (row.filled, row.shard_id) == (3_000, 1)
    assert Instrument.objects.get(id=info.id).last_trade_sequence > 0


def test_time_does_not_go_back_between_shards(shards, alice):
    """The other shard's clock is behind: its commit stands after the one that let go all the same."""
    place(alice, "buy", "5", "99")
    set_phase("halted")
    shards[0].loop.clock = lambda: time_ns() // 1000 + 3_600_000_000
    let_go()
    gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)
    row = Instrument.objects.get(symbol="ACME-USD")
    arrived = Event.objects.get(id=event_id(1, row.since_sequence))
    assert datetime_to_micros(arrived.at) > row.moved_at
