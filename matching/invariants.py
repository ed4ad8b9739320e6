"""What must hold between any two commands. Slow and plain: for tests, and for whoever suspects a book.

Raises ``AssertionError`` with what is wrong. Bounds and sums are computed from the orders alone and compared with every
number that is kept beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.book import OrderBook
from matching.groups import is_held
from matching.order import Order
from matching.side import BookSide
from matching.state import Instrument
from matching.stops import Trail, trailing_stop_price
from matching.values import (
    BUY,
    CONTINUOUS,
    DAY,
    FIRST_STOP,
    FOK,
    GTD,
    IOC,
    LIMIT,
    MARKET,
    NEVER,
    NEW,
    PARTIALLY_FILLED,
    SELL,
    STOP_LIMIT,
    TRAILING_STOP,
    UNTRIGGERED,
)

if TYPE_CHECKING:
    from matching.engine import Engine


def check_side(side: BookSide, orders: dict[int, Order], stops: bool = False) -> int:
    """Check one side of a book, or (``stops``) of the stops beside it. Returns how many orders are there."""
    assert side.keys == sorted(set(side.keys)), "keys are not sorted or not unique"
    assert set(side.keys) == set(side.levels), "keys and levels differ"
    best = side.levels[side.keys[-1]] if side.keys else None
    assert side.best is best, "the best level is another"
    total = 0
    for key, level in side.levels.items():
        assert level.key == key and level.price == (key if side.side == BUY else -key), "a level under a wrong key"
        count = quantity = hidden = priority = 0
        previous: Order | None = None
        order = level.head
        while order is not None:
            assert orders.get(order.order_id) is order, f"{order} rests but is not among the open orders"
            assert order.level is level and order.older is previous, f"{order} is linked wrongly"
            assert order.remaining > 0, f"{order} rests with nothing left"
            assert order.priority >= priority, f"{order} stands before an older one"
            if stops:
                assert order.status == UNTRIGGERED, f"{order} waits but is not untriggered"
                assert order.side != side.side and _stop_price(order) == level.price, f"{order} waits at a wrong price"
            else:
                assert order.status != UNTRIGGERED, f"{order} rests but is untriggered"
                assert order.side == side.side and order.price == level.price, f"{order} is on a wrong level"
            priority = order.priority
            count += 1
            shown: int = order.remaining - order.hidden
            reserve: int = order.hidden
            quantity += shown
            hidden += reserve
            previous = order
            order = order.newer
        assert level.tail is previous and count > 0, "a level without orders or with a wrong end"
        assert (level.count, level.quantity, level.hidden) == (count, quantity, hidden), "a level's sums are wrong"
        total += count
    return total


def check_book(book: OrderBook, may_cross: bool = False) -> int:
    """Check one book: its levels, its links, and that bids and asks do not meet. Returns its number of orders."""
    resting = check_side(book.bids, book.orders) + check_side(book.asks, book.orders)
    if book.bids.keys and book.asks.keys and not may_cross:
        assert book.bids.keys[-1] < -book.asks.keys[-1], "the book is crossed or locked"
    return resting


def check_stops(instrument: Instrument, orders: dict[int, Order]) -> int:
    """Check the stops of an instrument. Returns how many wait."""
    stops = instrument.stops
    waiting = check_side(stops.buys, orders, True) + check_side(stops.sells, orders, True)
    waiting += check_trail(stops.trailing_buys, orders) + check_trail(stops.trailing_sells, orders)
    assert stops.waiting_count == waiting, "the waiting stops are miscounted"
    if instrument.phase == CONTINUOUS and instrument.last_price:
        assert stops.next_through(instrument.last_price) is None, "a stop is through and has not fired"
    return waiting


def check_trail(trail: Trail, orders: dict[int, Order]) -> int:
    """Check the trailing stops of one side: the chain, where they stand, that nobody later has seen better."""
    placed = check_side(trail.levels, orders, True)
    count = without = priority = 0
    best = 0
    previous: Order | None = None
    order = trail.earliest
    while order is not None:
        conditions = order.conditions
        assert conditions is not None and conditions.earlier is previous, f"{order} is chained wrongly"
        assert order.priority > priority, f"{order} is before an older one"
        if conditions.best:
            standing = trailing_stop_price(order.side, conditions.best, conditions.trail, conditions.trail_bps)
            assert conditions.stop_price == standing, f"{order} does not stand where its best price puts it"
            better = conditions.best < best if trail.side == BUY else conditions.best > best
            assert not (best and better), f"{order} has seen a better price than an older one"
            best = conditions.best
        else:
            without += 1
        priority = order.priority
        count += 1
        previous = order
        order = conditions.later
    assert trail.latest is previous and trail.count == count, "a chain of trailing stops is miscounted"
    assert placed == count - without, "trailing stops and their levels differ"
    return count


def check_engine(engine: Engine) -> None:
    """Check all books, and what accounts and holdings say of them."""
    known = waiting = held = 0
    for instrument in engine.instruments.values():
        known += check_book(instrument.book, instrument.phase != CONTINUOUS)
        waiting += check_stops(instrument, engine.orders)
    assert not engine.followers and not engine.collared, "something was left to follow"
    open_orders: dict[int, int] = {}
    open_units: dict[tuple[int, int, int], int] = {}
    reserves: dict[tuple[int, int], tuple[int, int]] = {}
    for order in engine.orders.values():
        check_order(order)
        open_orders[order.account_id] = open_orders.get(order.account_id, 0) + 1
        if order.status == UNTRIGGERED and is_held(order):
            held += 1
            continue
        key = (order.account_id, order.instrument_id, order.side)
        price: int = order.price
        units: int = order.remaining
        open_units[key] = open_units.get(key, 0) + units
        value, waits = reserves.get(key[:2], (0, 0))
        if order.status != UNTRIGGERED:
            value += price * units if order.side == BUY else 0
        elif order.side != BUY:
            waits += units
        reserves[key[:2]] = (value, waits)
    assert known + waiting + held == len(engine.orders), "open orders and resting orders differ"
    for account in engine.accounts.values():
        assert account.open_orders == open_orders.get(account.account_id, 0), "an account's open orders are miscounted"
    for instrument_id, instrument in engine.instruments.items():
        for account_id, holding in instrument.holdings.items():
            assert holding.account is engine.accounts[account_id], "a holding of another account"
            has = (holding.open_buy, holding.open_sell)
            expected = tuple(open_units.get((account_id, instrument_id, side), 0) for side in (BUY, SELL))
            assert has == expected, f"open units of account {account_id} are {has}, its orders say {expected}"
            reserve = (holding.rest_value, holding.waiting_sell)
            due = reserves.get((account_id, instrument_id), (0, 0))
            assert reserve == due, f"reserves of account {account_id} are {reserve}, its orders say {due}"
        assert not sum(h.net for h in instrument.holdings.values()), "positions of an instrument do not add up to 0"
    check_groups(engine)
    check_timers(engine)


def check_groups(engine: Engine) -> None:
    """Check that linked orders are open, agree on who belongs to whom, and have the same open."""
    for group_id, group in engine.groups.items():
        assert group.group_id == group_id and group.first is not None and group.second is not None, "a broken group"
        for order in group.members():
            assert engine.orders.get(order.order_id) is order, f"{order} is linked but not open"
            assert order.conditions is not None and order.conditions.group is group, f"{order} is linked wrongly"
        assert group.first.remaining == group.second.remaining, "a pair has different quantities open"
    for order in engine.orders.values():
        conditions = order.conditions
        if conditions is not None and conditions.group is not None:
            assert engine.groups.get(conditions.group.group_id) is conditions.group, f"{order} is in a lost group"


def check_timers(engine: Engine) -> None:
    """Check that nothing that is due some day has no reminder."""
    reminders = {(due, subject) for due, _, subject in engine.timers}
    assert engine.next_due == min((due for due, _ in reminders), default=NEVER), "the next due moment is another"
    for order in engine.orders.values():
        conditions = order.conditions
        if order.time_in_force == GTD or order.time_in_force == DAY:
            assert conditions is not None and conditions.expires_at > 0, f"{order} never expires"
            assert (conditions.expires_at, order.order_id) in reminders, f"{order} expires unnoticed"
    for account in engine.accounts.values():
        if account.cancel_after_at:
            assert (account.cancel_after_at, account.account_id) in reminders, "a lease runs out unnoticed"
    for instrument in engine.instruments.values():
        due = instrument.next_due()
        assert due == NEVER or (due, instrument.instrument_id) in reminders, "a phase change is due unnoticed"


def check_order(order: Order) -> None:
    """Check one open order."""
    if order.status == UNTRIGGERED:
        assert order.type >= FIRST_STOP or is_held(order), f"{order} waits for nothing"
        assert order.filled == 0, f"{order} traded untriggered"
    else:
        assert order.type in (LIMIT, STOP_LIMIT) and order.status in (NEW, PARTIALLY_FILLED), f"{order} should not rest"
        assert order.time_in_force not in (IOC, FOK), f"{order} should not rest"
        assert (order.status == NEW) == (order.filled == 0), f"{order} has a wrong status"
    # What is filled is what is neither open nor canceled: below zero one of the three is wrong.
    assert order.filled >= 0 and order.canceled >= 0, f"{order} does not add up"
    assert order.type != MARKET and order.remaining > 0, f"{order} has nothing open"
    conditions = order.conditions
    assert 0 <= order.hidden < order.remaining, f"{order} hides what it has not"
    if order.hidden:
        assert conditions is not None and conditions.display_quantity, f"{order} hides without being an iceberg"
        assert order.remaining - order.hidden <= conditions.display_quantity, f"{order} shows more than it should"
    assert order.holding.account.account_id == order.account_id, f"{order} is homeless"
    assert order.priority > 0 and order.version > 0, f"{order} has wrong numbers"


def _stop_price(order: Order) -> int:
    """The price an untriggered stop waits for."""
    assert order.conditions is not None
    assert order.type != TRAILING_STOP or order.conditions.best, f"{order} stands somewhere without a best price"
    return order.conditions.stop_price
