"""The order book alone: queues, best prices, and what fill-or-kill counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from matching.book import OrderBook
from matching.invariants import check_book
from matching.order import Order
from matching.values import BUY, NO_BOUND, SELL, STP_CANCEL_OLDEST, STP_NAMES, STP_NONE

orders = st.tuples(st.integers(1, 3), st.sampled_from((BUY, SELL)), st.integers(1, 6), st.integers(1, 9))


def filled_book(rows: list[tuple[int, int, int, int]]) -> OrderBook:
    """A book with bids at 101-106 and asks at 107-112: nothing meets."""
    book = OrderBook()
    for number, (account, side, tick, quantity) in enumerate(rows, 1):
        order = Order(number, account, 1, side, 100 + tick + (6 if side == SELL else 0), quantity)
        order.priority = number
        book.add(order)
    return book


def in_line(book: OrderBook, side: int) -> list[Order]:
    """Resting orders a taker of ``side`` would meet, in order."""
    found = [order for order in book.orders.values() if order.side != side]
    return sorted(found, key=lambda order: (order.price if side == BUY else -order.price, order.priority))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(orders, max_size=25),
    st.sampled_from((BUY, SELL)),
    st.integers(100, 113),
    st.integers(1, 40),
    st.sampled_from(range(len(STP_NAMES))),
)
def test_available_is_what_a_walk_finds(
    rows: list[tuple[int, int, int, int]], side: int, price: int, quantity: int, mode: int
) -> None:
    book = filled_book(rows)
    taker = Order(999, 1, 1, side, price, quantity, self_trade_prevention=mode)
    expected = 0
    for order in in_line(book, side):
        if order.price > price if side == BUY else order.price < price:
            break
        if mode == STP_NONE or order.account_id != 1:
            expected += order.remaining
        elif mode != STP_CANCEL_OLDEST:
            break
    assert book.available(taker, price if side == SELL else -price) == min(expected, quantity)
    reached = [
        order for order in in_line(book, side) if (order.price <= price if side == BUY else order.price >= price)
    ]
    assert book.crosses(side, price) == bool(reached)


@settings(max_examples=200, deadline=None)
@given(st.lists(orders, min_size=1, max_size=25), st.data())
def test_orders_leave_from_anywhere(rows: list[tuple[int, int, int, int]], data: st.DataObject) -> None:
    book = filled_book(rows)
    for number in data.draw(st.permutations(range(1, len(rows) + 1))):
        order = book.orders[number]
        if order.remaining > 1 and data.draw(st.booleans()):
            book.reduce(order, 1)
            check_book(book)
        book.remove(order)
        assert (order.level, order.older, order.newer) == (None, None, None)
        assert check_book(book) == len(book.orders)
        for side, best in ((SELL, book.best_bid()), (BUY, book.best_ask())):
            line = in_line(book, side)
            assert (best.price if best else None) == (line[0].price if line else None)
    assert not book.bids.keys and not book.asks.levels


@settings(max_examples=200, deadline=None)
@given(st.lists(orders, max_size=25), st.sampled_from((BUY, SELL)), st.integers(1, 60))
def test_match_takes_the_line_in_order(rows: list[tuple[int, int, int, int]], side: int, quantity: int) -> None:
    book = filled_book(rows)
    expected, left = [], quantity
    for order in in_line(book, side):
        if left:
            traded = min(left, order.remaining)
            expected.append((order.order_id, order.price, traded, order.remaining - traded))
            left -= traded
    fills: list[tuple[Order, int, int, int]] = []
    taker = Order(999, 9, 1, side, 0, quantity)
    assert book.match(taker, NO_BOUND, fills) is None
    assert [(maker.order_id, *rest) for maker, *rest in fills] == expected
    assert taker.remaining == left
    check_book(book)


def test_match_stops_at_an_own_order_and_hands_it_back() -> None:
    book = filled_book([(2, SELL, 1, 5), (1, SELL, 1, 5), (2, SELL, 1, 5)])
    taker = Order(999, 1, 1, BUY, 120, 20)
    fills: list[tuple[Order, int, int, int]] = []
    own = book.match(taker, -120, fills)
    assert own is book.orders[2] and taker.remaining == 15 and len(fills) == 1
    book.remove(own)
    assert book.match(taker, -120, fills) is None and taker.remaining == 10
    assert not book.orders
