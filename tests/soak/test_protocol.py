"""The client's books against the truth, at full speed through the protocol core: 0 undetected gaps.

A random market in a real engine on real tables, the real hub, the service's protocol core, the reference client's session,
and between the last two a line that loses, repeats and reorders messages, readers that fall behind, connections that
break; engines and hubs begin anew. ``--soak-messages N`` says how much of it (100,000 by default), ``--seed N`` repeats a run.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

import pytest

from oms_client.book import Book
from oms_client.models import Json
from orders import selectors
from orders.engine.verification import verify
from orders.feed import board
from orders.models import Shard
from orders.models.trading import SEQUENCE_MASK
from orders.sockets import outbox
from tests.soak.harm import Harm
from tests.soak.reader import Reader, UndetectedGap
from tests.soak.world import Questions, World
from tests.support.market import actor_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Virtual seconds between two commits: a connection that must wait ten seconds for a snapshot misses 200 of them.
STEP_SECONDS = 0.05
# Commits of an episode: then all is quiet, and everybody must agree.
EPISODE = 1_000
DEPTHS = (10, 10, 25, 25, 100, 10)
# Longer than the time within which every reader is told its book unasked.
QUIET_SECONDS = 75
# Messages of a book, and of trades, that may wait: fewer than in the service, so that readers fall behind all the time.
MAX_CHAIN, MAX_TAPE = 20, 15

# In so many messages everything that can happen has happened, by chances of less than one in ten thousand to the contrary.
ENOUGH_MESSAGES = 100_000


class Soak:
    """The course of events, all of it decided by one seed."""

    def __init__(self, seed: int, book: type[Book] = Book) -> None:
        self.rng = random.Random(seed)
        self.harm = Harm()
        self.world = World(self.rng)
        self.world.settle()
        actor = actor_for(self.world.accounts[0])
        self.readers = [
            Reader(
                self.world,
                random.Random(self.rng.random()),
                self.harm,
                actor,
                depth,
                private=number < 2,
                book=book,
            )
            for number, depth in enumerate(DEPTHS)
        ]
        # The last event of the account that was compared.
        self.logged = 0
        self.world.lose = lambda message: self.dice(300) and self.count("commits_lost")

    def dice(self, one_in: int) -> bool:
        return self.rng.randrange(one_in) == 0

    def count(self, what: str) -> bool:
        setattr(self.harm, what, getattr(self.harm, what) + 1)
        return True

    def run(self, messages: int) -> None:
        while self.harm.messages < messages:
            self.episode()
            self.quiet()

    def episode(self) -> None:
        for reader in self.readers:
            reader.line.rough = True
        for number in range(EPISODE):
            self.trouble()
            self.world.commit()
            self.world.loop.turn(STEP_SECONDS)
            if self.dice(3):
                self.world.read()
            for reader in self.readers:
                reader.step()
                if number % 5 == 0:
                    reader.tick()

    def trouble(self) -> None:
        if self.dice(700) and self.count("engine_restarts"):
            self.world.start_engine()
        if self.dice(600) and self.count("hub_restarts"):
            self.world.restart_hub()
        if self.dice(60):
            self.rng.choice(self.readers).cut()
        if self.dice(60) and self.count("slow"):
            self.rng.choice(self.readers).slow_for = self.rng.randint(5, 80)

    def quiet(self) -> None:
        """No harm any more. Books are whole again by themselves, the rest with the next message of each stream."""
        lose, self.world.lose = self.world.lose, lambda message: False
        for reader in self.readers:
            reader.calm()
        self.wait(QUIET_SECONDS)
        self.check_books()
        self.world.trade_everywhere()
        self.wait(2)
        self.check_streams()
        self.world.lose = lose

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.settle()
            self.world.loop.turn(1.0)
            for reader in self.readers:
                reader.step()
                reader.tick()

    def check_books(self) -> None:
        """Client, hub and engine: one book."""
        for info in self.world.infos:
            view = self.world.hub.book(info.id, 1000)
            truth = self.world.truth.book(info.symbol, view.sequence)
            assert (tuple(view.bids), tuple(view.asks)) == truth
            for reader in self.readers:
                (book,) = [book for book in reader.books if book.symbol == info.symbol]
                assert not book.stale and book.sequence == view.sequence, f"{book.sequence}, not {view.sequence}"
                reader.check(book)

    def check_streams(self) -> None:
        """Every trade, and every step of every order of the account."""
        log = selectors.Event.objects.filter(
            account_id=self.world.accounts[0].id, order__isnull=False, id__gt=self.logged
        )
        ids = list(log.order_by("id").values_list("id", flat=True))
        self.logged = ids[-1]
        for reader in self.readers:
            reader.check_streams()
            told, reader.executions = reader.executions, []
            assert told == ([number & SEQUENCE_MASK for number in ids] if reader.private else [])


class Gullible(Book):
    """A client that takes every update for the next one, and every checksum for right."""

    def take(self, message: Json) -> Sequence[object]:
        if message["type"] == "update" and not self.stale:
            message = {**message, "previous": self.sequence}
        return super().take(message)

    def _expect_checksum(self, message: Json) -> None:
        pass


@pytest.fixture(autouse=True)
def in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's questions wait until the test answers them; readers fall behind sooner than in the service."""
    monkeypatch.setattr(board, "ThreadPoolExecutor", Questions)
    monkeypatch.setattr(outbox, "MAX_CHAIN", MAX_CHAIN)
    monkeypatch.setattr(outbox, "MAX_TAPE", MAX_TAPE)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    return seed


def test_no_gap_goes_undetected(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    soak, messages = Soak(seed), request.config.getoption("--soak-messages")
    soak.run(messages)
    noticed = Counter[str]()
    for reader in soak.readers:
        noticed.update(reader.session.stats.as_dict())
    print(f"{soak.world.commits} commits; {soak.harm}\nthe clients: {dict(noticed)}")
    assert not [record for record in caplog.records if record.exc_info], "something was only logged"
    happened = [getattr(soak.harm, field.name) > 0 for field in fields(soak.harm)]
    assert all(happened) or messages < ENOUGH_MESSAGES, "something never happened"
    assert noticed["gaps"] and noticed["duplicates"] and noticed["resyncs"] and noticed["resumes"]
    assert not noticed["checksum_failures"] and not noticed["malformed"]
    assert soak.world.heard == Shard.objects.get().batch, "one message a commit"
    assert verify(0).differences == []
    soak.world.close()


def test_a_gap_that_goes_undetected_is_found_out(seed: int) -> None:
    soak = Soak(seed, Gullible)
    with pytest.raises(UndetectedGap):
        soak.run(100_000)
    soak.world.close()
