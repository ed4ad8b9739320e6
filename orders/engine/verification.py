"""Do rows, events, trades, positions, saved books and hashes tell one story? Everything is computed twice and compared.

Reads only, in one consistent read a shard, so it works beside a running engine. Memory grows with the open orders and the
accounts, not with the history: events and orders are streamed side by side in the order of their ids.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from matching.codec import book_hash
from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    DECREMENTED,
    FILL_MAKER,
    FILL_TAKER,
    KIND_NAMES,
    REJECTED,
    REPLACED,
)
from matching.lifecycle import UNBORN, status_after
from matching.values import BUY, LAST_OPEN_STATUS
from orders import selectors, snapshots
from orders.engine.recovery import build
from orders.models import BookSnapshot, Position, Shard
from orders.models.trading import event_id
from orders.open_orders import FETCH_ROWS, OpenOrders, totals_in_rows

# Differences told of each kind: the first ones name the cause, a million would bury it.
MAX_TOLD = 10


@dataclass(slots=True)
class Verification:
    """What was counted, and every difference found; good when there are none."""

    shard_id: int
    sequence: int
    events: int = 0
    orders: int = 0
    trades: int = 0
    snapshots: int = 0
    open_orders: int = 0
    hashes: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    _told: dict[str, int] = field(default_factory=dict)

    def differ(self, what: str, text: str) -> None:
        told = self._told[what] = self._told.get(what, 0) + 1
        if told <= MAX_TOLD:
            self.differences.append(f"{what}: {text}")
        elif told == MAX_TOLD + 1:
            self.differences.append(f"{what}: and more")


@dataclass(slots=True)
class Folded:
    """An order as its events tell it."""

    price: int = 0
    quantity: int = 0
    remaining: int = 0
    filled: int = 0
    notional: int = 0
    status: int = UNBORN
    reason: int = 0
    version: int = 1
    priority: int = 0
    sequence: int = 0

    def apply(
        self, sequence: int, kind: int, price: int, quantity: int, remaining: int, filled: int, reason: int
    ) -> str:
        """Take one event. Returns what is wrong with it, or ""."""
        before = (self.remaining, self.filled)
        self.sequence, self.remaining, self.filled, self.reason = sequence, remaining, filled, reason
        try:
            self.status = status_after(self.status, kind, remaining)
        except ValueError as error:
            return str(error)
        if kind in (ACCEPTED, REPLACED):
            self.priority = sequence
        if kind in (AMENDED, REPLACED):
            self.version += 1
        if kind in (ACCEPTED, REJECTED, REPLACED):
            self.price = price
        expected = before
        if kind in (ACCEPTED, REJECTED):
            expected = (quantity if kind == ACCEPTED else 0, 0)
        elif kind in (FILL_MAKER, FILL_TAKER):
            self.notional += price * quantity
            expected = (before[0] - quantity, before[1] + quantity)
        elif kind in (CANCELED, DECREMENTED):
            expected = (before[0] - quantity, before[1])
        elif kind in (AMENDED, REPLACED):
            expected = (before[0] + quantity - self.quantity, before[1])
        if kind in (ACCEPTED, REJECTED, AMENDED, REPLACED):
            self.quantity = quantity
        if (remaining, filled) != expected:
            return f"leaves {remaining} open and {filled} filled, {expected[0]} and {expected[1]} were due"
        return ""


def verify(shard_id: int) -> Verification:
    """Compare everything of one shard."""
    with selectors.consistent_read():
        shard = Shard.objects.get(id=shard_id)
        found = Verification(shard_id, shard.last_sequence)
        _events_are_gapless(shard, found)
        saved = _latest_saved_books(shard, found)
        _orders_equal_their_events(shard, found, saved)
        _trades_equal_their_events(shard, found)
        _positions_equal_trades(shard, found)
        _claims_equal_orders(shard, found)
        _books_equal_rows(shard, found)
    return found


def _one(sql: str, *parameters: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


def _rows(sql: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        while rows := cursor.fetchmany(FETCH_ROWS):
            yield from rows


def _range(shard: Shard) -> tuple[int, int]:
    """Ids of the shard's events: above the first, at or below the second."""
    return event_id(shard.id, 0), event_id(shard.id, shard.last_sequence)


