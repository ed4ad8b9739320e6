"""Is what clients were told what happened? A pure function of a ledger and a log; no clock, no database.

Theory of operation
-------------------
* The log is one total order of events, so whether a history is linearizable need not be searched for: the order is given, and
  every call either has its place in it or has none.
* ``answers``: what a client was told is the state of its order right after the event that the answer names, to the unit; what
  it was told did not happen did not; what it was not told about happened once or not at all.
* ``times``: what had been answered (or heard over the feed) before something else was sent has the lower sequence; and an
  answer that was asked for after that does not tell of an older state.
* ``replay``: the same commands in the same order through the pure core make the same events. So the log is not only
  consistent with itself, but what matching by price and time gives.
* ``feed``: whatever was published is in the log, with that number: nothing was told that was not committed.

Each check gives sentences about what is wrong; none where all is well.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from matching.events import AMENDED, CANCELED, KIND_NAMES, REPLACED
from matching.values import LAST_OPEN_STATUS, R_AMENDED_TO_FILLED, SIDE_NAMES, STATUS_NAMES
from orders.displayed import DisplayedBook, Step
from tests.faults.ledger import (
    AMEND,
    CANCEL,
    CANCEL_ALL,
    DONE,
    NOT_ACCEPTED,
    PLACE,
    REFUSED,
    UNKNOWN,
    Call,
    Ledger,
    Told,
)
from tests.faults.log import EventRow, Log, OrderRow, State, lives_of, numbers, replay, rows, trades

# Sentences of one check that are kept: one bug makes thousands.
MAX_SENTENCES = 10


def check(ledger: Ledger, log: Log) -> list[str]:
    """All that is wrong; an empty list is a good history."""
    found: list[str] = []
    lives = lives_of(log)
    for name, sentences in (
        ("numbers", numbers(log)),
        ("rows", rows(log, lives)),
        ("trades", trades(log)),
        ("answers", answers(ledger, log, lives)),
        ("amends", amends(ledger, log)),
        ("cancels", cancels(ledger, log, lives)),
        ("times", times(ledger, log, lives)),
        ("replay", replay(log)),
        ("feed", feed(ledger, log)),
        ("books", books(ledger, log)),
        ("epochs", epochs(ledger, log)),
    ):
        wrong = list(sentences)
        found += [f"{name}: {sentence}" for sentence in wrong[:MAX_SENTENCES]]
        if len(wrong) > MAX_SENTENCES:
            found.append(f"{name}: and {len(wrong) - MAX_SENTENCES} more")
    return found


# What clients were told


def answers(ledger: Ledger, log: Log, lives: dict[int, list[State]]) -> Iterator[str]:
    """New orders: acknowledged ones are there as told, those refused are kept as refused, those not accepted are not there."""
    by_id = {(order.account_id, order.client_order_id): order for order in log.orders}
    maybe = {(call.account, call.client_order_id) for call in ledger.calls if call.outcome != NOT_ACCEPTED}
    for call in ledger.calls:
        if call.told is not None:
            yield from _as_told(call, call.told, lives)
        if call.kind != PLACE:
            continue
        key = (call.account, call.client_order_id)
        order = by_id.get(key)
        if call.outcome == NOT_ACCEPTED and order is not None and key not in maybe:
            yield f"{call.client_order_id} is there though it was answered {call.code}"
        if call.outcome == REFUSED and (order is None or STATUS_NAMES[order.status] != "rejected"):
            yield f"{call.client_order_id} was refused ({call.code}) and is not kept as refused"
        if call.outcome == DONE:
            if order is None:
                yield f"{call.client_order_id} was acknowledged and is gone"
                continue
            if call.told is not None and call.told.order_id != order.id:
                yield f"{call.client_order_id} was acknowledged as order {call.told.order_id} and is order {order.id}"
            if call.terms is not None and order.id in lives:
                yield from _as_asked(call, order, lives[order.id][0])
            if call.code != "replayed" and call.told is not None:
                yield from _fills_as_told(call.told, log, lives)


def _as_told(call: Call, told: Told, lives: dict[int, list[State]]) -> Iterator[str]:
    states = {state.sequence: state for state in lives.get(told.order_id, ())}
    state = states.get(told.sequence)
    answer = (told.status, told.quantity, told.filled, told.remaining, told.version)
    truth = None if state is None else (state.status, state.quantity, state.filled, state.remaining, state.version)
    if answer != truth or (state is not None and told.price != state.price):
        yield f"a {call.kind} of order {told.order_id} was answered {told}, the log says {state}"


def _as_asked(call: Call, order: OrderRow, first: State) -> Iterator[str]:
    assert call.terms is not None
    found = (SIDE_NAMES[order.side], first.price, first.quantity)
    if found != (call.terms.side, call.terms.price, call.terms.quantity):
        yield f"{call.client_order_id} asked for {call.terms}, accepted was {found}"


def _fills_as_told(told: Told, log: Log, lives: dict[int, list[State]]) -> Iterator[str]:
    """The trades of the command itself are those of the order as a taker from its acceptance to the answer's event."""
    states = lives.get(told.order_id)
    if not states:
        return
    start = bisect_left(log.trades, states[0].sequence, key=lambda trade: trade.sequence)
    end = bisect_left(log.trades, told.sequence, key=lambda trade: trade.sequence)
    own = [
        (trade.sequence, trade.price, trade.quantity)
        for trade in log.trades[start:end]
        if trade.taker_order_id == told.order_id
    ]
    if own != list(told.fills):
        yield f"order {told.order_id} was told the fills {list(told.fills)}, traded {own}"


