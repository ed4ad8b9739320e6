"""Do rows, events, trades, positions, candles, saved books and hashes tell one story? All is computed twice and compared.

Reads only, in one consistent read a shard, so it works beside a running engine. Memory grows with the open orders and the
accounts, not with the history: events and orders are streamed side by side in the order of their ids.
"""

import json
from typing import Any

from matching.codec import book_hash
from matching.events import (
    CANCEL_AFTER_FIRED,
    CANCEL_AFTER_SET,
    KIND_NAMES,
    PHASE_CHANGED,
    TRANSFERRED,
)
from matching.image import state_hash
from matching.values import (
    ENTRY,
    LAST_OPEN_STATUS,
    OCO_LIMIT,
    OCO_STOP,
    PHASE_NAMES,
    REJECTED,
    ROLE_NAMES,
    STATUS_NAMES,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    TAKE_PROFIT,
    UNTRIGGERED,
)
from orders import selectors, snapshots
from orders.engine.findings import Verification, event_range, read_row, read_rows, same
from orders.engine.folding import Folded
from orders.engine.recovery import build
from orders.engine.trade_checks import candles_equal_trades, positions_equal_trades, trades_equal_their_events
from orders.fields import datetime_to_micros
from orders.models import BookSnapshot, Deposit, Lease, Shard, Trade
from orders.models.trading import SEQUENCE_MASK, event_id
from orders.open_orders import OpenOrders, totals_in_rows


def verify(shard_id: int) -> Verification:
    """Compare everything of one shard."""
    with selectors.consistent_read():
        shard = Shard.objects.get(id=shard_id)
        found = Verification(shard_id, shard.last_sequence)
        _events_are_gapless(shard, found)
        saved = _latest_saved_books(shard, found)
        _orders_equal_their_events(shard, found, saved)
        trades_equal_their_events(shard, found)
        positions_equal_trades(shard, found)
        candles_equal_trades(shard, found)
        _claims_equal_orders(shard, found)
        _groups_hold_together(shard, found)
        _settings_equal_events(shard, found)
        _trails_have_been_traded(shard, found)
        _books_equal_rows(shard, found)
    return found


def _events_are_gapless(shard: Shard, found: Verification) -> None:
    first, last = event_range(shard)
    count, low, high = read_row(
        "SELECT COUNT(*), MIN(id), MAX(id) FROM orders_event WHERE id > %s AND id < %s",
        first,
        event_id(shard.id + 1, 0),
    )
    found.events = count
    if count != shard.last_sequence or (count and (low != first + 1 or high != last)):
        found.differ("events", f"{count} events, the shard's row says {shard.last_sequence}")


def _orders_equal_their_events(shard: Shard, found: Verification, saved: dict[int, BookSnapshot]) -> None:
    """Fold every order's events and compare with its row; fold up to the saved books and compare with them."""
    _events_have_orders(shard, found)
    # The whole life of each: of one that came from another shard also what happened there, which is older.
    events = read_rows(
        "SELECT e.order_id, e.id, e.kind, e.price, e.quantity, e.remaining, e.filled, e.status, e.reason, e.other "
        "FROM orders_event e JOIN orders_order o ON o.id = e.order_id WHERE o.shard_id = %s "
        "ORDER BY e.order_id, e.at, e.id",
        shard.id,
    )
    rows = read_rows(
        "SELECT id, price, quantity, remaining, filled, notional, status, reason, version, priority, sequence, "
        "canceled, instrument_id, type, stop_price FROM orders_order WHERE shard_id = %s ORDER BY id",
        shard.id,
    )
    in_books = {key: {order.order_id: order for order in snapshots.decode(row)} for key, row in saved.items()}
    pending = next(events, None)
    for row in rows:
        found.orders += 1
        state = Folded()
        cutoff = event_id(shard.id, saved[row[12]].sequence) if row[12] in saved else 0
        at_save: tuple[int, ...] | None = None
        while pending is not None and pending[0] == row[0]:
            sequence = pending[1] & SEQUENCE_MASK
            wrong = state.apply(sequence, *pending[2:])
            if wrong:
                found.differ("events", f"{sequence} ({KIND_NAMES[pending[2]]}) of order {row[0]} {wrong}")
            if event_id(shard.id, 0) < pending[1] <= cutoff:
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


def _events_have_orders(shard: Shard, found: Verification) -> None:
    first, last = event_range(shard)
    for number, order_id in read_rows(
        "SELECT e.id, e.order_id FROM orders_event e LEFT JOIN orders_order o ON o.id = e.order_id "
        "WHERE e.id > %s AND e.id <= %s AND e.order_id IS NOT NULL AND o.id IS NULL",
        first,
        last,
    ):
        found.differ("orders", f"event {number - first} is of order {order_id}, which has no row")


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
    if (
        row[13] in (STOP, STOP_LIMIT)
        and state.version == 1
        and state.status != REJECTED
        and row[14] != state.stop_price
    ):
        found.differ("orders", f"order {row[0]} has stop price {row[14]}, was accepted with {state.stop_price}")


