"""Recorded order flow through the engine: durably through gateway and bus, or through the bare core.

The file's ids are turned into order ids in the order of the lines; an id may be used again after its order is gone, later
lines then mean the newest. What a line means for an order that has ended is the engine's to say: nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter

from matching.commands import OPEN, REDUCTION, Amend, Cancel, Command, DefineInstrument
from matching.engine import Engine
from matching.events import FILL_TAKER, KIND, ORDER, OTHER, PRICE, QUANTITY, Event
from matching.levels import LevelReplica, LevelRow
from matching.order import Order
from matching.values import BUY, LIMIT, REJECTED, SELL, STP_NONE
from orders.bus.envelope import FAILED, UNAVAILABLE, Outcome
from orders.feed.publisher import CommitMessage
from orders.flow import FlowLine

# Lines submitted together, and such groups under way at once: enough that the engine never waits for us.
GROUP_LINES = 256
GROUPS_UNDER_WAY = 4
# Levels a side in a picture of the book, and lines from one picture to the next.
BOOK_LEVELS = 10
BOOK_EVERY_LINES = 1_000

# flow_seq, aggressor id, resting id, aggressor's side, price, quantity
TradeOut = tuple[int, int, int, str, int, int]
# flow_seq, side, level (from 1), price, quantity, orders
BookOut = tuple[int, str, int, int, int, int]


@dataclass(slots=True)
class Replayed:
    """What came of a replay: trades and pictures of the book in the file's own ids and units, seconds of each group.

    ``refused`` counts new orders that the engine did not accept: the file does not fit the instrument's rules.
    """

    lines: int = 0
    refused: int = 0
    trades: list[TradeOut] = field(default_factory=list)
    books: list[BookOut] = field(default_factory=list)
    group_seconds: list[float] = field(default_factory=list)


class Interrupted(RuntimeError):
    """The engine could not carry out a group; the message says what it answered."""


class Translator:
    """Turns lines into commands and order ids back into the file's."""

    def __init__(self, account_id: int, instrument_id: int, new_id: Callable[[], int]) -> None:
        self._account_id = account_id
        self._instrument_id = instrument_id
        self._new_id = new_id
        self._order_ids: dict[int, int] = {}
        self.file_ids: dict[int, int] = {}

    def command(self, line: FlowLine) -> Command | None:
        """The command of a line; None where it names an id the file has not used."""
        _, op, file_id, side, price, quantity, time_in_force = line
        if op == "N":
            order_id = self._new_id()
            self._order_ids[file_id] = order_id
            self.file_ids[order_id] = file_id
            return Order(
                order_id, self._account_id, self._instrument_id, side, price, quantity, LIMIT, time_in_force, STP_NONE
            )
        order_id = self._order_ids.get(file_id, 0)
        if not order_id:
            return None
        if op == "C":
            return Cancel(order_id, self._account_id)
        if op == "R":
            return Amend(order_id, self._account_id, 0, quantity, REDUCTION)
        return Amend(order_id, self._account_id, price, quantity, OPEN)


def replay_in_memory(lines: list[FlowLine], *, books: bool, progress: Callable[[int], None]) -> Replayed:
    """Through ``Engine.apply`` alone: nothing is stored."""
    done = Replayed()
    engine = Engine()
    engine.apply(1, 0, DefineInstrument(1, "REPLAY"))
    book = engine.instruments[1].book
    translator = Translator(1, 1, iter(range(1, len(lines) + 2)).__next__)
    sequence = engine.next_sequence
    started = perf_counter()
    for number, line in enumerate(lines, 1):
        command = translator.command(line)
        if command is not None:
            events = engine.apply(sequence, sequence, command)
            sequence = engine.next_sequence
            if len(events) > 1:  # only what trades has more than one
                done.trades.extend(_taker_trades(line.seq, events, translator.file_ids))
        if number % BOOK_EVERY_LINES == 0 or number == len(lines):
            if books:
                done.books.extend(_pictures(number, lines, book.top(BUY, BOOK_LEVELS), book.top(SELL, BOOK_LEVELS)))
            done.group_seconds.append(perf_counter() - started)
            started = perf_counter()
            progress(number)
    done.lines = len(lines)
    return done


