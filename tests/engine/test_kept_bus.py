"""An engine on a bus that keeps what it carries: everything in it is carried out once, whatever ends or fails in between."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import OperationalError

from matching.commands import AdvanceTime, Cancel, Command
from matching.engine import Engine
from matching.events import Event as CoreEvent
from matching.levels import LevelReplica
from matching.order import Order
from matching.values import BUY, SELL
from orders import status
from orders.bus.envelope import (
    CONFLICT,
    DONE,
    EXPIRED,
    FAILED,
    REFUSED,
    REPLAYED,
    UNAVAILABLE,
    Envelope,
    Place,
    SetShardMode,
)
from orders.engine.attempt import Attempt
from orders.engine.journal import Fenced, Journal
from orders.engine.loop import EngineLoop
from orders.engine.passing import next_command, pass_over
from orders.engine.recovery import take_over
from orders.engine.verification import verify
from orders.feed.publisher import Publisher, session_of
from orders.models import ClientOrderId, Shard
from orders.models import Order as OrderRow
from tests.engine.desk import Desk, fail_once
from tests.engine.kept_bus import KeptBus, Killed, Log, Reply
from tests.engine.long_run import FAILURES, LongRun, Step, failing, steps
from tests.matching.driver import to_command

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = max(1, int(os.environ.get("OMS_RECOVERY_RUNS", "60")) // 3)
STEPS = 120
POINTS = ("match", "commit", "committed", "publish", "answer", "flush")


class KeptDesk(Desk):
    """A desk whose commands come by a log. Its first commands are the desk's own."""

    def start(self) -> None:
        if not hasattr(self, "log"):
            self.log = Log()
        take_over(0)
        self.bus = KeptBus(self.log)
        self.loop = EngineLoop(0, self.bus, clock=lambda: self.clock)
        self.loop.recover()
        self.bus.stand(self.loop.state.place)

    def do(self, *commands: Any, actor_id: int | None = None) -> list[Any]:
        return [
            outcome
            for outcomes in self.group(*(self.envelope(command) for command in commands))
            for outcome in outcomes
        ]

    def group(self, *envelopes: Envelope) -> list[Any]:
        """Carry out envelopes, an entry each. None for what was not answered."""
        first = self.log.number(len(self.log.entries), 0)
        for envelope in envelopes:
            self.log.append(envelope)
        assert self.loop.run_once(0)
        return [self.log.answers.get(first + index) for index in range(len(envelopes))]

    def place(self) -> tuple[str, int]:
        row = Shard.objects.get(id=0)
        return row.stream_id, row.stream_done


@pytest.fixture
def desk() -> Iterator[KeptDesk]:
    desk = KeptDesk()
    yield desk
    assert verify(0).differences == []


@contextmanager
def killed_at(point: str) -> Iterator[None]:
    """Let the process end at a point of the next group's way; afterwards it is another."""
    owners = {
        "match": (Attempt, "match", True),
        "commit": (Journal, "write", True),
        "committed": (Journal, "committed", False),
        "publish": (Publisher, "publish", False),
        "answer": (Reply, "set_result", False),
        "flush": (KeptBus, "flush", False),
    }
    owner, name, is_after = owners[point]
    original = getattr(owner, name)

    def ending(*arguments: Any, **options: Any) -> Any:
        if is_after:
            original(*arguments, **options)
        raise Killed(point)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, ending)
        yield


# One thing at a time


@pytest.mark.parametrize("when", ["before", "at"])
def test_a_group_that_was_not_committed_comes_again(desk: KeptDesk, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    fail_once(monkeypatch, when)
    before = desk.place()
    assert desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5, "once"))) == [None]
    assert desk.place() == before and desk.bus.rewinds == 1 and OrderRow.objects.count() == 0
    assert desk.loop.run_once(0)
    (answer,) = desk.log.answers[len(desk.log.entries) - 1]
    assert answer.kind == DONE and OrderRow.objects.count() == 1
    assert desk.place() == (desk.log.last_id, 0)