def _events_are_gapless(shard: Shard, found: Verification) -> None:
    first, last = _range(shard)
    count, low, high = _one(
        "SELECT COUNT(*), MIN(id), MAX(id) FROM orders_event WHERE id > %s AND id < %s",
        first,
        event_id(shard.id + 1, 0),
    )
    found.events = count
    if count != shard.last_sequence or (count and (low != first + 1 or high != last)):
        found.differ("events", f"{count} events, the shard's row says {shard.last_sequence}")


def _orders_equal_their_events(shard: Shard, found: Verification, saved: dict[int, BookSnapshot]) -> None:
    """Fold every order's events and compare with its row; fold up to the saved books and compare with them."""
    first, last = _range(shard)
    events = _rows(
        "SELECT order_id, id, kind, price, quantity, remaining, filled, reason FROM orders_event "
        "WHERE id > %s AND id <= %s AND order_id IS NOT NULL ORDER BY order_id, id",
        first,
        last,
    )
    rows = _rows(
        "SELECT id, price, quantity, remaining, filled, notional, status, reason, version, priority, sequence, "
        "canceled, instrument_id FROM orders_order WHERE shard_id = %s ORDER BY id",
        shard.id,
    )
    in_books = {key: {order.order_id: order for order in snapshots.decode(row)} for key, row in saved.items()}
    pending = next(events, None)
    for row in rows:
        found.orders += 1
        while pending is not None and pending[0] < row[0]:
            found.differ("orders", f"event {pending[1] - first} is of order {pending[0]}, which has no row")
            pending = next(events, None)
        state = Folded()
        cutoff = event_id(shard.id, saved[row[12]].sequence) if row[12] in saved else 0
        at_save: tuple[int, ...] | None = None
        while pending is not None and pending[0] == row[0]:
            wrong = state.apply(pending[1] - first, *pending[2:])
            if wrong:
                found.differ("events", f"{pending[1] - first} ({KIND_NAMES[pending[2]]}) of order {row[0]} {wrong}")
            if pending[1] <= cutoff:
                at_save = _saved_form(state) if state.status <= LAST_OPEN_STATUS else None
            pending = next(events, None)
        _compare_row(row, state, found)
        order = in_books.get(row[12], {}).pop(row[0], None)
        in_book = (
            None if order is None else (order.price, order.quantity, order.remaining, order.priority, order.version)
        )
        if in_book != at_save:
            found.differ("saved books", f"order {row[0]} is {in_book} in the saved book, {at_save} by its events")
    for orders in in_books.values():
        for order_id in orders:
            found.differ("saved books", f"order {order_id} is in a saved book and has no row")


def _saved_form(state: Folded) -> tuple[int, ...]:
    return (state.price, state.quantity, state.remaining, state.priority, state.version)


def _compare_row(row: tuple[Any, ...], state: Folded, found: Verification) -> None:
    in_row = (row[1] or 0, *row[2:5], int(row[5]), *row[6:11])
    told = (
        state.price,
        state.quantity,
        state.remaining,
        state.filled,
        state.notional,
        state.status,
        state.reason,
        state.version,
        state.priority,
        state.sequence,
    )
    if in_row != told:
        found.differ("orders", f"order {row[0]} is {in_row} in its row, {told} by its events")
    if row[2] != row[3] + row[4] + row[11]:
        found.differ("orders", f"order {row[0]} does not add up")


