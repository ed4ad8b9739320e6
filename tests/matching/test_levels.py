"""The replica of levels and its checksum, against a plain dict and the published example."""

from __future__ import annotations

import random
from zlib import crc32

import pytest

from matching.events import ORDER, OTHER, PRICE
from matching.levels import CHECKSUM_LEVELS, LevelReplica, checksum
from matching.values import BUY, SELL
from tests.matching.dice import Dice
from tests.matching.driver import Pair


def test_published_example() -> None:
    """Asks 100.02 x 3.000, 100.05 x 12.500; bids 99.98 x 10.000, 0.05 x 0.040."""
    replica = LevelReplica()
    for side, price, quantity in ((SELL, 10002, 3000), (SELL, 10005, 12500), (BUY, 9998, 10000), (BUY, 5, 40)):
        replica.set(side, price, quantity, 1)
    assert replica.checksum() == crc32(b"1000230001000512500999810000540") == 432354406


def test_empty_book_is_zero() -> None:
    replica = LevelReplica()
    assert replica.checksum() == 0
    replica.set(BUY, 100, 5, 1)
    assert replica.checksum() != 0
    replica.set(BUY, 100, 0, 0)
    assert replica.checksum() == 0


def test_order_counts_do_not_enter() -> None:
    assert checksum([(100, 5, 1)], []) == checksum([(100, 5, 9)], [])


@pytest.mark.parametrize("seed", range(5))
def test_against_brute_force(seed: int) -> None:
    dice = random.Random(seed)
    replica = LevelReplica()
    plain: dict[tuple[int, int], tuple[int, int]] = {}
    for _ in range(2_000):
        side, price = dice.choice(((BUY, dice.randint(1, 40)), (SELL, dice.randint(41, 80))))
        quantity = dice.choice((0, 0, dice.randint(1, 10**9)))
        replica.set(side, price, quantity, 2)
        if quantity:
            plain[side, price] = (quantity, 2)
        else:
            plain.pop((side, price), None)
        asks = sorted((price, *level) for (which, price), level in plain.items() if which == SELL)
        bids = sorted(((price, *level) for (which, price), level in plain.items() if which == BUY), reverse=True)
        depth = dice.choice((1, 3, CHECKSUM_LEVELS, 1000))
        assert (replica.top(BUY, depth), replica.top(SELL, depth)) == (bids[:depth], asks[:depth])
        text = "".join(f"{price}{quantity}" for price, quantity, _ in asks[:10] + bids[:10])
        assert replica.checksum() == crc32(text.encode())
    replica.clear()
    assert replica.top(BUY, 10) == replica.top(SELL, 10) == []


def test_follows_a_book_by_its_changed_levels() -> None:
    """Told only the levels that events touched, the replica is the book after every command."""
    pair, dice, replica = Pair(), Dice(11), LevelReplica()
    for _ in range(1_500):
        op, arguments = dice.step(pair)
        touched = set()
        for event in pair.do(op, **arguments):
            order = event[ORDER]
            if order is not None and order.instrument_id == 1 and order.price:
                # A fill touches the maker's price, an amend the old limit as well.
                touched |= {(order.side, price) for price in (order.price, event[PRICE], event[OTHER])}
        book = pair.engine.instruments[1].book
        for side, price in touched:
            level = book.level(side, price)
            replica.set(side, price, level.quantity if level else 0, level.count if level else 0)
        for side, half in ((BUY, book.bids), (SELL, book.asks)):
            levels = [half.levels[key] for key in reversed(half.keys)]
            assert replica.top(side, 1000) == [(level.price, level.quantity, level.count) for level in levels]
