"""The only read door: every question the doors ask of the tables, in one place.

Functions take keyword arguments, answer rows or plain values, and raise ``ProblemError`` where there is nothing. Lists
are keyset-paged: they answer one more row than asked for only to know whether there is a next page.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Lock, local
from typing import Any

from django.db import connection
from django.db.models import Max, Q, QuerySet

from matching.events import FILL_MAKER, FILL_TAKER
from matching.stops import best_of
from matching.values import LAST_OPEN_STATUS, SIDE_NAMES, STATUS_NAMES, STOP_LOSS, TRAILING_STOP, UNTRIGGERED
from orders import shards
from orders.models import (
    Account,
    BookSnapshot,
    ClientOrderId,
    Event,
    Instrument,
    Lease,
    MessageRate,
    Order,
    Shard,
    Trade,
)
from orders.models.trading import event_id
from orders.schemas.orders import OrderFilter
from orders.schemas.problems import ProblemError

# A 63-bit id in text has at most this many digits; longer ones are nobody's.
MAX_ID_DIGITS = 19


# Whether this thread is inside one, so that they nest.
_consistent = local()


@contextmanager
def consistent_read() -> Iterator[None]:
    """Everything read inside sees one moment of the database.

    On SQLite a plain BEGIN (Django's own would take the write lock), on PostgreSQL a read-only repeatable read.
    """
    if connection.in_atomic_block or getattr(_consistent, "reading", False):
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("BEGIN" if connection.vendor == "sqlite" else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _consistent.reading = True
        try:
            yield
        finally:
            _consistent.reading = False
            cursor.execute("ROLLBACK")


# Instruments and shards


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """What never changes of an instrument."""

    id: int
    symbol: str
    shard_id: int
    price_decimals: int
    quantity_decimals: int


_instruments_by_symbol: dict[str, InstrumentInfo] = {}
_instruments_by_id: dict[int, InstrumentInfo] = {}
_instruments_lock = Lock()


def forget_instruments() -> None:
    """Drop the cache, of shards too; the next question reads the table. (New instruments are found anyway.)"""
    with _instruments_lock:
        _instruments_by_symbol.clear()
        _instruments_by_id.clear()
    shards.forget()


def _remember_instruments() -> None:
    rows = Instrument.objects.values_list("id", "symbol", "shard_id", "price_decimals", "quantity_decimals")
    infos = [InstrumentInfo(*row) for row in rows]
    with _instruments_lock:
        _instruments_by_symbol.update((info.symbol, info) for info in infos)
        _instruments_by_id.update((info.id, info) for info in infos)
    shards.remember()


def instrument_by_symbol(symbol: str) -> InstrumentInfo:
    """Raises ``unknown_symbol``."""
    info = _instruments_by_symbol.get(symbol)
    if info is None:
        _remember_instruments()
        info = _instruments_by_symbol.get(symbol)
        if info is None:
            raise ProblemError("unknown_symbol", f"There is no instrument {symbol!r}.")
    return info


def remembered_symbol(symbol: str) -> bool:
    """Whether ``instrument_by_symbol`` would answer without reading the table: for those who must not wait."""
    return symbol in _instruments_by_symbol


def remembered_instrument(instrument_id: int) -> bool:
    """The same of ``instrument_by_id``."""
    return instrument_id in _instruments_by_id


def instrument_by_id(instrument_id: int) -> InstrumentInfo:
    info = _instruments_by_id.get(instrument_id)
    if info is None:
        _remember_instruments()
        info = _instruments_by_id[instrument_id]
    return info


def instrument_list() -> list[Instrument]:
    return list(Instrument.objects.order_by("symbol"))


def instrument_get(*, symbol: str) -> Instrument:
    """The whole row. Raises ``unknown_symbol``."""
    row = Instrument.objects.filter(symbol=symbol).first()
    if row is None:
        raise ProblemError("unknown_symbol", f"There is no instrument {symbol!r}.")
    return row


def instrument_exists(*, symbol: str) -> bool:
    return Instrument.objects.filter(symbol=symbol).exists()


def next_instrument_id() -> int:
    return (Instrument.objects.aggregate(top=Max("id"))["top"] or 0) + 1


def shard_list() -> list[Shard]:
    return list(Shard.objects.order_by("id"))


# Accounts


def account_get(*, account_id: int) -> Account:
    return Account.objects.get(id=account_id)


def account_by_name(name: str) -> Account:
    """Raises ``unknown_account``."""
    row = Account.objects.filter(name=name).first()
    if row is None:
        raise ProblemError("unknown_account", f"There is no account {name!r}.")
    return row


def message_rate(*, account_id: int, shard_id: int | None = None) -> int:
    """How far the account's messages have used up time on a shard; None: on the one where that is furthest."""
    rows = MessageRate.objects.filter(account_id=account_id)
    if shard_id is not None:
        rows = rows.filter(shard_id=shard_id)
    return rows.aggregate(furthest=Max("rate_at"))["furthest"] or 0


def account_open_orders(*, account_id: int) -> int:
    return Order.objects.filter(account_id=account_id, status__lte=LAST_OPEN_STATUS).count()


def account_lease(*, account_id: int) -> datetime | None:
    """When the account's open orders are canceled unless it renews; the earliest of its shards, None where none is armed."""
    return Lease.objects.filter(account_id=account_id).order_by("due_at").values_list("due_at", flat=True).first()


# Orders


def order_get(*, account_id: int, order_id: int) -> Order:
    """An order of the account. Raises ``order_not_found``, also for other accounts' orders."""
    row = Order.objects.filter(id=order_id, account_id=account_id).first()
    if row is None:
        raise ProblemError("order_not_found")
    return row


def order_status(*, order_id: int, account_id: int | None = None) -> int | None:
    """The status of an order, of the account or (None) of anybody's; None where there is no such order."""
    rows = Order.objects.filter(id=order_id)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    return rows.values_list("status", flat=True).first()


def order_by_id(order_id: int) -> Order:
    """Whoever's it is: for the service itself, never for a door."""
    return Order.objects.get(id=order_id)


def order_by_client_id(*, account_id: int, client_order_id: str) -> Order:
    """Raises ``order_not_found``."""
    claim = claim_get(account_id=account_id, client_order_id=client_order_id)
    row = None if claim is None else Order.objects.filter(id=claim.order_id).first()
    if row is None:
        raise ProblemError("order_not_found")
    return row


def claim_get(*, account_id: int, client_order_id: str) -> ClientOrderId | None:
    """Which order a client's own id belongs to, and with which request; None while it is free."""
    return ClientOrderId.objects.filter(account_id=account_id, client_order_id=client_order_id).first()


def order_legs(*, order_id: int) -> list[Order]:
    """The other orders of the group that an order is the first of; none where it is not."""
    return list(Order.objects.filter(group_id=order_id).exclude(id=order_id).order_by("id"))


def trail_bests(rows: Iterable[Order]) -> dict[int, int]:
    """The best last price, so far, of each trailing stop among ``rows`` that waits, by order id (0: no trade yet).

    A bracket's child that is held waits for its entry, not yet for the market: it is left out.
    """
    waiting = [row for row in rows if row.type == TRAILING_STOP and row.status == UNTRIGGERED]
    if not waiting:
        return {}
    entries = [row.group_id for row in waiting if row.role == STOP_LOSS]
    alive = Order.objects.filter(id__in=entries, status__lte=LAST_OPEN_STATUS).values_list("id", flat=True)
    held = set(alive) if entries else set()
    trails = Instrument.objects.filter(id__in={row.instrument_id for row in waiting}).values_list("id", "trails")
    marks = {instrument_id: json.loads(text) for instrument_id, text in trails}
    return {
        row.id: best_of(marks[row.instrument_id][SIDE_NAMES[row.side]], row.priority)
        for row in waiting
        if not (row.role == STOP_LOSS and row.group_id in held)
    }


def trail_best(row: Order) -> int:
    """The same of one order; 0 where it is no trailing stop that waits."""
    return trail_bests([row]).get(row.id, 0)


def open_order_count(*, instrument_id: int) -> int:
    return Order.objects.filter(instrument_id=instrument_id, status__lte=LAST_OPEN_STATUS).count()


def waiting_order_count(*, instrument_id: int) -> int:
    """Stops that wait for the last price, and children of brackets that wait for their entry."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*) FROM orders_order WHERE status <= {LAST_OPEN_STATUS} AND status = {UNTRIGGERED} "
            "AND instrument_id = %s",
            [instrument_id],
        )
        return int(cursor.fetchone()[0])


def open_order_counts() -> dict[int, int]:
    """Open orders of every instrument that has any. The literal lets a database use the index that has only those."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT instrument_id, COUNT(*) FROM orders_order WHERE status <= {LAST_OPEN_STATUS} GROUP BY instrument_id"
        )
        return dict(cursor.fetchall())


