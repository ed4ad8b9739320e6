"""The history check finds what it is there to find: a good run is good, and each of these harms is told of."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from matching.commands import Amend, Cancel, DefineInstrument
from matching.engine import Engine
from matching.events import CANCELED, FILL_TAKER, KIND, KIND_NAMES, ORDER, REPLACED, SEQUENCE
from matching.order import Order
from matching.values import IOC, LIMIT, SIDE_NAMES, STATUS_NAMES, STP_NONE, TIME_IN_FORCE_NAMES
from orders.displayed import DisplayedBook
from tests.faults.history import check
from tests.faults.ledger import (
    AMEND,
    CANCEL,
    CANCEL_ALL,
    DONE,
    NOT_ACCEPTED,
    PLACE,
    UNKNOWN,
    BookTold,
    Call,
    Execution,
    Ledger,
    Terms,
    Told,
    TradeTold,
)
from tests.faults.log import EventRow, Log, OrderRow, TradeRow, lives_of

INSTRUMENT = 7
RULES = '{"instrument_id": 7, "symbol": "ACME-USD"}'


class Run:
    """A service that makes no mistakes: clients' calls, in order, through the core, and what they and readers are told."""

    def __init__(self, seed: int, steps: int = 300) -> None:
        self.rng = random.Random(seed)
        self.engine = Engine()
        self.ledger = Ledger()
        self.events: list[EventRow] = []
        self.orders: dict[int, Order] = {}
        self.trades: list[TradeRow] = []
        self.now = 100.0
        self._apply(DefineInstrument(INSTRUMENT, "ACME-USD"), RULES)
        for _ in range(steps):
            self._step()
        self._show_book()

    @property
    def log(self) -> Log:
        lives = lives_of(Log(INSTRUMENT, 0, 3, self.events, [], []))
        rows = [
            OrderRow(
                order.order_id,
                order.account_id,
                INSTRUMENT,
                order.client_order_id,
                order.side,
                order.type,
                order.time_in_force,
                order.self_trade_prevention,
                order.post_only,
                lives[id][-1].price,
                lives[id][-1].quantity,
                lives[id][-1].filled,
                lives[id][-1].remaining,
                STATUS_NAMES.index(lives[id][-1].status),
                lives[id][-1].version,
                lives[id][-1].sequence,
            )
            for id, order in self.orders.items()
        ]
        return Log(INSTRUMENT, len(self.events), 3, self.events, rows, self.trades)

    def _apply(self, command: Any, detail: str | None = None) -> list[Any]:
        made = self.engine.apply(len(self.events) + 1, len(self.events), command)
        for event in made:
            kind, sequence, order, price, quantity, remaining, filled, status, reason, other = event
            if not sequence:
                continue
            about = (None, None) if order is None else (order.order_id, order.account_id)
            told = (remaining, filled, None if order is None else status, reason, other, len(self.events), detail)
            self.events.append(EventRow(sequence, *about, INSTRUMENT, kind, price, quantity, *told))
            if kind == FILL_TAKER:
                self.trades.append(TradeRow(sequence - 1, price, quantity, order.side, other, order.order_id))
                sold = SIDE_NAMES[order.side]
                self.ledger.trades.append(TradeTold(self.now + 0.5, 3, sequence - 1, price, quantity, sold))
            if order is not None:
                heard = (KIND_NAMES[kind], order.order_id, filled, remaining, STATUS_NAMES[status])
                self.ledger.executions.append(Execution(self.now + 0.5, 3, sequence, 0, *heard))
        return made

    def _step(self) -> None:
        self.now += 1
        resting = [order for order in self.orders.values() if order.order_id in self.engine.orders]
        choice = self.rng.random()
        if choice < 0.7 or not resting:
            self._place()
        elif choice < 0.8:
            self._amend(self.rng.choice(resting))
        elif choice < 0.97:
            self._cancel(self.rng.choice(resting))
        else:
            self._cancel_all(self.rng.choice(resting).account_id)
        if self.rng.random() < 0.1:
            self._show_book()

    def _call(self, kind: str, account: int, **more: Any) -> Call:
        # Sent up to a while before it is carried out, so that calls overlap.
        call = Call(kind, account, self.now - self.rng.choice((0.1, 0.1, 3.0)), **more)
        self.ledger.calls.append(call)
        return call

    def _answer(self, call: Call, made: list[Any], order: Order) -> None:
        if self.rng.random() < 0.1:
            return  # the answer was lost
        fills = tuple((e[SEQUENCE] - 1, e[3], e[4]) for e in made if e[KIND] == FILL_TAKER and e[ORDER] is order)
        state = lives_of(Log(0, 0, 0, self.events, [], []))[order.order_id][-1]
        call.told = Told(
            order.order_id,
            state.status,
            state.price,
            state.quantity,
            state.filled,
            state.remaining,
            state.version,
            state.sequence,
            fills,
        )
        call.answered_at, call.outcome = self.now + 0.4, DONE

    def _place(self) -> None:
        number = len(self.orders) + 1
        account, side = self.rng.choice((1, 2)), self.rng.choice((0, 1))
        price, quantity = self.rng.randint(95, 105), self.rng.randint(1, 50)
        life = self.rng.choice((0, 0, IOC))
        terms = Terms(SIDE_NAMES[side], "limit", TIME_IN_FORCE_NAMES[life], False, price, quantity)
        call = self._call(PLACE, account, client_order_id=f"c{number}", terms=terms)
        order = Order(number, account, INSTRUMENT, side, price, quantity, LIMIT, life, STP_NONE, False, f"c{number}")
        self.orders[number] = order
        self._answer(call, self._apply(order), order)

    def _amend(self, order: Order) -> None:
        price = order.price + 1
        call = self._call(AMEND, order.account_id, order_id=order.order_id, price=price)
        self._answer(call, self._apply(Amend(order.order_id, order.account_id, price)), order)

    def _cancel(self, order: Order) -> None:
        call = self._call(CANCEL, order.account_id, order_id=order.order_id)
        self._answer(call, self._apply(Cancel(order.order_id, order.account_id)), order)

    def _cancel_all(self, account: int) -> None:
        call = self._call(CANCEL_ALL, account)
        ids = [id for id, order in self.engine.orders.items() if order.account_id == account]
        for order_id in ids:
            self._apply(Cancel(order_id, account))
        call.canceled, call.outcome, call.answered_at = tuple(ids), DONE, self.now + 0.4

    def _show_book(self) -> None:
        sides = {order.order_id: order.side for order in self.orders.values()}
        book = DisplayedBook()
        book.fold(
            (e.sequence, e.kind, e.order_id, *e[5:8], *e[9:12], None, sides.get(e.order_id or 0), None, None)
            for e in self.events
        )
        book.settle(())
        bids, asks = book.levels()
        self.ledger.books.append(BookTold(self.now + 0.5, 3, book.sequence, tuple(bids), tuple(asks)))


