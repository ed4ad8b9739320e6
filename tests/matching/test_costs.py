"""What must not grow: numbers beyond a machine word, cascades, many orders at one price, reminders nobody needs."""

from __future__ import annotations

import time

from matching.commands import Amend, Cancel, DefineInstrument, SetPhase
from matching.engine import Engine
from matching.order import Conditions, Order
from matching.timers import SPARE_REMINDERS
from matching.values import (
    AUCTION,
    BUY,
    CONTINUOUS,
    FOK,
    GTC,
    GTD,
    LIMIT,
    MARKET,
    MAX_UNITS,
    SELL,
    STOP,
    STP_NONE,
    TRAILING_STOP,
)


def new_engine() -> Engine:
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "ACME-USD"))
    return engine


def do(engine: Engine, command: Order | Cancel | Amend | SetPhase, at: int = 0) -> int:
    """Apply a command; answers how many events it had."""
    return len(engine.apply(engine.next_sequence, at, command))


def test_sums_pass_a_machine_word() -> None:
    """2,000 orders of the largest quantity at the largest price: level, holdings and values beyond 64 bits, all exact."""
    engine = new_engine()
    count = 2_000
    for number in range(1, count + 1):
        do(engine, Order(number, 1, 1, SELL, MAX_UNITS, MAX_UNITS))
    level = engine.instruments[1].book.best_ask()
    assert level is not None and level.quantity == count * MAX_UNITS > 2**63
    engine.check_invariants()
    assert do(engine, Order(count + 1, 2, 1, BUY, MAX_UNITS, MAX_UNITS, LIMIT, FOK)) == 3
    bought = engine.instruments[1].holdings[2]
    assert (bought.bought, bought.bought_notional) == (MAX_UNITS, MAX_UNITS**2)
    for number in range(2, count + 1):
        do(engine, Cancel(number))
    assert engine.instruments[1].book.best_ask() is None
    engine.check_invariants()


def test_an_iceberg_hides_beyond_a_machine_word() -> None:
    engine = new_engine()
    tip = MAX_UNITS // 1_000 + 1
    for number in range(1, 2_001):
        do(engine, Order(number, 1, 1, SELL, 5, MAX_UNITS, conditions=Conditions(display_quantity=tip)))
    level = engine.instruments[1].book.best_ask()
    assert level is not None and (level.quantity, level.hidden) == (2_000 * tip, 2_000 * (MAX_UNITS - tip))
    engine.check_invariants()


def test_a_call_auction_crosses_beyond_a_machine_word() -> None:
    """Buys that rest and trade at the largest price: what they reserved and paid passes 64 bits with the first of them."""
    engine = new_engine()
    do(engine, SetPhase(1, AUCTION))
    for number in range(1, 4):
        do(engine, Order(number, 1, 1, BUY, MAX_UNITS, MAX_UNITS))
    do(engine, Order(4, 2, 1, SELL, MAX_UNITS, MAX_UNITS))
    buyer = engine.instruments[1].holdings[1]
    assert buyer.rest_value == 3 * MAX_UNITS**2
    do(engine, SetPhase(1, CONTINUOUS))
    assert (buyer.rest_value, buyer.bought_notional) == (2 * MAX_UNITS**2, MAX_UNITS**2)
    engine.check_invariants()


def cascade(stops: int) -> float:
    """Seconds a stop of one trade that fires so many, each moving the price to the next."""
    engine = new_engine()
    for number in range(1, stops + 1):
        do(engine, Order(number, 1, 1, SELL, 100 + number, 1, LIMIT, GTC, STP_NONE))
        stop = Conditions(stop_price=100 + number)
        do(engine, Order(stops + number, 2, 1, BUY, 0, 1, STOP, GTC, STP_NONE, conditions=stop))
    do(engine, Order(3 * stops, 1, 1, SELL, 101 + stops, 1, LIMIT, GTC, STP_NONE))
    start = time.perf_counter()
    assert do(engine, Order(4 * stops, 2, 1, BUY, 101, 1, LIMIT, GTC, STP_NONE)) == 3 + 3 * stops
    seconds = time.perf_counter() - start
    assert not engine.orders
    engine.check_invariants()
    return seconds / stops


def test_a_cascade_of_ten_thousand_stops_is_linear() -> None:
    """A stop costs about the same among 10,000 as among 1,000; a search of the rest would cost ten times as much."""
    small = min(cascade(1_000) for _ in range(3))
    assert min(cascade(10_000) for _ in range(2)) < 4 * small


def test_a_trailing_cascade_of_ten_thousand() -> None:
    engine = new_engine()
    count = 10_000
    do(engine, Order(1, 1, 1, SELL, 50_000, 1))
    do(engine, Order(2, 2, 1, BUY, 50_000, 1))
    for number in range(count):
        do(engine, Order(10 + number, 3, 1, SELL, 0, 1, TRAILING_STOP, conditions=Conditions(trail=1 + number)))
        do(engine, Order(100_000 + number, 4, 1, BUY, 49_999 - number, 1))
    assert do(engine, Order(3, 1, 1, SELL, 0, 1, MARKET)) > 3 * (count - 1)
    assert not engine.instruments[1].stops.waiting_count
    engine.check_invariants()


def test_reminders_do_not_pile_up() -> None:
    """Orders that are canceled long before they would expire leave nothing behind for ever."""
    engine = new_engine()
    for number in range(1, 4 * SPARE_REMINDERS):
        do(engine, Order(number, 1, 1, BUY, 5, 1, LIMIT, GTD, conditions=Conditions(expires_at=10**9)))
        do(engine, Amend(number, 1, expires_at=2 * 10**9))
        do(engine, Cancel(number, 1))
    assert len(engine.timers) <= SPARE_REMINDERS + 10
