"""Orders over the socket: real engine, real hub. What REST says, the socket says, in order, before the executions."""

import gc
import random
import threading
import weakref
from time import sleep
from typing import Any

import pytest

from orders import selectors, submission
from orders.bus import bus
from orders.models import Order
from orders.sockets import commands, consumer
from tests.sockets.support import Socket, key_of
from tests.support.market import actor_for, make_account, make_instrument, place

pytestmark = pytest.mark.django_db(transaction=True)

BUY = {"symbol": "ACME-USD", "side": "buy", "quantity": "10", "price": "99.98"}


@pytest.fixture
def alice(connect) -> Socket:
    """Signed in, and hearing her executions."""
    socket = connect()
    assert socket.ask(op="auth", key=key_of("alice", "read", "trade"))["ok"]
    assert socket.ask(op="subscribe", channel="executions")["ok"]
    socket.hear()
    return socket


def code_of(answer: dict[str, Any]) -> str:
    assert answer["op"] == "result" and answer["ok"] is False, answer
    return answer["problem"]["code"]


def hear_results(socket: Socket, count: int) -> list[dict[str, Any]]:
    results = []
    while len(results) < count:
        message = socket.hear()
        if message.get("op") == "result":
            results.append(message)
    return results


# Each operation


def test_place_answers_the_order_then_its_execution(alice):
    answer = alice.ask(op="place", id=1, **BUY, client_order_id="a-1")
    assert (answer["op"], answer["id"], answer["ok"]) == ("result", 1, True)
    order = answer["order"]
    assert (order["status"], order["quantity"], order["fills"], order["legs"]) == ("new", "10.000", [], [])
    accepted = alice.hear()
    assert (accepted["event"], accepted["order_id"]) == ("accepted", order["id"])
    assert selectors.order_by_id(int(order["id"])).client_order_id == "a-1"


def test_place_tells_what_traded(alice):
    bob = actor_for(make_account("bob"))
    place(bob, "sell", "4", "99.5")
    order = alice.ask(op="place", **BUY)["order"]
    assert (order["status"], order["filled_quantity"]) == ("partially_filled", "4.000")
    assert [(fill["price"], fill["quantity"]) for fill in order["fills"]] == [("99.50", "4.000")]
    assert [alice.hear()["event"] for _ in range(2)] == ["accepted", "fill_taker"]


def test_a_bracket_is_placed_whole(alice):
    answer = alice.ask(
        op="place", **BUY, order_class="bracket", take_profit={"price": "110"}, stop_loss={"stop_price": "90"}
    )
    assert [leg["role"] for leg in answer["order"]["legs"]] == ["take_profit", "stop_loss"]
    assert {alice.hear()["order_id"] for _ in range(3)} == {
        answer["order"]["id"],
        *(leg["id"] for leg in answer["order"]["legs"]),
    }


def test_placing_again_answers_the_same_order(alice):
    first = alice.ask(op="place", id=1, **BUY, client_order_id="a-1")
    assert "replayed" not in first
    alice.hear()
    again = alice.ask(op="place", id=2, **BUY, client_order_id="a-1")
    assert again["replayed"] is True and again["order"]["id"] == first["order"]["id"]
    conflict = alice.ask(op="place", id=3, **{**BUY, "quantity": "11"}, client_order_id="a-1")
    assert code_of(conflict) == "duplicate_client_order_id"
    assert conflict["problem"]["order_id"] == first["order"]["id"]


def test_a_refused_order_is_a_problem_that_names_it(alice):
    answer = alice.ask(op="place", id=1, **{**BUY, "price": "99.985"})
    assert code_of(answer) == "price_not_on_tick"
    assert answer["problem"]["outcome"] == "not_accepted"
    assert alice.hear()["order_id"] == answer["problem"]["order_id"]


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({**BUY, "price": 99.98}, "invalid_request", "price"),
        ({**BUY, "more": 1}, "invalid_request", "more"),
        ({"symbol": "ACME-USD", "side": "buy", "quantity": "1"}, "invalid_request", "price"),
        ({**BUY, "symbol": "NOPE"}, "unknown_symbol", None),
    ],
)
def test_what_cannot_be_placed(alice, message, code, field):
    answer = alice.ask(op="place", id="x", **message)
    assert code_of(answer) == code and answer["id"] == "x"
    if field:
        assert answer["problem"]["errors"][0]["field"] == field


