"""What a position cost: worked examples, and random trades against fractions."""

import random
from fractions import Fraction

import pytest

from orders.costs import cost_after

# Trades (units, price) and what the position costs after the last.
EXAMPLES = {
    "bought at two prices": ([(10, 100), (30, 104)], 4_120),
    "a part sold leaves the average": ([(10, 100), (10, 110), (-5, 300)], 1_575),
    "all sold": ([(10, 100), (-10, 90)], 0),
    "turned around: the rest at the new price": ([(10, 100), (-25, 90)], -1_350),
    "sold short at two prices": ([(-10, 100), (-10, 110)], -2_100),
    "a short one bought back in part": ([(-10, 100), (4, 1)], -600),
    "turned around from short": ([(-10, 100), (11, 7)], 7),
    "a third of a price: rounded up": ([(1, 1), (2, 2), (-1, 9)], 3),
    "two thirds of 4 short: rounded the same way": ([(-1, 2), (-2, 1), (2, 9)], -1),
    "a half: away from zero": ([(1, 1), (1, 2), (-1, 9)], 2),
    "a half, short": ([(-1, 1), (-1, 2), (1, 9)], -2),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    trades, expected = EXAMPLES[name]
    net = cost = 0
    for units, price in trades:
        net, cost = net + units, cost_after(net, cost, units, price)
    assert cost == expected


class Exact:
    """An account that never rounds: its average price is a fraction."""

    def __init__(self) -> None:
        self.net = 0
        self.average = Fraction(0)
        self.realized = Fraction(0)

    def trade(self, units: int, price: int) -> None:
        closed = min(abs(units), abs(self.net)) if self.net * units < 0 else 0
        direction = 1 if self.net > 0 else -1
        self.realized += direction * closed * (price - self.average)
        opened = abs(units) - closed
        if opened:
            kept = abs(self.net) - closed
            self.average = (kept * self.average + opened * price) / (kept + opened)
        self.net += units


def test_random_trades_stay_within_their_roundings() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(200):
        exact, net, cost, cash, roundings = Exact(), 0, 0, 0, 0
        largest = rng.choice((3, 50, 2**53))
        for _ in range(60):
            units = -net if rng.random() < 0.1 and net else rng.randrange(1, largest) * rng.choice((1, -1))
            price = rng.randrange(1, largest)
            if net * (net + units) <= 0:
                roundings = 0  # a new position has none of them
            elif net * units < 0:
                roundings += 1
            net, cost = net + units, cost_after(net, cost, units, price)
            cash -= units * price
            exact.trade(units, price)
            assert net == exact.net
            assert abs(cost - exact.net * exact.average) <= Fraction(roundings, 2)
            assert abs(cash + cost - exact.realized) <= Fraction(roundings, 2)
            assert cost * net >= 0 and (net or not cost)
