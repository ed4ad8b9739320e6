"""The book as it stood: the nearest saved book at or before an event, and the events since.

A book of the past never changes, so nothing is read in one transaction: events are immutable, and a saved book is one row.
The work is bounded by the events in between (``MAX_EVENTS``), and one book at a time is made in a process: the longest is some
seconds of pure computing, which the engine beside it should not have to share with several.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

from django.db import connection

from matching.levels import LevelRow, checksum
from orders import snapshots
from orders.codes import RETRY_AFTER_SECONDS
from orders.displayed import DisplayedBook, Step
from orders.models import Instrument, Shard
from orders.models.trading import SEQUENCE_MASK, event_id
from orders.schemas.problems import ProblemError, invalid
from orders.selectors import InstrumentInfo

# Events of the shard between the saved book and the one asked for: as far as one milestone may be from the next, 1,000,000.
# Some seconds of work.
MAX_EVENTS = 2 * snapshots.MILESTONE_EVENTS
# Events read at a time: enough to make a round trip cheap, few enough that memory does not grow with the history and the
# rows are gone before the collector has walked through them a second time.
WINDOW_EVENTS = 2_000
# Events that tell whether an order has come to rest: the other two of its group, accepted and ended, and its own end.
FOLLOWING_EVENTS = 5
# How long a request waits for its turn: somewhat longer than the longest takes.
TURN_SECONDS = 15

_turn = Lock()

# What ``orders.displayed`` calls a step. (Joining only what needs the order's row, the events that accept one, is slower.)
_STEPS = (
    f"SELECT e.id & {SEQUENCE_MASK}, e.kind, e.order_id, e.price, e.quantity, e.remaining, e.status, e.reason, e.other, "
    "e.detail, o.side, o.group_id, o.display_quantity "
    "FROM orders_event e LEFT JOIN orders_order o ON o.id = e.order_id "
    "WHERE e.id > %s AND e.id <= %s AND e.instrument_id = %s ORDER BY e.id"
)


class PastBook(NamedTuple):
    """The top of a book as it stood: levels are (price, quantity, orders) in units, best first; ``at`` microseconds.

    ``epoch`` is that of the shard's present owner: numbers of events mean the same under all of them.
    """

    epoch: int
    sequence: int
    bids: list[LevelRow]
    asks: list[LevelRow]
    checksum: int
    at: int


def book_at(*, info: InstrumentInfo, sequence: int, depth: int) -> PastBook:
    """The best ``depth`` levels as they stood after event ``sequence`` of the instrument's shard.

    Raises ``invalid_request`` where the shard has not come that far, ``history_too_long`` where no saved book is near
    enough or the instrument was on another shard, ``rate_limited`` where too many ask at once.
    """
    # Not as it is remembered: it may have moved.
    row = Instrument.objects.get(id=info.id)
    info = replace(info, shard_id=row.shard_id)
    shard = Shard.objects.get(id=info.shard_id)
    if sequence < row.since_sequence:
        raise ProblemError(
            "history_too_long", f"{info.symbol} came to shard {shard.id} with event {row.since_sequence} of it."
        )
    if sequence > shard.last_sequence:
        raise invalid("sequence", f"the shard is at {shard.last_sequence}", "not_reached")
    with _one_at_a_time():
        book = _book(info, shard, sequence, row.since_sequence)
        bids, asks = book.levels()
    changed_at = _changed_at(info, book.sequence)
    return PastBook(shard.epoch, book.sequence, bids[:depth], asks[:depth], checksum(bids, asks), changed_at)


def _book(info: InstrumentInfo, shard: Shard, sequence: int, since: int) -> DisplayedBook:
    saved = snapshots.load_at(instrument_id=info.id, shard=shard, sequence=sequence, since=since)
    if saved is None:
        book, done = DisplayedBook(), max(0, since - 1)
    else:
        row, orders = saved
        book, done = DisplayedBook(orders, row.book_sequence or 0), min(row.saved_through, sequence)
    if sequence - done > MAX_EVENTS:
        raise ProblemError(
            "history_too_long",
            f"The nearest saved book before {sequence} stands at {done}, more than {MAX_EVENTS} events ago. Ask for one "
            "nearer behind a saved book (GET snapshots), or have books saved more often and more of them kept.",
        )
    while done < sequence:
        until = min(done + WINDOW_EVENTS, sequence)
        book.fold(_steps(info, done, until))
        done = until
    book.settle(_without_gap(_steps(info, sequence, sequence + FOLLOWING_EVENTS), sequence))
    return book


def _steps(info: InstrumentInfo, after: int, until: int) -> list[Step]:
    """The instrument's events after one and through another."""
    with connection.cursor() as cursor:
        cursor.execute(_STEPS, [event_id(info.shard_id, after), event_id(info.shard_id, until), info.id])
        return cursor.fetchall()


def _without_gap(steps: list[Step], sequence: int) -> Iterator[Step]:
    """Those that follow ``sequence`` one by one, as long as no event of another instrument comes between."""
    for expected, step in enumerate(steps, sequence + 1):
        if step[0] != expected:
            return
        yield step


def _changed_at(info: InstrumentInfo, sequence: int) -> int:
    """When an event happened; of none, when the instrument was made: its book is empty since then."""
    with connection.cursor() as cursor:
        if sequence:
            cursor.execute("SELECT at FROM orders_event WHERE id = %s", [event_id(info.shard_id, sequence)])
        else:
            cursor.execute("SELECT created_at FROM orders_instrument WHERE id = %s", [info.id])
        return int(cursor.fetchone()[0])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _turn.acquire(timeout=TURN_SECONDS):
        raise ProblemError(
            "rate_limited",
            "Books of the past are made one at a time, and others wait already.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    try:
        yield
    finally:
        _turn.release()