@pytest.mark.parametrize("seed", range(5))
def test_a_good_run_is_good(seed: int) -> None:
    run = Run(seed)
    assert check(run.ledger, run.log) == []
    assert len(run.trades) > 20 and any(event.kind == REPLACED for event in run.events)


# Harms: each takes a good run and makes the one thing of it wrong that its name says.

Harm = Callable[[Run, Log], Log]
HARMS: list[tuple[Harm, str]] = []


def told_by(check_name: str) -> Callable[[Harm], Harm]:
    """A harm, and which of the checks tells of it (others may, too)."""

    def register(harm: Harm) -> Harm:
        HARMS.append((harm, check_name))
        return harm

    return register


@told_by("answers")
def an_acknowledged_order_is_lost(run: Run, log: Log) -> Log:
    lost = next(call.told.order_id for call in run.ledger.calls if call.kind == PLACE and call.told)
    return log._replace(orders=[order for order in log.orders if order.id != lost])


@told_by("rows")
def an_order_is_there_twice(run: Run, log: Log) -> Log:
    return log._replace(orders=[*log.orders, log.orders[5]._replace(id=10_000)])


@told_by("answers")
def an_order_is_another_than_acknowledged(run: Run, log: Log) -> Log:
    call = _acknowledged(run, PLACE)
    call.told = call.told._replace(order_id=call.told.order_id % len(log.orders) + 1)
    return log


