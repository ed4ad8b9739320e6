"""Order entry without I/O: answers in the order of the requests, executions behind them, whatever comes first."""

import json
import random

import pytest

from orders.actors import Actor
from orders.feed.frames import Frame
from orders.schemas.problems import ProblemError
from orders.sockets import entry as entry_module
from orders.sockets.entry import Entry
from orders.sockets.outbox import Outbox
from orders.sockets.protocol import SocketProtocol
from orders.sockets.tasks import Command
from orders.submission import ANSWER_TIMEOUT_SECONDS

SECOND = 1_000_000
NOW = 1_763_832_652_000_000
ALICE = Actor(1, "alice", 7, "alice", frozenset(("read", "trade")))
CANCELER = Actor(1, "alice", 7, "alice", frozenset(("cancel",)))
READER = Actor(1, "alice", 7, "alice", frozenset(("read",)))
# Any answer of the right shape.
DONE = {"seconds": 0, "expires_at": None}
PLACE = {"op": "place", "symbol": "ACME-USD", "side": "buy", "quantity": "1", "price": "9"}


def connection(actor: Actor | None = ALICE) -> SocketProtocol:
    return SocketProtocol(actor=actor, public_market_data=True, connection_id="c-1", at=NOW)


def say(protocol: SocketProtocol, at: int = NOW, **message: object) -> Command:
    return protocol.receive(json.dumps(message), at)


def place(protocol: SocketProtocol, given: int, *order_ids: int, at: int = NOW) -> Command:
    """A request whose orders are known at once, as they are where it is submitted."""
    command = say(protocol, at, id=given, **PLACE)
    protocol.entry.about(command.slot, order_ids, order_ids[0])
    return command


def execution(protocol: SocketProtocol, order_id: int, step: object = 0) -> None:
    protocol.execution(Frame(json.dumps({"order": order_id, "step": step}).encode()), order_id)


def heard(protocol: SocketProtocol) -> list:
    """Ids of results, (order, step) of executions."""
    found = []
    while (frame := protocol.outbox.take()) is not None:
        message = json.loads(frame.data)
        found.append(message["id"] if "op" in message else (message["order"], message["step"]))
    return found


# In order


def test_answers_leave_in_the_order_of_the_requests():
    protocol = connection()
    first, second, third = (place(protocol, number, 10 + number) for number in (1, 2, 3))
    protocol.result(third.slot, DONE)
    protocol.result(second.slot, DONE)
    assert heard(protocol) == []
    protocol.result(first.slot, DONE)
    assert heard(protocol) == [1, 2, 3]


def test_a_request_that_is_wrong_waits_for_those_before_it():
    protocol = connection()
    first = place(protocol, 1, 11)
    assert say(protocol, id=2, op="place", symbol="ACME-USD") is None
    assert heard(protocol) == []
    protocol.result(first.slot, DONE)
    assert heard(protocol) == [1, 2]


def test_an_execution_waits_for_the_answer_to_its_order_and_others_behind_it():
    protocol = connection()
    execution(protocol, 5, "before")
    command = place(protocol, 1, 11)
    execution(protocol, 6, "another order")
    execution(protocol, 11, "accepted")
    execution(protocol, 6, "behind")
    assert heard(protocol) == [(5, "before"), (6, "another order")]
    protocol.result(command.slot, DONE)
    execution(protocol, 11, "filled")
    assert heard(protocol) == [1, (11, "accepted"), (6, "behind"), (11, "filled")]


def test_the_legs_of_a_group_wait_too():
    protocol = connection()
    command = place(protocol, 1, 11, 12, 13)
    execution(protocol, 13)
    assert heard(protocol) == []
    protocol.result(command.slot, DONE)
    assert heard(protocol) == [1, (13, 0)]


def test_while_it_is_not_known_which_orders_a_request_is_about_everything_waits():
    protocol = connection()
    command = say(protocol, id=1, **PLACE)
    execution(protocol, 5)
    execution(protocol, 11)
    assert heard(protocol) == []
    protocol.entry.about(command.slot, (11,), 11)
    assert heard(protocol) == [(5, 0)]
    protocol.result(command.slot, DONE)
    assert heard(protocol) == [1, (11, 0)]


def test_cancel_all_could_be_about_any_order():
    protocol = connection()
    command = say(protocol, id=1, op="cancel_all")
    execution(protocol, 5)
    assert heard(protocol) == []
    protocol.result(command.slot, {"canceled": ["5"], "count": 1})
    assert heard(protocol) == [1, (5, 0)]


def test_an_order_that_several_requests_are_about_waits_for_the_last():
    protocol = connection()
    placed, canceled = place(protocol, 1, 11), say(protocol, id=2, op="cancel", order_id="11")
    protocol.entry.about(canceled.slot, (11,), 11)
    execution(protocol, 11, "accepted")
    protocol.result(placed.slot, DONE)
    assert heard(protocol) == [1]
    execution(protocol, 11, "canceled")
    protocol.result(canceled.slot, DONE)
    assert heard(protocol) == [2, (11, "accepted"), (11, "canceled")]


# Time


def test_an_answer_that_does_not_come_is_unknown_and_names_the_order():
    protocol = connection()
    command = place(protocol, 1, 11)
    execution(protocol, 11)
    protocol.tick(NOW + ANSWER_TIMEOUT_SECONDS * SECOND - 1, reads=True, writes=True)
    assert heard(protocol) == []
    protocol.tick(NOW + ANSWER_TIMEOUT_SECONDS * SECOND, reads=True, writes=True)
    answer = json.loads(protocol.outbox.take().data)
    problem = answer["problem"]
    assert (answer["id"], answer["ok"], problem["code"]) == (1, False, "engine_timeout")
    assert (problem["outcome"], problem["order_id"]) == ("unknown", "11")
    assert heard(protocol) == [(11, 0)], "nothing is lost"
    protocol.result(command.slot, DONE)
    assert heard(protocol) == [], "each request has one answer"
    assert protocol.entry.in_flight == 0


