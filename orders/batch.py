"""One group of commands on its way into the database: what the engine's events mean for the tables and for the feed.

Which displayed levels an event touches, and whose doing it is, follow from the event alone (and the order it is about):

* A trade changes the resting order's level; in an uncross both orders rest. What ends or shrinks an order changes its level
  where the event says that it rested. A new place leaves the old level (``other`` of REPLACED).
* An order that came to the book or got a new place in it changes a level only if it rests there when the command is over:
  what came and went within one command was never displayed. The change is its own last event's.
* The sender is named on what the command did to its own subject: the order it places, amends or cancels, the orders a cancel
  by filter names, the instrument or account it configures. Never on what happened to others by the way, nor by itself.
"""

from typing import Any, NamedTuple

from matching.commands import (
    AdvanceTime,
    Amend,
    Cancel,
    CancelAll,
    Command,
    DefineAccount,
    DefineInstrument,
    OrderGroup,
    Transfer,
)
from matching.engine import Engine
from matching.events import (
    ACCEPTED,
    ACCOUNT_DEFINED,
    ACCOUNT_KINDS,
    AMENDED,
    CANCEL_AFTER_FIRED,
    CANCEL_AFTER_SET,
    CANCELED,
    COMMAND_REFUSED,
    DECREMENTED,
    EXPIRED,
    FILL_MAKER,
    FILL_TAKER,
    INSTRUMENT_ARRIVED,
    INSTRUMENT_DEPARTED,
    KIND,
    MOVED,
    ORDER,
    REASON,
    REJECTED,
    RELEASED,
    REPLACED,
    REPLENISHED,
    SCHEDULE_SET,
    SEQUENCE,
    TRANSFERRED,
    TRIGGERED,
    Event,
)
from matching.order import Order
from matching.state import Account, Holding, Instrument
from matching.transit import ReleaseInstrument
from matching.values import R_LINKED_ORDER, UNTRIGGERED
from orders.bus.envelope import DONE, REFUSED, Envelope, OrderRecord, Outcome, record_of
from orders.candles import Candle
from orders.effects import displays, outcome_of, subjects_of, told_in_detail
from orders.models.trading import SEQUENCE_MASK, event_id

# What gives an order a place in the book, if it rests there afterwards.
_PLACED = frozenset((ACCEPTED, REPLACED, TRIGGERED, REPLENISHED, RELEASED, MOVED))
_BIRTHS = frozenset((ACCEPTED, REJECTED))
_LOSSES = frozenset((CANCELED, EXPIRED, DECREMENTED))
# What is nobody's doing, whoever's order it happens to.
_HAPPENED = frozenset((FILL_MAKER, EXPIRED))

# A row of the event table: id, order, account, instrument, kind, price, quantity, remaining, filled, status, reason, other,
# at, actor, received at, detail. A plain tuple, because every command has some: one with names costs five times as much.
EventRow = tuple[Any, ...]


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


# An order that a batch changed: it, its last event's number and time, and whether its row is new.
Touched = tuple[Order, int, int, bool]


