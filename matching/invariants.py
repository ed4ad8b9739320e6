"""What must hold between any two commands. Slow and plain: for tests, and for whoever suspects a book.

Raises ``AssertionError`` with what is wrong. Bounds and sums are computed from the orders alone and compared with every
number that is kept beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.book import BookSide, OrderBook
from matching.order import Order
from matching.values import BUY, LIMIT, NEW, PARTIALLY_FILLED

if TYPE_CHECKING:
    from matching.engine import Engine


def check_side(side: BookSide, orders: dict[int, Order]) -> int:
    """Check one side of a book. Returns how many orders rest there."""
    assert side.keys == sorted(set(side.keys)), "keys are not sorted or not unique"
    assert set(side.keys) == set(side.levels), "keys and levels differ"
    total = 0
    for key, level in side.levels.items():
        assert level.key == key and level.price == (key if side.side == BUY else -key), "a level under a wrong key"
        count = quantity = priority = 0
        previous: Order | None = None
        order = level.head
        while order is not None:
            assert orders.get(order.order_id) is order, f"{order} rests but is not among the open orders"
            assert order.level is level and order.older is previous, f"{order} is linked wrongly"
            assert order.side == side.side and order.price == level.price, f"{order} is on a wrong level"
            assert order.remaining > 0, f"{order} rests with nothing left"
            assert order.priority >= priority, f"{order} stands before an older one"
            priority = order.priority
            count += 1
            quantity += order.remaining
            previous = order
            order = order.newer
        assert level.tail is previous and count > 0, "a level without orders or with a wrong end"
        assert (level.count, level.quantity) == (count, quantity), "a level's sums are wrong"
        total += count
    return total


def check_book(book: OrderBook) -> int:
    """Check one book: its levels, its links, and that bids and asks do not meet. Returns its number of orders."""
    resting = check_side(book.bids, book.orders) + check_side(book.asks, book.orders)
    if book.bids.keys and book.asks.keys:
        assert book.bids.keys[-1] < -book.asks.keys[-1], "the book is crossed or locked"
    return resting


def check_engine(engine: Engine) -> None:
    """Check all books, and what accounts and holdings say of them."""
    resting = sum(check_book(instrument.book) for instrument in engine.instruments.values())
    assert resting == len(engine.orders), "open orders and resting orders differ"
    open_orders: dict[int, int] = {}
    open_units: dict[tuple[int, int, int], int] = {}
    for order in engine.orders.values():
        check_order(order)
        open_orders[order.account_id] = open_orders.get(order.account_id, 0) + 1
        key = (order.account_id, order.instrument_id, order.side)
        open_units[key] = open_units.get(key, 0) + order.remaining
    for account in engine.accounts.values():
        assert account.open_orders == open_orders.get(account.account_id, 0), "an account's open orders are miscounted"
    for instrument_id, instrument in engine.instruments.items():
        for account_id, holding in instrument.holdings.items():
            assert holding.account is engine.accounts[account_id], "a holding of another account"
            held = (holding.open_buy, holding.open_sell)
            expected = tuple(open_units.get((account_id, instrument_id, side), 0) for side in (0, 1))
            assert held == expected, f"open units of account {account_id} are {held}, its orders say {expected}"
        assert not sum(h.net for h in instrument.holdings.values()), "positions of an instrument do not add up to 0"


def check_order(order: Order) -> None:
    """Check one open order."""
    assert order.type == LIMIT and order.status in (NEW, PARTIALLY_FILLED), f"{order} should not rest"
    # What is filled is what is neither open nor canceled: below zero one of the three is wrong.
    assert order.filled >= 0 and order.canceled >= 0, f"{order} does not add up"
    assert (order.status == NEW) == (order.filled == 0), f"{order} has a wrong status"
    assert order.holding.account.account_id == order.account_id, f"{order} is homeless"
    assert order.priority > 0 and order.version > 0, f"{order} has wrong numbers"