def test_amend(alice):
    order = alice.ask(op="place", **BUY)["order"]
    alice.hear()
    answer = alice.ask(op="amend", id=2, order_id=order["id"], quantity="8", version=order["version"])
    assert answer["ok"] and answer["order"]["quantity"] == "8.000" and answer["order"]["priority_kept"] is True
    assert alice.hear()["event"] == "amended"
    stale = alice.ask(op="amend", id=3, order_id=order["id"], quantity="7", version=order["version"])
    assert code_of(stale) == "version_conflict"
    assert code_of(alice.ask(op="amend", order_id="17", quantity="7")) == "order_not_found"
    assert code_of(alice.ask(op="amend", order_id=order["id"])) == "invalid_request"


@pytest.mark.parametrize("by", ["order_id", "client_order_id"])
def test_cancel(alice, by):
    order = alice.ask(op="place", **BUY, client_order_id="a-1")["order"]
    alice.hear()
    name = {"order_id": order["id"]} if by == "order_id" else {"client_order_id": "a-1"}
    answer = alice.ask(op="cancel", id=2, **name)
    assert answer["ok"] and answer["order"]["status"] == "canceled" and "fills" not in answer["order"]
    assert alice.hear()["event"] == "canceled"
    assert code_of(alice.ask(op="cancel", id=3, **name)) == "too_late_to_cancel"


@pytest.mark.parametrize("name", [{"order_id": "17"}, {"client_order_id": "nope"}, {"order_id": "9" * 19}])
def test_cancel_of_nothing(alice, name):
    assert code_of(alice.ask(op="cancel", **name)) == "order_not_found"


def test_another_accounts_order_is_not_there(alice):
    order = place(actor_for(make_account("bob")), "buy", "1", "50").order
    assert code_of(alice.ask(op="cancel", order_id=str(order.id))) == "order_not_found"
    assert code_of(alice.ask(op="amend", order_id=str(order.id), quantity="2")) == "order_not_found"


def test_cancel_all(alice):
    ids = [alice.ask(op="place", **BUY)["order"]["id"]]
    alice.hear()
    other = alice.ask(op="place", **{**BUY, "side": "sell", "price": "120"})["order"]["id"]
    alice.hear()
    answer = alice.ask(op="cancel_all", id=2, side="buy")
    assert (answer["canceled"], answer["count"]) == (ids, 1)
    assert alice.hear()["event"] == "canceled"
    assert alice.ask(op="cancel_all", symbol="ACME-USD")["canceled"] == [other]
    alice.hear()
    assert code_of(alice.ask(op="cancel_all", symbol="NOPE")) == "unknown_symbol"


def test_cancel_after(alice):
    armed = alice.ask(op="cancel_after", id=1, seconds=60)
    assert (armed["id"], armed["ok"], armed["seconds"]) == (1, True, 60) and armed["expires_at"].endswith("Z")
    assert alice.ask(op="cancel_after", seconds=0)["expires_at"] is None


def test_place_batch(alice):
    answer = alice.ask(op="place_batch", id=1, orders=[BUY, {**BUY, "symbol": "NOPE"}, {"side": "buy"}, BUY])
    first, unknown, wrong, last = answer["results"]
    assert first["order"]["status"] == last["order"]["status"] == "new"
    assert unknown["problem"]["code"] == "unknown_symbol"
    assert wrong["problem"]["errors"][0]["field"] == "orders.2.symbol"
    assert [alice.hear()["order_id"] for _ in range(2)] == [first["order"]["id"], last["order"]["id"]]


def test_the_largest_batch_fits_into_a_message(alice):
    order = {
        **{"symbol": "ACME-USD", "side": "buy", "type": "limit", "quantity": "10.000", "price": "99.98"},
        **{"time_in_force": "gtd", "expires_at": "2099-11-22T17:30:52.000000Z", "display_quantity": "1.000"},
        **{"self_trade_prevention": "cancel_newest", "post_only": False, "order_class": "bracket"},
        **{"take_profit": {"price": "110.00"}, "stop_loss": {"stop_price": "90.00", "price": "89.00"}},
    }
    orders = [{**order, "client_order_id": f"{number:036d}"} for number in range(500)]
    answer = alice.ask(op="place_batch", orders=orders)
    assert len(answer["results"]) == 500 and all("order" in result for result in answer["results"])
    assert Order.objects.count() == 1500


