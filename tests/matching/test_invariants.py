"""``check_invariants`` would be worth nothing if it did not see damage: each kind is done here by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from matching.commands import CancelAfter, DefineInstrument, OrderGroup, SetPhase
from matching.engine import Engine
from matching.order import Conditions, Order
from matching.values import (
    AUCTION,
    BUY,
    ENTRY,
    GTD,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    SELL,
    STOP,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    UNTRIGGERED,
)


def engine() -> Engine:
    """Three bids at 100 (orders 1 to 3, the first partly filled), one at 99 (4), an ask at 105 (5); order 6 has traded.

    Order 7 is a waiting stop, 8 and 9 are trailing stops, 10 is an iceberg, 11 expires, 12 to 14 are a bracket. Account 1
    has a lease.
    """
    made = Engine()
    made.apply(1, 0, DefineInstrument(1, "ACME-USD"))
    for number, (account, side, price) in enumerate(
        [(1, BUY, 100), (2, BUY, 100), (1, BUY, 100), (1, BUY, 99), (3, SELL, 105), (3, SELL, 100)], 1
    ):
        made.apply(made.next_sequence, 0, Order(number, account, 1, side, price, 2 if number == 6 else 10))
    roles = [Conditions(group_id=12, role=ENTRY), Conditions(group_id=12, role=TAKE_PROFIT)]
    roles.append(Conditions(group_id=12, role=STOP_LOSS, stop_price=80))
    for command in (
        Order(7, 2, 1, SELL, 0, 10, STOP, conditions=Conditions(stop_price=90)),
        Order(8, 2, 1, SELL, 0, 10, TRAILING_STOP, conditions=Conditions(trail=5)),
        Order(9, 2, 1, SELL, 0, 10, TRAILING_STOP, conditions=Conditions(trail=6)),
        Order(10, 3, 1, BUY, 97, 10, conditions=Conditions(display_quantity=4)),
        Order(11, 3, 1, BUY, 96, 10, time_in_force=GTD, conditions=Conditions(expires_at=1_000)),
        OrderGroup(
            [
                Order(12, 1, 1, BUY, 95, 10, conditions=roles[0]),
                Order(13, 1, 1, SELL, 120, 10, conditions=roles[1]),
                Order(14, 1, 1, SELL, 0, 10, STOP, conditions=roles[2]),
            ]
        ),
        CancelAfter(1, 2_000),
    ):
        made.apply(made.next_sequence, 0, command)
    made.check_invariants()
    return made


def swap_ids(made: Engine) -> None:
    made.orders[1], made.orders[2] = made.orders[2], made.orders[1]


def swap_places(made: Engine) -> None:
    made.orders[1].priority, made.orders[2].priority = made.orders[2].priority, made.orders[1].priority


def set_condition(number: int, name: str, value: object) -> Callable[[Engine], object]:
    return lambda made: setattr(made.orders[number].conditions, name, value)


def set_order(number: int, name: str, value: object) -> Callable[[Engine], object]:
    return lambda made: setattr(made.orders[number], name, value)


def stray(made: Engine) -> None:
    """An open order that is nowhere."""
    order = made.orders[99] = Order(99, 1, 1, BUY, 1, 1)
    order.holding, order.priority = made.orders[1].holding, 1


def lose_one(made: Engine) -> None:
    """One of a pair has lost a unit, the other has not."""
    made.orders[13].remaining, made.orders[13].canceled = 9, 1


def misses(made: Engine) -> None:
    """The next last price is at a waiting stop, and it has not fired."""
    made.instruments[1].last_price = 90


def forget_reminders(made: Engine, subject: int) -> None:
    made.timers = [reminder for reminder in made.timers if reminder[2] != subject]
    made.next_due = made.timers[0][0]


# By what the check must say.
DAMAGE: dict[str, Callable[[Engine], object]] = {
    "should not rest": set_order(1, "type", MARKET),
    "not rest": set_order(4, "time_in_force", IOC),
    "not among": swap_ids,
    "before an older": swap_places,
    "sums are wrong": lambda made: setattr(made.orders[1].level, "quantity", 1),
    "a level's sums": lambda made: setattr(made.orders[1].level, "count", 7),
    "sums": lambda made: setattr(made.orders[10].level, "hidden", 0),
    "linked": set_order(2, "older", None),
    "wrong end": lambda made: setattr(made.orders[1].level, "tail", made.orders[1]),
    "wrong level": set_order(4, "price", 98),
    "nothing left": set_order(4, "remaining", 0),
    "does not add up": set_order(1, "canceled", -1),
    "wrong status": set_order(1, "status", NEW),
    "rests but is untriggered": set_order(4, "status", UNTRIGGERED),
    "wrong numbers": set_order(4, "version", 0),
    "miscounted": lambda made: setattr(made.accounts[1], "open_orders", 9),
    "open units": lambda made: setattr(made.instruments[1].holdings[1], "open_buy", 9),
    "add up to 0": lambda made: setattr(made.instruments[1].holdings[1], "bought", 9),
    "resting orders differ": stray,
    "not sorted": lambda made: made.instruments[1].book.bids.keys.reverse(),
    "keys and levels differ": lambda made: made.instruments[1].book.bids.keys.pop(),
    "the best level": lambda made: setattr(made.instruments[1].book.bids, "best", None),
    "holding of another": lambda made: made.instruments[1].holdings.__setitem__(1, made.instruments[1].holdings[2]),
    # Stops
    "not untriggered": set_order(7, "status", NEW),
    "waits at a wrong price": set_condition(7, "stop_price", 91),
    "stops are miscounted": lambda made: setattr(made.instruments[1].stops, "waiting_count", 7),
    "has not fired": misses,
    "where its best price": set_condition(8, "trail", 4),
    "without a best price": set_condition(9, "best", 0),
    "chained wrongly": set_condition(9, "earlier", None),
    "is before an older": set_order(9, "priority", 1),
    "chain of trailing": lambda made: setattr(made.instruments[1].stops.trailing_sells, "count", 5),
    # Icebergs
    "shows more": set_condition(10, "display_quantity", 3),
    "not an iceberg|being an iceberg": set_condition(10, "display_quantity", 0),
    # Groups
    "broken group": lambda made: setattr(made.groups[12], "first", None),
    "linked but not open": lambda made: setattr(made.groups[12], "first", Order(99, 1, 1, SELL, 1, 10)),
    "is linked wrongly": set_condition(12, "group", None),
    "different quantities": lose_one,
    "waits for nothing": set_condition(13, "role", ENTRY),
    "lost group": lambda made: made.groups.clear(),
    "left to follow": lambda made: made.followers.append(made.groups[12]),
    # Timers
    "the next due moment": lambda made: setattr(made, "next_due", 5),
    "never expires": set_condition(11, "expires_at", 0),
    "expires unnoticed": set_condition(11, "expires_at", 999),
    "lease runs out": lambda made: forget_reminders(made, 1),
    "phase change is due": lambda made: made.instruments[1].schedule.append((5, AUCTION)),
}


@pytest.mark.parametrize("seen", DAMAGE)
def test_damage_is_seen(seen: str) -> None:
    """What is raised says what is wrong."""
    made = engine()
    DAMAGE[seen](made)
    with pytest.raises(AssertionError, match=seen):
        made.check_invariants()


def test_a_later_trailing_stop_has_seen_no_better_price() -> None:
    made = engine()
    trail = made.instruments[1].stops.trailing_sells
    conditions = made.orders[9].conditions
    assert conditions is not None
    trail.levels.take(made.orders[9])
    conditions.best, conditions.stop_price = 103, 97
    trail.levels.rest(made.orders[9], 97, 97)
    with pytest.raises(AssertionError, match="seen a better price"):
        made.check_invariants()


def cross(made: Engine) -> None:
    book = made.instruments[1].book
    order = made.orders[5]
    book.remove(order)
    order.price = 99
    book.add(order)


def test_a_crossed_book_is_seen() -> None:
    made = engine()
    cross(made)
    with pytest.raises(AssertionError, match="crossed"):
        made.check_invariants()


def test_in_an_auction_a_book_may_be_crossed() -> None:
    made = engine()
    made.apply(made.next_sequence, 0, SetPhase(1, AUCTION))
    cross(made)
    made.check_invariants()
    assert made.orders[5].type == LIMIT
