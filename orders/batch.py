"""One group of commands on its way into the database: what the engine's events mean for the tables and for the feed."""

from typing import NamedTuple

from matching.commands import Amend, CancelAll, Command, DefineAccount, DefineInstrument
from matching.engine import Engine
from matching.events import (
    ACCEPTED,
    ACCOUNT_DEFINED,
    COMMAND_REFUSED,
    FILL_MAKER,
    FILL_TAKER,
    KIND,
    REASON,
    REJECTED,
    REPLACED,
    Event,
)
from matching.order import Order
from matching.state import Holding, Instrument
from orders.bus.envelope import DONE, REFUSED, Envelope, OrderRecord, Outcome
from orders.models.trading import event_id


class EventRow(NamedTuple):
    """A row of the event table, and what the feed tells of an order's event."""

    id: int
    order_id: int | None
    account_id: int | None
    instrument_id: int | None
    kind: int
    price: int
    quantity: int
    remaining: int
    filled: int
    reason: int
    other: int
    at: int
    actor_id: int | None
    received_at: int | None
    detail: str | None


class TradeRow(NamedTuple):
    id: int
    instrument_id: int
    price: int
    quantity: int
    taker_side: int
    maker_order_id: int
    taker_order_id: int
    maker_account_id: int
    taker_account_id: int
    at: int


class Touched(NamedTuple):
    """An order that a batch changed: it, its last event's number and time, and whether its row is new."""

    order: Order
    sequence: int
    at: int
    is_new: bool


class Batch:
    """Collects the effects of commands, in sequence. Everything here is committed together, or nothing is."""

    def __init__(self, shard_id: int, engine: Engine) -> None:
        self.shard_id = shard_id
        self.engine = engine
        self.events: list[EventRow] = []
        self.trades: list[TradeRow] = []
        self.orders: dict[int, Touched] = {}
        self.holdings: dict[tuple[int, int], Holding] = {}
        # instrument id -> levels (side, price) that changed, and the number of the event that changed them last
        self.levels: dict[int, set[tuple[int, int]]] = {}
        self.book_sequences: dict[int, int] = {}
        self.trade_sequences: dict[int, int] = {}
        self.instruments: dict[int, Instrument] = {}
        self.definitions: list[DefineInstrument | DefineAccount] = []
        # order and its static words for the feed, parallel to ``events``
        self.event_orders: list[Order | None] = []

    def record(
        self, command: Command, events: list[Event], at: int, envelope: Envelope, detail: str | None = None
    ) -> Outcome:
        """Take over the events of one applied command and say how it came out."""
        if not events:
            return Outcome(DONE)
        if events[0][KIND] == COMMAND_REFUSED:
            return Outcome(REFUSED, reason=events[0][REASON])
        incoming = command if isinstance(command, Order) else None
        fills: list[tuple[int, int, int]] = []
        makers: list[int] = []
        maker: Order | None = None
        for event in events:
            kind, sequence, order, price, quantity, _, _, _, other = event
            self._add_event(event, at, envelope, detail)
            if order is None:
                self._configured(kind, other, command)
                continue
            known = self.orders.get(order.order_id)
            is_new = kind in (ACCEPTED, REJECTED) or (known is not None and known.is_new)
            self.orders[order.order_id] = Touched(order, sequence, at, is_new)
            if kind == FILL_MAKER:
                maker = order
                self._touch(order.instrument_id, order.side, price, sequence)
            elif kind == FILL_TAKER:
                assert maker is not None
                self._add_trade(maker, order, price, quantity, sequence - 1, at)
                fills.append((sequence, price, quantity))
                makers.append(other)
            elif kind == REPLACED:
                incoming = order
                self._touch(order.instrument_id, order.side, other, sequence)
            elif order is not incoming:
                self._touch(order.instrument_id, order.side, price, sequence)
        last_sequence = events[-1][1]
        if incoming is not None and incoming.level is not None:
            self._touch(incoming.instrument_id, incoming.side, incoming.price, last_sequence)
        return self._outcome(command, events, at, tuple(fills), tuple(makers))

    def _add_event(self, event: Event, at: int, envelope: Envelope, detail: str | None) -> None:
        kind, sequence, order, price, quantity, remaining, filled, reason, other = event
        # What happens to a resting order is not its owner's doing: it must not show who the other side is.
        theirs = kind == FILL_MAKER
        self.events.append(
            EventRow(
                event_id(self.shard_id, sequence),
                None if order is None else order.order_id,
                order.account_id if order is not None else other if kind == ACCOUNT_DEFINED else None,
                order.instrument_id if order is not None else None if kind == ACCOUNT_DEFINED else other,
                kind,
                price,
                quantity,
                remaining,
                filled,
                reason,
                other,
                at,
                None if theirs else envelope.actor_id,
                None if theirs else envelope.received_at,
                None if theirs else detail,
            )
        )
        self.event_orders.append(order)

    def _add_trade(self, maker: Order, taker: Order, price: int, quantity: int, sequence: int, at: int) -> None:
        instrument_id = taker.instrument_id
        self.trades.append(
            TradeRow(
                event_id(self.shard_id, sequence),
                instrument_id,
                price,
                quantity,
                taker.side,
                maker.order_id,
                taker.order_id,
                maker.account_id,
                taker.account_id,
                at,
            )
        )
        self.trade_sequences[instrument_id] = sequence
        self.instruments[instrument_id] = self.engine.instruments[instrument_id]
        for order in (maker, taker):
            assert order.holding is not None
            self.holdings[order.account_id, instrument_id] = order.holding

    def _touch(self, instrument_id: int, side: int, price: int, sequence: int) -> None:
        self.levels.setdefault(instrument_id, set()).add((side, price))
        self.book_sequences[instrument_id] = sequence
        self.instruments[instrument_id] = self.engine.instruments[instrument_id]

    def _configured(self, kind: int, subject: int, command: Command) -> None:
        if isinstance(command, DefineInstrument | DefineAccount):
            self.definitions.append(command)
        if kind != ACCOUNT_DEFINED:
            self.instruments[subject] = self.engine.instruments[subject]

    def _outcome(
        self,
        command: Command,
        events: list[Event],
        at: int,
        fills: tuple[tuple[int, int, int], ...],
        makers: tuple[int, ...],
    ) -> Outcome:
        if isinstance(command, CancelAll):
            return Outcome(DONE, canceled=tuple(event[2].order_id for event in events if event[2] is not None))
        order = command if isinstance(command, Order) else events[0][2]
        if order is None:
            return Outcome(DONE)
        # Its own last event: what the command did to others is theirs.
        sequence = self.orders[order.order_id].sequence
        record = OrderRecord(order, self.shard_id, sequence, at)
        kept = isinstance(command, Amend) and events[0][KIND] != REPLACED
        return Outcome(DONE, order_id=order.order_id, order=record, fills=fills, makers=makers, priority_kept=kept)
