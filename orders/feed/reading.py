"""What the feed reads from the tables: always in a thread, each time with a connection that is closed afterwards."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connection

from orders import selectors
from orders.charts import Chart, latest_candles, minute_candles
from orders.feed import frames
from orders.feed.publisher import Execution, TradeTold
from orders.holdings import position_list
from orders.levels import InstrumentLevels, level_list
from orders.models import Instrument, Trade
from orders.models.trading import event_id
from orders.schemas.problems import ProblemError, invalid
from orders.schemas.render import position_out
from orders.selectors import InstrumentInfo

# Events a resume may bring; a client that was away longer reads them over REST first.
MAX_RESUME_EVENTS = 10_000

Answer = TypeVar("Answer")

# An event of an account as it is kept for a stream: sequence, previous, order, message (None where it must be read again).
Told = tuple[int, int, int, frames.Frame | None]


def in_thread(read: Callable[..., Answer], *arguments: object) -> Answer:
    """Run a read in a thread of a pool: without a connection left over."""
    try:
        return read(*arguments)
    finally:
        connection.close()


def levels(shard_id: int) -> tuple[int, int, list[InstrumentLevels]]:
    """Epoch, last sequence and all levels and sessions of a shard, in one consistent read."""
    return level_list(shard_id=shard_id)


def shard_ids() -> list[int]:
    return [shard.id for shard in selectors.shard_list()]


def latest_trades(info: InstrumentInfo, count: int) -> list[TradeTold]:
    """The last trades of an instrument since it came to its shard, oldest first: only their numbers chain."""
    row = Instrument.objects.get(id=info.id)
    since, beyond = event_id(row.shard_id, row.since_sequence), event_id(row.shard_id + 1, 0)
    rows = Trade.objects.filter(instrument_id=info.id, id__gt=since, id__lt=beyond).order_by("-at", "-id")[:count]
    return [TradeTold(row.sequence, row.price, row.quantity, row.taker_side, row.at) for row in reversed(list(rows))]


def last_day(info: InstrumentInfo, since: int) -> Chart:
    """The minutes that begin at or after ``since``; where there are none, the last minute that traded at all."""
    day = minute_candles(info, since)
    return day if day.candles else latest_candles(info, "1m", 1)


def glance(info: InstrumentInfo, since: int) -> tuple[InstrumentLevels, int, Chart]:
    """Levels, epoch and last day of an instrument, in one consistent read."""
    with selectors.consistent_read():
        epoch, _, found = level_list(shard_id=info.shard_id, instrument_id=info.id)
        return found[0], epoch, last_day(info, since)


def executions(account_id: int, shard_id: int, after: int | None, epoch: int) -> tuple[int, list[Told]]:
    """Where the account's stream stood at ``after`` (None: now) and what came since.

    Raises ``resume_too_old`` past ``MAX_RESUME_EVENTS``, ``invalid_request`` where the shard has not come to ``after`` yet.
    """
    if after is not None:
        _expect_reached(shard_id, after)
    start, rows = selectors.account_order_events(
        account_id=account_id, shard_id=shard_id, after_sequence=after, limit=MAX_RESUME_EVENTS + 1
    )
    if len(rows) > MAX_RESUME_EVENTS:
        raise ProblemError(
            "resume_too_old", f"More than {MAX_RESUME_EVENTS} events since {after}: read them over REST."
        )
    told: list[Told] = []
    previous = start
    for row in rows:
        event = Execution(
            account_id,
            row.sequence,
            previous,
            row.kind,
            row.order_id,
            row.order.client_order_id or "",
            row.instrument_id,
            row.order.side,
            row.price,
            row.quantity,
            row.remaining,
            row.filled,
            row.status or 0,
            row.reason,
            row.other,
            row.at,
        )
        info = selectors.instrument_by_id(row.instrument_id)
        frame = frames.execution(info, shard_id=shard_id, epoch=epoch, told=event)
        told.append((row.sequence, previous, row.order_id, frame))
        previous = row.sequence
    return start, told


def positions(account_id: int, shard_id: int) -> tuple[int, int, list[dict[str, Any]]]:
    """Epoch, the account's last order event and all its positions on a shard, in one consistent read."""
    epoch, sequence, rows = position_list(account_id, shard_id)
    return epoch, sequence, [position_out(row, row.instrument, row.instrument.last_price) for row in rows]


def _expect_reached(shard_id: int, after: int) -> None:
    """A number from the future is no place to resume from: the database is not the one the client knew."""
    for shard in selectors.shard_list():
        if shard.id == shard_id and after <= shard.last_sequence:
            return
    raise invalid(f"after.{shard_id}", "the shard has not come that far", "not_reached")
