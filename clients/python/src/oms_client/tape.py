"""Trades and candles, in the order they happened: chains like a book's, with items that users want every one of.

A snapshot says the latest items. Where those reach back to what was told before, nothing was missed and only the newer ones
are told; else one ``Skipped`` stands for what is between. The same for what the server itself skipped because the
reader was slow.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from oms_client.following import Broken, ChainFollower
from oms_client.models import Candle, Json, Made, Malformed, Skipped, Trade, build, whole
from oms_client.stats import Stats

# Trades of a snapshot: one with fewer has all there ever were.
SNAPSHOT_TRADES = 50
# Candles of a snapshot.
SNAPSHOT_CANDLES = 100


class Tape(ChainFollower):
    """The trades of one symbol; ``latest`` has the last ones told."""

    def __init__(self, symbol: str, stats: Stats) -> None:
        super().__init__(symbol, stats)
        self.latest: deque[Trade] = deque(maxlen=SNAPSHOT_TRADES)
        self._told: int | None = None

    def _begin(self, message: Json, sequence: int) -> Sequence[object]:
        trades = _trades(message)
        if trades and trades[-1].sequence != sequence:
            raise Malformed("the last trade has another number than its message")
        told, newer = self._told, [trade for trade in trades if self._told is None or trade.sequence > self._told]
        items: list[object] = []
        if told is not None and newer and not _reaches(trades, told):
            self._stats.skipped += 1
            items.append(Skipped(self.symbol, told, newer[0].sequence - 1, None))
        self.latest = deque(trades, SNAPSHOT_TRADES)
        self._told = max(told or 0, sequence)
        return items + newer

    def _update(self, message: Json, sequence: int) -> Sequence[object]:
        trades = _trades(message)
        if not trades or trades[0].sequence <= self.sequence or trades[-1].sequence != sequence:
            raise Broken("gap", f"{self.symbol}: the trades of {sequence} are not those after {self.sequence}")
        self.latest.extend(trades)
        self._told = sequence
        return trades

    def _skip(self, message: Json, sequence: int) -> Sequence[object]:
        self._stats.skipped += 1
        self.latest.clear()
        self._told = sequence
        return (Skipped(self.symbol, self.sequence, sequence, whole(message, "count")),)

    def _verify(self, message: Json) -> None:
        trades = _trades(message)
        # A restart of the subscription says again what was told: the common end must be the same.
        common = min(len(trades), len(self.latest))
        if common and trades[-common:] != list(self.latest)[-common:]:
            raise Broken("contradiction", f"{self.symbol}: the snapshot of {self.sequence} has other trades")

    def forget(self) -> None:
        super().forget()
        self.latest.clear()
        self._told = None


class CandleSeries(ChainFollower):
    """The candles of one symbol and interval: each message has some of them whole, as they are now."""

    def __init__(self, symbol: str, stats: Stats) -> None:
        super().__init__(symbol, stats)
        self.latest: list[Candle] = []

    def _begin(self, message: Json, sequence: int) -> Sequence[object]:
        candles = _candles(message)
        items: list[object] = []
        known = {candle.time: candle for candle in self.latest}
        if self.latest and candles and candles[0].time > self.latest[-1].time:
            self._stats.skipped += 1
            items.append(Skipped(self.symbol, self.sequence, sequence, None))
        items += [candle for candle in candles if known.get(candle.time) != candle]
        self.latest = candles
        return items

    def _update(self, message: Json, sequence: int) -> Sequence[object]:
        candles = _candles(message)
        if not candles or (self.latest and candles[0].time < self.latest[-1].time):
            raise Broken("gap", f"{self.symbol}: candles older than the newest have changed")
        if self.latest and candles[0].time == self.latest[-1].time:
            self.latest.pop()
        self.latest = (self.latest + candles)[-SNAPSHOT_CANDLES:]
        return candles

    def _verify(self, message: Json) -> None:
        candles = _candles(message)
        common = min(len(candles), len(self.latest))
        if common and candles[-common:] != self.latest[-common:]:
            raise Broken("contradiction", f"{self.symbol}: the snapshot of {self.sequence} has other candles")

    def forget(self) -> None:
        super().forget()
        self.latest = []


def _reaches(trades: list[Trade], told: int) -> bool:
    """Whether a snapshot's trades join those told before without a hole."""
    return len(trades) < SNAPSHOT_TRADES or trades[0].sequence <= told


def _trades(message: Json) -> list[Trade]:
    trades = _list(message, "trades", Trade)
    if any(older.sequence >= newer.sequence for older, newer in pairwise(trades)):
        raise Malformed("trades are not in the order they happened")
    return trades


def _candles(message: Json) -> list[Candle]:
    candles = _list(message, "candles", Candle)
    if any(older.time >= newer.time for older, newer in pairwise(candles)):
        raise Malformed("candles are not in the order of their times")
    return candles


def _list(message: Json, name: str, kind: type[Made]) -> list[Made]:
    items = message.get(name)
    if not isinstance(items, list):
        raise Malformed(f"{name}: a list was expected")
    return [build(kind, item) for item in items]
