"""Candles and costs written with the trades: exact across restarts and commits that fail; what they come to, in numbers."""

import random

import pytest

from matching.values import BUY, SELL, STP_NONE
from orders.candles import RESOLUTIONS
from orders.engine.recovery import recover
from orders.models import Candle, Position
from tests.engine.desk import Desk, fail_once

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def trade(desk: Desk, price: int, quantity: int, buyer: object = None, seller: object = None) -> None:
    """The seller's order rests, the buyer takes it."""
    desk.do(
        desk.order(seller or desk.bob, SELL, price, quantity), desk.order(buyer or desk.alice, BUY, price, quantity)
    )


def candles(interval: str) -> list[tuple[int, ...]]:
    rows = Candle.objects.filter(resolution=RESOLUTIONS.index(interval)).order_by("start")
    columns = ("start", "open", "high", "low", "close", "volume", "notional", "trades", "last_sequence")
    return list(rows.values_list(*columns))


def cost(account: object) -> int:
    return Position.objects.get(account=account).cost


def test_what_minutes_hours_and_days_come_to(desk: Desk) -> None:
    desk.clock = DAY + 5
    for price, quantity in ((100, 5), (90, 1), (120, 2), (110, 3)):
        trade(desk, price, quantity)
    desk.clock += MINUTE
    trade(desk, 80, 7)
    desk.clock += HOUR
    desk.start()
    trade(desk, 130, 1)
    # Event 1 defines the instrument; a trade is four: two orders, and two fills of which the first numbers it.
    assert candles("1m") == [
        (DAY, 100, 120, 90, 110, 11, 1160, 4, 16),
        (DAY + MINUTE, 80, 80, 80, 80, 7, 560, 1, 20),
        (DAY + HOUR + MINUTE, 130, 130, 130, 130, 1, 130, 1, 24),
    ]
    assert candles("1h") == [
        (DAY, 100, 120, 80, 80, 18, 1720, 5, 20),
        (DAY + HOUR, 130, 130, 130, 130, 1, 130, 1, 24),
    ]
    assert candles("1d") == [(DAY, 100, 130, 80, 130, 19, 1850, 6, 24)]


def test_one_commit_with_several_trades_of_a_taker(desk: Desk) -> None:
    for price in (100, 101, 102):
        desk.do(desk.order(desk.bob, SELL, price, 2))
    desk.do(desk.order(desk.alice, BUY, 102, 5))
    assert [row[1:8] for row in candles("1m")] == [(100, 102, 100, 102, 5, 504, 3)]
    assert (cost(desk.alice), cost(desk.bob)) == (504, -504)


def test_a_position_is_opened_reduced_and_turned_around(desk: Desk) -> None:
    trade(desk, 100, 10)
    assert (cost(desk.alice), cost(desk.bob)) == (1_000, -1_000)
    trade(desk, 110, 10)
    desk.start()
    trade(desk, 200, 5, buyer=desk.bob, seller=desk.alice)
    assert (cost(desk.alice), cost(desk.bob)) == (1_575, -1_575)
    trade(desk, 90, 20, buyer=desk.bob, seller=desk.alice)
    assert (cost(desk.alice), cost(desk.bob)) == (-450, 450)


def test_a_trade_with_oneself_is_the_makers_first(desk: Desk) -> None:
    """Long 3 for 10 in all (an odd average): sold as maker, 2 of it, then bought back as taker at the trade's price."""
    trade(desk, 3, 2)
    trade(desk, 4, 1)
    orders = [desk.order(desk.alice, side, 50, 2) for side in (SELL, BUY)]
    for order in orders:
        order.self_trade_prevention = STP_NONE
    desk.do(*orders)
    assert cost(desk.alice) == 3 + 100  # a third of 10, rounded; the other way round it would be 66
    row = Position.objects.get(account=desk.alice)
    assert (row.net, row.bought, row.sold) == (3, 5, 2)


@pytest.mark.parametrize("when", ["before", "at", "after"])
def test_a_commit_that_fails_leaves_what_the_tables_have(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    trade(desk, 100, 5)
    fail_once(monkeypatch, when)
    trade(desk, 70, 3)
    trade(desk, 90, 1)
    happened = when == "after"
    low, volume = (70, 9) if happened else (90, 6)
    assert [(row[3], row[5]) for row in candles("1m")] == [(low, volume)]
    assert cost(desk.alice) == 500 + 90 + (210 if happened else 0)


def test_random_trades_with_restarts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory is what recovery makes of the tables; that those are right, the fixture's verification says."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(60):
        desk.clock += rng.choice((0, 1, MINUTE // 2, HOUR // 3, DAY // 2))
        price = rng.randrange(1, 500)
        group = [
            desk.order(
                rng.choice((desk.alice, desk.bob)),
                rng.choice((BUY, SELL)),
                price + rng.randrange(3),
                rng.randrange(1, 9),
            )
            for _ in range(rng.randrange(1, 6))
        ]
        for order in group:
            order.self_trade_prevention = STP_NONE
        if rng.random() < 0.1:
            fail_once(monkeypatch, rng.choice(("before", "at", "after")))
        desk.do(*group)
        live, state = desk.loop.state.tally, recover(0)
        assert live.positions == state.tally.positions
        # Memory may still have candles that are over: nothing can be added to those.
        assert state.tally.candles == {
            key: candle for key, candle in live.candles.items() if key in state.tally.candles
        }
        if rng.random() < 0.1:
            desk.start()
    assert sum(row[7] for row in candles("1d")) > 20
