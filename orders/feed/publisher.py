"""The one module that publishes, and only what is committed.

A commit becomes one ``CommitMessage`` for each process that listens. It is a hint: the tables are the truth. Levels are
absolute, so a message can be dropped or repeated and the replica that finds out loads afresh.
"""

from collections.abc import Callable
from typing import NamedTuple

from matching.auction import Uncross, indicative, is_call
from matching.engine import Engine
from matching.state import Instrument
from orders.batch import Batch
from orders.models.trading import SEQUENCE_MASK


class BookChange(NamedTuple):
    """Levels of one book that a commit changed, as (side, price, quantity, orders); a quantity of 0 removes."""

    instrument_id: int
    sequence: int
    previous: int
    levels: tuple[tuple[int, int, int, int], ...]


class TradeTold(NamedTuple):
    sequence: int
    price: int
    quantity: int
    taker_side: int
    at: int


class TradesTold(NamedTuple):
    """Public trades of one instrument in a commit; ``previous`` is the number of the instrument's trade before them."""

    instrument_id: int
    previous: int
    trades: tuple[TradeTold, ...]


class Execution(NamedTuple):
    """An event of an account's order; ``previous`` is the number of the account's event before it.

    ``price``, ``quantity`` and ``other`` are what ``matching.events`` says of the kind.
    """

    account_id: int
    sequence: int
    previous: int
    kind: int
    order_id: int
    client_order_id: str
    instrument_id: int
    side: int
    price: int
    quantity: int
    remaining: int
    filled: int
    status: int
    reason: int
    other: int
    at: int


class PositionTold(NamedTuple):
    """A position that a commit changed, as it is now; ``sequence`` is the account's last event in it. See ``orders.costs``."""

    account_id: int
    instrument_id: int
    sequence: int
    bought: int
    bought_notional: int
    sold: int
    sold_notional: int
    cost: int
    last_price: int


class SessionTold(NamedTuple):
    """Where an instrument's session stands: its phase, when that ends by itself (0: not), and while an auction is called the
    uncross that would be now (None: nothing crosses)."""

    instrument_id: int
    phase: int
    phase_until: int
    indicative: Uncross | None


class CommitMessage(NamedTuple):
    """Everything one commit means for the feed. ``previous`` is the shard's last sequence before it."""

    shard_id: int
    epoch: int
    sequence: int
    previous: int
    at: int
    sessions: tuple[SessionTold, ...]
    books: tuple[BookChange, ...]
    trades: tuple[TradesTold, ...]
    executions: tuple[Execution, ...]
    positions: tuple[PositionTold, ...]
    instruments: tuple[int, ...]


Listener = Callable[[CommitMessage], None]