# Order, whatever takes long


def slowly(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, seconds: float = 0.15) -> None:
    real = getattr(module, name)

    def slow(*args: Any, **kwargs: Any) -> Any:
        sleep(seconds)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, slow)


def test_requests_are_carried_out_in_the_order_they_came_and_answered_so(alice, monkeypatch):
    """Between two orders: an amend whose row is read slowly, an unknown symbol, a slow batch, something wrong."""
    resting = alice.ask(op="place", **BUY)["order"]
    alice.hear()
    slowly(monkeypatch, selectors, "order_get")
    slowly(monkeypatch, commands, "submit")
    alice.say(op="amend", id=1, order_id=resting["id"], quantity="5")
    alice.say(op="place", id=2, **{**BUY, "symbol": "NOPE"})
    alice.say(op="place", id=3, **BUY)
    alice.say(op="place_batch", id=4, orders=[BUY, BUY])
    alice.say(op="place", id=5, side="buy")
    alice.say(op="cancel", id=6, client_order_id="nobody")
    alice.say(op="cancel_all", id=7)
    results = hear_results(alice, 7)
    assert [result["id"] for result in results] == [1, 2, 3, 4, 5, 6, 7]
    assert results[6]["count"] == 4
    amended, placed = results[0]["order"], results[2]["order"]
    assert amended["sequence"] < placed["sequence"] < results[3]["results"][0]["order"]["sequence"]


def test_a_replay_that_is_looked_up_slowly_does_not_let_later_answers_pass(alice, monkeypatch):
    alice.ask(op="place", **BUY, client_order_id="a-1")
    alice.hear()
    slowly(monkeypatch, commands, "stored_body")
    alice.say(op="place", id=1, **BUY, client_order_id="a-1")
    alice.say(op="place", id=2, **BUY)
    assert [alice.hear().get("id") for _ in range(2)] == [1, 2]
    assert alice.hear()["event"] == "accepted"


def test_a_new_instrument_is_found(alice):
    make_instrument("NEW-USD")
    selectors.forget_instruments()
    assert alice.ask(op="place", **{**BUY, "symbol": "NEW-USD"})["ok"]


@pytest.mark.parametrize("seed", range(5))
def test_any_mixture_of_requests_is_answered_in_order_and_before_its_executions(connect, alice, seed):
    rng = random.Random(seed)
    print("seed", seed)
    bob = connect()
    assert bob.ask(op="auth", key=key_of("bob", "trade"))["ok"]
    known: list[str] = []
    for number in range(150):
        kind = rng.choice(("place", "place", "place", "batch", "amend", "cancel", "again", "all", "wrong"))
        order = {**BUY, "side": rng.choice(("buy", "sell")), "price": f"{rng.randrange(95, 105)}.00"}
        if kind == "place":
            known.append(f"{seed}-{number}")
            alice.say(op="place", id=number, **order, client_order_id=known[-1])
        elif kind == "batch":
            alice.say(op="place_batch", id=number, orders=[order, order, {}])
        elif kind == "amend":
            alice.say(op="amend", id=number, order_id=str(rng.randrange(1, 2**60)), quantity="3")
        elif kind in ("cancel", "again") and known:
            alice.say(op="cancel", id=number, client_order_id=rng.choice(known))
        elif kind == "all" and rng.random() < 0.3:
            alice.say(op="cancel_all", id=number)
        else:
            alice.say(op="place", id=number, symbol="NOPE" if kind == "wrong" else None, side="buy")
        if rng.random() < 0.5:
            bob.say(op="place", id=number, **{**order, "side": rng.choice(("buy", "sell"))})
    answered: set[str] = set()
    previous, results = None, []
    while len(results) < 150:
        message = alice.hear()
        if message.get("op") == "result":
            results.append(message["id"])
            made = message.get("results") or [message]
            answered |= {each["order"]["id"] for each in made if "order" in each}
        else:
            assert previous is None or message["previous"] == previous
            previous = message["sequence"]
            assert message["order_id"] in answered, f"told before the answer (seed {seed})"
    assert results == list(range(150))


# When the engine does not answer


def test_a_command_that_is_not_answered_in_time_is_unknown(alice, monkeypatch):
    monkeypatch.setattr("orders.sockets.protocol.ANSWER_TIMEOUT_SECONDS", 0)
    monkeypatch.setattr(submission, "enqueue", lambda envelope, **options: None)
    answer = alice.ask(op="place", id=1, **BUY)
    assert code_of(answer) == "engine_timeout"
    assert answer["problem"]["outcome"] == "unknown" and answer["problem"]["order_id"].isdigit()


