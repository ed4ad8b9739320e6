"""The rolling day against a list of all trades that is looked through each time."""

import random

import pytest

from orders.candles import combine, extend
from orders.feed import rolling
from orders.feed.rolling import MINUTE_US, WINDOW_US, RollingDay, window_start

DAY = 1_790_000_000_000_000 // MINUTE_US * MINUTE_US


def obvious(trades: list[tuple[int, int, int]], at: int) -> tuple:
    """(open, high, low, volume, notional, trades) of what lies in the window; a trade is (at, price, quantity)."""
    found = [trade for trade in trades if trade[0] // MINUTE_US > at // MINUTE_US - 24 * 60]
    prices = [price for _, price, _ in found]
    return (
        prices[0] if prices else None,
        max(prices, default=None),
        min(prices, default=None),
        sum(quantity for _, _, quantity in found),
        sum(price * quantity for _, price, quantity in found),
        len(found),
    )


def stated(day: RollingDay) -> tuple:
    return day.open, day.high, day.low, day.volume, day.notional, day.trades


@pytest.mark.parametrize("seed", range(5))
def test_it_says_what_looking_through_all_trades_says(seed):
    """Three days, now and then with hours of silence; ended and begun anew from its candles in between."""
    chance = random.Random(seed)
    day, trades, at = RollingDay(), [], DAY
    for number in range(3_000):
        at += chance.choice((0, 1, MINUTE_US // 3, MINUTE_US, 7 * MINUTE_US)) + (number % 1_000 == 999) * WINDOW_US // 3
        if chance.random() < 0.8:
            trades.append((at, chance.randrange(900, 1_100), chance.randrange(1, 50)))
            day.trade(*trades[-1])
        day.advance(at)
        assert stated(day) == obvious(trades, at), (seed, number)
        if chance.random() < 0.01:
            day = from_candles(trades, at)
            assert stated(day) == obvious(trades, at), (seed, number)


def from_candles(trades: list[tuple[int, int, int]], at: int) -> RollingDay:
    """As it is read from a table of minute candles."""
    singles = [extend(None, moment, price, quantity, 0) for moment, price, quantity in trades]
    day = RollingDay()
    for candle in combine(singles, "1m"):
        if candle.start >= window_start(at):
            day.add(candle)
    return day


def test_the_minute_that_runs_is_in_the_window_and_the_one_a_day_ago_is_not():
    day = RollingDay()
    day.trade(DAY, 100, 1)
    assert not day.advance(DAY + WINDOW_US - 1)
    assert day.trades == 1
    assert day.advance(DAY + WINDOW_US)
    assert stated(day) == (None, None, None, 0, 0, 0)


def test_a_trade_costs_the_same_however_long_the_window():
    """No queue holds more than it must: what a later price has outdone is gone."""
    day = RollingDay()
    for minute in range(3 * 24 * 60):
        day.trade(DAY + minute * MINUTE_US, 1_000 + minute, 1)
        day.advance(DAY + minute * MINUTE_US)
    assert len(day._highs) == 1 and len(day._lows) == len(day._minutes) == 24 * 60
    assert rolling.window_start(DAY) == DAY - WINDOW_US + MINUTE_US