class Publisher:
    """Keeps what ``previous`` must say and hands each message to the listeners. Lives in the engine's thread."""

    def __init__(self, listeners: list[Listener], last_account_sequence: Callable[[int], int]) -> None:
        self.listeners = listeners
        self._last_account_sequence = last_account_sequence
        self._accounts: dict[int, int] = {}
        self._books: dict[int, int] = {}
        self._trades: dict[int, int] = {}
        self._sessions: dict[int, SessionTold] = {}
        self._sequence = 0

    def reset(self, engine: Engine, sequence: int, books: dict[int, int], trades: dict[int, int]) -> None:
        """Start over after a recovery as of ``sequence``: the last displayed change and last trade of each instrument."""
        self._books = dict(books)
        self._trades = dict(trades)
        self._sessions = {
            instrument.instrument_id: session_of(instrument) for instrument in engine.instruments.values()
        }
        self._sequence = sequence
        self._accounts.clear()

    def prepare(self, batch: Batch) -> None:
        """Before the commit: look up what only the database knows of accounts that this batch meets first."""
        for order in batch.event_orders:
            if order is not None and order.account_id not in self._accounts:
                self._accounts[order.account_id] = self._last_account_sequence(order.account_id)

    def publish(self, batch: Batch, epoch: int, sequence: int, at: int) -> None:
        """After the commit: one message to every listener."""
        for instrument_id in batch.arrived:
            # Its trades before were numbered by another shard.
            self._trades[instrument_id] = 0
        executions = self._executions(batch)  # first: positions tell how far each account has come
        message = CommitMessage(
            batch.shard_id,
            epoch,
            sequence,
            self._sequence,
            at,
            self._session_changes(batch),
            self._book_changes(batch),
            self._trades_told(batch),
            executions,
            self._positions_told(batch),
            tuple(batch.instruments),
        )
        self._sequence = sequence
        for listener in self.listeners:
            listener(message)

    def _session_changes(self, batch: Batch) -> tuple[SessionTold, ...]:
        """Only an instrument that the batch touched can stand otherwise than it was told."""
        changes = []
        for instrument_id, instrument in batch.instruments.items():
            session = session_of(instrument)
            if self._sessions.get(instrument_id) != session:
                self._sessions[instrument_id] = session
                changes.append(session)
        return tuple(changes)

    def _book_changes(self, batch: Batch) -> tuple[BookChange, ...]:
        changes = []
        for instrument_id, touched in batch.levels.items():
            sequence = batch.book_sequences[instrument_id]
            levels = tuple(_level_now(batch.engine, instrument_id, side, price) for side, price in sorted(touched))
            changes.append(BookChange(instrument_id, sequence, self._books.get(instrument_id, 0), levels))
            self._books[instrument_id] = sequence
        return tuple(changes)

    def _trades_told(self, batch: Batch) -> tuple[TradesTold, ...]:
        by_instrument: dict[int, list[TradeTold]] = {}
        for row in batch.trades:
            told = TradeTold(row.id & SEQUENCE_MASK, row.price, row.quantity, row.taker_side, row.at)
            by_instrument.setdefault(row.instrument_id, []).append(told)
        found = []
        for instrument_id, trades in by_instrument.items():
            found.append(TradesTold(instrument_id, self._trades.get(instrument_id, 0), tuple(trades)))
            self._trades[instrument_id] = trades[-1].sequence
        return tuple(found)

    def _positions_told(self, batch: Batch) -> tuple[PositionTold, ...]:
        """After the executions, which say how far each account has come."""
        return tuple(
            PositionTold(
                account_id,
                instrument_id,
                self._accounts[account_id],
                holding.bought,
                holding.bought_notional,
                holding.sold,
                holding.sold_notional,
                batch.costs[account_id, instrument_id],
                holding.instrument.last_price,
            )
            for (account_id, instrument_id), holding in batch.holdings.items()
        )

    def _executions(self, batch: Batch) -> tuple[Execution, ...]:
        """What happened to each order. On the path of every order, hence in one function."""
        accounts = self._accounts
        told = []
        for row, order in zip(batch.events, batch.event_orders, strict=True):
            if order is None:
                continue
            number, order_id, account_id, instrument_id, kind, price, quantity, remaining, filled, status = row[:10]
            reason, other, at = row[10:13]
            sequence = number & SEQUENCE_MASK
            previous = accounts.get(account_id, 0)
            accounts[account_id] = sequence
            execution = (
                account_id,
                sequence,
                previous,
                kind,
                order_id,
                order.client_order_id,
                instrument_id,
                order.side,
                price,
                quantity,
                remaining,
                filled,
                status,
                reason,
                other,
                at,
            )
            told.append(Execution._make(execution))
        return tuple(told)


def session_of(instrument: Instrument) -> SessionTold:
    """Where a live instrument's session stands."""
    found = indicative(instrument) if is_call(instrument.phase) else None
    return SessionTold(instrument.instrument_id, instrument.phase, instrument.phase_until, found)


def _level_now(engine: Engine, instrument_id: int, side: int, price: int) -> tuple[int, int, int, int]:
    level = engine.instrument(instrument_id).book.level(side, price)
    return (side, price, 0, 0) if level is None else (side, price, level.quantity, level.count)
