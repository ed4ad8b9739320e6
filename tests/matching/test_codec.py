"""Saved books and hashes: an engine that was saved and read back goes on exactly as the one that never stopped."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.codec import book_hash, book_lines, decode_order, encode_order
from matching.commands import (
    Amend,
    CancelAfter,
    DefineAccount,
    DefineInstrument,
    OrderGroup,
    SetPhase,
    SetSchedule,
    Transfer,
)
from matching.engine import Engine
from matching.image import load_state, state_hash, state_lines
from matching.order import Conditions, Order
from matching.values import (
    AUCTION,
    BUY,
    CLOSED,
    DAY,
    ENTRY,
    GTD,
    HALTED,
    LIMIT,
    SELL,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    STP_DECREMENT,
    STP_NONE,
    TAKE_PROFIT,
    TRAILING_STOP,
)
from tests.matching.dice import Dice
from tests.matching.driver import Pair, in_words, to_command


def restored(engine: Engine) -> Engine:
    """Another engine, from nothing but saved lines."""
    other = Engine()
    load_state(other, list(state_lines(engine)))
    other.check_invariants()
    return other


@settings(max_examples=40, deadline=None, print_blob=True)
@given(seed=st.integers(0, 10**6), before=st.integers(0, 250), after=st.integers(0, 80))
def test_a_saved_engine_goes_on_as_if_nothing_happened(seed: int, before: int, after: int) -> None:
    """Any prefix of commands, saved and read back, then the rest: equal events and equal hashes all the way."""
    dice, pair = Dice(seed), Pair()
    for _ in range(before):
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
    other = restored(pair.engine)
    assert state_hash(other) == state_hash(pair.engine)
    for _ in range(after):
        op, arguments = dice.step(pair)
        next_sequence = pair.engine.next_sequence
        events = [in_words(event) for event in pair.do(op, **arguments)]
        now, _, arguments = pair.steps[-1]
        theirs = other.apply(next_sequence, now, to_command(op, arguments))
        assert [in_words(event) for event in theirs] == events
        assert state_hash(other) == state_hash(pair.engine)
    other.check_invariants()


def test_a_thousand_interrupted_runs_equal_the_whole() -> None:
    """Random commands, saved and read back at a random point, then the rest: the same state as without, hash for hash."""
    seed = int(os.environ.get("OMS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"repeat with OMS_SEED={seed}")
    chance = random.Random(seed)
    for run in range(1_000):
        dice, pair = Dice(seed + run), Pair()
        length = chance.randint(20, 60)
        other, cut = pair.engine, chance.randrange(length)
        for number in range(length):
            op, arguments = dice.step(pair)
            next_sequence = pair.engine.next_sequence
            pair.do(op, **arguments)
            if number > cut:
                now, _, arguments = pair.steps[-1]
                other.apply(next_sequence, now, to_command(op, arguments))
            elif number == cut:
                other = restored(pair.engine)
        assert state_hash(other) == state_hash(pair.engine), f"OMS_SEED={seed}, run {run}"


def test_replay_gives_the_same_hash() -> None:
    pair, dice = Pair(), Dice(3)
    for _ in range(1_500):
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
    again = Engine()
    for at, op, arguments in pair.steps:
        again.apply(again.next_sequence, at, to_command(op, arguments))
    assert (state_hash(again), again.next_sequence) == (state_hash(pair.engine), pair.engine.next_sequence)


def small_engine() -> Engine:
    """Two instruments, three accounts, a trade, a limit; order 1 was filled in part, amended, and decremented.

    Order 6 is an iceberg of a day, 7 and 8 are waiting stops, 9 to 11 a bracket whose children are held.
    """
    engine = Engine()
    stop_limit = Conditions(stop_price=9_000, expires_at=10**15)
    bracket = [Conditions(group_id=9, role=ENTRY), Conditions(group_id=9, role=TAKE_PROFIT)]
    bracket.append(Conditions(stop_price=9_500, group_id=9, role=STOP_LOSS))
    for command in (
        DefineInstrument(1, "ACME-USD", price_decimals=2, quantity_decimals=3),
        DefineInstrument(2, "ZETA-EUR", price_tick=5, collar_bps=1000, reference_price=100),
        DefineAccount(2, max_position=50),
        Order(1, 1, 1, BUY, 10_000, 500, client_order_id="first"),
        Order(2, 2, 1, BUY, 10_000, 300, self_trade_prevention=STP_NONE),
        Order(3, 3, 1, SELL, 9_990, 200, self_trade_prevention=STP_DECREMENT),
        Amend(1, 1, 0, 450),
        Order(4, 2, 2, SELL, 105, 7, post_only=True),
        Order(5, 1, 1, SELL, 10_000, 100, self_trade_prevention=STP_DECREMENT),
        Order(6, 3, 1, SELL, 10_200, 100, time_in_force=DAY, conditions=Conditions(display_quantity=30)),
        Order(7, 3, 1, SELL, 8_900, 40, STOP_LIMIT, GTD, conditions=stop_limit),
        Order(8, 3, 1, SELL, 0, 25, TRAILING_STOP, conditions=Conditions(trail_bps=150)),
        OrderGroup(
            [
                Order(9, 2, 1, BUY, 9_900, 20, conditions=bracket[0]),
                Order(10, 2, 1, SELL, 11_000, 20, LIMIT, conditions=bracket[1]),
                Order(11, 2, 1, SELL, 0, 20, STOP, conditions=bracket[2]),
            ]
        ),
        SetSchedule(1, [(10**14, CLOSED)]),
        SetPhase(2, AUCTION, 5_000_000),
        DefineAccount(3, max_rate=10),
        DefineAccount(4, funded=True),
        Transfer(4, "USD", 10**26),
        CancelAfter(3, 60_000_000),
    ):
        engine.apply(engine.next_sequence, 0, command)
    return engine


def test_hash_is_the_same_everywhere() -> None:
    """Pinned: another machine or Python that gets another hash could not check a saved book of this one."""
    engine = small_engine()
    assert state_hash(engine) == "314d68160f1713189eedf6919d6f6277"
    assert book_hash(engine.instruments[1]) == "731632762ba864003bfb79ef7580ad69"


def test_lines_are_the_same_everywhere() -> None:
    assert list(book_lines(small_engine().instruments[1])) == [
        '[1,1,0,10000,450,150,100,2000000,0,0,1,0,1,4,2,0,"first"]',
        '[6,3,1,10200,100,100,0,0,0,3,1,0,0,14,1,0,"",70,0,0,0,30,86400000000,0,0]',
        '[9,2,0,9900,20,20,0,0,0,0,1,0,0,17,1,0,"",0,0,0,0,0,0,9,3]',
    ]


def test_round_trip() -> None:
    for number, instrument in small_engine().instruments.items():
        for line in book_lines(instrument):
            assert encode_order(decode_order(line, number)) == line


def test_ids_of_clients_survive_as_they_are() -> None:
    order = Order(1, 1, 1, BUY, 2**53 - 1, 2**53 - 1, client_order_id='quote " slash \\ \u00e4 \u2028')
    line = encode_order(order)
    assert "\n" not in line and line.isascii()
    assert decode_order(line, 1).client_order_id == order.client_order_id


@pytest.mark.parametrize("line", ["", "{}", "[]", "[1,2,3]", "null", "[1,", '"text"'])
def test_a_line_that_is_no_order(line: str) -> None:
    with pytest.raises(ValueError):
        decode_order(line, 1)


def test_hash_sees_everything_that_decides() -> None:
    """Each of these changes what a later command does, so each must change the hash."""
    seen = {state_hash(small_engine())}
    changes = (
        DefineInstrument(1, "ACME-USD", price_decimals=2, quantity_decimals=3, price_tick=5),
        DefineInstrument(1, "ACME-USD", price_decimals=2, quantity_decimals=3, breaker_us=5),
        SetPhase(2, HALTED),
        SetPhase(2, AUCTION, 6_000_000),
        SetSchedule(1, [(10**14, HALTED)]),
        DefineAccount(3, max_open_orders=5),
        CancelAfter(3, 0),
        DefineAccount(4, funded=False),
        Transfer(4, "USD", 1),
        Transfer(4, "EUR", 1),
        Order(90, 3, 1, SELL, 10_100, 1),
        Amend(1, 1, 0, 449),
        Amend(1, 1, 0, 451),
        Amend(1, 1, 0, 450),
        Amend(6, 3, display_quantity=40),
        Amend(7, 3, expires_at=2 * 10**15),
        Amend(7, 3, stop_price=9_100),
        Amend(8, 3, trail=150),
        Amend(11, 2, stop_price=9_400),
        Order(90, 2, 1, SELL, 10_000, 1),
    )
    for command in changes:
        engine = small_engine()
        engine.apply(engine.next_sequence, 0, command)
        seen.add(state_hash(engine))
    engine = small_engine()
    engine.instruments[2].last_price = 100
    seen.add(state_hash(engine))
    assert len(seen) == len(changes) + 2


def test_a_stranger_changes_nothing() -> None:
    """An account that only asked, and was refused, leaves no trace in the hash."""
    engine = small_engine()
    before = state_hash(engine)
    engine.apply(engine.next_sequence, 0, Order(90, 77, 1, SELL, 10_000, 0))
    assert 77 in engine.accounts and state_hash(engine) == before
