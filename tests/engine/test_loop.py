"""The engine between bus and database: exactly once, and the truth whatever fails."""

import gc
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import OperationalError, connection

from matching.commands import Amend, Cancel, Command
from matching.engine import Engine
from matching.events import Event as CoreEvent
from matching.image import state_hash
from matching.order import Conditions, Order
from matching.values import DAY, FILLED, TRAILING_STOP
from orders import gateway, status, submission
from orders.bus.envelope import CONFLICT, DONE, EXPIRED, FAILED, REFUSED, REPLAYED, UNAVAILABLE, Outcome
from orders.engine import loop
from orders.engine.journal import Fenced, Journal
from orders.engine.recovery import recover, take_over
from orders.models import ClientOrderId, Event, Shard
from orders.models import Order as OrderRow
from orders.schemas.problems import ProblemError
from tests.engine.desk import Desk, fail_once
from tests.support.market import actor_for, make_account, make_instrument, place, running_engine

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_group_is_one_transaction_in_sequence(desk: Desk) -> None:
    before = Shard.objects.get(id=0).batch
    outcomes = desk.group(
        desk.envelope(desk.order(desk.alice, 0, 100, 5)), desk.envelope(desk.order(desk.bob, 1, 100, 2))
    )
    assert Shard.objects.get(id=0).batch == before + 1
    taker = outcomes[1][0]
    assert [(price, quantity) for _, price, quantity in taker.fills] == [(100, 2)]
    # the resting order's answer is as of its own command, although the group went on
    assert outcomes[0][0].order is not None and outcomes[0][0].order.remaining == 5
    assert OrderRow.objects.get(id=outcomes[0][0].order_id).remaining == 3


def test_a_command_without_effect_writes_nothing(desk: Desk) -> None:
    before = Shard.objects.get(id=0)
    assert desk.kinds(desk.envelope(Cancel(12345, desk.alice.id))) == [REFUSED]
    after = Shard.objects.get(id=0)
    assert (after.batch, after.last_sequence) == (before.batch, before.last_sequence)


def test_same_id_in_one_group_and_later(desk: Desk) -> None:
    first = desk.order(desk.alice, 0, 100, 5, "a")
    kinds = desk.kinds(
        desk.envelope(first),
        desk.envelope(desk.order(desk.alice, 0, 100, 5, "a")),
        desk.envelope(desk.order(desk.alice, 0, 101, 5, "a"), fingerprint=b"other"),
        desk.envelope(desk.order(desk.bob, 0, 100, 5, "a")),
    )
    assert kinds == [DONE, REPLAYED, CONFLICT, DONE]
    again = desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5, "a")))
    assert again[0][0].kind == REPLAYED and again[0][0].order_id == first.order_id
    assert OrderRow.objects.count() == 2 and ClientOrderId.objects.count() == 2


def test_a_late_command_is_not_carried_out_and_its_id_stays_free(desk: Desk) -> None:
    late = desk.envelope(desk.order(desk.alice, 0, 100, 5, "late"), deadline=desk.clock - 1)
    assert desk.kinds(late) == [EXPIRED]
    assert OrderRow.objects.count() == 0
    assert desk.kinds(desk.envelope(desk.order(desk.alice, 0, 100, 5, "late"))) == [DONE]


def test_an_abandoned_command_is_not_carried_out(desk: Desk) -> None:
    gone = desk.envelope(desk.order(desk.alice, 0, 100, 5))
    gone.future.cancel()
    desk.loop.bus.submit(gone)
    assert not desk.loop.run_once()
    assert OrderRow.objects.count() == 0


def test_time_never_goes_back(desk: Desk) -> None:
    desk.clock = 5_000_000
    desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5)))
    desk.clock = 4_000_000
    desk.group(desk.envelope(desk.order(desk.alice, 0, 101, 5)))
    times = list(Event.objects.filter(order_id__isnull=False).order_by("id").values_list("at", flat=True))
    assert times[0] == times[1]


