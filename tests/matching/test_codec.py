"""Saved books and hashes: an engine that was saved and read back goes on exactly as the one that never stopped."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.codec import book_hash, book_lines, decode_order, encode_order, state_hash
from matching.commands import Amend, DefineAccount, DefineInstrument, SetPhase
from matching.engine import Engine
from matching.order import Order
from matching.state import Account, Instrument
from matching.values import BUY, HALTED, SELL, STP_DECREMENT, STP_NONE
from tests.matching.driver import Dice, Pair, in_words, to_command


def restored(engine: Engine) -> Engine:
    """Another engine, from nothing but saved lines and the rows that a database has of the rest."""
    other = Engine()
    for number, account in engine.accounts.items():
        limits = (account.state, account.max_open_orders, account.max_order_quantity, account.max_position)
        other.accounts[number] = Account(number, *limits)
    for number, ours in engine.instruments.items():
        rules = (ours.price_tick, ours.quantity_step, ours.min_quantity, ours.max_quantity, ours.max_notional)
        decimals = (ours.price_decimals, ours.quantity_decimals)
        more = (ours.collar_bps, ours.reference_price, ours.phase, other.orders)
        instrument = other.instruments[number] = Instrument(number, ours.symbol, *decimals, *rules, *more)
        instrument.last_price = ours.last_price
        for account_id, holding in ours.holdings.items():
            copy = other.holding(account_id, instrument)
            copy.bought, copy.bought_notional = holding.bought, holding.bought_notional
            copy.sold, copy.sold_notional = holding.sold, holding.sold_notional
        for line in list(book_lines(ours)):
            other.restore(decode_order(line, number))
    other.check_invariants()
    return other


@settings(max_examples=40, deadline=None, print_blob=True)
@given(seed=st.integers(0, 10**6), before=st.integers(0, 150), after=st.integers(0, 60))
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
        events = other.apply(pair.engine.next_sequence, len(pair.steps) + 1, to_command(op, arguments))
        assert [in_words(event) for event in events] == [in_words(event) for event in pair.do(op, **arguments)]
        assert state_hash(other) == state_hash(pair.engine)
    other.check_invariants()


def test_replay_gives_the_same_hash() -> None:
    pair, dice = Pair(), Dice(3)
    for _ in range(800):
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
    again = Engine()
    for at, (op, arguments) in enumerate(pair.steps, 1):
        again.apply(again.next_sequence, at, to_command(op, arguments))
    assert (state_hash(again), again.next_sequence) == (state_hash(pair.engine), pair.engine.next_sequence)


def small_engine() -> Engine:
    """Two instruments, three accounts, a trade, a limit; order 1 was filled in part, amended, and decremented."""
    engine = Engine()
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
    ):
        engine.apply(engine.next_sequence, 0, command)
    return engine


def test_hash_is_the_same_everywhere() -> None:
    """Pinned: another machine or Python that gets another hash could not check a saved book of this one."""
    engine = small_engine()
    assert state_hash(engine) == "f2cd6459e5bc7b17db299f44ad39a67b"
    assert book_hash(engine.instruments[1]) == "385cf7bc82be25978670133e6e21394b"


def test_lines_are_the_same_everywhere() -> None:
    assert list(book_lines(small_engine().instruments[1])) == [
        '[1,1,0,10000,450,150,100,2000000,0,0,1,0,1,4,2,0,"first"]'
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
        SetPhase(2, HALTED),
        DefineAccount(3, max_open_orders=5),
        Order(9, 3, 1, SELL, 10_100, 1),
        Amend(1, 1, 0, 449),
        Amend(1, 1, 0, 451),
        Amend(1, 1, 0, 450),
        Order(9, 3, 1, SELL, 10_000, 1),
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
    engine.apply(engine.next_sequence, 0, Order(9, 77, 1, SELL, 10_000, 0))
    assert 77 in engine.accounts and state_hash(engine) == before
