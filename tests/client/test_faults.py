"""A network that drops, doubles, swaps and spoils messages, services that restart: whatever the client says is true.

``--seed N`` repeats a run. The full-speed soak against the real protocol core is in ``tests/soak``.
"""

import json
import random
from typing import Any

import pytest

from oms_client.book import Book
from oms_client.executions import Executions
from oms_client.line import Topic
from oms_client.models import Execution, Skipped, Trade
from oms_client.subscriptions import EXECUTIONS
from oms_client.tape import Tape
from tests.client.talk import Talk
from tests.client.venue import Venue, Wire, without_counts

SYMBOLS = ["ACME-USD", "BOLT-USD"]
DEPTH = 10
STEPS = 15_000


def spoil_content(rng: random.Random, message: dict[str, Any]) -> str:
    """Something of what a message says is wrong, but not its own number, which nothing but the next one can tell."""
    spoiled = json.loads(json.dumps(message))
    kind = rng.choice(("level", "previous", "checksum", "cut", "missing"))
    levels = spoiled.get("bids", []) + spoiled.get("asks", [])
    if kind == "level" and levels:
        level = rng.choice(levels)
        place = rng.randrange(2)
        digit = rng.randrange(len(level[place]))
        if level[place][digit] != ".":
            level[place] = level[place][:digit] + str(rng.randrange(10)) + level[place][digit + 1 :]
    elif kind == "previous" and spoiled.get("previous") is not None:
        spoiled["previous"] += rng.choice((-1, 1))
    elif kind == "checksum" and "checksum" in spoiled:
        spoiled["checksum"] ^= 1 << rng.randrange(32)
    elif kind == "missing":
        spoiled.pop(rng.choice([name for name in spoiled if name != "channel"]))
    else:
        text = json.dumps(spoiled)
        return text[: rng.randrange(len(text))]
    return json.dumps(spoiled)


def spoil_numbers(rng: random.Random, message: dict[str, Any]) -> str:
    """A message's own number, or its epoch, is another."""
    spoiled = dict(message)
    name = rng.choice(("sequence", "epoch"))
    if name in spoiled and spoiled["channel"] == "book":
        spoiled[name] += rng.choice((-7, -1, 1, 1000))
    return json.dumps(spoiled)