def _taker_trades(seq: int, events: list[Event], file_ids: dict[int, int]) -> Iterator[TradeOut]:
    for event in events:
        taker = event[ORDER]
        if event[KIND] == FILL_TAKER and taker is not None:
            side = "S" if taker.side else "B"
            yield seq, file_ids[taker.order_id], file_ids[event[OTHER]], side, event[PRICE], event[QUANTITY]


class DurableReplay:
    """Through gateway, bus, engine and database, in groups. Give ``listener`` to the engine for pictures of the book."""

    def __init__(
        self,
        *,
        account_id: int,
        instrument_id: int,
        new_id: Callable[[], int],
        submit: Callable[[list[Command]], "Future[list[Outcome]]"],
        books: bool,
    ) -> None:
        self._translator = Translator(account_id, instrument_id, new_id)
        self._instrument_id = instrument_id
        self._submit = submit
        self._books = books
        self._replica = LevelReplica()
        self.done = Replayed()

    def listener(self, message: CommitMessage) -> None:
        """Follow the levels, as any feed would."""
        for change in message.books:
            if change.instrument_id == self._instrument_id:
                for level in change.levels:
                    self._replica.set(*level)

    def run(self, lines: list[FlowLine], progress: Callable[[int], None]) -> Replayed:
        """Carry out all lines. Raises ``Interrupted``; what was committed until then stays."""
        under_way: deque[tuple[list[FlowLine], Future[list[Outcome]]]] = deque()
        for group, is_checkpoint in _groups(lines, self._books):
            told: list[FlowLine] = []
            commands: list[Command] = []
            for line in group:
                command = self._translator.command(line)
                if command is not None:
                    told.append(line)
                    commands.append(command)
            if commands:
                under_way.append((told, self._submit(commands)))
            self.done.lines += len(group)
            while len(under_way) > (0 if is_checkpoint else GROUPS_UNDER_WAY):
                self._collect(*under_way.popleft())
            if is_checkpoint and self._books:
                bids, asks = self._replica.top(BUY, BOOK_LEVELS), self._replica.top(SELL, BOOK_LEVELS)
                self.done.books.extend(_pictures(self.done.lines, lines, bids, asks))
            progress(self.done.lines)
        while under_way:
            self._collect(*under_way.popleft())
        return self.done

    def _collect(self, lines: list[FlowLine], future: "Future[list[Outcome]]") -> None:
        ids = self._translator.file_ids
        for line, outcome in zip(lines, future.result(), strict=True):
            if outcome.kind in (FAILED, UNAVAILABLE):
                raise Interrupted(f"the engine answered {outcome.kind!r} to the line with seq {line.seq}")
            record = outcome.order
            if record is None or record.status == REJECTED:
                # A cancel, reduction or replacement of an order that is gone means nothing; a new order is another matter.
                self.done.refused += line.op == "N"
                continue
            for (_, price, quantity), maker_id in zip(outcome.fills, outcome.makers, strict=True):
                side = "S" if record.side else "B"
                self.done.trades.append((line.seq, ids[record.id], ids[maker_id], side, price, quantity))


def _groups(lines: list[FlowLine], books: bool) -> Iterator[tuple[list[FlowLine], bool]]:
    """Lines in groups, and whether the book is to be pictured after them: then a group ends there."""
    start = 0
    while start < len(lines):
        end = min(start + GROUP_LINES, len(lines))
        if books:
            end = min(end, (start // BOOK_EVERY_LINES + 1) * BOOK_EVERY_LINES)
        yield lines[start:end], books and (end % BOOK_EVERY_LINES == 0 or end == len(lines))
        start = end


def _pictures(number: int, lines: list[FlowLine], bids: list[LevelRow], asks: list[LevelRow]) -> list[BookOut]:
    """The book after line ``number``: once where it is a 1000th line, once where it is the last; twice where it is both."""
    seq = lines[number - 1].seq
    picture = [
        (seq, side, place, price, quantity, orders)
        for side, levels in (("B", bids), ("S", asks))
        for place, (price, quantity, orders) in enumerate(levels, 1)
    ]
    times = (number % BOOK_EVERY_LINES == 0) + (number == len(lines))
    return picture * times