def _groups_hold_together(shard: Shard, found: Verification) -> None:
    """Of every group with an open order: what ended has taken the others with it, and a pair is open to the same quantity."""
    groups: dict[int, dict[int, tuple[int, int]]] = {}
    for group_id, role, status, remaining in read_rows(
        "SELECT group_id, role, status, remaining FROM orders_order WHERE shard_id = %s AND group_id IN (SELECT group_id "
        f"FROM orders_order WHERE shard_id = %s AND group_id IS NOT NULL AND status <= {LAST_OPEN_STATUS})",
        shard.id,
        shard.id,
    ):
        if status <= LAST_OPEN_STATUS:
            groups.setdefault(group_id, {})[role] = (status, remaining)
    for group_id, members in groups.items():
        if not _is_whole(members):
            told = {ROLE_NAMES[role]: (STATUS_NAMES[status], units) for role, (status, units) in members.items()}
            found.differ("groups", f"of group {group_id} only this is open: {told}")


def _is_whole(members: dict[int, tuple[int, int]]) -> bool:
    """Whether these, by role, can be all the open orders of a group: status and remaining units of each."""
    first = members.get(TAKE_PROFIT) or members.get(OCO_LIMIT)
    second = members.get(STOP_LOSS) or members.get(OCO_STOP)
    if ENTRY in members:
        return first is not None and second is not None and first[0] == second[0] == UNTRIGGERED
    if first is None:
        # A stop that was triggered goes on alone.
        return second is not None and second[0] != UNTRIGGERED
    return second is not None and second[0] == UNTRIGGERED != first[0] and first[1] == second[1]


def _settings_equal_events(shard: Shard, found: Verification) -> None:
    """Phases and leases are what the last event about them says, deposits what all events about them add up to."""
    first, last = event_range(shard)
    phases: dict[int, int] = {}
    leases: dict[int, int] = {}
    deposits: dict[tuple[int, str], int] = {}
    for kind, subject, value, detail in read_rows(
        "SELECT kind, other, quantity, detail FROM orders_event "
        "WHERE id > %s AND id <= %s AND order_id IS NULL ORDER BY id",
        first,
        last,
    ):
        if kind == PHASE_CHANGED:
            phases[subject] = value
        elif kind in (CANCEL_AFTER_SET, CANCEL_AFTER_FIRED):
            leases[subject] = value
        elif kind == TRANSFERRED:
            transfer = json.loads(detail)
            key = (subject, transfer["currency"])
            deposits[key] = deposits.get(key, 0) + transfer["amount"]
    for row in shard.instrument_set.all():
        if row.phase != phases.get(row.id, row.phase):
            found.differ(
                "phases", f"{row.symbol} is {PHASE_NAMES[row.phase]}, was put into {PHASE_NAMES[phases[row.id]]}"
            )
    armed = dict(Lease.objects.filter(shard_id=shard.id).values_list("account_id", "due_at"))
    due = {account_id: datetime_to_micros(due_at) for account_id, due_at in armed.items()}
    same(found, "leases", due, {account_id: due_at for account_id, due_at in leases.items() if due_at})
    paid = Deposit.objects.filter(shard_id=shard.id).values_list("account_id", "currency", "amount")
    same(found, "deposits", {(account_id, currency): amount for account_id, currency, amount in paid}, deposits)


def _trails_have_been_traded(shard: Shard, found: Verification) -> None:
    """The best price that waiting trailing stops have seen is one of a trade, and the last price is no better."""
    for row in shard.instrument_set.all():
        trails = json.loads(row.trails)
        bests = {side: {best for _, best in marks if best} for side, marks in trails.items()}
        wanted = bests["buy"] | bests["sell"]
        traded = Trade.objects.filter(instrument_id=row.id, price__in=wanted).values_list("price", flat=True).distinct()
        beyond = {best for best in bests["buy"] if best > row.last_price}
        beyond |= {best for best in bests["sell"] if best < row.last_price}
        wrong = (wanted - set(traded)) | beyond
        if wrong:
            found.differ("trails", f"of {row.symbol} cannot have stood at {sorted(wrong)}")


def _claims_equal_orders(shard: Shard, found: Verification) -> None:
    (orders,) = read_row(
        "SELECT COUNT(*) FROM orders_order o LEFT JOIN orders_clientorderid c ON c.account_id = o.account_id "
        "AND c.client_order_id = o.client_order_id "
        "WHERE o.client_order_id IS NOT NULL AND (c.order_id IS NULL OR c.order_id <> o.id)"
    )
    (claims,) = read_row(
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
        instrument = row.instrument
        # Of an earlier stay on this shard: nothing that is open now.
        if (
            instrument.shard_id == shard.id
            and instrument.moving_to is None
            and row.sequence >= instrument.since_sequence
        ):
            newest.setdefault(row.instrument_id, row)
    return newest


def _books_equal_rows(shard: Shard, found: Verification) -> None:
    """The books recovery would build from saved books equal those from rows alone, hash for hash, and are sound."""
    rows = OpenOrders(shard.id)
    rows.load_rows(shard.last_sequence)
    if rows.totals() != totals_in_rows(shard.id):
        found.differ("books", f"open orders {rows.totals()}, rows {totals_in_rows(shard.id)}")
    engine = build(shard, rows).engine
    by_rows = state_hash(engine)
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
    engine = build(shard, saved).engine
    for instrument in engine.instruments.values():
        by_saved_book = book_hash(instrument)
        if by_saved_book != found.hashes[instrument.symbol]:
            found.differ(
                "books",
                f"{instrument.symbol} has hash {by_saved_book} from its saved book, "
                f"{found.hashes[instrument.symbol]} from its rows",
            )
    if state_hash(engine) != by_rows:
        found.differ("books", "what recovery makes of the saved books is not what it makes of the rows")