def test_only_what_is_late_is_given_up():
    protocol = connection()
    place(protocol, 1, 11)
    second = place(protocol, 2, 12, at=NOW + SECOND)
    protocol.tick(NOW + ANSWER_TIMEOUT_SECONDS * SECOND, reads=True, writes=True)
    assert heard(protocol) == [1]
    protocol.result(second.slot, DONE)
    assert heard(protocol) == [2]


# Bounds


def test_commands_under_way_are_bounded(monkeypatch):
    monkeypatch.setattr(entry_module, "MAX_IN_FLIGHT", 4)
    protocol = connection()
    one = place(protocol, 1, 11)
    assert not protocol.must_pause
    many = say(protocol, id=2, op="place_batch", orders=[{}, {}, {}])
    assert protocol.must_pause and not protocol.may_go_on
    protocol.result(one.slot, DONE)
    assert not protocol.may_go_on, "three are more than half"
    protocol.result(many.slot, DONE)
    assert protocol.may_go_on and not protocol.must_pause


def test_executions_held_back_are_bounded(monkeypatch):
    monkeypatch.setattr(entry_module, "MAX_EXECUTIONS", 3)
    protocol = connection()
    place(protocol, 1, 11)
    for _ in range(3):
        execution(protocol, 11)
    assert protocol.close_code is None
    execution(protocol, 11)
    assert protocol.close_code == 4009


# Who may, and the end


@pytest.mark.parametrize(
    ("actor", "op", "code"),
    [
        (None, "place", "not_authenticated"),
        (READER, "place", "permission_denied"),
        (READER, "cancel_all", "permission_denied"),
        (CANCELER, "place", "permission_denied"),
        (CANCELER, "cancel_all", None),
        (ALICE, "cancel_all", None),
        (Actor(1, "staff", 0, "", frozenset(("trade",))), "cancel_all", "permission_denied"),
    ],
)
def test_order_entry_needs_the_scopes_of_rest(actor, op, code):
    protocol = connection(actor)
    message = PLACE if op == "place" else {"op": op}
    command = say(protocol, id=1, **message)
    assert (command is None) == (code is not None)
    if code:
        answer = json.loads(protocol.outbox.take().data)
        assert (answer["op"], answer["id"], answer["problem"]["code"]) == ("result", 1, code)


def test_what_is_under_way_when_the_server_leaves_is_still_answered():
    protocol = connection()
    command = place(protocol, 1, 11)
    protocol.close(1001)
    assert not protocol.is_over and say(protocol, id=2, **PLACE) is None
    protocol.failed(command.slot, ProblemError("engine_unavailable"))
    assert heard(protocol) == [1] and protocol.is_over


def test_the_end_does_not_wait_for_answers_for_ever():
    protocol = connection()
    place(protocol, 1, 11)
    protocol.close(1001)
    for seconds in range(5):
        protocol.tick(NOW + seconds * SECOND, reads=True, writes=True)
    assert protocol.is_over


# At random


@pytest.mark.parametrize("seed", range(60))
def test_any_interleaving(seed):
    """Requests of all kinds; answers, executions and time-outs in any order. A model that knows the truth looks on."""
    rng = random.Random(seed)
    print("seed", seed)
    outbox = Outbox(lambda *_: Frame(b""))
    entry = Entry(outbox)
    requests, unanswered, steps, sent_steps = [], [], {}, []
    at = 0

    def ask() -> None:
        slot = entry.open(len(requests), ALICE, 1, at + 10)
        ids = tuple(rng.sample(range(1, 9), rng.choice((1, 1, 1, 2))))
        kind = rng.choice(("known", "known", "later", "never"))
        if kind == "known":
            entry.about(slot, ids, ids[0])
        requests.append((slot, kind, ids))
        unanswered.append(slot)

    def learn() -> None:
        later = [(slot, ids) for slot, kind, ids in requests if kind == "later" and slot.order_ids is None]
        if later:
            slot, ids = rng.choice(later)
            entry.about(slot, ids, ids[0])

    def answer() -> None:
        if unanswered:
            slot = unanswered.pop(rng.randrange(len(unanswered)))
            entry.answer(slot, Frame(b"r%d" % slot.id))

    def step() -> None:
        order_id = rng.randrange(1, 9)
        number = len(sent_steps)
        sent_steps.append(number)
        # At this moment these requests could be about it, and are not answered.
        steps[number] = {
            slot.id for slot, _, _ in requests if slot.frame is None and order_id in (slot.order_ids or (order_id,))
        }
        entry.execution(order_id, Frame(b"e%d" % number))

    def late() -> None:
        nonlocal at
        at += 3
        for slot in entry.overdue(at):
            entry.answer(slot, Frame(b"r%d" % slot.id))

    for _ in range(200):
        rng.choice((ask, learn, answer, answer, step, step, late))()
    while unanswered:
        answer()
    told = []
    while (frame := outbox.take()) is not None:
        told.append(frame.data.decode())
    assert [int(text[1:]) for text in told if text[0] == "r"] == list(range(len(requests)))
    assert [int(text[1:]) for text in told if text[0] == "e"] == sent_steps
    places = {text: place for place, text in enumerate(told)}
    for number, before in steps.items():
        known = [
            slot_id for slot_id in before if requests[slot_id][0].order_ids is None or requests[slot_id][1] == "known"
        ]
        assert all(places[f"r{slot_id}"] < places[f"e{number}"] for slot_id in known)
    assert entry.in_flight == 0 and not entry._pending and not entry._vague and not entry._held
