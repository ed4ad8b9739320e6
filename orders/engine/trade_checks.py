"""Do trades tell what their events tell, and positions and candles what the trades tell? A part of the verification."""

from collections.abc import Iterator

from matching.events import FILL_MAKER, FILL_TAKER
from matching.values import BUY
from orders.candles import RESOLUTIONS, Candle, bucket_start, combining, extend
from orders.costs import cost_after
from orders.engine.findings import Verification, event_range, read_row, read_rows
from orders.models import Instrument, Position, Shard
from orders.models.trading import SEQUENCE_MASK
from orders.schemas.render import wire_time


def trades_equal_their_events(shard: Shard, found: Verification) -> None:
    first, last = event_range(shard)
    found.trades, wrong = read_row(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN m.kind = %s AND k.kind = %s AND m.price = t.price "
        "AND k.price = t.price AND m.quantity = t.quantity AND k.quantity = t.quantity "
        "AND m.order_id = t.maker_order_id AND k.order_id = t.taker_order_id THEN 0 ELSE 1 END), 0) "
        "FROM orders_trade t LEFT JOIN orders_event m ON m.id = t.id LEFT JOIN orders_event k ON k.id = t.id + 1 "
        "WHERE t.id > %s AND t.id <= %s",
        FILL_MAKER,
        FILL_TAKER,
        first,
        last,
    )
    if wrong:
        found.differ("trades", f"{wrong} trades are not what their two events say")
    (fills,) = read_row(
        "SELECT COUNT(*) FROM orders_event WHERE id > %s AND id <= %s AND kind IN (%s, %s)",
        first,
        last,
        FILL_MAKER,
        FILL_TAKER,
    )
    if fills != 2 * found.trades:
        found.differ("trades", f"{found.trades} trades, {fills} fills")


def positions_equal_trades(shard: Shard, found: Verification) -> None:
    # Their numbers are in the order of time, unless one came from another shard.
    order = "t.at, t.id" if shard.instrument_set.filter(since_sequence__gt=0).exists() else "t.id"
    # By account and instrument: bought and its value, sold and its value, cost.
    totals: dict[tuple[int, int], list[int]] = {}
    for instrument_id, price, quantity, taker_side, maker, taker in read_rows(
        "SELECT t.instrument_id, t.price, t.quantity, t.taker_side, t.maker_account_id, t.taker_account_id "
        "FROM orders_trade t JOIN orders_instrument i ON i.id = t.instrument_id "
        f"WHERE i.shard_id = %s ORDER BY {order}",
        shard.id,
    ):
        taken = quantity if taker_side == BUY else -quantity
        # In the order of their events: it matters to the cost where both are of one account.
        for account_id, units in ((maker, -taken), (taker, taken)):
            total = totals.setdefault((account_id, instrument_id), [0, 0, 0, 0, 0])
            total[4] = cost_after(total[0] - total[2], total[4], units, price)
            offset = 0 if units > 0 else 2
            total[offset] += quantity
            total[offset + 1] += price * quantity
    in_rows = {
        (row.account_id, row.instrument_id): [row.bought, row.bought_notional, row.sold, row.sold_notional, row.cost]
        for row in Position.objects.filter(instrument__shard_id=shard.id)
    }
    for key in totals.keys() | in_rows.keys():
        if totals.get(key) != in_rows.get(key):
            found.differ("positions", f"account, instrument {key}: {in_rows.get(key)}, trades say {totals.get(key)}")


def candles_equal_trades(shard: Shard, found: Verification) -> None:
    """Minutes are what the trades come to, hours what the minutes, days what the hours."""
    for instrument in shard.instrument_set.all():
        expected = _traded(instrument)
        for resolution, interval in enumerate(RESOLUTIONS):
            for told, kept in _side_by_side(expected, _kept(instrument, resolution)):
                if told != kept:
                    start = wire_time((told or kept).start)
                    text = f"{_plain(kept)} in its row, {_plain(told)} was traded"
                    found.differ("candles", f"{instrument.symbol} {interval} {start}: {text}")
            if interval != RESOLUTIONS[-1]:
                expected = combining(_kept(instrument, resolution), RESOLUTIONS[resolution + 1])


def _plain(candle: Candle | None) -> tuple[int, ...] | None:
    return None if candle is None else candle[1:]


def _traded(instrument: Instrument) -> Iterator[Candle]:
    """The minutes, trade by trade: one may have had any number of them."""
    current: Candle | None = None
    for number, price, quantity, at in read_rows(
        "SELECT id, price, quantity, at FROM orders_trade WHERE instrument_id = %s ORDER BY at, id",
        instrument.id,
    ):
        later = extend(current, bucket_start("1m", at), price, quantity, number & SEQUENCE_MASK)
        if current is not None and current.start != later.start:
            yield current
        current = later
    if current is not None:
        yield current


def _kept(instrument: Instrument, resolution: int) -> Iterator[Candle]:
    for start, first, high, low, close, volume, notional, trades, sequence in read_rows(
        f"SELECT {', '.join(Candle._fields)} FROM orders_candle WHERE instrument_id = %s AND resolution = %s ORDER BY start",
        instrument.id,
        resolution,
    ):
        yield Candle(start, first, high, low, close, int(volume), int(notional), trades, sequence)


def _side_by_side(one: Iterator[Candle], other: Iterator[Candle]) -> Iterator[tuple[Candle | None, Candle | None]]:
    """Pairs of candles of the same bucket; None where one side has none."""
    left, right = next(one, None), next(other, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.start < right.start):
            yield left, None
            left = next(one, None)
        elif left is None or right.start < left.start:
            yield None, right
            right = next(other, None)
        else:
            yield left, right
            left, right = next(one, None), next(other, None)
