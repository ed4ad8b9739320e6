"""The ladder of refusals, row by row: of two reasons that both hold, the upper one is the answer."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any, NamedTuple

import pytest

from matching.checks import proposal, refusal
from matching.commands import Amend, Cancel, DefineAccount, DefineInstrument, SetPhase
from matching.engine import Engine
from matching.events import ACCEPTED, COMMAND_REFUSED, KIND, REASON, REJECTED
from matching.explaining import explain
from matching.order import Conditions, Order
from matching.values import (
    ACCOUNT_HALTED,
    ACTIVE,
    AUCTION,
    BUY,
    CLOSED,
    CONTINUOUS,
    FOK,
    GTC,
    HALTED,
    IOC,
    LIMIT,
    MARKET,
    MAX_TRAILING_STOPS,
    PRE_OPEN,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    REASON_NAMES,
    REDUCING,
    SELL,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
)
from tests.matching.dice import Dice
from tests.matching.driver import Pair, to_order

ALICE, BOB = 1, 2


class Rung(NamedTuple):
    """One row of the ladder: the reason, and what makes the plain order (buy 10 @ 100) fail it."""

    reason: str
    instrument: dict[str, int] = {}
    account: dict[str, int] = {}
    order: dict[str, Any] = {}
    phase: int = CONTINUOUS


LADDER = [
    Rung("unknown_symbol", order={"instrument_id": 9}),
    Rung("duplicate_order_id", order={"order_id": 1}),
    Rung("market_halted", phase=HALTED),
    Rung("market_closed", phase=CLOSED),
    Rung("market_not_continuous", order={"time_in_force": IOC}, phase=AUCTION),
    Rung("account_halted", account={"state": ACCOUNT_HALTED}),
    Rung("account_reducing_only", account={"state": REDUCING}),
    Rung("price_not_on_tick", order={"off_grid": PRICE_OFF_GRID}),
    Rung("price_not_on_tick", instrument={"price_tick": 7}),
    Rung("quantity_not_on_step", order={"off_grid": QUANTITY_OFF_GRID}),
    Rung("quantity_not_on_step", instrument={"quantity_step": 3}),
    Rung("quantity_below_minimum", instrument={"min_quantity": 20}),
    Rung("risk_max_quantity", instrument={"max_quantity": 5}),
    Rung("display_quantity_too_small", order={"display_quantity": 1, "quantity": 2_000}),
    Rung("price_collar", instrument={"collar_bps": 100, "reference_price": 50}),
    Rung("risk_max_quantity", account={"max_order_quantity": 5}),
    Rung("risk_max_notional", instrument={"max_notional": 999}),
    Rung("risk_max_open_orders", account={"max_open_orders": 0}),
    Rung("risk_max_position", account={"max_position": 9}),
    Rung("insufficient_funds", account={"funded": True}),
    Rung("rate_limited", account={"max_rate": 1}),
    Rung("post_only_would_cross", order={"post_only": True}),
]


def compatible(upper: Rung, lower: Rung) -> bool:
    """Whether one order can fail both: not where they need different values of the same thing."""
    keys = {"price_tick", "quantity_step", "state", "instrument_id"}
    first, second = ({*rung.instrument, *rung.account, *rung.order} & keys for rung in (upper, lower))
    both_phases = upper.phase != CONTINUOUS and lower.phase != CONTINUOUS
    small = "min_quantity" in upper.instrument
    no_such_quantity = small and ("max_quantity" in lower.instrument or "quantity" in lower.order)
    # Where nothing trades, a post-only order may cross.
    no_crossing = upper.phase != CONTINUOUS and "post_only" in lower.order
    return not (first & second) and not both_phases and not no_such_quantity and not no_crossing


def world(rungs: list[Rung]) -> Engine:
    """An engine with bob's sell 3 @ 100 in the book (order 1), and the rules of the rungs."""
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "ACME-USD"))
    engine.apply(2, 0, Order(1, BOB, 1, SELL, 100, 3))
    rules: dict[str, int] = {}
    limits: dict[str, int] = {}
    for rung in rungs:
        rules |= rung.instrument
        limits |= rung.account
    engine.apply(engine.next_sequence, 0, DefineInstrument(1, "ACME-USD", **rules))
    engine.apply(engine.next_sequence, 0, DefineAccount(ALICE, **limits))
    if "max_rate" in limits:
        engine.accounts[ALICE].rate_at = 10**6  # the message of this second is sent
    for rung in rungs:
        if rung.phase != CONTINUOUS:
            engine.apply(engine.next_sequence, 0, SetPhase(1, rung.phase))
    return engine