def test_a_group_whose_commit_is_unknown_and_happened_is_answered(
    desk: KeptDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch, "after")
    answers = desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5, "there")))
    assert answers[0][0].kind == DONE and desk.bus.rewinds == 0
    assert not desk.loop.run_once(0), "it must not come again"


def test_a_database_that_takes_no_writes_stalls_the_shard_until_it_does(
    desk: KeptDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a full disk: it answers every question, and refuses every group."""
    monkeypatch.setattr("orders.engine.loop.RETRY_SECONDS", 0.001)
    desk.log.append(desk.envelope(desk.order(desk.alice, 0, 100, 5)))
    states = []
    for _ in range(4):
        with failing("at"):
            desk.loop.run_once(0)
        states.append(desk.loop.status.state)
    assert states == [status.OPEN, status.STALLED, status.STALLED, status.STALLED]
    assert desk.loop.run_once(0) and desk.loop.status.state == status.OPEN
    assert desk.log.answers[len(desk.log.entries) - 1][0].kind == DONE


def test_what_has_no_effect_is_passed_for_good_too(desk: KeptDesk) -> None:
    late = desk.envelope(desk.order(desk.alice, 0, 100, 5, "late"), deadline=desk.clock - 1)
    batch = Shard.objects.get(id=0).batch
    assert [answer[0].kind for answer in desk.group(desk.envelope(Cancel(7, desk.alice.id)), late)] == [
        REFUSED,
        EXPIRED,
    ]
    assert desk.place() == (desk.log.last_id, 0) and Shard.objects.get(id=0).batch == batch + 1
    desk.start()
    assert not desk.loop.run_once(0)
    assert ClientOrderId.objects.count() == 0


def test_an_entry_that_says_nothing_is_passed(desk: KeptDesk) -> None:
    desk.log.append(Envelope([], actor_id=None, received_at=0))
    assert desk.loop.run_once(0)
    assert desk.place() == (desk.log.last_id, 0)


def test_a_replaced_engine_answers_nothing(desk: KeptDesk) -> None:
    take_over(0)
    with pytest.raises(Fenced):
        desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5)))
    assert len(desk.log.answers) == len(desk.log.entries) - 1
    desk.start()
    assert desk.loop.run_once(0) and OrderRow.objects.count() == 1


def test_a_failed_assertion_leaves_the_group_to_whoever_comes_next(
    desk: KeptDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Engine, next_sequence: int, at: int, command: Any) -> Any:
        raise AssertionError("a bug")

    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(Engine, "apply", broken)
        desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5)))
    desk.start()
    assert desk.loop.run_once(0) and OrderRow.objects.count() == 1


def stumble(monkeypatch: pytest.MonkeyPatch, order_ids: set[int]) -> None:
    """Have the core fail at these orders, half done."""
    apply = Engine.apply

    def stumbling(engine: Engine, next_sequence: int, at: int, command: Command) -> list[CoreEvent]:
        events = apply(engine, next_sequence, at, command)
        if isinstance(command, Order) and command.order_id in order_ids:
            raise TypeError("a bug")
        return events

    monkeypatch.setattr(Engine, "apply", stumbling)


def test_a_poison_command_in_the_middle_of_an_entry(desk: KeptDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    poison = desk.order(desk.alice, 0, 99, 1, "bad")
    stumble(monkeypatch, {poison.order_id})
    places: list[tuple[str, int]] = []
    committed = Journal.committed
    monkeypatch.setattr(
        Journal, "committed", lambda self, last: (committed(self, last), places.append(desk.place()))[0]
    )
    entry = [
        desk.envelope(desk.order(desk.alice, 0, 100, 5), poison),
        desk.envelope(desk.order(desk.bob, 1, 100, 2)),
    ]
    before, first = desk.log.last_id, desk.log.number(len(desk.log.entries), 0)
    desk.log.append(*entry)
    assert desk.loop.run_once(0)
    kinds = [[outcome.kind for outcome in desk.log.answers[first + index]] for index in range(2)]
    assert kinds == [[DONE, FAILED], [DONE]]
    assert places == [(before, 1), (before, 2), (desk.log.last_id, 0)]
    assert desk.kinds(desk.envelope(desk.order(desk.alice, 0, 98, 1, "bad"))) == [DONE], "its id was not given back"


def test_a_database_that_fails_while_a_poison_command_is_isolated(
    desk: KeptDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is taken up in the middle of an envelope, which can then not be answered as a whole."""
    poison = desk.order(desk.alice, 0, 99, 1)
    stumble(monkeypatch, {poison.order_id})
    original = Journal.transaction
    calls: list[int] = []

    def transaction(self: Journal, *place: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:  # all together, the first alone, the poison
            raise OperationalError("connection lost")
        return original(self, *place)

    monkeypatch.setattr(Journal, "transaction", transaction)
    first = desk.log.number(len(desk.log.entries), 0)
    before = desk.log.last_id
    desk.log.append(
        desk.envelope(desk.order(desk.alice, 0, 100, 5), poison), desk.envelope(desk.order(desk.bob, 1, 100, 2))
    )
    assert desk.loop.run_once(0)
    assert desk.place() == (before, 1) and first not in desk.log.answers
    assert desk.loop.run_once(0)
    assert desk.place() == (desk.log.last_id, 0)
    assert first not in desk.log.answers and desk.log.answers[first + 1][0].kind == DONE
    assert OrderRow.objects.count() == 2


# A command that ends every engine


def test_the_command_that_ends_the_engine_is_found_and_passed_over(
    desk: KeptDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = desk.order(desk.alice, 0, 99, 1)
    apply = Engine.apply

    def asserting(engine: Engine, next_sequence: int, at: int, command: Command) -> list[CoreEvent]:
        assert not (isinstance(command, Order) and command.order_id == bad.order_id), "a bug"
        return apply(engine, next_sequence, at, command)

    monkeypatch.setattr(Engine, "apply", asserting)
    before, first = desk.log.last_id, desk.log.number(len(desk.log.entries), 0)
    desk.log.append(
        desk.envelope(desk.order(desk.alice, 0, 100, 5)),
        desk.envelope(desk.order(desk.alice, 0, 98, 1), bad, desk.order(desk.alice, 0, 97, 1)),
        desk.envelope(desk.order(desk.bob, 1, 100, 2)),
    )
    with pytest.raises(AssertionError, match="a bug"):
        desk.loop.run_once(0)
    assert desk.place() == (before, 0)
    desk.start()
    desk.loop.one_by_one = True
    with pytest.raises(AssertionError, match="a bug"):
        desk.loop.run_once(0)
    assert desk.place() == (before, 2)
    found = next_command(0, KeptBus(desk.log))
    assert found is not None and found.command.order_id == bad.order_id
    assert (found.before, found.behind) == (Place(before, 2), Place(before, 3))
    assert pass_over(0, found.before, found.behind)
    assert not pass_over(0, found.before, found.behind), "it is passed over once"
    with pytest.raises(Fenced):
        desk.loop.process([desk.envelope(desk.order(desk.alice, 0, 96, 1))])
    desk.start()
    assert desk.loop.run_once(0) and not desk.loop.run_once(0)
    assert desk.place() == (desk.log.last_id, 0) and OrderRow.objects.count() == 4
    assert sorted(number - first for number in desk.log.answers if number >= first) == [0, 2]
    assert next_command(0, KeptBus(desk.log)) is None


# Only cancels


def test_cancel_only_takes_cancels_and_outlasts_the_engine(desk: KeptDesk) -> None:
    resting = desk.order(desk.alice, 0, 100, 5, "resting")
    desk.do(resting)
    assert [outcome.kind for outcome in desk.do(SetShardMode(True))] == [DONE]
    assert desk.loop.status.state == status.CANCEL_ONLY
    desk.start()
    assert desk.loop.status.state == status.CANCEL_ONLY
    kinds = desk.kinds(
        desk.envelope(desk.order(desk.bob, 1, 100, 5, "x")),
        desk.envelope(desk.order(desk.bob, 1, 100, 5, "x")),
        desk.envelope(desk.order(desk.alice, 0, 100, 5, "resting")),
        desk.envelope(desk.order(desk.alice, 0, 101, 5, "resting"), fingerprint=b"other"),
        desk.envelope(Cancel(resting.order_id, desk.alice.id)),
    )
    assert kinds == [UNAVAILABLE, UNAVAILABLE, REPLAYED, CONFLICT, DONE]
    assert ClientOrderId.objects.count() == 1, "an order that was not taken keeps no client order id"
    desk.do(SetShardMode(False))
    assert desk.loop.status.state == status.OPEN
    assert desk.kinds(desk.envelope(desk.order(desk.bob, 1, 100, 5, "x"))) == [DONE]


# Everything at once


class KeptRun(LongRun):
    """The long run by a log: the engine ends at any point, commits fail, commands stumble; each step counts once."""

    def __init__(self, seed: int, poison: set[int]) -> None:
        self.log = Log()
        self.poison = poison
        super().__init__(seed)

    def start(self) -> None:
        take_over(0)
        self.bus = KeptBus(self.log)
        self.loop = EngineLoop(0, self.bus, [self.listen], clock=lambda: self.clock)
        self.loop.recover()
        self.bus.stand(self.loop.state.place)
        # Who listens reads the tables again.
        self.replicas.clear()
        for instrument_id, instrument in self.loop.state.engine.instruments.items():
            replica = self.replicas[instrument_id] = LevelReplica()
            for side in (BUY, SELL):
                for level in instrument.book.top(side, 1000):
                    replica.set(side, *level)
            self.sessions[instrument_id] = session_of(instrument)

    def listen(self, message: Any) -> None:
        assert message.sequence <= Shard.objects.get(id=0).last_sequence, "published before it was committed"
        super().listen(message)

    def carry_out(self, group: list[Step]) -> None:
        envelopes = [
            Envelope([to_command(op, arguments)], actor_id=7, received_at=self.clock) for _, op, arguments in group
        ]
        if self.rng.random() < 0.5:
            joined = [command for envelope in envelopes for command in envelope.commands]
            envelopes = [Envelope(joined, actor_id=7, received_at=self.clock)]
        split = self.rng.randrange(len(envelopes) + 1)
        for entry in (envelopes[:split], envelopes[split:]):
            if entry:
                self.log.append(*entry)
        wanted = Place(self.log.last_id)
        # Taking a group apart is where a place is most easily got wrong.
        likely = 0.5 if any(arguments.get("order_id") in self.poison for _, _, arguments in group) else 0.15
        while self.loop.state.place != wanted:
            with ExitStack() as trouble:
                if self.rng.random() < likely:
                    trouble.enter_context(failing(self.rng.choice(FAILURES)))
                if self.rng.random() < likely:
                    trouble.enter_context(killed_at(self.rng.choice(POINTS)))
                try:
                    self.loop.run_once(0)
                except Killed:
                    trouble.close()
                    self.start()
        # What is due happens before a command that stumbles as before any other.
        self.beside(
            [
                AdvanceTime() if arguments.get("order_id") in self.poison else to_command(op, arguments)
                for _, op, arguments in group
            ]
        )


@pytest.mark.parametrize("number", range(RUNS))
def test_whatever_happens_each_command_counts_once(
    number: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    monkeypatch.setattr("orders.engine.loop.RETRY_SECONDS", 0)
    plan = steps(seed, STEPS)
    rng = random.Random(seed)
    poison = {arguments["order_id"] for _, op, arguments in plan if op == "place" and rng.random() < 0.08}
    stumble(monkeypatch, poison)
    # A step about an order that is never placed would be told otherwise by an engine that has never heard of it.
    plan = [step for step in plan if step[1] == "place" or step[2].get("order_id") not in poison]
    run = KeptRun(seed, poison)
    run.run(plan)
    run.start()
    run.compare()
    assert verify(0).differences == []
    kinds = {outcome.kind for outcomes in run.log.answers.values() for outcome in outcomes}
    assert UNAVAILABLE not in kinds and DONE in kinds
