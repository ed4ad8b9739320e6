"""Books as the rows add up to them: the levels of all orders that rest, and what an auction would come to.

The feed starts from here, and whoever asks while it does not run. Of an iceberg only what it shows is in the levels; what
waits outside the books (stops, held children of brackets) is in none.
"""

from dataclasses import dataclass

from django.db import connection

from matching.auction import Uncross, is_call, uncross_price
from matching.values import BUY, CONTINUOUS, LAST_OPEN_STATUS, SELL, UNTRIGGERED
from orders.models import Instrument, Shard
from orders.selectors import InstrumentInfo, consistent_read


@dataclass(frozen=True, slots=True)
class InstrumentLevels:
    """One book and its session as the rows say: ``levels`` are (side, price, displayed quantity, orders) in units.

    ``phase_until`` is 0 where the phase does not end by itself. While an auction is called ``indicative`` is the uncross that
    would be now, hidden quantity included; None where nothing crosses, and in every other phase.
    """

    info: InstrumentInfo
    sequence: int
    last_trade_sequence: int
    levels: list[tuple[int, int, int, int]]
    phase: int = CONTINUOUS
    phase_until: int = 0
    indicative: Uncross | None = None


# A level as the rows add up to it: instrument, side, price, units displayed, units hidden, orders.
_LevelSum = tuple[int, int, int, int, int, int]


def level_list(*, shard_id: int, instrument_id: int | None = None) -> tuple[int, int, list[InstrumentLevels]]:
    """Epoch, last sequence and all levels of a shard (or of one of its instruments), in one consistent read."""
    with consistent_read():
        if instrument_id is not None:
            # Where it is now: whoever asks may not have heard that it moved.
            shard_id = Instrument.objects.values_list("shard_id", flat=True).get(id=instrument_id)
        shard = Shard.objects.get(id=shard_id)
        instruments = list(Instrument.objects.filter(shard_id=shard_id))
        if instrument_id is not None:
            instruments = [row for row in instruments if row.id == instrument_id]
        sums = _level_sums(shard_id, instrument_id)
    by_instrument: dict[int, list[_LevelSum]] = {row.id: [] for row in instruments}
    for found in sums:
        by_instrument[found[0]].append(found)
    return shard.epoch, shard.last_sequence, [_instrument_levels(row, by_instrument[row.id]) for row in instruments]


def _level_sums(shard_id: int, instrument_id: int | None) -> list[_LevelSum]:
    """Levels of the orders that rest in books. Summed in two halves: a sum of 53-bit numbers may pass 64 bits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT instrument_id, side, price, SUM(remaining / 67108864), SUM(remaining %% 67108864), "
            "SUM(hidden / 67108864), SUM(hidden %% 67108864), COUNT(*) FROM orders_order "
            f"WHERE status <= {LAST_OPEN_STATUS} AND status <> {UNTRIGGERED} AND shard_id = %s "
            f"{'' if instrument_id is None else 'AND instrument_id = %s '}"
            "GROUP BY instrument_id, side, price",
            [shard_id] if instrument_id is None else [shard_id, instrument_id],
        )
        found = []
        for of, side, price, high, low, hidden_high, hidden_low, count in cursor.fetchall():
            hidden = int(hidden_high) * 67108864 + int(hidden_low)
            found.append((of, side, price, int(high) * 67108864 + int(low) - hidden, hidden, count))
        return found


def _instrument_levels(row: Instrument, sums: list[_LevelSum]) -> InstrumentLevels:
    indicative = None
    if is_call(row.phase):
        bids = sorted(
            ((price, shown + hidden) for _, side, price, shown, hidden, _ in sums if side == BUY), reverse=True
        )
        asks = sorted((price, shown + hidden) for _, side, price, shown, hidden, _ in sums if side == SELL)
        indicative = uncross_price(bids, asks, row.price_tick, row.last_price or row.reference_price)
    return InstrumentLevels(
        InstrumentInfo(row.id, row.symbol, row.shard_id, row.price_decimals, row.quantity_decimals),
        row.book_sequence,
        row.last_trade_sequence,
        [(side, price, shown, count) for _, side, price, shown, _, count in sums],
        row.phase,
        row.phase_until,
        indicative,
    )