class Batch:
    """Collects the effects of commands, in sequence. Everything here is committed together, or nothing is."""

    def __init__(self, shard_id: int, engine: Engine) -> None:
        self.shard_id = shard_id
        self.engine = engine
        self._first_id = event_id(shard_id, 0)
        self.events: list[EventRow] = []
        self.trades: list[TradeRow] = []
        self.orders: dict[int, Touched] = {}
        self.holdings: dict[tuple[int, int], Holding] = {}
        # What ``orders.engine.tally`` made of the trades: the cost of those holdings, candles by (instrument id, resolution).
        self.costs: dict[tuple[int, int], int] = {}
        self.candles: dict[tuple[int, int], Candle] = {}
        # instrument id -> levels (side, price) that changed, and the number of the event that changed them last
        self.levels: dict[int, set[tuple[int, int]]] = {}
        self.book_sequences: dict[int, int] = {}
        self.trade_sequences: dict[int, int] = {}
        self.instruments: dict[int, Instrument] = {}
        # Instruments whose schedule was set, and those with an order that may be a stop: their trails may have moved.
        self.schedules: set[int] = set()
        self.conditional: set[int] = set()
        # Accounts whose messages were counted, and those whose lease was set or has run out.
        self.rated: dict[int, Account] = {}
        self.leases: dict[int, Account] = {}
        # (account id, currency) of money paid in or out.
        self.deposits: dict[tuple[int, str], Account] = {}
        # Whether something was due. It need not have had an event (a phase change that a halt outlasts has none).
        self.time_advanced = False
        self.definitions: list[DefineInstrument | DefineAccount] = []
        self.departed: dict[int, int] = {}  # instruments that left: the shard they go to
        self.arrived: dict[int, int] = {}  # and those that came: the event with which they did
        # order and its static words for the feed, parallel to ``events``
        self.event_orders: list[Order | None] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write. What was counted, and how far time has come, is written without events too."""
        return not (self.events or self.rated or self.time_advanced)

    def record(
        self, command: Command, events: list[Event], at: int, envelope: Envelope, detail: str | None = None
    ) -> Outcome:
        """Take over the events of one applied command and say how it came out.

        What was due by then is a command of its own (``AdvanceTime``), recorded before.
        """
        if events and events[-1][KIND] == COMMAND_REFUSED:
            if len(events) > 1:
                self.record(AdvanceTime(), events[:-1], at, envelope)
            return Outcome(REFUSED, reason=events[-1][REASON])
        if (
            isinstance(command, Order)
            and command.conditions is None
            and len(events) == 1
            and events[0][KIND] == ACCEPTED
        ):
            return self._record_arrival(command, events[0], at, envelope, detail)
        return self._record_any(command, events, at, envelope, detail)

    def _record_any(
        self, command: Command, events: list[Event], at: int, envelope: Envelope, detail: str | None
    ) -> Outcome:
        """The way for every command."""
        subjects = subjects_of(command)
        if isinstance(command, Transfer | Amend):
            detail = told_in_detail(command)
        self._add_events(command, subjects, events, at, envelope, detail)
        self._keep_orders(events, at)
        first_trade = len(self.trades)
        self._follow_book(events, at)
        if subjects:
            return self._outcome_of_orders(command, subjects, events, at, self.trades[first_trade:])
        return outcome_of(command, events)

    def count_message(self, account: Account) -> None:
        """A message was counted against the account's rate: that must be remembered, whatever became of the message."""
        self.rated[account.account_id] = account

    def moved_trails(self) -> list[Instrument]:
        """Instruments whose trailing stops came, went or moved since this was last asked. Ask once, before writing."""
        moved = []
        for instrument_id in self.conditional | self.trade_sequences.keys():
            instrument = self.engine.instrument(instrument_id)
            if instrument.stops.trails_moved:
                instrument.stops.trails_moved = False
                moved.append(instrument)
        return moved

    # Events

    def _record_arrival(self, order: Order, event: Event, at: int, envelope: Envelope, detail: str | None) -> Outcome:
        """A plain order came, and nothing else happened: what most commands are, in half the time of the way for every one."""
        _, sequence, _, price, quantity, remaining, filled, status, reason, other = event
        order_id = order.order_id
        row = (
            self._first_id | sequence,
            order_id,
            order.account_id,
            order.instrument_id,
            ACCEPTED,
            price,
            quantity,
            remaining,
            filled,
            status,
            reason,
            other,
            at,
            envelope.actor_id,
            envelope.received_at,
            detail,
        )
        self.events.append(row)
        self.event_orders.append(order)
        self.orders[order_id] = (order, sequence, at, True)
        account = order.holding.account
        if account.max_rate:
            self.rated[account.account_id] = account
        if order.level is not None:
            self._touch(order, price, sequence)
        return Outcome(DONE, order_id=order_id, order=OrderRecord(order, self.shard_id, sequence, at))

    def _add_events(
        self,
        command: Command,
        subjects: tuple[int, ...],
        events: list[Event],
        at: int,
        envelope: Envelope,
        detail: str | None,
    ) -> None:
        """A row for each. The sender is named on what is the command's own doing; the first of that has the detail."""
        for kind, sequence, order, price, quantity, remaining, filled, status, reason, other in events:
            order_id = account_id = instrument_id = standing = actor_id = received_at = told = None
            if order is not None:
                order_id, account_id, instrument_id = order.order_id, order.account_id, order.instrument_id
                standing = status
                if subjects:
                    is_own = order_id in subjects and kind not in _HAPPENED and reason != R_LINKED_ORDER
                else:
                    is_own = isinstance(command, CancelAll) and kind == CANCELED and reason == command.reason
                if kind in (ACCEPTED, MOVED) and order.conditions is not None and order.conditions.display_quantity:
                    told = displays(order.conditions.display_quantity)
            else:
                if kind in ACCOUNT_KINDS:
                    account_id = other
                else:
                    instrument_id = other
                is_own = not isinstance(command, Order | OrderGroup | Amend | Cancel | CancelAll | AdvanceTime)
                self._configured(kind, sequence, other, command)
            if is_own:
                actor_id, received_at = envelope.actor_id, envelope.received_at
                told, detail = told or detail, None
            subject = (self._first_id | sequence, order_id, account_id, instrument_id)
            numbers = (kind, price, quantity, remaining, filled, standing, reason, other)
            self.events.append((*subject, *numbers, at, actor_id, received_at, told))
            self.event_orders.append(order)

    def _keep_orders(self, events: list[Event], at: int) -> None:
        """The rows of all orders that took a step are to be written."""
        orders = self.orders
        for event in events:
            order = event[ORDER]
            if order is None:
                continue
            order_id = order.order_id
            if event[KIND] in _BIRTHS:
                is_new = True
                account = order.holding.account
                if account.max_rate:
                    self.rated[account.account_id] = account
            else:
                known = orders.get(order_id)
                is_new = known is not None and known[3]
            orders[order_id] = (order, event[SEQUENCE], at, is_new)
            if order.conditions is not None:
                self.conditional.add(order.instrument_id)

    def _follow_book(self, events: list[Event], at: int) -> None:
        """Trades, and the levels that have changed."""
        placed: list[Order] = []
        maker: Order | None = None
        # The last order that came to the book with this command. (An iceberg's next tip was there before; what waits is not.)
        entered: Order | None = None
        for kind, sequence, order, price, quantity, _, _, status, _, other in events:
            if order is None:
                continue
            if kind in _PLACED:
                placed.append(order)
                if kind != REPLENISHED and status != UNTRIGGERED:
                    entered = order
                if kind == REPLACED and status != UNTRIGGERED:
                    self._touch(order, other, sequence)
            elif kind == FILL_MAKER:
                maker = order
                self._touch(order, order.price, sequence)
            elif kind == FILL_TAKER:
                assert maker is not None
                self._add_trade(maker, order, price, quantity, sequence - 1, at)
                if order is not entered:
                    # It was in the book already: an uncross, in which takers rest as well.
                    self._touch(order, order.price, sequence)
            elif (kind in _LOSSES and other) or (kind == AMENDED and status != UNTRIGGERED):
                self._touch(order, order.price, sequence)
        for order in placed:
            # Those that rest in the book now, when the command is over. What waits has a level too, among the stops.
            if order.level is not None and order.status != UNTRIGGERED:
                self._touch(order, order.price, self.orders[order.order_id][1])

    def _add_trade(self, maker: Order, taker: Order, price: int, quantity: int, sequence: int, at: int) -> None:
        instrument_id = taker.instrument_id
        self.trades.append(
            TradeRow(
                self._first_id | sequence,
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

    def _touch(self, order: Order, price: int, sequence: int) -> None:
        """The level of the order's side at this price has changed."""
        instrument_id = order.instrument_id
        levels = self.levels.get(instrument_id)
        if levels is None:
            levels = self.levels[instrument_id] = set()
            self.instruments[instrument_id] = self.engine.instruments[instrument_id]
        levels.add((order.side, price))
        if sequence > self.book_sequences.get(instrument_id, 0):
            self.book_sequences[instrument_id] = sequence

    def _configured(self, kind: int, sequence: int, subject: int, command: Command) -> None:
        """A step of an instrument or account."""
        if kind in (CANCEL_AFTER_SET, CANCEL_AFTER_FIRED):
            self.leases[subject] = self.engine.accounts[subject]
        elif kind == TRANSFERRED:
            assert isinstance(command, Transfer)
            self.deposits[subject, command.currency] = self.engine.accounts[subject]
        elif kind == ACCOUNT_DEFINED:
            # Who has no limit on messages any more is not counted any more.
            self.rated[subject] = self.engine.accounts[subject]
        else:
            self.instruments[subject] = self.engine.instrument(subject)
            if kind == SCHEDULE_SET:
                self.schedules.add(subject)
            elif kind == INSTRUMENT_DEPARTED:
                assert isinstance(command, ReleaseInstrument)
                self.departed[subject] = command.shard_id
            elif kind == INSTRUMENT_ARRIVED:
                # Its book is another's from here on, also where nothing rests in it.
                self.arrived[subject] = self.book_sequences[subject] = sequence
                self.levels.setdefault(subject, set())
        if isinstance(command, DefineInstrument | DefineAccount):
            self.definitions.append(command)

    # Outcomes

    def _outcome_of_orders(
        self, command: Command, subjects: tuple[int, ...], events: list[Event], at: int, trades: list[TradeRow]
    ) -> Outcome:
        """How a command came out that names orders: about the one, or the first, whose trades are its fills."""
        own = subjects[0]
        order, sequence, _, _ = self.orders[own]
        outcome = Outcome(DONE, order_id=own, order=record_of(order, self.shard_id, sequence, at))
        if trades:
            mine = [trade for trade in trades if trade.taker_order_id == own]
            outcome.fills = tuple((trade.id + 1 & SEQUENCE_MASK, trade.price, trade.quantity) for trade in mine)
            outcome.makers = tuple(trade.maker_order_id for trade in mine)
        if len(subjects) > 1:
            outcome.legs = tuple(self._record_of(order_id, at) for order_id in subjects[1:])
        elif isinstance(command, Amend):
            outcome.priority_kept = events[0][KIND] != REPLACED
        return outcome

    def _record_of(self, order_id: int, at: int) -> OrderRecord:
        """An order as it stands, with its own last event's number: what the command did to others is theirs."""
        order, sequence, _, _ = self.orders[order_id]
        return record_of(order, self.shard_id, sequence, at)
