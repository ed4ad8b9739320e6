"""``check_invariants`` would be worth nothing if it did not see damage: each kind is done here by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from matching.commands import DefineInstrument
from matching.engine import Engine
from matching.order import Order
from matching.values import BUY, NEW, SELL


def engine() -> Engine:
    """Three bids at 100 (orders 1 to 3, the first partly filled), one at 99 (4), an ask at 105 (5)."""
    made = Engine()
    made.apply(1, 0, DefineInstrument(1, "ACME-USD"))
    for number, (account, side, price) in enumerate(
        [(1, BUY, 100), (2, BUY, 100), (1, BUY, 100), (1, BUY, 99), (3, SELL, 105), (3, SELL, 100)], 1
    ):
        made.apply(made.next_sequence, 0, Order(number, account, 1, side, price, 2 if number == 6 else 10))
    made.check_invariants()
    return made


def swap_ids(made: Engine) -> None:
    made.orders[1], made.orders[2] = made.orders[2], made.orders[1]


def swap_places(made: Engine) -> None:
    made.orders[1].priority, made.orders[2].priority = made.orders[2].priority, made.orders[1].priority


# By what the check must say.
DAMAGE: dict[str, Callable[[Engine], object]] = {
    "should not rest": lambda made: setattr(made.orders[1], "type", 1),
    "not among": swap_ids,
    "before an older": swap_places,
    "sums are wrong": lambda made: setattr(made.orders[1].level, "quantity", 1),
    "a level's sums": lambda made: setattr(made.orders[1].level, "count", 7),
    "linked": lambda made: setattr(made.orders[2], "older", None),
    "wrong end": lambda made: setattr(made.orders[1].level, "tail", made.orders[1]),
    "wrong level": lambda made: setattr(made.orders[4], "price", 98),
    "nothing left": lambda made: setattr(made.orders[4], "remaining", 0),
    "does not add up": lambda made: setattr(made.orders[4], "canceled", 3),
    "wrong status": lambda made: setattr(made.orders[1], "status", NEW),
    "wrong numbers": lambda made: setattr(made.orders[4], "version", 0),
    "miscounted": lambda made: setattr(made.accounts[1], "open_orders", 9),
    "open units": lambda made: setattr(made.instruments[1].holdings[1], "open_buy", 9),
    "add up to 0": lambda made: setattr(made.instruments[1].holdings[1], "bought", 9),
    "resting orders differ": lambda made: made.orders.__setitem__(9, Order(9, 1, 1, BUY, 1, 1)),
    "not sorted": lambda made: made.instruments[1].book.bids.keys.reverse(),
    "keys and levels differ": lambda made: made.instruments[1].book.bids.keys.pop(),
    "holding of another": lambda made: made.instruments[1].holdings.__setitem__(1, made.instruments[1].holdings[2]),
}


@pytest.mark.parametrize("seen", DAMAGE)
def test_damage_is_seen(seen: str) -> None:
    """What is raised says what is wrong."""
    made = engine()
    DAMAGE[seen](made)
    with pytest.raises(AssertionError, match=seen):
        made.check_invariants()


def test_a_crossed_book_is_seen() -> None:
    made = engine()
    book = made.instruments[1].book
    order = made.orders[5]
    book.remove(order)
    order.price = 99
    book.add(order)
    with pytest.raises(AssertionError, match="crossed"):
        made.check_invariants()
