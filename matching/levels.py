"""A replica of a book's levels, as a feed or a client keeps it, and the checksum that tells whether it is right.

Levels are absolute: an update says what a level is now, and a quantity of zero removes it. The checksum is the rule of
Kraken's WebSocket v2: up to ten asks from low to high, then up to ten bids from high to low; of each the price, then the
quantity, as sent but without the point and without leading zeros; the unsigned CRC32 of that ASCII text. An empty book
is 0. Because prices and quantities are sent with the instrument's fixed decimals, the text of a number without its point
and leading zeros is just the integer in units.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from zlib import crc32

from matching.values import BUY

# Levels a side that enter the checksum.
CHECKSUM_LEVELS = 10

# A level as told: price, quantity, number of orders (units).
LevelRow = tuple[int, int, int]


class LevelReplica:
    """Both sides of one book as price -> (quantity, orders), with sorted prices. Prices and quantities in units."""

    __slots__ = ("_asks", "_bids", "_levels")

    def __init__(self) -> None:
        # Keys as in the book: a bid's price, an ask's price negated, best last.
        self._bids: list[int] = []
        self._asks: list[int] = []
        self._levels: dict[int, LevelRow] = {}

    def set(self, side: int, price: int, quantity: int, orders: int) -> None:
        """Make the level of ``price`` what it is now; a quantity of 0 removes it."""
        key = price if side == BUY else -price
        keys = self._bids if side == BUY else self._asks
        if quantity:
            if key not in self._levels:
                insort(keys, key)
            self._levels[key] = (price, quantity, orders)
        elif self._levels.pop(key, None) is not None:
            del keys[bisect_left(keys, key)]

    def clear(self) -> None:
        self._bids.clear()
        self._asks.clear()
        self._levels.clear()

    def top(self, side: int, depth: int) -> list[LevelRow]:
        """The best ``depth`` levels of a side, best first."""
        keys = self._bids if side == BUY else self._asks
        levels = self._levels
        return [levels[key] for key in keys[: -depth - 1 : -1]]

    def get(self, key: int) -> LevelRow | None:
        """The level with this key: a bid's price, an ask's price negated, so that a better level has a greater one."""
        return self._levels.get(key)

    def worst(self, side: int, depth: int) -> int | None:
        """The key of the last of a side's best ``depth`` levels; None where the whole side fits."""
        keys = self._bids if side == BUY else self._asks
        return keys[-depth] if len(keys) >= depth else None

    def between(self, side: int, depth: int, worst: int) -> list[int]:
        """The keys of a side's best ``depth`` levels that are worse than ``worst``."""
        keys = self._bids if side == BUY else self._asks
        return keys[max(len(keys) - depth, 0) : bisect_left(keys, worst)]

    def checksum(self) -> int:
        """Unsigned CRC32 of the top of the book."""
        return checksum(self.top(BUY, CHECKSUM_LEVELS), self.top(1 - BUY, CHECKSUM_LEVELS))


def checksum(bids: list[LevelRow], asks: list[LevelRow]) -> int:
    """Checksum of levels given best first (more than ten a side are ignored)."""
    parts = [f"{price}{quantity}" for price, quantity, _ in asks[:CHECKSUM_LEVELS]]
    parts += [f"{price}{quantity}" for price, quantity, _ in bids[:CHECKSUM_LEVELS]]
    return crc32("".join(parts).encode())