def order(rungs: list[Rung]) -> Order:
    fields: dict[str, Any] = {"order_id": 2, "instrument_id": 1, "off_grid": 0, "post_only": False, "quantity": 10}
    fields |= {"time_in_force": GTC, "display_quantity": 0}
    for rung in rungs:
        for key, value in rung.order.items():
            fields[key] = fields[key] | value if key == "off_grid" else value
    return Order(
        fields["order_id"],
        ALICE,
        fields["instrument_id"],
        BUY,
        100,
        fields["quantity"],
        time_in_force=fields["time_in_force"],
        post_only=fields["post_only"],
        off_grid=fields["off_grid"],
        conditions=Conditions(display_quantity=fields["display_quantity"]) if fields["display_quantity"] else None,
    )


def answer(engine: Engine, command: Order | Amend) -> tuple[int, str]:
    [event] = engine.apply(engine.next_sequence, 0, command)
    engine.check_invariants()
    return event[KIND], REASON_NAMES[event[REASON]]


def test_the_plain_order_is_accepted() -> None:
    engine = world([])
    events = engine.apply(engine.next_sequence, 0, order([]))
    assert events[0][KIND] == ACCEPTED


@pytest.mark.parametrize("rung", LADDER, ids=[f"{number} {rung.reason}" for number, rung in enumerate(LADDER)])
def test_each_rung_alone(rung: Rung) -> None:
    kind, reason = answer(world([rung]), order([rung]))
    assert reason == rung.reason
    kept = rung.reason not in ("unknown_symbol", "duplicate_order_id", "rate_limited")
    assert kind == (REJECTED if kept else COMMAND_REFUSED)


PAIRS = [pair for pair in combinations(LADDER, 2) if compatible(*pair)]


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{upper.reason} over {lower.reason}" for upper, lower in PAIRS])
def test_the_upper_of_two(pair: tuple[Rung, Rung]) -> None:
    assert answer(world(list(pair)), order(list(pair)))[1] == pair[0].reason


def test_neighbours_are_among_the_pairs() -> None:
    """Every neighbour in the ladder is compared, but for those no single order can fail both of."""
    missing = [
        (upper.reason, lower.reason)
        for upper, lower in pairwise(LADDER)
        if not compatible(upper, lower) and upper.reason != lower.reason
    ]
    assert missing == [
        ("market_halted", "market_closed"),
        ("market_closed", "market_not_continuous"),
        ("account_halted", "account_reducing_only"),
        ("quantity_below_minimum", "risk_max_quantity"),
    ]


NOT_OF_AMENDS = (
    "post_only_would_cross",
    "risk_max_open_orders",
    "market_not_continuous",
    "display_quantity_too_small",
)
AMENDABLE = [rung for rung in LADDER[2:] if rung.reason not in NOT_OF_AMENDS]
AMEND_PAIRS = [pair for pair in combinations(AMENDABLE, 2) if compatible(*pair)]


def amended(rungs: list[Rung]) -> tuple[Engine, Amend]:
    """Alice's buy 9 @ 99 rested before the rules changed; she amends it to 10 @ 100."""
    engine = world([])
    engine.apply(engine.next_sequence, 0, Order(2, ALICE, 1, BUY, 99, 9))
    changed = world(rungs)
    engine.apply(engine.next_sequence, 0, DefineInstrument(1, "ACME-USD", **rules_of(rungs)))
    theirs = changed.accounts[ALICE]
    limits = (theirs.state, theirs.max_open_orders, theirs.max_order_quantity, theirs.max_position, theirs.max_rate)
    engine.apply(engine.next_sequence, 0, DefineAccount(ALICE, *limits, theirs.funded))
    engine.accounts[ALICE].rate_at = theirs.rate_at
    engine.apply(engine.next_sequence, 0, SetPhase(1, changed.instruments[1].phase))
    return engine, Amend(2, ALICE, 100, 10, off_grid=order(rungs).off_grid)