def stumble_over(order: Order, monkeypatch: pytest.MonkeyPatch) -> Order:
    """Have the core fail at this order, half done. (Compiled, it takes no order with a value that it could stumble over.)"""
    apply = Engine.apply

    def stumbling(engine: Engine, next_sequence: int, at: int, command: Command) -> list[CoreEvent]:
        events = apply(engine, next_sequence, at, command)
        if isinstance(command, Order) and command.order_id == order.order_id:
            raise TypeError("a bug")
        return events

    monkeypatch.setattr(Engine, "apply", stumbling)
    return order


def test_a_poison_command_hurts_only_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    poison = stumble_over(desk.order(desk.alice, 0, 98, 1, "bad"), monkeypatch)
    amended = desk.order(desk.alice, 0, 100, 5)
    kinds = desk.kinds(
        desk.envelope(amended, Amend(amended.order_id, desk.alice.id, 90, 7)),
        desk.envelope(desk.order(desk.alice, 0, 99, 1), poison),
        desk.envelope(desk.order(desk.bob, 1, 90, 2)),
    )
    assert kinds == [DONE, DONE, DONE, FAILED, DONE]
    # The log names it once it is alone.
    stumbles = [entry for entry in caplog.records if "a command failed" in entry.getMessage()]
    assert [hasattr(entry, "order_id") for entry in stumbles] == [False, True]
    assert (stumbles[1].command, stumbles[1].order_id) == ("Order", poison.order_id)
    row = OrderRow.objects.get(id=amended.order_id)
    assert (row.price, row.quantity, row.version) == (90, 7, 2)
    assert OrderRow.objects.count() == 3
    # the id of the one that failed was given back
    assert desk.kinds(desk.envelope(desk.order(desk.alice, 0, 98, 1, "bad"))) == [DONE]


def test_a_poison_command_leaves_orders_with_conditions_as_they_came(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the core looked up or moved before the group was thrown away must not be taken for what was asked."""
    day = desk.order(desk.alice, 0, 90, 5)
    day.time_in_force = DAY
    trail = desk.stop(desk.alice, 1, 0, 2, type=TRAILING_STOP, trail=7)
    iceberg = desk.order(desk.alice, 0, 80, 6)
    iceberg.conditions = Conditions(display_quantity=3)
    bracket = desk.bracket(desk.alice, 0, 101, 120, 70, 4)
    kinds = desk.kinds(
        desk.envelope(desk.order(desk.bob, 1, 101, 4), desk.order(desk.bob, 1, 102, 1)),
        desk.envelope(day, trail, iceberg, bracket),
        desk.envelope(Amend(iceberg.order_id, desk.alice.id, display_quantity=2)),
        desk.envelope(stumble_over(desk.order(desk.bob, 1, 98, 1), monkeypatch)),
    )
    assert kinds == [DONE] * 7 + [FAILED]
    rows = {row.id: row for row in OrderRow.objects.all()}
    assert rows[day.order_id].expires_at is not None
    assert (rows[trail.order_id].stop_price, rows[trail.order_id].trail) == (None, 7)
    assert (rows[iceberg.order_id].display_quantity, rows[iceberg.order_id].hidden) == (2, 4)
    entry, profit, loss = (rows[order.order_id] for order in bracket.orders)
    assert (entry.status, profit.quantity, loss.quantity, loss.stop_price) == (FILLED, 4, 4, 70)
    assert state_hash(recover(0).engine) == state_hash(desk.loop.state.engine)


def test_a_failed_assertion_stops_the_shard(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Engine, next_sequence: int, at: int, command: Any) -> Any:
        raise AssertionError("a bug")

    envelope = desk.envelope(desk.order(desk.alice, 0, 100, 5))
    desk.loop.bus.submit(envelope)
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "apply", broken)
        with pytest.raises(AssertionError, match="a bug"):
            desk.loop.run_once()
    assert envelope.future.result(0)[0].kind == UNAVAILABLE
    assert desk.loop.status.state == status.STOPPED
    assert OrderRow.objects.count() == 0


def test_another_owner_fences_this_one_off(desk: Desk) -> None:
    desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5)))
    take_over(0)
    envelope = desk.envelope(desk.order(desk.alice, 0, 101, 5))
    desk.loop.bus.submit(envelope)
    with pytest.raises(Fenced):
        desk.loop.run_once()
    assert envelope.future.result(0)[0].kind == UNAVAILABLE
    assert OrderRow.objects.count() == 1


def test_recovering_does_not_take_back_what_another_owns(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database fails, and meanwhile another engine has begun: this one must not adopt the other's epoch."""
    take_over(0)

    def unreachable(self: Journal, place: Any) -> Any:
        raise OperationalError("connection lost")

    monkeypatch.setattr(Journal, "transaction", unreachable)
    desk.loop.bus.submit(desk.envelope(desk.order(desk.alice, 0, 101, 5)))
    with pytest.raises(Fenced):
        desk.loop.run_once()
    assert OrderRow.objects.count() == 0


@pytest.mark.parametrize("when", ["before", "at"])
def test_a_refused_write_answers_unavailable_and_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5, "kept")))
    before = state_hash(desk.loop.state.engine)
    fail_once(monkeypatch, when)
    assert desk.kinds(desk.envelope(desk.order(desk.bob, 1, 100, 5, "lost"))) == [UNAVAILABLE]
    assert state_hash(desk.loop.state.engine) == before
    assert desk.loop.status.state == status.OPEN
    assert OrderRow.objects.count() == 1
    # the same request again is a new order, not a replay
    outcome = desk.group(desk.envelope(desk.order(desk.bob, 1, 100, 5, "lost")))[0][0]
    assert outcome.kind == DONE and len(outcome.fills) == 1


