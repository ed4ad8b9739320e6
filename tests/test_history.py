"""The book as it stood: at every event of a random market of every type, the core's own levels and what the feed said then."""

import os
import random

import pytest

from matching.commands import AdvanceTime, Command
from matching.events import KIND, SEQUENCE, UNCROSSED
from matching.levels import checksum
from matching.values import BUY, SELL
from orders import selectors
from orders.feed.publisher import CommitMessage
from orders.history import PastBook, book_at
from orders.models import BookSnapshot, Instrument
from orders.selectors import InstrumentInfo
from tests.engine.long_run import LongRun, steps

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = int(os.environ.get("OMS_HISTORY_RUNS", "20"))
STEPS = 120
DEPTH = 1000

# Bids and asks, best first.
Levels = tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]


class WatchedRun(LongRun):
    """Remembers what the core displays between any two commands, and all that the feed says."""

    def __init__(self, seed: int) -> None:
        # By the number of the last event: the levels of each instrument.
        self.pictures: dict[int, dict[int, Levels]] = {0: {}}
        # Numbers of events inside commands that uncrossed, where books are crossed in between.
        self.uncrossing: set[int] = set()
        # Instrument, sequence, time, levels.
        self.told: list[tuple[int, int, int, Levels]] = []
        super().__init__(seed)

    def beside(self, commands: list[Command]) -> None:
        for command in commands:
            if self.bare.next_due <= self.clock:
                self._carry_out(AdvanceTime())
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        first = len(self.events)
        super().beside([command])
        numbers = [event[SEQUENCE] for event in self.events[first:]]
        if any(event[KIND] == UNCROSSED for event in self.events[first:]):
            self.uncrossing.update(numbers[:-1])
        self.pictures[len(self.events)] = {
            key: (instrument.book.top(BUY, DEPTH), instrument.book.top(SELL, DEPTH))
            for key, instrument in self.bare.instruments.items()
        }

    def listen(self, message: CommitMessage) -> None:
        super().listen(message)
        for change in message.books:
            replica = self.replicas[change.instrument_id]
            levels = replica.top(BUY, DEPTH), replica.top(SELL, DEPTH)
            self.told.append((change.instrument_id, change.sequence, message.at, levels))


def watched(request: pytest.FixtureRequest) -> WatchedRun:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    run = WatchedRun(seed)
    run.run(steps(seed, STEPS))
    return run


def infos() -> list[InstrumentInfo]:
    return [selectors.instrument_by_id(row.id) for row in Instrument.objects.order_by("id")]


def levels_of(book: PastBook) -> Levels:
    return book.bids, book.asks


def is_crossed(levels: Levels) -> bool:
    bids, asks = levels
    return bool(bids and asks and bids[0][0] >= asks[0][0])


@pytest.mark.parametrize("number", range(RUNS))
def test_every_moment_of_a_random_market(number: int, request: pytest.FixtureRequest) -> None:
    run = watched(request)
    books = {
        info.id: [book_at(info=info, sequence=sequence, depth=DEPTH) for sequence in range(len(run.events) + 1)]
        for info in infos()
    }
    for key, found in books.items():
        for sequence, instruments in run.pictures.items():
            assert levels_of(found[sequence]) == instruments.get(key, ([], [])), f"instrument {key} at {sequence}"
        assert_nothing_is_displayed_that_still_matches(run, key, found)
        assert all(book.checksum == checksum(book.bids, book.asks) for book in found)
    for key, sequence, at, levels in run.told:
        book = books[key][sequence]
        assert (book.sequence, book.at, levels_of(book)) == (sequence, at, levels)
    BookSnapshot.objects.all().delete()
    for info in infos():
        from_nothing = [book_at(info=info, sequence=sequence, depth=DEPTH) for sequence in range(len(run.events) + 1)]
        assert from_nothing == books[info.id], "a saved book makes a difference"


def assert_nothing_is_displayed_that_still_matches(run: WatchedRun, key: int, found: list[PastBook]) -> None:
    """Inside a command: a book that is crossed neither before nor after it never is, and its number never goes back."""
    before = 0
    for after in sorted(run.pictures):
        if not is_crossed(levels_of(found[before])) and not is_crossed(levels_of(found[after])):
            for sequence in range(before, after):
                assert sequence in run.uncrossing or not is_crossed(levels_of(found[sequence])), sequence
        before = after
    numbers = [book.sequence for book in found]
    assert numbers == sorted(numbers) and all(number <= place for place, number in enumerate(numbers))