def rules_of(rungs: list[Rung]) -> dict[str, int]:
    rules: dict[str, int] = {}
    for rung in rungs:
        rules |= rung.instrument
    return rules


@pytest.mark.parametrize(
    "pair", AMEND_PAIRS, ids=[f"{upper.reason} over {lower.reason}" for upper, lower in AMEND_PAIRS]
)
def test_an_amend_repeats_the_checks(pair: tuple[Rung, Rung]) -> None:
    engine, amend = amended(list(pair))
    before = engine.next_sequence
    assert answer(engine, amend) == (COMMAND_REFUSED, pair[0].reason)
    kept = engine.orders[2]
    assert (kept.price, kept.quantity, kept.remaining, kept.version) == (99, 9, 9, 1)
    assert engine.next_sequence == before


def test_an_amend_adds_no_open_order() -> None:
    engine, amend = amended([Rung("", account={"max_open_orders": 1})])
    assert engine.apply(engine.next_sequence, 0, amend)[0][REASON] == 0


def test_cancels_skip_the_ladder() -> None:
    """A halted market and a halted account still let go of their orders."""
    engine, _ = amended([Rung("", account={"state": ACCOUNT_HALTED}, phase=HALTED)])
    [event] = engine.apply(engine.next_sequence, 0, Cancel(2, ALICE))
    assert REASON_NAMES[event[REASON]] == "user_request"
    assert engine.accounts[ALICE].state != ACTIVE and 2 not in engine.orders


def test_the_collar_does_not_refuse_market_orders() -> None:
    engine = world([Rung("", instrument={"collar_bps": 100, "reference_price": 50})])
    events = engine.apply(engine.next_sequence, 0, Order(2, ALICE, 1, BUY, 0, 1, MARKET))
    assert [REASON_NAMES[event[REASON]] for event in events] == ["", "price_collar"]


def placed(engine: Engine, order: Order, at: int = 0) -> str:
    """What becomes of an order at the door: "" or the reason of its refusal."""
    event = engine.apply(engine.next_sequence, at, order)[0]
    engine.check_invariants()
    return REASON_NAMES[event[REASON]] if event[KIND] in (REJECTED, COMMAND_REFUSED) else ""


def stop(
    order_id: int, type: int = STOP, side: int = BUY, price: int = 0, quantity: int = 10, **conditions: int
) -> Order:
    return Order(order_id, ALICE, 1, side, price, quantity, type, conditions=Conditions(**conditions))


@pytest.mark.parametrize(
    ("rules", "order", "reason"),
    [
        ({"price_tick": 5}, stop(2, stop_price=101), "price_not_on_tick"),
        ({"price_tick": 5}, stop(2, STOP_LIMIT, price=101, stop_price=100), "price_not_on_tick"),
        ({"price_tick": 5}, stop(2, TRAILING_STOP, trail=3), "price_not_on_tick"),
        ({"price_tick": 5}, stop(2, TRAILING_STOP, trail_bps=3), ""),
        ({"quantity_step": 5}, stop(2, LIMIT, price=90, display_quantity=3), "quantity_not_on_step"),
        ({}, stop(2, LIMIT, price=90, quantity=2_001, display_quantity=2), "display_quantity_too_small"),
        ({}, stop(2, LIMIT, price=90, quantity=2_000, display_quantity=2), ""),
        # The collar of a stop-limit is around its own stop price; a stop has no limit to hold.
        ({"collar_bps": 1_000, "reference_price": 100}, stop(2, STOP_LIMIT, price=221, stop_price=200), "price_collar"),
        ({"collar_bps": 1_000, "reference_price": 100}, stop(2, STOP_LIMIT, price=220, stop_price=200), ""),
        ({"collar_bps": 1_000, "reference_price": 100}, stop(2, stop_price=900), ""),
        # At its limit, else at its stop price, else (it trails) at the reference.
        ({"max_notional": 1_000}, stop(2, STOP_LIMIT, price=101, stop_price=90), "risk_max_notional"),
        ({"max_notional": 1_000}, stop(2, stop_price=101), "risk_max_notional"),
        ({"max_notional": 1_000}, stop(2, stop_price=100), ""),
        ({"max_notional": 999, "reference_price": 100}, stop(2, TRAILING_STOP, trail=5), "risk_max_notional"),
        ({"max_notional": 999, "reference_price": 90}, stop(2, TRAILING_STOP, trail=5), ""),
    ],
)
def test_what_stops_and_icebergs_add(rules: dict[str, int], order: Order, reason: str) -> None:
    assert placed(world([Rung("", instrument=rules)]), order) == reason