@told_by("answers")
def an_answer_tells_too_much_filled(run: Run, log: Log) -> Log:
    call = _acknowledged(run, PLACE)
    call.told = call.told._replace(filled=call.told.filled + 1)
    return log


@told_by("answers")
def an_answer_tells_a_trade_that_was_rolled_back(run: Run, log: Log) -> Log:
    call = _acknowledged(run, PLACE)
    call.told = call.told._replace(fills=(*call.told.fills, (call.told.sequence, 100, 1)))
    return log


@told_by("answers")
def terms_are_not_those_asked_for(run: Run, log: Log) -> Log:
    call = _acknowledged(run, PLACE)
    call.terms = call.terms._replace(price=call.terms.price + 1)
    return log


@told_by("answers")
def what_was_not_accepted_is_there(run: Run, log: Log) -> Log:
    call = next(call for call in run.ledger.calls if call.kind == PLACE and call.outcome == UNKNOWN)
    call.outcome, call.code = NOT_ACCEPTED, "engine_unavailable"
    return log


@told_by("numbers")
def an_event_is_missing(run: Run, log: Log) -> Log:
    return log._replace(events=log.events[:50] + log.events[51:])


@told_by("numbers")
def the_last_commit_is_lost(run: Run, log: Log) -> Log:
    return log._replace(events=log.events[:-1])


@told_by("rows")
def a_row_is_behind_its_events(run: Run, log: Log) -> Log:
    index = next(index for index, order in enumerate(log.orders) if order.filled)
    changed = log.orders[index]._replace(filled=0)
    return log._replace(orders=[*log.orders[:index], changed, *log.orders[index + 1 :]])


@told_by("trades")
def a_trade_is_lost(run: Run, log: Log) -> Log:
    return log._replace(trades=log.trades[:3] + log.trades[4:])


@told_by("trades")
def a_trade_is_larger_than_its_fills(run: Run, log: Log) -> Log:
    return log._replace(trades=[log.trades[0]._replace(quantity=log.trades[0].quantity + 1), *log.trades[1:]])


@told_by("amends")
def an_acknowledged_amend_is_lost(run: Run, log: Log) -> Log:
    call = _acknowledged(run, AMEND)
    run.ledger.calls.append(Call(AMEND, call.account, call.sent_at, order_id=call.order_id, price=call.price))
    run.ledger.calls[-1].outcome, run.ledger.calls[-1].told = DONE, call.told
    return log


@told_by("amends")
def an_amend_happens_twice(run: Run, log: Log) -> Log:
    call = _acknowledged(run, AMEND)
    run.ledger.calls.remove(call)
    return log


@told_by("cancels")
def a_canceled_order_is_open(run: Run, log: Log) -> Log:
    order = next(order for order in log.orders if order.status <= 1)
    run.ledger.calls.append(Call(CANCEL, order.account_id, run.now + 1, order_id=order.id, outcome=DONE))
    return log


@told_by("cancels")
def a_cancel_of_all_leaves_one(run: Run, log: Log) -> Log:
    # What it did not cancel it does not answer either: only the open order tells of it.
    call = next(call for call in run.ledger.calls if call.kind == CANCEL_ALL and len(call.canceled) > 1)
    places = {event.order_id: event.sequence for event in log.events if event.kind == CANCELED}
    call.canceled = tuple(sorted(call.canceled, key=places.__getitem__))[:-1]
    return log


