"""What an uncross does with a random crossed book: what was published comes true, quantity is conserved, price decides."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from matching.auction import indicative
from matching.commands import DefineInstrument, SetPhase
from matching.engine import Engine
from matching.events import ACCEPTED, FILL_MAKER, FILL_TAKER, KIND, OTHER, PRICE, QUANTITY, UNCROSSED
from matching.order import Conditions, Order
from matching.values import AUCTION, BUY, CLOSED, CONTINUOUS, GTC, LIMIT, NO_CANCEL, SELL, STP_NAMES

# Side, price, quantity, account, displayed quantity, self-trade mode.
Placed = tuple[int, int, int, int, int, int]

orders = st.lists(
    st.tuples(
        st.sampled_from((BUY, SELL)),
        st.integers(95, 106),
        st.integers(1, 30),
        st.sampled_from((1, 2, 3)),
        st.sampled_from((0, 0, 1, 7)),
        st.integers(0, len(STP_NAMES) - 1),
    ),
    max_size=25,
)


@given(placed=orders, end=st.sampled_from((CONTINUOUS, CLOSED)), last=st.sampled_from((AUCTION, NO_CANCEL)))
@settings(max_examples=300, deadline=None)
def test_what_was_published_comes_true(placed: list[Placed], end: int, last: int) -> None:
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "ACME-USD", reference_price=100, phase=AUCTION))
    instrument = engine.instruments[1]
    told: list[Order] = []
    for number, (side, price, quantity, account, display, mode) in enumerate(placed, 1):
        conditions = Conditions(display_quantity=display) if display else None
        told.append(Order(number, account, 1, side, price, quantity, LIMIT, GTC, mode, conditions=conditions))
        events = engine.apply(engine.next_sequence, 0, told[-1])
        assert [event[KIND] for event in events] == [ACCEPTED], "something traded in a call"
    engine.apply(engine.next_sequence, 0, SetPhase(1, last))
    published = indicative(instrument)
    events = engine.apply(engine.next_sequence, 0, SetPhase(1, end))
    engine.check_invariants()
    uncrossed = [(event[PRICE], event[QUANTITY], event[OTHER]) for event in events if event[KIND] == UNCROSSED]
    fills = [event for event in events if event[KIND] == FILL_MAKER]
    if published is None:
        assert not uncrossed and not fills
        return
    assert uncrossed == [(published.price, published.volume, 1)]
    assert {event[PRICE] for event in fills} == {published.price}
    assert sum(event[QUANTITY] for event in fills) == published.volume
    assert sum(event[KIND] == FILL_TAKER for event in events) == len(fills)
    assert indicative(instrument) is None, "something still crosses"
    for side in (BUY, SELL):
        mine = [order for order in told if order.side == side]
        assert sum(order.filled for order in mine) == published.volume
        check_price_priority(mine, published.price)


def check_price_priority(orders: list[Order], price: int) -> None:
    """Nobody was filled at a price worse than their limit, and nobody behind an order with a better one that was not."""
    sign = 1 if orders[0].side == SELL else -1
    assert all(sign * order.price <= sign * price for order in orders if order.filled)
    unfilled = [sign * order.price for order in orders if order.remaining]
    assert all(sign * order.price <= min(unfilled) for order in orders if order.filled and unfilled)
