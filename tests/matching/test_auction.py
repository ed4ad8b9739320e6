"""The uncross price, found by stretches, against the twin, which tries every price there is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from matching.auction import Uncross, uncross_price
from tests.twin.engine import TwinEngine
from tests.twin.state import Instrument, TwinOrder

rows = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 6)), max_size=8)


def by_hand(buys: list[tuple[int, int]], sells: list[tuple[int, int]], tick: int, reference: int) -> tuple[int, int]:
    twin = TwinEngine()
    twin.instruments[1] = Instrument(price_tick=tick, reference_price=reference)
    for number, (side, price, quantity) in enumerate(
        [("buy", *row) for row in buys] + [("sell", *row) for row in sells], 1
    ):
        twin.open.append(TwinOrder(number, 1, 1, side, price, quantity, where="book", priority=number))
    return twin.auction_price(1)


def levels(orders: list[tuple[int, int]], best_first: bool) -> list[tuple[int, int]]:
    prices = sorted({price for price, _ in orders}, reverse=best_first)
    return [(price, sum(quantity for at, quantity in orders if at == price)) for price in prices]


@settings(max_examples=500, deadline=None)
@given(rows, rows, st.integers(1, 7), st.integers(0, 50))
def test_against_every_price(
    buys: list[tuple[int, int]], sells: list[tuple[int, int]], tick: int, reference: int
) -> None:
    """Prices off the tick too: rules change while orders rest."""
    found = uncross_price(levels(buys, True), levels(sells, False), tick, reference)
    expected = by_hand(buys, sells, tick, reference)
    assert ((found.price, found.volume) if found else (0, 0)) == expected
    if found:
        wanted = sum(quantity for price, quantity in buys if price >= found.price)
        offered = sum(quantity for price, quantity in sells if price <= found.price)
        assert found.surplus == wanted - offered


def test_a_wide_market_costs_no_more_than_its_prices() -> None:
    """Between two prices that are worlds apart every tick is a candidate, and the nearest to the reference wins."""
    far = 10**15
    assert uncross_price([(far, 5)], [(1, 5)], 1, 10**9 + 7) == Uncross(10**9 + 7, 5, 0)
    assert uncross_price([(far, 5)], [(1, 5)], 10, 10**9 + 7) == Uncross(10**9 + 10, 5, 0)
    assert uncross_price([(far, 5)], [(1, 5)], 10, 0) == Uncross(1, 5, 0)


def test_nothing_crosses() -> None:
    assert uncross_price([], [(100, 5)], 1, 0) is None
    assert uncross_price([(99, 5)], [(100, 5)], 1, 0) is None
