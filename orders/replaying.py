"""Recorded order flow through the engine: durably through gateway and bus, or through the bare core.

What a line says becomes a command in ``orders.translating``. In files with terms (``orders.flow_terms``) orders may trade long
after their own line, when they are triggered or in an auction: the trades of a durable replay are then read from the log.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter

from matching.commands import AdvanceTime, Command, DefineInstrument, SetPhase
from matching.engine import Engine
from matching.events import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    FILL_TAKER,
    KIND,
    ORDER,
    OTHER,
    PHASE_CHANGED,
    PRICE,
    QUANTITY,
    REJECTED,
    REPLACED,
    Event,
)
from matching.levels import LevelReplica, LevelRow
from matching.values import BUY, R_TOO_LATE_TO_CANCEL, SELL
from matching.values import REJECTED as ORDER_REJECTED
from orders.bus.envelope import DONE, FAILED, UNAVAILABLE, Outcome
from orders.feed.publisher import CommitMessage
from orders.flow import FlowLine
from orders.models import Event as EventRow
from orders.models.trading import SEQUENCE_MASK
from orders.translating import DurableTranslator, Translator

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
        terms = line.terms
        if command is None and terms is not None:
            command = AdvanceTime()
        if command is not None:
            events = engine.apply(sequence, sequence if terms is None else terms.at, command)
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
    """Through gateway, bus, engine and database, in groups. Give ``listener`` to the engine for pictures of the book.

    ``after`` is the id of the last event before the replay.
    """

    def __init__(
        self,
        *,
        account_id: int,
        instrument_id: int,
        new_id: Callable[[], int],
        submit: Callable[[list[Command]], "Future[list[Outcome]]"],
        books: bool,
        after: int,
    ) -> None:
        self._translator = DurableTranslator(account_id, instrument_id, new_id)
        self._instrument_id = instrument_id
        self._submit = submit
        self._books = books
        self._after = after
        self._replica = LevelReplica()
        self._causes = Causes()
        self.done = Replayed()

    def listener(self, message: CommitMessage) -> None:
        """Follow the levels, as any feed would."""
        for change in message.books:
            if change.instrument_id == self._instrument_id:
                for level in change.levels:
                    self._replica.set(*level)

    def run(self, lines: list[FlowLine], progress: Callable[[int], None]) -> Replayed:
        """Carry out all lines. Raises ``Interrupted``; what was committed until then stays."""
        under_way: deque[tuple[list[Told], Future[list[Outcome]]]] = deque()
        for group, is_checkpoint in _groups(lines, self._books):
            told = [one for line in group for one in self._told(line)]
            if told:
                under_way.append((told, self._submit([command for _, _, command in told])))
            self.done.lines += len(group)
            while len(under_way) > (0 if is_checkpoint else GROUPS_UNDER_WAY):
                self._collect(*under_way.popleft())
            if is_checkpoint and self._books:
                bids, asks = self._replica.top(BUY, BOOK_LEVELS), self._replica.top(SELL, BOOK_LEVELS)
                self.done.books.extend(_pictures(self.done.lines, lines, bids, asks))
            progress(self.done.lines)
        while under_way:
            self._collect(*under_way.popleft())
        if lines and lines[0].terms is not None:
            ids, sides = self._translator.file_ids, self._translator.sides
            for seq, taker, maker, price, quantity in self._causes.trades(self._after, self._instrument_id):
                side = "S" if sides[taker] else "B"
                self.done.trades.append((seq, ids[taker], ids[maker], side, price, quantity))
        return self.done

    def _told(self, line: FlowLine) -> Iterator["Told"]:
        """The commands of a line: its own, behind those of the orders that are past their time when it comes."""
        for cancel in self._translator.expired(line):
            yield line, True, cancel
        command = self._translator.command(line)
        if command is not None:
            yield line, False, command

    def _collect(self, told: list["Told"], future: "Future[list[Outcome]]") -> None:
        ids = self._translator.file_ids
        for (line, is_expiry, command), outcome in zip(told, future.result(), strict=True):
            if outcome.kind in (FAILED, UNAVAILABLE):
                raise Interrupted(f"the engine answered {outcome.kind!r} to the line with seq {line.seq}")
            if is_expiry and outcome.reason == R_TOO_LATE_TO_CANCEL:
                raise Interrupted(f"an order expires in a phase without cancels, before seq {line.seq}: use --memory")
            record = outcome.order
            if line.terms is not None:
                self._causes.add(line.seq, command, outcome)
                self.done.refused += (
                    line.op == "N" and not is_expiry and (record is None or record.status == ORDER_REJECTED)
                )
                continue
            if record is None or record.status == ORDER_REJECTED:
                # A cancel, reduction or replacement of an order that is gone means nothing; a new order is another matter.
                self.done.refused += line.op == "N"
                continue
            for (_, price, quantity), maker_id in zip(outcome.fills, outcome.makers, strict=True):
                side = "S" if record.side else "B"
                self.done.trades.append((line.seq, ids[record.id], ids[maker_id], side, price, quantity))


# A line, whether the command is that of an expiry ahead of it, and the command.
Told = tuple[FlowLine, bool, Command]


class Causes:
    """Which line each trade of the log came from: that of the last command which began before it.

    A command begins with an event of its own doing (those have a time of receipt). Which line that is, is told by the order
    it is about: the next of the lines on it that had an effect.
    """

    BEGINNINGS = (ACCEPTED, REJECTED, AMENDED, REPLACED, CANCELED)

    def __init__(self) -> None:
        # By order id: lines, and the number of the order's last event in the line's command.
        self._lines: defaultdict[int, deque[tuple[int, int]]] = defaultdict(deque)
        # Lines that set a phase, and which.
        self._phases: deque[tuple[int, int]] = deque()

    def add(self, seq: int, command: Command, outcome: Outcome) -> None:
        """Take in how the command of a line came out."""
        if outcome.kind != DONE:
            return
        if isinstance(command, SetPhase):
            self._phases.append((seq, command.phase))
        elif outcome.order is not None:
            for record in (outcome.order, *outcome.legs):
                self._lines[record.id].append((seq, record.sequence))

    def trades(self, after: int, instrument_id: int) -> Iterator[tuple[int, int, int, int, int]]:
        """All trades after an event: line, taker's and maker's order, price, quantity."""
        columns = ("id", "kind", "order_id", "price", "quantity", "other", "received_at")
        events = EventRow.objects.filter(id__gt=after, instrument_id=instrument_id).order_by("id").values_list(*columns)
        seq = 0
        for number, kind, order_id, price, quantity, other, received_at in events.iterator():
            if kind == FILL_TAKER:
                yield seq, order_id, other, price, quantity
            elif received_at is None:
                continue
            elif kind == PHASE_CHANGED:
                seq = self._next(self._phases, lambda phase, wanted=quantity: phase == wanted) or seq
            elif kind in self.BEGINNINGS:
                lines = self._lines.get(order_id)
                # A line whose last event was before this one had none at all: nothing was to be changed.
                seq = self._next(lines, lambda last, wanted=number & SEQUENCE_MASK: last >= wanted) or seq

    @staticmethod
    def _next(lines: deque[tuple[int, int]] | None, is_it: Callable[[int], bool]) -> int | None:
        while lines:
            seq, mark = lines.popleft()
            if is_it(mark):
                return seq
        return None


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