def test_a_commit_of_unknown_outcome_that_happened_is_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(monkeypatch, "after")
    order = desk.order(desk.alice, 0, 100, 5, "there")
    outcome = desk.group(desk.envelope(order))[0][0]
    assert outcome.kind == DONE and outcome.order_id == order.order_id
    assert OrderRow.objects.get(id=order.order_id).remaining == 5
    assert desk.kinds(desk.envelope(desk.order(desk.bob, 1, 100, 5))) == [DONE]
    assert desk.loop.status.state == status.OPEN


def test_a_database_that_stays_away_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit fails, and so does asking what became of it, three times: then the truth is told."""
    fail_once(monkeypatch, "after")
    original = Journal.has_committed
    left = [1, 2, 3]

    def has_committed(self: Journal) -> bool:
        if left:
            left.pop()
            raise OperationalError("could not connect")
        return original(self)

    monkeypatch.setattr(Journal, "has_committed", has_committed)
    monkeypatch.setattr("orders.engine.loop.RETRY_SECONDS", 0.01)
    waiting = desk.envelope(desk.order(desk.alice, 0, 90, 1))
    first = desk.envelope(desk.order(desk.alice, 0, 100, 5))
    desk.loop.max_group_commands = 1
    desk.loop.bus.submit(first)
    desk.loop.bus.submit(waiting)
    desk.loop.run_once()
    assert first.future.result(0)[0].kind == DONE
    # what waited meanwhile was sent home rather than kept
    assert waiting.future.result(0)[0].kind == UNAVAILABLE
    assert desk.kinds(desk.envelope(desk.order(desk.bob, 1, 100, 5))) == [DONE]


def test_a_shard_that_stalls_says_so_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit fails before it happened, and so do three recoveries."""
    fail_once(monkeypatch, "before")
    original = loop.recover
    left = [1, 2, 3]

    def recover(*arguments: Any) -> Any:
        if left:
            left.pop()
            raise OperationalError("could not connect")
        return original(*arguments)

    monkeypatch.setattr(loop, "recover", recover)
    monkeypatch.setattr(loop, "RETRY_SECONDS", 0.01)
    told: list[str] = []
    monkeypatch.setattr(status, "listeners", [lambda: told.append(desk.loop.status.state)])
    assert desk.kinds(desk.envelope(desk.order(desk.alice, 0, 100, 5))) == [UNAVAILABLE]
    assert not left and told == [status.STALLED, status.OPEN]


def test_a_real_full_disk(desk: Desk) -> None:
    """SQLite's own limit on the file's pages: the very error a full disk gives."""
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's page limit")
    desk.group(desk.envelope(desk.order(desk.alice, 0, 100, 5, "kept")))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # pages that earlier tests left empty would count as room
        cursor.execute("PRAGMA page_count")
        pages = cursor.fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
    group = [desk.envelope(desk.order(desk.bob, 1, 200 + i, 5, f"x{i}")) for i in range(3000)]
    desk.loop.max_group_commands = 3000
    kinds = set(desk.kinds(*group))
    assert kinds == {UNAVAILABLE}
    # the recovery opened a new connection, whose file may grow again: there is room now
    assert desk.kinds(desk.envelope(desk.order(desk.bob, 1, 100, 5, "x1"))) == [DONE]
    assert OrderRow.objects.count() == 2