def order_list(*, account_id: int, filters: OrderFilter) -> tuple[list[Order], str | None]:
    """A page of the account's orders, newest first, and the cursor of the next (None at the end)."""
    rows = Order.objects.filter(account_id=account_id)
    if filters.symbol is not None:
        rows = rows.filter(instrument_id=instrument_by_symbol(filters.symbol).id)
    if filters.status == "open":
        rows = rows.filter(status__lte=LAST_OPEN_STATUS)
    elif filters.status is not None:
        rows = rows.filter(status=STATUS_NAMES.index(filters.status))
    if filters.side is not None:
        rows = rows.filter(side=SIDE_NAMES.index(filters.side))
    if filters.client_order_id is not None:
        claims = ClientOrderId.objects.filter(account_id=account_id, client_order_id=filters.client_order_id)
        rows = rows.filter(id__in=claims.values("order_id"))
    if filters.group_id is not None:
        rows = rows.filter(group_id=_as_id(filters.group_id))
    if filters.cursor is not None:
        rows = rows.filter(id__lt=_as_id(filters.cursor))
    page = list(rows.order_by("-id")[: filters.limit + 1])
    return _page(page, filters.limit)


def _as_id(text: str) -> int:
    """A cursor or id as a number a 64-bit column can be compared with."""
    return min(int(text[:MAX_ID_DIGITS]), 2**63 - 1)


