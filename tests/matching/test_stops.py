"""The stops of an instrument alone, against a plain list that is searched afresh."""

from __future__ import annotations

import random

import pytest

from matching.order import Conditions, Order
from matching.stops import StopBook, best_of, trailing_stop_price
from matching.values import BUY, MAX_UNITS, SELL, STOP, TRAILING_STOP


def stop(number: int, side: int, dice: random.Random) -> Order:
    if dice.random() < 0.5:
        order = Order(number, 1, 1, side, 0, 1, STOP, conditions=Conditions(stop_price=dice.randint(90, 110)))
    else:
        offset = {"trail": dice.randint(1, 6)} if dice.random() < 0.5 else {"trail_bps": dice.randint(50, 700)}
        order = Order(number, 1, 1, side, 0, 1, TRAILING_STOP, conditions=Conditions(**offset))
    order.priority = number
    return order


def stands_at(order: Order, best: dict[int, int]) -> int:
    conditions = order.conditions
    assert conditions is not None
    if order.type != TRAILING_STOP:
        return conditions.stop_price
    if not best[order.order_id]:
        return 0
    width = conditions.trail or best[order.order_id] * conditions.trail_bps // 10_000
    return best[order.order_id] + (width if order.side == BUY else -width)


def first_through(waiting: list[Order], best: dict[int, int], last_price: int) -> Order | None:
    prices = {order.order_id: stands_at(order, best) for order in waiting}
    armed = [order for order in waiting if prices[order.order_id]]
    buys = [order for order in armed if order.side == BUY and last_price >= prices[order.order_id]]
    sells = [order for order in armed if order.side == SELL and last_price <= prices[order.order_id]]
    buys.sort(key=lambda order: (prices[order.order_id], order.priority))
    sells.sort(key=lambda order: (-prices[order.order_id], order.priority))
    return min(buys[:1] + sells[:1], key=lambda order: order.priority, default=None)


@pytest.mark.parametrize("seed", range(6))
def test_against_a_plain_list(seed: int) -> None:
    """Arrivals, departures and new last prices, in any order; whoever is through fires at once or later."""
    dice = random.Random(seed)
    book, waiting, best = StopBook(), [], {}
    last_price = 0
    for number in range(1, 3_000):
        roll = dice.random()
        if roll < 0.4 and len(waiting) < 40:
            order = stop(number, dice.choice((BUY, SELL)), dice)
            # Whoever comes begins at the last price; who was here before has seen it too.
            book.ratchet(last_price) if last_price else None
            book.add(order, last_price)
            waiting.append(order)
            best[order.order_id] = last_price if order.type == TRAILING_STOP else 0
        elif roll < 0.55 and waiting:
            gone = waiting.pop(dice.randrange(len(waiting)))
            book.remove(gone)
        elif roll < 0.9:
            last_price = dice.randint(88, 112)
            book.ratchet(last_price)
            for order in waiting:
                if order.type == TRAILING_STOP:
                    better = min if order.side == BUY else max
                    best[order.order_id] = better(best[order.order_id] or last_price, last_price)
        elif last_price:
            expected = first_through(waiting, best, last_price)
            assert book.next_through(last_price) is expected
            if expected is not None:
                book.remove(expected)
                waiting.remove(expected)
        assert book.waiting() == waiting and book.waiting_count == len(waiting)
        for order in waiting:
            assert order.conditions is not None
            assert order.conditions.best == best[order.order_id]
            assert order.conditions.stop_price == stands_at(order, best)
        for trail in (book.trailing_buys, book.trailing_sells):
            marks = trail.marks()
            mine = [order for order in waiting if order.type == TRAILING_STOP and order.side == trail.side]
            assert [best_of(marks, order.priority) for order in mine] == [best[order.order_id] for order in mine]


def test_a_stop_price_stays_a_price() -> None:
    assert trailing_stop_price(SELL, 100, 500, 0) == 1
    assert trailing_stop_price(SELL, 100, 0, 10_000) == 1
    assert trailing_stop_price(BUY, MAX_UNITS, 1, 0) == MAX_UNITS
    assert trailing_stop_price(BUY, 2**52, 0, 5_000) == 2**52 + 2**51
    assert trailing_stop_price(SELL, 139, 0, 250) == 136