@told_by("times")
def a_later_order_has_the_lower_sequence(run: Run, log: Log) -> Log:
    first, second = [call for call in run.ledger.calls if call.kind == PLACE and call.told][3:5]
    first.sent_at, second.sent_at = run.now + 10, run.now + 5
    first.answered_at, second.answered_at = run.now + 11, run.now + 6
    return log


@told_by("times")
def an_answer_is_older_than_what_was_known(run: Run, log: Log) -> Log:
    order_id = next(event.order_id for event in log.events if event.kind == CANCELED)
    state = lives_of(log)[order_id][0]
    told = Told(order_id, state.status, *state[2:], state.sequence)
    run.ledger.calls.append(Call(PLACE, 1, run.now + 9, answered_at=run.now + 9.1, code="replayed", told=told))
    return log


@told_by("times")
def a_batch_is_out_of_order(run: Run, log: Log) -> Log:
    calls = [call for call in run.ledger.calls if call.kind == PLACE and call.told][3:5]
    for call in calls:
        call.batch = 1
    run.ledger.calls.sort(key=lambda call: call is calls[0])
    return log


@told_by("replay")
def the_worse_price_trades_first(run: Run, log: Log) -> Log:
    """As if price and time had been looked at the wrong way: consistent with itself in every row, and yet wrong."""
    index = next(i for i, e in enumerate(log.events) if e.kind == FILL_TAKER and e.price != _limit_of(e, log))
    price = log.events[index].price + 1
    events = list(log.events)
    events[index - 1], events[index] = events[index - 1]._replace(price=price), events[index]._replace(price=price)
    trades = [
        trade._replace(price=price) if trade.sequence == events[index - 1].sequence else trade for trade in log.trades
    ]
    run.ledger.trades.clear()
    return log._replace(events=events, trades=trades)


@told_by("feed")
def an_execution_was_published_and_rolled_back(run: Run, log: Log) -> Log:
    heard = run.ledger.executions[40]
    run.ledger.executions[40] = heard._replace(order_id=heard.order_id + 1)
    return log


@told_by("feed")
def a_trade_was_published_and_rolled_back(run: Run, log: Log) -> Log:
    told = run.ledger.trades[-1]
    run.ledger.trades.append(told._replace(sequence=told.sequence + 1))
    return log


@told_by("books")
def a_book_shows_what_is_not_there(run: Run, log: Log) -> Log:
    told = run.ledger.books[-1]
    price, quantity, count = told.asks[0]
    run.ledger.books[-1] = told._replace(asks=((price, quantity + 1, count), *told.asks[1:]))
    return log


@told_by("epochs")
def an_epoch_goes_back(run: Run, log: Log) -> Log:
    run.ledger.executions[10] = run.ledger.executions[10]._replace(epoch=4)
    return log


@pytest.mark.parametrize(("harm", "check_name"), HARMS, ids=[harm.__name__ for harm, _ in HARMS])
def test_a_harm_is_found(harm: Harm, check_name: str) -> None:
    run = Run(1)
    found = check(run.ledger, harm(run, run.log))
    assert any(sentence.startswith(f"{check_name}: ") for sentence in found), found


def test_what_was_asked_of_all_shards_is_checked_on_each() -> None:
    everywhere = [Call(CANCEL_ALL, 1, 0.0, canceled=(1, 2, 3))]
    own = Call(CANCEL_ALL, 1, 0.0, canceled=(4,))
    ledger = Ledger([own]).with_part_of(everywhere, {2, 3, 4})
    assert [call.canceled for call in ledger.calls] == [(4,), (2, 3)]
    assert everywhere[0].canceled == (1, 2, 3)


def _acknowledged(run: Run, kind: str) -> Any:
    return next(call for call in run.ledger.calls if call.kind == kind and call.told is not None)


def _limit_of(event: EventRow, log: Log) -> int:
    return next(order.price for order in log.orders if order.id == event.order_id)