def _trades_equal_their_events(shard: Shard, found: Verification) -> None:
    first, last = _range(shard)
    found.trades, wrong = _one(
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
    (fills,) = _one(
        "SELECT COUNT(*) FROM orders_event WHERE id > %s AND id <= %s AND kind IN (%s, %s)",
        first,
        last,
        FILL_MAKER,
        FILL_TAKER,
    )
    if fills != 2 * found.trades:
        found.differ("trades", f"{found.trades} trades, {fills} fills")


def _positions_equal_trades(shard: Shard, found: Verification) -> None:
    first, last = _range(shard)
    totals: dict[tuple[int, int], list[int]] = {}
    for instrument_id, price, quantity, taker_side, maker, taker in _rows(
        "SELECT instrument_id, price, quantity, taker_side, maker_account_id, taker_account_id FROM orders_trade "
        "WHERE id > %s AND id <= %s",
        first,
        last,
    ):
        buyer, seller = (taker, maker) if taker_side == BUY else (maker, taker)
        for account_id, offset in ((buyer, 0), (seller, 2)):
            total = totals.setdefault((account_id, instrument_id), [0, 0, 0, 0])
            total[offset] += quantity
            total[offset + 1] += price * quantity
    in_rows = {
        (row.account_id, row.instrument_id): [row.bought, row.bought_notional, row.sold, row.sold_notional]
        for row in Position.objects.filter(instrument__shard_id=shard.id)
    }
    for key in totals.keys() | in_rows.keys():
        if totals.get(key) != in_rows.get(key):
            found.differ("positions", f"account, instrument {key}: {in_rows.get(key)}, trades say {totals.get(key)}")


def _claims_equal_orders(shard: Shard, found: Verification) -> None:
    (orders,) = _one(
        "SELECT COUNT(*) FROM orders_order o LEFT JOIN orders_clientorderid c ON c.account_id = o.account_id "
        "AND c.client_order_id = o.client_order_id "
        "WHERE o.client_order_id IS NOT NULL AND (c.order_id IS NULL OR c.order_id <> o.id)"
    )
    (claims,) = _one(
        "SELECT COUNT(*) FROM orders_clientorderid c LEFT JOIN orders_order o ON o.id = c.order_id WHERE o.id IS NULL"
    )
    if orders or claims:
        found.differ("client order ids", f"{orders} orders without theirs, {claims} ids without an order")


def _latest_saved_books(shard: Shard, found: Verification) -> dict[int, BookSnapshot]:
    """The newest good saved book of each instrument; every bad one is a difference."""
    newest: dict[int, BookSnapshot] = {}
    rows = BookSnapshot.objects.filter(shard_id=shard.id).select_related("instrument").order_by("-sequence", "-id")
    for row in rows.iterator(chunk_size=1):
        found.snapshots += 1
        try:
            snapshots.decode(row)
        except snapshots.CorruptSnapshot as error:
            found.differ("saved books", f"{row.id} of {row.instrument.symbol} at {row.sequence}: {error}")
            continue
        if row.saved_through > shard.last_sequence:
            found.differ("saved books", f"{row.id} of {row.instrument.symbol} is ahead of the tables")
        newest.setdefault(row.instrument_id, row)
    return newest


def _books_equal_rows(shard: Shard, found: Verification) -> None:
    """The books recovery would build from saved books equal those from rows alone, hash for hash, and are sound."""
    rows = OpenOrders(shard.id)
    rows.load_rows(shard.last_sequence)
    if rows.totals() != totals_in_rows(shard.id):
        found.differ("books", f"open orders {rows.totals()}, rows {totals_in_rows(shard.id)}")
    engine = build(shard, rows).engine
    found.open_orders = len(engine.orders)
    try:
        engine.check_invariants()
    except AssertionError as error:
        found.differ("books", str(error))
    found.hashes = {instrument.symbol: book_hash(instrument) for instrument in engine.instruments.values()}
    loaded = snapshots.load_latest(shard.id)
    if loaded is None or not loaded[0].sequence:
        return
    saved = loaded[0]
    saved.advance(shard.last_sequence)
    for instrument in build(shard, saved).engine.instruments.values():
        by_saved_book = book_hash(instrument)
        if by_saved_book != found.hashes[instrument.symbol]:
            found.differ(
                "books",
                f"{instrument.symbol} has hash {by_saved_book} from its saved book, "
                f"{found.hashes[instrument.symbol]} from its rows",
            )