def _page(rows: list[Any], limit: int) -> tuple[list[Any], str | None]:
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], str(rows[limit - 1].id)


# Trades, fills, events: in the order of time, since every shard has numbers of its own.


def _before(rows: QuerySet[Any], cursor: str) -> QuerySet[Any]:
    """What is older than the trade or event of the cursor, of whichever shard."""
    number = _as_id(cursor)
    at = rows.model.objects.filter(id=number).values_list("at", flat=True).first()
    if at is None:
        return rows.filter(id__lt=number)
    # The first condition lets a database begin in the index where the page does.
    return rows.filter(at__lte=at).filter(Q(at__lt=at) | Q(id__lt=number))


def trade_list(*, symbol: str, cursor: str | None, limit: int) -> tuple[list[Trade], str | None]:
    """Public trades of an instrument, newest first."""
    rows = Trade.objects.filter(instrument_id=instrument_by_symbol(symbol).id)
    if cursor is not None:
        rows = _before(rows, cursor)
    return _page(list(rows.order_by("-at", "-id")[: limit + 1]), limit)


def fill_list(
    *, account_id: int, symbol: str | None, order_id: int | None, cursor: str | None, limit: int
) -> tuple[list[Event], str | None]:
    """The account's fills, newest first: events with their orders."""
    rows = Event.objects.filter(account_id=account_id, kind__in=(FILL_MAKER, FILL_TAKER)).select_related("order")
    if symbol is not None:
        rows = rows.filter(instrument_id=instrument_by_symbol(symbol).id)
    if order_id is not None:
        rows = rows.filter(order_id=order_id)
    if cursor is not None:
        rows = _before(rows, cursor)
    return _page(list(rows.order_by("-at", "-id")[: limit + 1]), limit)


def order_fills(*, order_id: int) -> list[Event]:
    """All fills of one order, oldest first."""
    return list(
        Event.objects.filter(order_id=order_id, kind__in=(FILL_MAKER, FILL_TAKER))
        .select_related("order")
        .order_by("at", "id")
    )


def order_event_list(*, account_id: int, order_id: int) -> list[Event]:
    """The whole life of an order of the account, oldest first. Raises ``order_not_found``."""
    order_get(account_id=account_id, order_id=order_id)
    return list(Event.objects.filter(order_id=order_id).select_related("order", "actor").order_by("at", "id"))


def account_event_list(*, account_id: int, shard_id: int, after_sequence: int, limit: int) -> list[Event]:
    """The account's events on a shard after a sequence, oldest first: at most ``limit``."""
    after = event_id(shard_id, min(after_sequence, 2**47))
    rows = Event.objects.filter(account_id=account_id, id__gt=after, id__lt=event_id(shard_id + 1, 0))
    return list(rows.select_related("order", "actor").order_by("id")[:limit])


def account_last_sequence(*, account_id: int, shard_id: int) -> int:
    """The number of the account's last event on a shard, 0 where it has none."""
    rows = Event.objects.filter(account_id=account_id, id__gt=event_id(shard_id, 0), id__lt=event_id(shard_id + 1, 0))
    last = rows.order_by("-id").values_list("id", flat=True).first()
    return 0 if last is None else last - event_id(shard_id, 0)


def account_order_events(
    *, account_id: int, shard_id: int, after_sequence: int | None, limit: int
) -> tuple[int, list[Event]]:
    """Where the account's order events stood at ``after_sequence`` (None: now), and those since, oldest first.

    The first is the number of the account's last order event at or before it (0: none), the second at most ``limit`` rows.
    """
    first, beyond = event_id(shard_id, 0), event_id(shard_id + 1, 0)
    rows = Event.objects.filter(account_id=account_id, id__gt=first, id__lt=beyond, order__isnull=False)
    after = beyond if after_sequence is None else event_id(shard_id, min(after_sequence, 2**47))
    start = rows.filter(id__lte=after).order_by("-id").values_list("id", flat=True).first()
    since = list(rows.filter(id__gt=after).select_related("order").order_by("id")[:limit])
    return 0 if start is None else start - first, since


# Snapshots


def snapshot_list(*, symbol: str | None, cursor: str | None, limit: int) -> tuple[list[BookSnapshot], str | None]:
    """Saved books, newest first, without their data."""
    rows = BookSnapshot.objects.defer("data").select_related("instrument")
    if symbol is not None:
        rows = rows.filter(instrument_id=instrument_by_symbol(symbol).id)
    if cursor is not None:
        rows = rows.filter(id__lt=_as_id(cursor))
    return _page(list(rows.order_by("-id")[: limit + 1]), limit)
