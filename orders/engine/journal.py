"""The journal: writes a batch into the tables in one transaction, behind the fence.

SQL in bulk instead of the ORM: measured several times faster, and the engine is the only writer of these tables. What is
written is the same on both databases (``statements``); how many rows get in at once is each one's own (``journal_sqlite``,
``journal_postgres``).
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, connection, transaction

from matching.commands import DefineAccount, DefineInstrument
from matching.order import Conditions, Order
from matching.state import Instrument
from matching.values import NO_ROLE, TRAILING_STOP, UNTRIGGERED
from orders.batch import Batch
from orders.bus.envelope import Place
from orders.candles import Candle
from orders.engine import journal_postgres, journal_sqlite, statements
from orders.models.market import NO_TRAILS
from orders.models.trading import event_id

_CLAIM_ROWS = 1_000  # client order ids a statement: far below the parameters either database takes


class Fenced(Exception):
    """The shard's row is not as this engine left it: another engine has taken over. This one must stop."""


class Claims:
    """What became of the client order ids of a group: ``known`` maps (account, id) to (order id, fingerprint)."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[tuple[int, str], tuple[int, bytes]] = {}


class Journal:
    """Writes for one shard as one owner (``epoch``). ``last_sequence`` and ``batch`` are those of the last commit."""

    def __init__(self, shard_id: int, epoch: int, batch: int, last_sequence: int) -> None:
        self.shard_id = shard_id
        self.epoch = epoch
        self.batch = batch
        self.last_sequence = last_sequence
        self.way: Any = journal_postgres.Rows if connection.vendor == "postgresql" else journal_sqlite.Rows

    @contextmanager
    def transaction(self, place: Place | None = None) -> Iterator[None]:
        """One transaction whose first statement is the fence. Raises ``Fenced``.

        ``place`` is where the stream of commands stands once this is committed; None where none is kept.
        """
        kept = "" if place is None else ", stream_id = %s, stream_done = %s"
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE orders_shard SET batch = batch + 1{kept} "
                    "WHERE id = %s AND epoch = %s AND batch = %s AND last_sequence = %s",
                    [*(place or ()), self.shard_id, self.epoch, self.batch, self.last_sequence],
                )
                if cursor.rowcount != 1:
                    raise Fenced(f"shard {self.shard_id} is no longer at epoch {self.epoch}")
            yield

    def set_cancel_only(self, cancel_only: bool) -> None:
        """Keep the shard's mode. Call inside ``transaction``."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE orders_shard SET cancel_only = %s WHERE id = %s", [cancel_only, self.shard_id])

    def committed(self, last_sequence: int) -> None:
        """The batch is durable."""
        self.batch += 1
        self.last_sequence = last_sequence

    def has_committed(self) -> bool:
        """After an error: whether the batch in question happened all the same. Reads on a fresh connection.

        A server that has lost its client may still be busy with that client's COMMIT, so PostgreSQL is asked for the row's
        lock: it is given once that transaction has ended, either way. (SQLite's ended with the connection.)

        Raises ``Fenced`` where the row is neither before nor after it, and whatever the database raises while it is away.
        """
        connection.close()
        lock = " FOR UPDATE" if connection.vendor == "postgresql" else ""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT epoch, batch FROM orders_shard WHERE id = %s{lock}", [self.shard_id])
            row = cursor.fetchone()
        if row is None or row[0] != self.epoch or row[1] not in (self.batch, self.batch + 1):
            raise Fenced(f"shard {self.shard_id} is no longer at epoch {self.epoch}")
        return row[1] == self.batch + 1

    # Client order ids

    def claim(self, wanted: dict[tuple[int, str], tuple[int, bytes]]) -> Claims:
        """Claim (account, client order id) -> (order id, fingerprint); tells those that were known already."""
        claims = Claims()
        keys = sorted(wanted)
        for start in range(0, len(keys), _CLAIM_ROWS):
            chunk = keys[start : start + _CLAIM_ROWS]
            missed = set(chunk) - self._insert_claims(chunk, wanted)
            if missed:
                claims.known.update(self._read_claims(sorted(missed)))
        return claims

    def _insert_claims(
        self, keys: list[tuple[int, str]], wanted: dict[tuple[int, str], tuple[int, bytes]]
    ) -> set[tuple[int, str]]:
        with connection.cursor() as cursor:
            self.way(cursor).claim(statements.CLAIM, [(*key, *wanted[key]) for key in keys])
            return {(account_id, text) for account_id, text in cursor.fetchall()}

    def _read_claims(self, keys: list[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, bytes]]:
        parameters = [part for key in keys for part in key]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT account_id, client_order_id, order_id, fingerprint FROM orders_clientorderid WHERE "
                "(account_id, client_order_id) IN (VALUES " + ", ".join(["(%s, %s)"] * len(keys)) + ")",
                parameters,
            )
            return {(row[0], row[1]): (row[2], bytes(row[3])) for row in cursor.fetchall()}

    def unclaim(self, keys: Iterable[tuple[int, str]]) -> None:
        """Give back ids whose orders were not carried out after all."""
        with connection.cursor() as cursor:
            cursor.executemany(
                "DELETE FROM orders_clientorderid WHERE account_id = %s AND client_order_id = %s", list(keys)
            )

    # The batch

    def write(self, batch: Batch, last_sequence: int, at: int) -> None:
        """All rows of a batch. Call inside ``transaction``."""
        with connection.cursor() as cursor, self.way(cursor) as rows:
            self._write_definitions(cursor, batch, at)
            self._write_orders(rows, batch)
            rows.insert(statements.EVENT, batch.events)
            rows.insert(statements.TRADE, batch.trades)
            self._write_positions(rows, batch)
            candles = [_candle_row(*item) for item in batch.candles.items()]
            rows.upsert(statements.CANDLE, candles)
            self._write_instruments(rows, batch)
            if batch.arrived or batch.departed:
                self._write_moves(rows, batch, at)
            self._write_accounts(rows, batch)
            rows.execute(
                "UPDATE orders_shard SET last_sequence = %s, at = %s WHERE id = %s",
                [last_sequence, at, self.shard_id],
            )

    def _write_orders(self, rows: Any, batch: Batch) -> None:
        new, new_conditional, changed, changed_conditional = [], [], [], []
        for order, sequence, at, is_new in batch.orders.values():
            conditions = order.conditions
            quantity, remaining, canceled = order.quantity, order.remaining, order.canceled
            standing = (
                order.price or None,
                quantity,
                quantity - remaining - canceled,
                remaining,
                canceled,
                str(order.notional),
                order.status,
                order.reason,
                order.version,
                order.priority,
                sequence,
                at,
            )
            if is_new:
                birth = self._birth(order)
                if conditions is None:
                    new.append((*birth, *standing, 0, NO_ROLE))
                else:
                    more = (order.hidden, conditions.role, *_terms(order, conditions), conditions.group_id or None)
                    new_conditional.append((*birth, *standing, *more))
            elif conditions is None:
                changed.append((*standing, order.order_id))
            else:
                more = (order.hidden, *_terms(order, conditions), order.order_id)
                changed_conditional.append((*standing, *more))
        rows.insert(statements.NEW_ORDER, new)
        rows.insert(statements.NEW_CONDITIONAL_ORDER, new_conditional)
        rows.update(statements.CHANGED_ORDER, changed)
        rows.update(statements.CHANGED_CONDITIONAL_ORDER, changed_conditional)

    def _birth(self, order: Order) -> tuple[Any, ...]:
        """What never changes of an order."""
        return (
            order.order_id,
            order.account_id,
            order.instrument_id,
            self.shard_id,
            order.client_order_id or None,
            order.side,
            order.type,
            order.time_in_force,
            order.self_trade_prevention,
            int(order.post_only),  # SQLite's driver looks twice at whatever is not a number or text
            order.created_at,
        )

    def _write_positions(self, rows: Any, batch: Batch) -> None:
        positions = []
        for key, holding in batch.holdings.items():
            sums = (holding.bought, holding.bought_notional, holding.sold, holding.sold_notional, batch.costs[key])
            positions.append((*key, *map(str, sums)))
        rows.upsert(statements.POSITION, positions)

    def _write_instruments(self, rows: Any, batch: Batch) -> None:
        trails = {instrument.instrument_id: _trails(instrument) for instrument in batch.moved_trails()}
        for instrument_id in batch.instruments.keys() | trails.keys():
            instrument = batch.engine.instrument(instrument_id)
            rows.execute(
                statements.UPDATE_INSTRUMENT,
                [
                    instrument.phase,
                    instrument.phase_until,
                    instrument.last_price,
                    batch.book_sequences.get(instrument_id),
                    batch.trade_sequences.get(instrument_id),
                    json.dumps(instrument.schedule) if instrument_id in batch.schedules else None,
                    trails.get(instrument_id),
                    instrument_id,
                ],
            )

    def _write_moves(self, rows: Any, batch: Batch, at: int) -> None:
        """Whose instruments are that came or left. After everything else of them."""
        for instrument_id, since in batch.arrived.items():
            last_trade = batch.trade_sequences.get(instrument_id, 0)
            rows.execute(statements.RECEIVE_INSTRUMENT, [self.shard_id, since, last_trade, instrument_id])
            rows.execute(statements.RECEIVE_ORDERS, [self.shard_id, instrument_id])
        for instrument_id, shard_id in batch.departed.items():
            rows.execute(statements.SEND_INSTRUMENT, [shard_id, at, instrument_id])
            rows.execute(statements.SEND_ORDERS, [instrument_id, self.shard_id])

    def _write_accounts(self, rows: Any, batch: Batch) -> None:
        """How far messages have used up time, leases, deposits."""
        counted = [(account_id, self.shard_id, account.rate_at) for account_id, account in batch.rated.items()]
        rows.upsert(statements.RATE, counted)
        armed = {key: account.cancel_after_at for key, account in batch.leases.items()}
        due_rows = [(key, self.shard_id, due) for key, due in armed.items() if due]
        rows.upsert(statements.LEASE, due_rows)
        for key, due in armed.items():
            if not due:
                rows.execute(statements.DELETE_LEASE, [key, self.shard_id])
        deposits = [
            (account_id, self.shard_id, currency, str(account.deposits[currency]))
            for (account_id, currency), account in batch.deposits.items()
        ]
        rows.upsert(statements.DEPOSIT, deposits)

    def _write_definitions(self, cursor: Any, batch: Batch, at: int) -> None:
        for definition in batch.definitions:
            if isinstance(definition, DefineInstrument):
                cursor.execute(statements.UPSERT_INSTRUMENT, self._instrument_row(definition, at))
                if cursor.rowcount != 1:
                    raise IntegrityError(f"instrument {definition.instrument_id} is another shard's")
            else:
                number = batch.engine.accounts[definition.account_id].definition
                cursor.execute(statements.UPDATE_ACCOUNT, _account_row(definition, number))

    def _instrument_row(self, definition: DefineInstrument, at: int) -> tuple[Any, ...]:
        return (
            definition.instrument_id,
            definition.symbol,
            definition.base,
            definition.quote,
            self.shard_id,
            definition.price_decimals,
            definition.quantity_decimals,
            definition.price_tick,
            definition.quantity_step,
            definition.min_quantity,
            definition.max_quantity,
            str(definition.max_notional),
            definition.collar_bps,
            definition.reference_price,
            definition.breaker_us,
            definition.phase,
            at,
            NO_TRAILS,
        )

    def account_last_sequence(self, account_id: int) -> int:
        """The number of the last committed event of the account's orders on this shard, 0 where it has none."""
        first = event_id(self.shard_id, 0)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM orders_event WHERE account_id = %s AND id > %s AND id <= %s AND order_id IS NOT NULL "
                "ORDER BY id DESC LIMIT 1",
                [account_id, first, event_id(self.shard_id, self.last_sequence)],
            )
            row = cursor.fetchone()
        return 0 if row is None else row[0] - first