@pytest.mark.parametrize("phase", [PRE_OPEN, AUCTION])
def test_a_stop_may_wait_where_nothing_trades(phase: int) -> None:
    """Whatever it is to be once triggered: an IOC limit order may not come now, an IOC stop-limit may."""
    engine = world([Rung("", phase=phase)])
    assert placed(engine, Order(2, ALICE, 1, BUY, 0, 1, MARKET, IOC)) == "market_not_continuous"
    assert placed(engine, Order(2, ALICE, 1, BUY, 99, 1, LIMIT, FOK)) == "market_not_continuous"
    waits = stop(2, STOP_LIMIT, price=101, stop_price=100)
    waits.time_in_force = IOC
    assert placed(engine, waits) == ""


def test_trailing_stops_are_counted() -> None:
    engine = world([])
    for number in range(MAX_TRAILING_STOPS):
        order = Order(10 + number, BOB, 1, SELL, 0, 1, TRAILING_STOP, conditions=Conditions(trail=1 + number % 50))
        engine.apply(engine.next_sequence, 0, order)
    assert placed(engine, stop(2, TRAILING_STOP, trail=5)) == "too_many_trailing_stops"
    assert placed(engine, stop(3, stop_price=120)) == ""
    engine.apply(engine.next_sequence, 0, Cancel(10))
    assert placed(engine, stop(4, TRAILING_STOP, trail=5)) == ""


def test_a_second_of_messages_may_come_at_once() -> None:
    engine = world([Rung("", account={"max_rate": 4})])
    engine.accounts[ALICE].rate_at = 0
    second = 1_000_000
    told = [placed(engine, Order(10 + number, ALICE, 1, BUY, 50, 1), second) for number in range(5)]
    assert told == ["", "", "", "", "rate_limited"]
    assert placed(engine, Order(20, ALICE, 1, BUY, 50, 1), second + 249_999) == "rate_limited"
    assert placed(engine, Order(21, ALICE, 1, BUY, 50, 1), second + 250_000) == ""
    amend = Amend(21, ALICE, quantity=2)
    assert REASON_NAMES[engine.apply(engine.next_sequence, second + 250_000, amend)[0][REASON]] == "rate_limited"
    [event] = engine.apply(engine.next_sequence, second + 250_000, Cancel(21, ALICE))
    assert REASON_NAMES[event[REASON]] == "user_request"


def test_the_explanation_agrees_with_the_answer() -> None:
    """The first rung that ``explain`` tells as failed is the reason ``refusal`` gives."""
    dice, pair = Dice(21), Pair()
    refused = set()
    for _ in range(6_000):
        op, arguments = dice.step(pair)
        if op == "place" and arguments["instrument"] in pair.engine.instruments:
            order = to_order(arguments)
            instrument = pair.engine.instruments[order.instrument_id]
            holding = pair.engine.holding(order.account_id, instrument)
            reason = REASON_NAMES[refusal(instrument, holding, proposal(order))]
            failed = [check.name for check in explain(instrument, holding, proposal(order)) if not check.passed]
            assert (failed[0] if failed else "") == reason
            refused.add(reason)
        pair.do(op, **arguments)
    assert len(refused) > 12
