"""A book kept from the feed, verified with every message.

Levels are kept as they were sent, because the checksum is over the texts; users get ``Decimal``. After each update: the
chain of numbers (``following``), every level removed must have been there, both sides are cut to ``depth``, and the
checksum (the rule of Kraken's WebSocket v2) must be what the server says. What a checksum does not reach, levels below
the tenth and counts of orders, is compared with the snapshots that come unasked about every minute.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from zlib import crc32

from oms_client.following import Broken, ChainFollower
from oms_client.models import BookView, Json, Level, Malformed, decimal, whole
from oms_client.stats import Stats

CHECKSUM_LEVELS = 10

# A level as sent: price, quantity, orders.
Row = tuple[str, str, int]


class BookSide:
    """Levels of one side, best first. Keys are prices, negated for bids: ascending order is best first on both sides."""

    __slots__ = ("_keys", "_rows", "_sign")

    def __init__(self, *, bids: bool) -> None:
        self._sign = -1 if bids else 1
        self._keys: list[Decimal] = []
        self._rows: dict[Decimal, Row] = {}

    def set(self, row: Row, quantity: Decimal) -> None:
        """A level as it is now; a quantity of zero removes it. Raises ``Broken`` where there is nothing to remove."""
        key = decimal(row[0]) * self._sign
        if quantity:
            if key not in self._rows:
                insort(self._keys, key)
            self._rows[key] = row
        elif self._rows.pop(key, None) is None:
            raise Broken("gap", f"the level {row[0]} was removed, but had never been there")
        else:
            del self._keys[bisect_left(self._keys, key)]

    def cut(self, depth: int) -> None:
        """Keep the best ``depth`` levels."""
        for key in self._keys[depth:]:
            del self._rows[key]
        del self._keys[depth:]

    def best(self, count: int | None = None) -> list[Row]:
        return [self._rows[key] for key in self._keys[:count]]


class Book(ChainFollower):
    """The book of one symbol at one depth; ``view`` once it is not ``stale``."""

    def __init__(self, symbol: str, depth: int, stats: Stats) -> None:
        super().__init__(symbol, stats)
        self.depth = depth
        self._bids, self._asks = BookSide(bids=True), BookSide(bids=False)

    @property
    def bids(self) -> list[Row]:
        """Levels as sent, best first."""
        return self._bids.best()

    @property
    def asks(self) -> list[Row]:
        return self._asks.best()

    def view(self) -> BookView | None:
        """The book for users; None while it cannot be trusted."""
        if self.stale:
            return None
        bids, asks = _levels(self.bids), _levels(self.asks)
        return BookView(self.symbol, self.epoch, self.sequence, bids, asks)

    def checksum(self) -> int:
        rows = self._asks.best(CHECKSUM_LEVELS) + self._bids.best(CHECKSUM_LEVELS)
        return crc32("".join(_digits(price) + _digits(quantity) for price, quantity, _ in rows).encode("ascii"))

    def _begin(self, message: Json, sequence: int) -> Sequence[object]:
        self._bids, self._asks = BookSide(bids=True), BookSide(bids=False)
        for side, name in ((self._bids, "bids"), (self._asks, "asks")):
            rows = _rows(message, name)
            for row in rows:
                side.set(row, decimal(row[1]))
            if side.best() != rows or len(rows) > self.depth:
                raise Malformed(f"{name} are not the best {self.depth} levels, best first")
        self._expect_checksum(message)
        return (self,)

    def _update(self, message: Json, sequence: int) -> Sequence[object]:
        for side, name in ((self._bids, "bids"), (self._asks, "asks")):
            for row in _rows(message, name):
                side.set(row, decimal(row[1]))
            side.cut(self.depth)
        self._expect_checksum(message)
        return (self,)

    def _verify(self, message: Json) -> None:
        if _rows(message, "bids") != self.bids or _rows(message, "asks") != self.asks:
            raise Broken("contradiction", f"{self.symbol}: the snapshot of {self.sequence} is another book")
        self._expect_checksum(message)

    def _expect_checksum(self, message: Json) -> None:
        if self.checksum() != whole(message, "checksum"):
            raise Broken("checksum", f"{self.symbol}: the checksum of {message.get('sequence')} is another")


def _rows(message: Json, name: str) -> list[Row]:
    rows = message.get(name)
    if not isinstance(rows, list):
        raise Malformed(f"{name}: a list was expected")
    found: list[Row] = []
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3 and isinstance(row[0], str) and isinstance(row[1], str)):
            raise Malformed(f"{name}: a level was expected")
        if type(row[2]) is not int:
            raise Malformed(f"{name}: a number of orders was expected")
        found.append((row[0], row[1], row[2]))
    return found


def _levels(rows: list[Row]) -> tuple[Level, ...]:
    return tuple(Level(Decimal(price), Decimal(quantity), orders) for price, quantity, orders in rows)


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")
