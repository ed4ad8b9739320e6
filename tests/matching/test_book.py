"""The order book alone: queues, best prices, the tips of icebergs, and what fill-or-kill counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from matching.book import Fill, OrderBook
from matching.invariants import check_book
from matching.order import Conditions, Order
from matching.side import reduce, show
from matching.values import BUY, NO_BOUND, SELL, STP_CANCEL_OLDEST, STP_NAMES, STP_NONE

# Account, side, tick, quantity, and the part an iceberg shows (0: it shows all).
Row = tuple[int, int, int, int, int]
orders = st.tuples(
    st.integers(1, 3), st.sampled_from((BUY, SELL)), st.integers(1, 6), st.integers(1, 9), st.sampled_from((0, 0, 1, 3))
)


def filled_book(rows: list[Row]) -> OrderBook:
    """A book with bids at 101-106 and asks at 107-112: nothing meets."""
    book = OrderBook()
    for number, (account, side, tick, quantity, tip) in enumerate(rows, 1):
        order = Order(number, account, 1, side, 100 + tick + (6 if side == SELL else 0), quantity)
        order.priority = number
        if tip:
            order.conditions = Conditions(display_quantity=tip)
            order.hidden = max(0, quantity - tip)
        book.add(order)
    return book


def in_line(book: OrderBook, side: int) -> list[Order]:
    """Resting orders a taker of ``side`` would meet, in order."""
    found = [order for order in book.orders.values() if order.side != side]
    return sorted(found, key=lambda order: (order.price if side == BUY else -order.price, order.priority))


def levels_in_line(book: OrderBook, side: int) -> list[list[Order]]:
    """The same by level."""
    found = in_line(book, side)
    prices = list(dict.fromkeys(order.price for order in found))
    return [[order for order in found if order.price == price] for price in prices]


def tips(level: list[Order]) -> list[tuple[Order, int]]:
    """What a level trades, in turn: each order's tip, then its next one behind all others."""
    line = [(order, order.remaining) for order in level]
    found = []
    while line:
        order, left = line.pop(0)
        tip = min(left, order.conditions.display_quantity) if order.conditions else left
        found.append((order, tip))
        if left > tip:
            line.append((order, left - tip))
    return found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(orders, max_size=25),
    st.sampled_from((BUY, SELL)),
    st.integers(100, 113),
    st.integers(1, 40),
    st.sampled_from(range(len(STP_NAMES))),
)
def test_available_is_what_a_walk_finds(rows: list[Row], side: int, price: int, quantity: int, mode: int) -> None:
    """Tip after tip: one that is used up joins the back of its level, behind an own order that stands there."""
    book = filled_book(rows)
    taker = Order(999, 1, 1, side, price, quantity, self_trade_prevention=mode)
    line = [
        [order.account_id, order.price, tip]
        for level in levels_in_line(book, side)
        for order, tip in tips(level)
        if (order.price <= price if side == BUY else order.price >= price)
    ]
    expected = 0
    for account, _, tip in line:
        if mode == STP_NONE or account != 1:
            expected += tip
        elif mode != STP_CANCEL_OLDEST:
            break
    available = book.available(taker, price if side == SELL else -price)
    assert min(available, quantity) == min(expected, quantity)
    reached = [
        order for order in in_line(book, side) if (order.price <= price if side == BUY else order.price >= price)
    ]
    assert book.crosses(side, price) == bool(reached)


@settings(max_examples=200, deadline=None)
@given(st.lists(orders, min_size=1, max_size=25), st.data())
def test_orders_leave_from_anywhere(rows: list[Row], data: st.DataObject) -> None:
    book = filled_book(rows)
    for number in data.draw(st.permutations(range(1, len(rows) + 1))):
        order = book.orders[number]
        if order.remaining > 1 and data.draw(st.booleans()):
            reduce(order, 1)
            check_book(book)
        if order.hidden and data.draw(st.booleans()):
            show(order, data.draw(st.integers(1, order.remaining)))
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
def test_match_takes_the_line_in_order(rows: list[Row], side: int, quantity: int) -> None:
    book = filled_book(rows)
    expected, left = [], quantity
    for level in levels_in_line(book, side):
        for order, tip in tips(level):
            traded = min(left, tip)
            left -= traded
            if traded:
                expected.append((order.order_id, order.price, traded))
    fills: list[Fill] = []
    taker = Order(999, 9, 1, side, 0, quantity)
    assert book.match(taker, NO_BOUND, fills) is None
    # A fill of nothing tells that the next tip of an iceberg is shown.
    assert [(maker.order_id, price, traded) for maker, price, traded, _ in fills if traded] == expected
    for priority, (maker, _, traded, _) in enumerate(fills, 1_000):
        if not traded:
            assert maker.conditions is not None
            maker.priority = priority
    assert taker.remaining == left
    check_book(book)


def test_match_stops_at_an_own_order_and_hands_it_back() -> None:
    book = filled_book([(2, SELL, 1, 5, 0), (1, SELL, 1, 5, 0), (2, SELL, 1, 5, 0)])
    taker = Order(999, 1, 1, BUY, 120, 20)
    fills: list[Fill] = []
    own = book.match(taker, -120, fills)
    assert own is book.orders[2] and taker.remaining == 15 and len(fills) == 1
    book.remove(own)
    assert book.match(taker, -120, fills) is None and taker.remaining == 10
    assert not book.orders
