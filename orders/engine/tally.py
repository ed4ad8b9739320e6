"""What trades add up to: the current candles of every instrument, and what every open position cost.

The core knows none of it. Kept beside it in memory, as of the last command; written with the trades in the same transaction,
as absolute values; loaded with everything else when the engine recovers. Time never goes back in a shard, so only the candles
of the present minute, hour and day can still change: no others are kept.
"""

from operator import mul

from matching.values import BUY
from orders.batch import Batch, TradeRow
from orders.candles import RESOLUTIONS, Candle, bucket_start, merge
from orders.costs import cost_after
from orders.models import Candle as CandleRow
from orders.models import Position
from orders.models.trading import SEQUENCE_MASK


class Tally:
    """``candles`` by instrument and resolution; ``positions``, by account and instrument, are net position and its cost."""

    def __init__(self) -> None:
        self.candles: dict[tuple[int, int], Candle] = {}
        self.positions: dict[tuple[int, int], tuple[int, int]] = {}

    def load_candles(self, shard_id: int, at: int) -> None:
        """The candles that can still change after ``at``."""
        for resolution, interval in enumerate(RESOLUTIONS):
            rows = CandleRow.objects.filter(
                instrument__shard_id=shard_id, resolution=resolution, start=bucket_start(interval, at)
            )
            for instrument_id, *columns in rows.values_list("instrument_id", *Candle._fields):
                self.candles[instrument_id, resolution] = Candle(*columns)

    def load_candles_of(self, instrument_id: int, at: int) -> None:
        """The same of one instrument, and nothing of what was known of it before."""
        for resolution, interval in enumerate(RESOLUTIONS):
            self.candles.pop((instrument_id, resolution), None)
            rows = CandleRow.objects.filter(
                instrument_id=instrument_id, resolution=resolution, start=bucket_start(interval, at)
            )
            for columns in rows.values_list(*Candle._fields):
                self.candles[instrument_id, resolution] = Candle(*columns)

    def load_position(self, row: Position) -> None:
        self.positions[row.account_id, row.instrument_id] = row.net, row.cost

    def take(self, batch: Batch, at: int) -> None:
        """Add the trades of a batch, all of one moment, and tell it what has changed."""
        self._fill_positions(batch)
        by_instrument: dict[int, list[TradeRow]] = {}
        for trade in batch.trades:
            by_instrument.setdefault(trade.instrument_id, []).append(trade)
        for instrument_id, trades in by_instrument.items():
            newer = _candle(trades)
            for resolution, interval in enumerate(RESOLUTIONS):
                self._extend(batch, (instrument_id, resolution), newer._replace(start=bucket_start(interval, at)))

    def _fill_positions(self, batch: Batch) -> None:
        """On the path of every trade, hence in one function."""
        positions = self.positions
        for _, instrument_id, price, quantity, taker_side, _, _, maker_id, taker_id, _ in batch.trades:
            taken = quantity if taker_side == BUY else -quantity
            # In the order of the events: an account that trades with itself has its maker's fill first.
            for account_id, units in ((maker_id, -taken), (taker_id, taken)):
                key = account_id, instrument_id
                net, cost = positions.get(key, (0, 0))
                positions[key] = net + units, cost_after(net, cost, units, price)
        batch.costs = {key: positions[key][1] for key in batch.holdings}

    def _extend(self, batch: Batch, key: tuple[int, int], newer: Candle) -> None:
        older = self.candles.get(key)
        if older is not None and older.start == newer.start:
            newer = merge(older, newer)
        self.candles[key] = batch.candles[key] = newer


def _candle(trades: list[TradeRow]) -> Candle:
    """Trades of one moment at once: several times as fast as one after the other."""
    _, _, prices, quantities, *_ = zip(*trades, strict=True)
    return Candle(
        trades[0].at,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(quantities),
        sum(map(mul, prices, quantities)),
        len(trades),
        trades[-1].id & SEQUENCE_MASK,
    )
