"""The gateways' side: what is taken is sent once or told not to be, and what comes back finds its caller."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Event, Thread
from time import monotonic, sleep

import pytest
import redis

from orders import status
from orders.bus import remote, wire
from orders.bus.envelope import DONE, UNAVAILABLE, Envelope, Outcome, SetShardMode
from orders.bus.memory import BusClosed, BusFull
from orders.bus.remote import RemoteBus
from orders.bus.stream import REPLIES_KEY
from tests.bus.parties import KEY, SHARD, Answering, envelope, numbers, reader, take_all, until
from tests.support import services

WAIT = 10


@pytest.fixture(autouse=True)
def shard(monkeypatch: pytest.MonkeyPatch) -> status.ShardStatus:
    """An open shard, and another; and threads that end soon when they are told to."""
    monkeypatch.setattr(remote, "RECEIVE_SECONDS", 0.1)
    shards = {number: status.ShardStatus(number, status.OPEN) for number in (SHARD, SHARD + 1)}
    monkeypatch.setattr(status, "shards", shards)
    return shards[SHARD]


@pytest.fixture
def make_bus() -> Iterator[Callable[..., RemoteBus]]:
    made: list[RemoteBus] = []

    def make(url: str, **options: object) -> RemoteBus:
        made.append(RemoteBus(url, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def bus(store: redis.Redis, redis_url: str, make_bus: Callable[..., RemoteBus]) -> RemoteBus:
    return make_bus(redis_url)


def send(bus: RemoteBus, *order_ids: int, shard_id: int = SHARD, reserved: bool = False) -> Envelope:
    sent = envelope(*order_ids)
    bus.submit(sent, shard_id=shard_id, reserved=reserved)
    return sent


def answered(sent: Envelope) -> list[int]:
    """The order ids of the answer; all must be done."""
    outcomes = sent.future.result(WAIT)
    assert {outcome.kind for outcome in outcomes} <= {DONE}
    return [outcome.order_id for outcome in outcomes]


# There and back


def test_commands_are_answered_in_their_order(bus: RemoteBus, redis_url: str) -> None:
    with Answering(redis_url) as engine:
        sent = [send(bus, number, number + 1_000) for number in range(1, 201)]
        assert [answered(each) for each in sent] == [[number, number + 1_000] for number in range(1, 201)]
        assert engine.seen == [part for number in range(1, 201) for part in (number, number + 1_000)]
    assert bus.waiting_commands == 0


def test_a_batch_of_five_hundred_and_one_that_is_larger_still(bus: RemoteBus, redis_url: str) -> None:
    with Answering(redis_url):
        for size in (500, 5_000):
            assert answered(send(bus, *range(1, size + 1))) == list(range(1, size + 1))


def test_what_waits_together_travels_together_up_to_a_bound(bus: RemoteBus, store: redis.Redis, redis_url: str) -> None:
    waits, goes = Event(), Event()
    admitted = bus._is_admitted

    def slowly(sent: object) -> bool:
        waits.set()
        return goes.wait(WAIT) and admitted(sent)

    bus._is_admitted = slowly  # type: ignore[method-assign]
    first = send(bus, 1)
    assert waits.wait(WAIT)
    # 1,000 commands in the sender's queue: it takes them at once.
    rest = [send(bus, *range(10 * number, 10 * number + 10)) for number in range(1, 101)]
    goes.set()
    until(lambda: store.xlen(KEY) == 3)
    assert [int(fields[b"n"]) for _, fields in store.xrange(KEY)] == [1, 510, 490]
    with Answering(redis_url):
        assert [len(answered(each)) for each in (first, *rest)] == [1] + [10] * 100


def test_each_shard_has_a_stream_of_its_own(bus: RemoteBus, redis_url: str) -> None:
    with Answering(redis_url) as here, Answering(redis_url, SHARD + 1) as there:
        sent = [send(bus, number, shard_id=SHARD + number % 2) for number in range(100)]
        assert [answered(each) for each in sent] == [[number] for number in range(100)]
        assert (here.seen, there.seen) == (list(range(0, 100, 2)), list(range(1, 100, 2)))


def test_two_gateways_get_their_own_answers(bus: RemoteBus, redis_url: str, make_bus: Callable[..., RemoteBus]) -> None:
    other = make_bus(redis_url)
    with Answering(redis_url) as engine:
        sent = [send((bus, other)[number % 2], number) for number in range(200)]
        assert [answered(each) for each in sent] == [[number] for number in range(200)]
        assert sorted(engine.seen) == list(range(200))


def test_many_threads_at_once(bus: RemoteBus, redis_url: str) -> None:
    wrong: list[int] = []

    def work(base: int) -> None:
        for number in range(base, base + 50):
            if answered(send(bus, number)) != [number]:
                wrong.append(number)

    with Answering(redis_url) as engine:
        threads = [Thread(target=work, args=(1_000 * number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert wrong == [] and len(engine.seen) == len(set(engine.seen)) == 800


# Answers nobody waits for


def test_an_answer_to_nobody_is_ignored(bus: RemoteBus, store: redis.Redis, redis_url: str) -> None:
    with Answering(redis_url):
        answered(send(bus, 1))
        key = REPLIES_KEY.format(bus._gateway)
        store.rpush(key, wire.encode_reply([(1, [Outcome(DONE)]), (999, [Outcome(DONE)])]))
        store.rpush(key, b"noise")
        assert answered(send(bus, 2)) == [2]


def test_a_caller_who_has_gone_breaks_nothing(bus: RemoteBus, redis_url: str) -> None:
    with Answering(redis_url) as engine:
        engine.frozen.set()
        gone = send(bus, 1)
        assert gone.future.cancel()
        engine.frozen.clear()
        assert answered(send(bus, 2)) == [2]
        # It is in the stream, and so it is carried out.
        assert engine.seen == [1, 2]


def test_what_is_not_answered_is_forgotten(bus: RemoteBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FORGET_SECONDS", 0.3)
    sent = send(bus, 1, 2)
    assert bus.waiting_commands == 2
    with pytest.raises(CancelledError):
        sent.future.result(WAIT)
    until(lambda: bus.waiting_commands == 0)


def test_a_gateway_that_dies_costs_the_others_nothing(bus: RemoteBus, store: redis.Redis, redis_url: str) -> None:
    program = (
        "import sys, django; django.setup()\n"
        "from orders import status\n"
        "from orders.bus.remote import RemoteBus\n"
        "from tests.bus.parties import SHARD, envelope\n"
        "status.shard_status(SHARD).become(status.OPEN)\n"
        f"bus = RemoteBus({redis_url!r})\n"
        "for number in range(100): bus.submit(envelope(number), shard_id=SHARD)\n"
        "print('sent', flush=True); sys.stdin.read()\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "oms_project.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "sent\n"
    until(lambda: sum(int(fields[b"n"]) for _, fields in store.xrange(KEY)) == 100)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Answering(redis_url) as engine:
        assert answered(send(bus, 1_000)) == [1_000]
        assert engine.seen == [*range(100), 1_000]
    (left,) = store.keys(REPLIES_KEY.format("*"))
    assert 0 < store.ttl(left) <= 60


# What is not taken


@pytest.mark.parametrize(
    ("state", "orders", "cancels"),
    [
        (status.OPEN, True, True),
        (status.CANCEL_ONLY, False, True),
        (status.RECOVERING, False, True),
        (status.STALLED, False, True),
        (status.STOPPED, False, False),
    ],
)
def test_what_a_shard_takes_is_a_matter_of_its_state(
    bus: RemoteBus, shard: status.ShardStatus, store: redis.Redis, state: str, orders: bool, cancels: bool
) -> None:
    shard.state = state
    for reserved, taken in ((False, orders), (True, cancels)):
        sent = envelope(1)
        if taken:
            bus.submit(sent, shard_id=SHARD, reserved=reserved)
        else:
            with pytest.raises(BusClosed):
                bus.submit(sent, shard_id=SHARD, reserved=reserved)
    until(lambda: sum(int(fields[b"n"]) for _, fields in store.xrange(KEY)) == orders + cancels)
    assert bus.waiting_commands == orders + cancels


def test_the_first_command_of_a_process_waits_for_news_of_its_shard(
    store: redis.Redis, redis_url: str, make_bus: Callable[..., RemoteBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "shards", {})
    looked, known = Event(), Event()

    def wait_for_news(seconds: float) -> bool:
        looked.set()
        return known.wait(seconds)

    bus = make_bus(redis_url, wait_for_news=wait_for_news)
    began = monotonic()
    sent = send(bus, 1)
    assert monotonic() - began < 0.5  # the caller does not wait
    assert looked.wait(WAIT)
    status.shards[SHARD] = status.ShardStatus(SHARD, status.OPEN)
    known.set()
    with Answering(redis_url):
        assert answered(sent) == [1]
    # A shard of which there is no news is none.
    (outcome,) = send(bus, 2, shard_id=77).future.result(WAIT)
    assert outcome.kind == UNAVAILABLE


def test_no_news_in_time_is_an_answer(
    store: redis.Redis,
    redis_url: str,
    make_bus: Callable[..., RemoteBus],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status, "shards", {})
    bus = make_bus(redis_url, wait_for_news=lambda seconds: bool(sleep(seconds)))
    began = monotonic()
    assert [outcome.kind for outcome in send(bus, 1, 2).future.result(WAIT)] == [UNAVAILABLE] * 2
    assert monotonic() - began < 3
    assert store.xlen(KEY) == 0 and bus.waiting_commands == 0


def test_a_process_has_so_many_commands_under_way_and_cancels_have_room_beyond(
    store: redis.Redis, redis_url: str, make_bus: Callable[..., RemoteBus]
) -> None:
    bus = make_bus(redis_url, capacity=10, reserve=5)
    sent = [send(bus, *range(number, number + 5)) for number in (0, 5)]
    with pytest.raises(BusFull):
        send(bus, 10)
    sent.append(send(bus, 10, 11, 12, 13, 14, reserved=True))
    with pytest.raises(BusFull):
        send(bus, 15, reserved=True)
    assert bus.waiting_commands == 15
    with Answering(redis_url) as engine:
        assert [answered(each) for each in sent] == [list(range(number, number + 5)) for number in (0, 5, 10)]
        until(lambda: bus.waiting_commands == 0)
        assert answered(send(bus, 16)) == [16]
        assert engine.seen == [*range(15), 16]


def test_a_shard_that_others_keep_busy_takes_no_more(bus: RemoteBus, shard: status.ShardStatus) -> None:
    shard.waiting = 20_001
    with pytest.raises(BusFull):
        send(bus, 1)
    send(bus, 2, reserved=True)
    shard.waiting = 25_001
    with pytest.raises(BusFull):
        send(bus, 3, reserved=True)
    assert bus.waiting_commands == 1


def test_what_cannot_travel_is_its_senders_fault_alone(bus: RemoteBus, redis_url: str) -> None:
    with pytest.raises(TypeError):
        bus.submit(Envelope([object()], actor_id=1, received_at=1), shard_id=SHARD)
    assert bus.waiting_commands == 0
    bus.submit(Envelope([SetShardMode(True)], actor_id=1, received_at=1), shard_id=SHARD)
    (taken,) = take_all(reader(redis_url), 0, 1) or reader(redis_url).take(10, 1)
    assert taken.commands == [SetShardMode(True)]


# Redis away


def test_a_redis_that_is_away_is_told_at_once_and_used_again_when_it_is_back(
    mortal: services.Redis, make_bus: Callable[..., RemoteBus]
) -> None:
    bus = make_bus(mortal.url)
    with Answering(mortal.url) as engine:
        assert answered(send(bus, 1)) == [1]
        mortal.kill()
        until(lambda: not bus.is_open)
        began = monotonic()
        with pytest.raises(BusClosed, match="cannot be reached"):
            send(bus, 2)
        with pytest.raises(BusClosed, match="cannot be reached"):
            send(bus, 3, reserved=True)
        assert monotonic() - began < 0.2
        mortal.start()
        until(lambda: bus.is_open)
        assert answered(send(bus, 4)) == [4]
        assert engine.seen == [1, 4]


def test_what_was_not_sent_is_told_so(mortal: services.Redis, make_bus: Callable[..., RemoteBus]) -> None:
    mortal.stop()
    bus = make_bus(mortal.url)
    try:
        (outcome,) = send(bus, 1).future.result(WAIT)
        assert outcome.kind == UNAVAILABLE
    except BusClosed:
        pass  # the receiver has found out first
    assert bus.waiting_commands == 0
    mortal.start()
    assert redis.Redis.from_url(mortal.url).xlen(KEY) == 0


def test_what_may_have_been_sent_is_never_sent_again(
    mortal: services.Redis, make_bus: Callable[..., RemoteBus]
) -> None:
    """A Redis that is frozen takes a command into its socket, and carries it out when nobody waits for that any more."""
    bus = make_bus(mortal.url)
    assert mortal.process is not None
    with Answering(mortal.url) as engine:
        assert answered(send(bus, 1)) == [1]
        mortal.process.send_signal(signal.SIGSTOP)
        sent = send(bus, 2)
        with pytest.raises(FutureTimeout):
            sent.future.result(2.5)
        mortal.process.send_signal(signal.SIGCONT)
        # The truth, late: it is carried out once, and told to whoever still waits.
        assert answered(sent) == [2]
        until(lambda: bus.is_open)
        assert answered(send(bus, 3)) == [3]
        assert engine.seen == [1, 2, 3]


def test_a_full_redis_refuses_commands_and_that_is_told(
    mortal: services.Redis, make_bus: Callable[..., RemoteBus]
) -> None:
    client = redis.Redis.from_url(mortal.url)
    bus = make_bus(mortal.url)
    with Answering(mortal.url) as engine:
        assert answered(send(bus, 1)) == [1]
        client.config_set("maxmemory", 1)
        (outcome,) = send(bus, 2).future.result(WAIT)
        assert outcome.kind == UNAVAILABLE
        client.config_set("maxmemory", 0)
        assert answered(send(bus, 3)) == [3]
        assert engine.seen == [1, 3]


def test_every_answer_is_true_while_redis_is_killed_again_and_again(
    mortal: services.Redis, make_bus: Callable[..., RemoteBus]
) -> None:
    """Answered: carried out once. Unavailable: never. Not answered: at most once."""
    bus = make_bus(mortal.url)
    sent: list[Envelope] = []
    refused: list[int] = []
    done = Event()

    def work() -> None:
        number = 0
        while not done.is_set():
            number += 1
            try:
                sent.append(send(bus, number))
            except BusClosed:
                refused.append(number)
            sleep(0.001)

    with Answering(mortal.url) as engine:
        thread = Thread(target=work)
        thread.start()
        for _ in range(4):
            sleep(0.3)
            mortal.kill()
            sleep(0.1)
            mortal.start()
        until(lambda: bus.is_open)
        sleep(0.3)
        done.set()
        thread.join()
        assert answered(send(bus, 0)) == [0]
        seen = engine.seen
    fates: dict[str, list[int]] = {DONE: [], UNAVAILABLE: [], "unknown": []}
    for each in sent:
        fates[each.future.result(0)[0].kind if each.future.done() else "unknown"] += numbers([each])
    print({fate: len(each) for fate, each in fates.items()}, len(refused))
    assert len(seen) == len(set(seen)) and len(fates[DONE]) > 100 and refused
    assert set(fates[DONE]) <= set(seen)
    assert not set(seen) & {*fates[UNAVAILABLE], *refused}
    assert seen[:-1] == sorted(seen[:-1])


# Processes


def test_a_forked_child_begins_anew(bus: RemoteBus, redis_url: str) -> None:
    with Answering(redis_url):
        assert answered(send(bus, 1)) == [1]
        mine = bus.node()
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writing, f"{answered(send(bus, 2))} {bus.node()} {bus.waiting_commands}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        told = os.read(reading, 100).decode()
        os.close(reading), os.close(writing)
        order_ids, node, waiting = told.rsplit(" ", 2)
        assert order_ids == "[2]" and waiting == "0" and int(node) != mine
        assert answered(send(bus, 3)) == [3]