def amends(ledger: Ledger, log: Log) -> Iterator[str]:
    """Of every order at least the acknowledged amends happened, at most those and the unanswered ones; as asked."""
    happened = Counter(event.order_id for event in log.events if _is_amend(event))
    events = {event.sequence: event for event in log.events}
    done: Counter[int] = Counter()
    unknown: Counter[int] = Counter()
    for call in ledger.calls:
        if call.kind != AMEND:
            continue
        if call.outcome == UNKNOWN:
            unknown[call.order_id] += 1
        elif call.outcome == DONE:
            done[call.order_id] += 1
            told = call.told
            assert told is not None
            is_as_asked = told.price == (call.price or told.price) and told.quantity == (call.quantity or told.quantity)
            if not is_as_asked and not (
                told.sequence in events and events[told.sequence].reason == R_AMENDED_TO_FILLED
            ):
                yield f"an amend of order {call.order_id} to {call.price}, {call.quantity} was answered {told}"
            if told.sequence not in events:
                yield f"an amend of order {call.order_id} was acknowledged at {told.sequence}, which is not there"
    for order_id in happened.keys() | done.keys():
        least, most = done[order_id], done[order_id] + unknown[order_id]
        if not least <= happened[order_id] <= most:
            yield f"order {order_id} was amended {happened[order_id]} times, {least} acknowledged, {most} sent"


def _is_amend(event: EventRow) -> bool:
    """Also one to no more than is filled already, which ends the order."""
    return event.kind in (AMENDED, REPLACED) or (event.kind == CANCELED and event.reason == R_AMENDED_TO_FILLED)


def cancels(ledger: Ledger, log: Log, lives: dict[int, list[State]]) -> Iterator[str]:
    """What was canceled stays so, once; a cancel of all left none of the account's orders open."""
    canceled = Counter(event.order_id for event in log.events if event.kind == CANCELED)
    ended_at = {id: states[-1].sequence for id, states in lives.items() if not _is_open(states[-1])}
    places = {event.order_id: event.sequence for event in log.events if event.kind == CANCELED}
    for order_id, count in canceled.items():
        if count > 1:
            yield f"order {order_id} was canceled {count} times"
    for call in ledger.calls:
        if call.kind == CANCEL and call.outcome in (DONE, REFUSED) and call.order_id not in ended_at:
            yield f"a cancel of order {call.order_id} was answered {call.outcome}, and the order is open"
        if call.kind == CANCEL and call.outcome == DONE and call.order_id not in canceled:
            yield f"order {call.order_id} was acknowledged as canceled, and never was"
        if call.kind == CANCEL_ALL and call.outcome == DONE and call.canceled:
            if missing := [order_id for order_id in call.canceled if order_id not in canceled]:
                yield f"a cancel of all answered {missing}, which were not canceled"
                continue
            yield from _left_open(call, places, log, lives)


def _left_open(call: Call, places: dict[int | None, int], log: Log, lives: dict[int, list[State]]) -> Iterator[str]:
    sequences = sorted(places[order_id] for order_id in call.canceled)
    if sequences[-1] - sequences[0] != len(sequences) - 1:
        yield f"a cancel of all is scattered over {sequences}"
    for order in log.orders:
        if order.account_id != call.account or order.id in call.canceled:
            continue
        states = lives.get(order.id, [])
        index = bisect_right(states, sequences[-1], key=lambda state: state.sequence) - 1
        if index >= 0 and _is_open(states[index]):
            yield f"a cancel of all at {sequences[0]} left order {order.id} open"


def _is_open(state: State) -> bool:
    return STATUS_NAMES.index(state.status) <= LAST_OPEN_STATUS


# Real time