def test_a_full_engine_says_so_and_cancels_get_through(alice, monkeypatch):
    order = alice.ask(op="place", **BUY)["order"]
    alice.hear()
    monkeypatch.setattr(bus(), "_capacity", 0)
    assert code_of(alice.ask(op="place", **BUY)) == "engine_unavailable"
    assert alice.ask(op="cancel", order_id=order["id"])["ok"]


@pytest.mark.parametrize("path", ["in the loop", "in a thread"])
def test_a_command_that_cannot_be_submitted_is_not_accepted_and_logged(alice, monkeypatch, caplog, path):
    def broken(*args: Any) -> None:
        raise RuntimeError("no way")

    monkeypatch.setattr(commands, "submit", broken)
    message = {"op": "cancel_all"} if path == "in the loop" else {"op": "cancel", "client_order_id": "a-1"}
    answer = alice.ask(id=1, **message)
    assert code_of(answer) == "internal_error" and answer["problem"]["outcome"] == "not_accepted"
    assert "no way" in caplog.text and "no way" not in str(answer)
    assert alice.ask(op="ping")["op"] == "pong"


def test_an_answer_that_cannot_be_made_is_unknown_and_logged(alice, monkeypatch, caplog):
    def broken(*args: Any) -> None:
        raise RuntimeError("no body")

    monkeypatch.setattr(commands, "outcome_body", broken)
    answer = alice.ask(op="place", id=1, **BUY)
    assert code_of(answer) == "internal_error" and answer["problem"]["outcome"] == "unknown"
    assert "no body" in caplog.text and "no body" not in str(answer)


# Bounds


def test_past_the_bound_no_more_are_taken_until_half_are_answered(feed, alice, monkeypatch):
    monkeypatch.setattr("orders.sockets.entry.MAX_IN_FLIGHT", 10)
    held, go = [], threading.Event()
    real = submission.enqueue

    def hold(envelope: Any, **options: Any) -> None:
        held.append(envelope)
        if go.is_set():
            real(envelope, **options)

    monkeypatch.setattr(submission, "enqueue", hold)
    for number in range(30):
        alice.say(op="place", id=number, **BUY)
    assert alice.is_silent() and len(held) == 10
    go.set()
    for envelope in held[:10]:
        real(envelope, shard_id=0, reserved=False)
    assert [result["id"] for result in hear_results(alice, 30)] == list(range(30))


def test_the_slow_path_does_not_block_other_sockets(connect, alice, monkeypatch):
    slowly(monkeypatch, selectors, "order_get", 1.0)
    other = connect()
    alice.say(op="amend", id=1, order_id="17", quantity="3")
    assert other.ask(op="ping")["op"] == "pong"
    assert code_of(alice.hear()) == "order_not_found"


def test_a_large_answer_is_made_in_a_thread(alice, monkeypatch):
    made_in: list[str] = []
    real = commands.body

    def body(*args: Any) -> Any:
        made_in.append(threading.current_thread().name)
        return real(*args)

    monkeypatch.setattr(commands, "body", body)
    count = consumer.MAX_QUICK_OUTCOMES + 1
    assert len(alice.ask(op="place_batch", orders=[BUY] * count)["results"]) == count
    alice.say(op="place", **BUY)
    hear_results(alice, 1)
    assert made_in[0] != made_in[1] == "test-loop"


def test_a_command_leaves_nothing_for_the_garbage_collector(alice, monkeypatch):
    """What belongs to it must not form a circle: thousands a second would be found by pauses of tens of milliseconds."""
    futures: list[weakref.ref] = []
    real = submission.enqueue

    def note(envelope: Any, **options: Any) -> None:
        futures.append(weakref.ref(envelope.future))
        real(envelope, **options)

    monkeypatch.setattr(submission, "enqueue", note)
    gc.disable()
    try:
        for number in range(20):
            alice.say(op="place", id=number, **BUY)
        hear_results(alice, 20)
        # The engine has the last group until it takes the next.
        alice.ask(op="cancel_after", seconds=0)
        assert sum(future() is not None for future in futures[:-2]) <= 1
    finally:
        gc.enable()