def test_gateway_answers_503_when_the_queue_is_full_and_cancels_still_pass() -> None:
    alice = actor_for(make_account("alice"))
    with running_engine() as engine:
        make_instrument()
        resting = place(alice, "buy", "1", "100")
        bus = engine.loop.bus
        hold = threading.Event()
        original = engine.loop.process

        def slow(group: Any) -> None:
            hold.wait(10)
            original(group)

        engine.loop.process = slow  # type: ignore[method-assign]
        capacity, bus._capacity = bus._capacity, 3
        waiting: list[Future[list[Outcome]]] = []
        try:
            # one is being carried out, three wait
            for _ in range(4):
                waiting.append(gateway.commands_submit(actor=alice, commands=[Cancel(1, alice.account_id)]))
                while len(waiting) == 1 and bus.waiting_commands:
                    pass
            with pytest.raises(ProblemError) as caught:
                place(alice, "buy", "1", "99")
            assert caught.value.code.name == "engine_unavailable"
            assert caught.value.headers["Retry-After"] == "1"
            canceling = threading.Thread(
                target=lambda: gateway.order_cancel(actor=alice, order_id=resting.order_id), daemon=True
            )
            canceling.start()
        finally:
            bus._capacity = capacity
            hold.set()
            engine.loop.process = original  # type: ignore[method-assign]
        canceling.join(5)
        assert [future.result(5)[0].kind for future in waiting] == [REFUSED] * 4
    assert OrderRow.objects.get(id=resting.order_id).remaining == 0


def test_a_caller_that_gives_up_learns_unknown_with_the_order_id(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = actor_for(make_account("alice"))
    monkeypatch.setattr(submission, "ANSWER_TIMEOUT_SECONDS", 0.05)
    with running_engine() as engine:
        make_instrument()
        hold = threading.Event()
        original = engine.loop.process
        engine.loop.process = lambda group: (hold.wait(10), original(group))[1]  # type: ignore[method-assign]
        with pytest.raises(ProblemError) as caught:
            place(alice, "buy", "1", "100", client_order_id="maybe")
        hold.set()
        problem = caught.value.body("r")
        assert (problem["code"], problem["outcome"]) == ("engine_timeout", "unknown")
        monkeypatch.setattr(submission, "ANSWER_TIMEOUT_SECONDS", 10)
        # the id in the answer is the one the order got, and the same request finds it
        assert str(place(alice, "buy", "1", "100", client_order_id="maybe").order_id) == problem["order_id"]
    assert OrderRow.objects.count() == 1


def test_without_an_engine_the_answer_is_503() -> None:
    alice = actor_for(make_account("alice"))
    with running_engine():
        make_instrument()
    with pytest.raises(ProblemError) as caught:
        place(alice)
    assert caught.value.code.name == "engine_unavailable"


def test_recovered_state_equals_the_state_before(desk: Desk) -> None:
    for number in range(40):
        account = desk.alice if number % 3 else desk.bob
        desk.group(desk.envelope(desk.order(account, number % 2, 95 + number % 11, 1 + number % 5)))
    assert state_hash(recover(0).engine) == state_hash(desk.loop.state.engine)


def test_a_recovery_leaves_nothing_of_the_books_it_replaces(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they were out of the collector's sight, as after the start of a server."""
    desk.do(*(desk.order(desk.alice, 0, price, 5) for price in (100, 100, 101)))
    # pytest keeps every line's arguments: an error, and with it all that its traceback knows.
    monkeypatch.setattr(loop.log, "disabled", True)
    gc.collect()
    gc.freeze()
    fail_once(monkeypatch, "before")
    desk.do(desk.order(desk.bob, 1, 110, 1))
    gc.unfreeze()
    count = sum(isinstance(each, Order) and each.order_id in desk.loop.state.engine.orders for each in gc.get_objects())
    assert count == len(desk.loop.state.engine.orders)