class Run:
    """A client of two books, their trades and its executions, on a bad network."""

    def __init__(self, seed: int, chance: float, spoil: Any) -> None:
        self.rng = random.Random(seed)
        self.venue = Venue(random.Random(self.rng.random()), SYMBOLS)
        self.wire = Wire(random.Random(self.rng.random()), chance, spoil)
        self.talk = Talk()
        stats = self.talk.session.stats
        self.books = {symbol: Book(symbol, DEPTH, stats) for symbol in SYMBOLS}
        for symbol, book in self.books.items():
            self.talk.subscribe(Topic("book", symbol), book, depth=DEPTH)
            self.talk.subscribe(Topic("trades", symbol), Tape(symbol, stats))
        self.talk.subscribe(EXECUTIONS, Executions({0: 0}, stats))
        self.checked = 0
        self.connect_at = self.talk.at

    def step(self) -> None:
        """A hundredth of a second."""
        self.talk.wait(0.01)
        if not self.talk.is_connected and self.talk.at >= self.connect_at:
            self.talk.open()
        self.venue.step()
        if self.rng.random() < 0.005:
            self.venue.snapshot(self.rng.choice(SYMBOLS))
        if self.rng.random() < 0.004:
            self.venue.heartbeat()
        if self.rng.random() < 0.0005:
            self.venue.restart()
            self.hang_up()
            self.connect_at += self.rng.uniform(0, 2)
        self.exchange()

    def exchange(self) -> None:
        """Everything that has been said arrives, or does not."""
        while self.talk.sent or self.venue.outgoing or self.talk.event_reads:
            sent, self.talk.sent = self.talk.sent, []
            for message in sent:
                self.venue.hear(message)
            self.read_events()
            outgoing, self.venue.outgoing = self.venue.outgoing, []
            for message in outgoing:
                for text in self.wire.carry(message) if self.talk.is_connected else ():
                    self.talk.hear(text)
                    self.check()
                if self.talk.reconnects:
                    self.hang_up()

    def read_events(self) -> None:
        reads, self.talk.event_reads = self.talk.event_reads, []
        for read in reads:
            if self.rng.random() < 0.2:
                self.talk.take(self.talk.session.events_unread(read.shard, self.talk.at))
            else:
                page = self.venue.events(read.after_sequence, 7)
                self.talk.take(self.talk.session.events_read(read.shard, *page, self.talk.at))

    def hang_up(self) -> None:
        self.talk.reconnects.clear()
        self.venue.hang_up()
        self.wire.cut()
        if self.talk.is_connected:
            self.talk.lose()
        self.connect_at = self.talk.at + self.talk.delays[-1]

    def check(self) -> None:
        """A book that is not stale is the book as it was at its sequence."""
        for symbol, book in self.books.items():
            if not book.stale:
                self.checked += 1
                bids, asks = self.venue.history[symbol, book.sequence]
                held = without_counts(([list(row) for row in book.bids], [list(row) for row in book.asks]))
                assert held == (bids[:DEPTH], asks[:DEPTH]), f"{symbol} is wrong at {book.sequence}"

    def settle(self) -> None:
        """The network is well again, and a while passes."""
        self.wire.chance = 0.0
        for _ in range(80):
            self.talk.wait(0.5)
            if not self.talk.is_connected and self.talk.at >= self.connect_at:
                self.talk.open()
            self.venue.heartbeat()
            self.venue.step()
            self.exchange()

    def check_end(self) -> None:
        for symbol, book in self.books.items():
            assert not book.stale and book.epoch == self.venue.epoch
            assert tuple([list(row) for row in side] for side in (book.bids, book.asks)) == self.venue.rows(
                symbol, DEPTH
            )
            check_trades(self.talk.told[Topic("trades", symbol)], self.venue.trades[symbol])
        executions = self.talk.told[EXECUTIONS]
        assert all(isinstance(execution, Execution) for execution in executions)
        assert [execution.sequence for execution in executions] == [
            event["sequence"] for event in self.venue.executions
        ]


def check_trades(told: list[Trade | Skipped], happened: list[dict[str, Any]]) -> None:
    """Each trade once and in order; what is missing is where a ``Skipped`` says so."""
    sequences = [trade["sequence"] for trade in happened]
    place = sequences.index(next(item.sequence for item in told if isinstance(item, Trade)))
    for item in told:
        if isinstance(item, Skipped):
            assert item.sequence is not None
            while place < len(sequences) and sequences[place] <= item.sequence:
                place += 1
        else:
            assert item.sequence == sequences[place]
            place += 1
    assert place == len(sequences)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    return int(seed)


def test_a_bad_network_never_makes_the_client_believe_what_is_not_true(seed):
    run = Run(seed, 0.01, spoil_content)
    run.venue.resume_limit = 10
    for _ in range(STEPS):
        run.step()
    run.settle()
    run.check_end()
    stats = run.talk.session.stats
    print(f"{stats.messages} messages, {run.checked} books compared, faults made {run.wire.faults}, noticed {stats}")
    assert min(run.wire.faults.values()) > 20
    assert min(stats.gaps, stats.checksum_failures, stats.malformed, stats.duplicates, stats.resubscribes) > 0
    assert min(stats.verified_snapshots, stats.resumes, stats.connects, stats.events_read) > 0
    assert run.checked > STEPS


def test_numbers_that_are_wrong_themselves_are_found_out_soon(seed):
    """Nothing in a message tells that its own number is wrong: the next message, or the next heartbeat does."""
    run = Run(seed, 0.01, spoil_numbers)
    run.check = lambda: None
    for _ in range(STEPS // 3):
        run.step()
    run.settle()
    run.check_end()
    assert run.talk.session.stats.gaps > 5


def test_on_a_good_network_nothing_is_ever_asked_for_twice(seed):
    run = Run(seed, 0.0, spoil_content)
    for _ in range(2_000):
        run.talk.wait(0.01)
        if not run.talk.is_connected:
            run.talk.open()
        run.venue.step()
        run.exchange()
    run.settle()
    run.check_end()
    stats = run.talk.session.stats
    assert stats.resubscribes == stats.gaps == stats.ignored == stats.duplicates == 0