def _terms(order: Order, conditions: Conditions) -> tuple[int | None, ...]:
    """Stop price, trail in units and in basis points, displayed quantity, expiry: as their columns have them."""
    # The stop price of a trailing stop that waits moves with the market: the instrument's trails have it.
    moves = order.type == TRAILING_STOP and order.status == UNTRIGGERED
    return (
        None if moves else conditions.stop_price or None,
        conditions.trail or None,
        conditions.trail_bps or None,
        conditions.display_quantity or None,
        conditions.expires_at or None,
    )


def _trails(instrument: Instrument) -> str:
    """Where the best prices of an instrument's trailing stops stand, as its row has it."""
    stops = instrument.stops
    marks = {"buy": stops.trailing_buys.marks(), "sell": stops.trailing_sells.marks()}
    return json.dumps(marks, separators=(",", ":"))


def _candle_row(key: tuple[int, int], candle: Candle) -> tuple[Any, ...]:
    start, first, high, low, last, volume, notional, trades, sequence = candle
    return (*key, start, first, high, low, last, str(volume), str(notional), trades, sequence)


def _account_row(definition: DefineAccount, number: int) -> tuple[int | bool, ...]:
    return (
        definition.state,
        definition.max_open_orders,
        definition.max_order_quantity,
        definition.max_position,
        definition.max_rate,
        definition.funded,
        number,
        definition.account_id,
        number,
    )