def times(ledger: Ledger, log: Log, lives: dict[int, list[State]]) -> Iterator[str]:
    """What was known before something was sent has the lower sequence."""
    known = Known(ledger)
    accepted = {
        (order.account_id, order.client_order_id): lives[order.id][0].sequence
        for order in log.orders
        if order.id in lives
    }
    first_sent: dict[tuple[int, str], float] = {}
    for call in ledger.calls:
        if call.kind == PLACE and call.outcome != NOT_ACCEPTED:
            key = (call.account, call.client_order_id)
            first_sent[key] = min(first_sent.get(key, call.sent_at), call.sent_at)
    for key, sent_at in first_sent.items():
        low = accepted.get(key)
        if low is not None and low <= known.before(sent_at):
            yield f"{key[1]} has sequence {low}, and was sent after {known.before(sent_at)} was known"
    canceled = {event.order_id: event.sequence for event in log.events if event.kind == CANCELED}
    batches: dict[int, int] = {}
    for call in ledger.calls:
        floor = known.before(call.sent_at)
        told = call.told
        if told is not None:
            yield from _not_stale(call, told, floor, lives)
        if call.kind == AMEND and told is not None and told.sequence <= floor:
            yield f"an amend of order {call.order_id} has sequence {told.sequence}, and was sent after {floor} was known"
        if call.kind == CANCEL and call.outcome == DONE and canceled.get(call.order_id, floor + 1) <= floor:
            yield f"the cancel of order {call.order_id} comes before {floor}, which was known when it was sent"
        for order_id in call.canceled if call.kind == CANCEL_ALL else ():
            if canceled.get(order_id, floor + 1) <= floor:
                yield f"a cancel of all has canceled order {order_id} before {floor}, which was known when it was sent"
        if call.batch and told is not None and call.code != "replayed":
            if told.sequence < batches.get(call.batch, 0):
                yield f"order {told.order_id} came before the one before it in its batch"
            batches[call.batch] = told.sequence


def _not_stale(call: Call, told: Told, floor: int, lives: dict[int, list[State]]) -> Iterator[str]:
    states = lives.get(told.order_id, [])
    after = bisect_right(states, told.sequence, key=lambda state: state.sequence)
    if after < len(states) and states[after].sequence <= floor:
        yield (
            f"a {call.kind} was answered order {told.order_id} as of {told.sequence}, "
            f"though {states[after].sequence} and all up to {floor} was known before it was sent"
        )


class Known:
    """The highest sequence that anybody had been told of, by time."""

    def __init__(self, ledger: Ledger) -> None:
        moments = [
            (call.answered_at, call.told.sequence)
            for call in ledger.calls
            if call.answered_at is not None and call.told is not None
        ]
        moments += [(heard.heard_at, heard.sequence) for heard in (*ledger.executions, *ledger.trades, *ledger.books)]
        moments.sort()
        self._times = [moment for moment, _ in moments]
        self._highest: list[int] = []
        highest = 0
        for _, sequence in moments:
            highest = max(highest, sequence)
            self._highest.append(highest)

    def before(self, moment: float) -> int:
        """0 where nothing was known yet."""
        index = bisect_left(self._times, moment)
        return self._highest[index - 1] if index else 0


# What was published


def feed(ledger: Ledger, log: Log) -> Iterator[str]:
    """Every execution and every trade that was heard is in the log, with that number."""
    events = {event.sequence: event for event in log.events}
    for heard in ledger.executions:
        event = events.get(heard.sequence)
        truth = None
        if event is not None and event.status is not None:
            truth = (KIND_NAMES[event.kind], event.order_id, event.filled, event.remaining, STATUS_NAMES[event.status])
        if truth != heard[4:]:
            yield f"execution {heard.sequence} was published as {heard[4:]}, the log says {truth}"
    by_sequence = {trade.sequence: trade for trade in log.trades}
    for told in ledger.trades:
        trade = by_sequence.get(told.sequence)
        if trade is None or (trade.price, trade.quantity, SIDE_NAMES[trade.taker_side]) != told[3:]:
            yield f"trade {told.sequence} was published as {told[3:]}, the log says {trade}"


def books(ledger: Ledger, log: Log) -> Iterator[str]:
    """Every book that was shown is what the events up to its number add up to."""
    sides = {order.id: order.side for order in log.orders}
    steps = [_step(event, sides) for event in log.events if event.instrument_id == log.instrument_id]
    book, done = DisplayedBook(), 0
    for shown in sorted(ledger.books, key=lambda told: told.sequence):
        end = bisect_right(steps, shown.sequence, key=lambda step: step[0])
        book.fold(steps[done:end])
        done = end
        book.settle(steps[index] for index in range(end, len(steps)))
        bids, asks = book.levels()
        if (shown.sequence, list(shown.bids), list(shown.asks)) != (book.sequence, bids, asks):
            truth = f"it is {(bids, asks)} at {book.sequence}"
            yield f"the book at {shown.sequence} was shown as {shown[3:]}, by its events {truth}"


def _step(event: EventRow, sides: dict[int, int]) -> Step:
    told = (event.sequence, event.kind, event.order_id, *event[5:8], *event[9:12], event.detail)
    # An order without a row is told of elsewhere: any side will do here.
    return (*told, sides.get(event.order_id or 0, 0), None, None)


def epochs(ledger: Ledger, log: Log) -> Iterator[str]:
    """Owners follow each other: neither a channel of the feed nor the shard's row ever goes back to an earlier epoch."""
    channels = (("executions", ledger.executions), ("trades", ledger.trades), ("books", ledger.books))
    told = {name: sorted((heard.heard_at, heard.epoch) for heard in channel) for name, channel in channels}
    for name, moments in (*told.items(), ("shard's row", sorted(ledger.epochs))):
        for (_, one), (_, other) in pairwise(moments):
            if other < one:
                yield f"the epoch of the {name} went from {one} to {other}"
        if moments and moments[-1][1] > log.epoch:
            yield f"the epoch of the {name} was {moments[-1][1]}, the shard is at {log.epoch}"
