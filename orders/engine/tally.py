"""What trades add up to: the current candles of every instrument, and what every open position cost.

The core knows none of it. Kept beside it in memory, as of the last command; written with the trades in the same transaction,
as absolute values; loaded with everything else when the engine recovers. Time never goes back in a shard, so only the candles
of the present minute, hour and day can still change: no others are kept.
"""

from matching.values import BUY
from orders.batch import Batch
from orders.candles import RESOLUTIONS, Candle, bucket_start, extend, merge
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

    def load_position(self, row: Position) -> None:
        self.positions[row.account_id, row.instrument_id] = row.net, row.cost

    def take(self, batch: Batch, at: int) -> None:
        """Add the trades of a batch, all of one moment, and tell it what has changed."""
        traded: dict[int, Candle] = {}
        for trade in batch.trades:
            instrument_id, price, quantity = trade.instrument_id, trade.price, trade.quantity
            sequence = trade.id & SEQUENCE_MASK
            traded[instrument_id] = extend(traded.get(instrument_id), at, price, quantity, sequence)
            taken = quantity if trade.taker_side == BUY else -quantity
            # The order of the events: an account that trades with itself has its maker's fill first.
            self._fill(batch, trade.maker_account_id, instrument_id, -taken, price)
            self._fill(batch, trade.taker_account_id, instrument_id, taken, price)
        for instrument_id, candle in traded.items():
            for resolution, interval in enumerate(RESOLUTIONS):
                self._extend(batch, (instrument_id, resolution), candle._replace(start=bucket_start(interval, at)))

    def _fill(self, batch: Batch, account_id: int, instrument_id: int, units: int, price: int) -> None:
        key = account_id, instrument_id
        net, cost = self.positions.get(key, (0, 0))
        cost = batch.costs[key] = cost_after(net, cost, units, price)
        self.positions[key] = net + units, cost

    def _extend(self, batch: Batch, key: tuple[int, int], newer: Candle) -> None:
        older = self.candles.get(key)
        if older is not None and older.start == newer.start:
            newer = merge(older, newer)
        self.candles[key] = batch.candles[key] = newer
