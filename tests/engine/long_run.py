"""Random commands of every type through the real engine and database, beside a bare engine that is never interrupted.

The steps are the twin's (``tests.matching.dice``). After each commit the bare engine, given the same commands at the same
moments, must be in the same state; so must be what the commit message says of books and sessions. A crash throws the
engine away, books are saved in between, a commit fails now and then: none of it may be seen afterwards.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from matching.auction import indicative, is_call
from matching.commands import AdvanceTime, Command
from matching.engine import Engine
from matching.events import Event
from matching.image import state_hash, state_lines
from matching.levels import LevelReplica
from matching.values import BUY, SELL
from orders.bus.envelope import UNAVAILABLE, Envelope, Outcome
from orders.bus.memory import MemoryBus
from orders.engine.loop import EngineLoop
from orders.engine.recovery import take_over
from orders.feed.publisher import CommitMessage, SessionTold
from orders.models import Account
from orders.snapshots import BookSaver
from tests.engine.desk import fail_once
from tests.matching.dice import ACCOUNTS, Dice
from tests.matching.driver import Pair, to_command

Step = tuple[int, str, dict[str, Any]]
# Where a commit may fail: the first two do not happen, the last does and nobody hears of it.
FAILURES = ("before", "at", "after")


def steps(seed: int, count: int) -> list[Step]:
    """What a desk might do, as (moment, word, arguments)."""
    dice, pair = Dice(seed), Pair()
    while len(pair.steps) < count:
        op, arguments = dice.step(pair)
        pair.do(op, **arguments)
    used: set[int] = set()
    return [(at, op, _as_doors_build(arguments)) for at, op, arguments in pair.steps if _is_new(op, arguments, used)]


def _is_new(op: str, arguments: dict[str, Any], used: set[int]) -> bool:
    """The core only knows the ids of open orders, and takes one again after its order is gone; no door makes an id twice."""
    if op not in ("place", "place_group"):
        return True
    ids = {order["order_id"] for order in arguments.get("orders", [arguments])}
    is_new = not ids & used
    used |= ids
    return is_new


def _as_doors_build(arguments: dict[str, Any]) -> dict[str, Any]:
    """The core takes a displayed quantity with whatever never rests, and ignores it; no door builds that."""
    if arguments.get("type", "limit") not in ("limit", "stop_limit"):
        return {key: value for key, value in arguments.items() if key != "display_quantity"}
    if "orders" in arguments:
        return {**arguments, "orders": [_as_doors_build(order) for order in arguments["orders"]]}
    return arguments


def words(event: Event) -> tuple[int, ...]:
    """An event as its row tells it."""
    kind, sequence, order, price, quantity, remaining, filled, status, reason, other = event
    order_id, told = (0, -1) if order is None else (order.order_id, status)
    return (sequence, kind, order_id, price, quantity, remaining, filled, told, reason, other)


class LongRun:
    """The durable engine, and the bare one beside it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        for number in ACCOUNTS:
            Account.objects.create(id=number, name=f"account {number}", created_at=0)
        self.clock = 0
        self.bare = Engine()
        self.events: list[Event] = []
        self.saver = BookSaver(0)
        self.replicas: dict[int, LevelReplica] = {}
        self.sessions: dict[int, SessionTold] = {}
        self.start()

    def start(self) -> None:
        """A new owner, from nothing but the database."""
        take_over(0)
        self.loop = EngineLoop(0, MemoryBus(), [self.listen], clock=lambda: self.clock)
        self.loop.recover()
        self.loop.bus.open()

    def listen(self, message: CommitMessage) -> None:
        for change in message.books:
            replica = self.replicas.setdefault(change.instrument_id, LevelReplica())
            for level in change.levels:
                replica.set(*level)
        self.sessions.update((session.instrument_id, session) for session in message.sessions)

    # Steps

    def run(self, plan: list[Step]) -> None:
        """Carry out all of it, a few at a time, with whatever may happen in between."""
        place = 0
        while place < len(plan):
            group = plan[place : place + self.rng.choice((1, 1, 1, 2, 5))]
            place += len(group)
            self.let_due_happen(group[-1][0])
            self.clock = max(self.clock, group[-1][0])
            self.carry_out(group)
            self.compare()
            self.disturb()

    def let_due_happen(self, until: int) -> None:
        """An idle engine wakes up by itself, unless the next command comes first."""
        while self.loop.state.engine.next_due < until and self.rng.random() < 0.5:
            self.clock = max(self.clock, self.loop.state.engine.next_due)
            self.loop.run_once(0)
            self.beside([AdvanceTime()])
            self.compare()

    def carry_out(self, group: list[Step]) -> None:
        """Several envelopes, one transaction; again where it did not happen."""
        failure = self.rng.choice(FAILURES) if self.rng.random() < 0.04 else ""
        with failing(failure):
            outcomes = self.submit(group)
        if outcomes[0].kind == UNAVAILABLE:
            outcomes = self.submit(group)
        assert UNAVAILABLE not in {outcome.kind for outcome in outcomes}
        self.beside([to_command(op, arguments) for _, op, arguments in group])

    def submit(self, group: list[Step]) -> list[Outcome]:
        envelopes = [
            Envelope([to_command(op, arguments)], actor_id=7, received_at=self.clock) for _, op, arguments in group
        ]
        for envelope in envelopes:
            self.loop.bus.submit(envelope)
        self.loop.run_once(0)
        return [outcome for envelope in envelopes for outcome in envelope.future.result(0)]

    def beside(self, commands: list[Command]) -> None:
        """The same on the engine that nothing happens to."""
        for command in commands:
            events = self.bare.apply(self.bare.next_sequence, self.clock, command)
            self.events += [event for event in events if event[1]]

    def disturb(self) -> None:
        roll = self.rng.random()
        if roll < 0.05:
            self.saver.save()
        elif roll < 0.08:
            self.saver = BookSaver(0, keep=2)
            self.saver.save()
        elif roll < 0.14:
            self.start()
            self.compare()

    # What must hold

    def compare(self) -> None:
        engine = self.loop.state.engine
        assert self.loop.state.last_sequence == len(self.events)
        if state_hash(engine) != state_hash(self.bare):
            ours, theirs = set(state_lines(engine)), set(state_lines(self.bare))
            raise AssertionError(f"durable {sorted(ours - theirs)}, bare {sorted(theirs - ours)}")
        for instrument_id, instrument in self.bare.instruments.items():
            replica = self.replicas.get(instrument_id, LevelReplica())
            for side in (BUY, SELL):
                assert replica.top(side, 1000) == instrument.book.top(side, 1000), "the levels told are not the book's"
            told = self.sessions.get(instrument_id)
            found = indicative(instrument) if is_call(instrument.phase) else None
            now = SessionTold(instrument_id, instrument.phase, instrument.phase_until, found)
            assert told == now, "the session told is not the instrument's"


@contextmanager
def failing(when: str) -> Iterator[None]:
    """Let the next commit fail, or ("") not."""
    with pytest.MonkeyPatch.context() as patch:
        if when:
            fail_once(patch, when)
        yield
