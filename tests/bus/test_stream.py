"""The engine's side: every command once, in order, whatever happens to Redis and whoever runs the shard next."""

import logging
import random
from threading import Timer
from time import monotonic

import pytest
import redis
from redis.exceptions import RedisError

from orders.bus import stream, wire
from orders.bus.envelope import DONE, Outcome, Place
from orders.bus.redis_checks import UnsafeRedis
from orders.bus.stream import REPLIES_KEY, StreamBus
from tests.bus.parties import GATEWAY, KEY, SHARD, envelope, numbers, put, reader, take_all, until
from tests.support import services


def answer(*envelopes: object) -> None:
    for each in envelopes:
        each.future.set_result([Outcome(DONE, order_id=command.order_id) for command in each.commands])


def replies(store: redis.Redis, gateway: str = GATEWAY) -> list[tuple[int, list[int]]]:
    """Correlations and order ids of all that was answered, in order."""
    found = store.lrange(REPLIES_KEY.format(gateway), 0, -1)
    return [
        (number, [outcome.order_id for outcome in outcomes])
        for data in found
        for number, outcomes in wire.decode_reply(data)
    ]


# Places


def test_an_envelope_says_where_the_stream_stands_once_it_is_carried_out(store: redis.Redis, redis_url: str) -> None:
    first = put(store, envelope(1, 2), envelope(3), envelope(4, 5))
    second = put(store, envelope(6))
    taken = reader(redis_url).take(100, 1)
    assert numbers(taken) == [1, 2, 3, 4, 5, 6]
    assert [each.place for each in taken] == [Place("0-0", 2), Place("0-0", 3), Place(first), Place(second)]
    assert [each.request_id for each in taken] == ["-"] * 4


@pytest.mark.parametrize("done", range(8))
def test_the_next_engine_goes_on_where_the_last_one_stood(store: redis.Redis, redis_url: str, done: int) -> None:
    first = put(store, envelope(90))
    second = put(
        store, envelope(1, 2), envelope(3), envelope(4, 5, 6, details=["d4", "d5", "d6"], fingerprints=[None] * 3)
    )
    bus = reader(redis_url, Place(first, done))
    if done >= 6:  # never written so, and yet nothing comes twice
        assert bus.take(100, 0) == []
        return
    taken = bus.take(100, 1)
    assert numbers(taken) == list(range(done + 1, 7))
    assert [each.place for each in taken][-1] == Place(second)
    assert all(len(each.details or "123") == len(each.fingerprints or "123") == 3 for each in taken) is (done <= 3)
    assert taken[-1].details == ["d4", "d5", "d6"][max(0, done - 3) :]
    answer(*taken)
    bus.flush()
    # Whose first commands an earlier engine carried out cannot be told all of its answer.
    whole = {0: [1, 2, 3], 1: [2, 3], 2: [2, 3], 3: [3], 4: [], 5: []}[done]
    assert [number for number, _ in replies(store)] == whole


def test_rewinding_carries_on_from_any_place_and_takes_nothing_twice(store: redis.Redis, redis_url: str) -> None:
    """Against a list: what was committed and what comes after is everything, once."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    count = 0
    for _ in range(60):
        envelopes = []
        for _ in range(dice.randint(1, 4)):
            size = dice.randint(1, 4)
            envelopes.append(envelope(*range(count + 1, count + size + 1)))
            count += size
        put(store, *envelopes)
        if dice.random() < 0.1:
            store.xadd(KEY, {"d": b"noise", "n": 3})
    bus = reader(redis_url)
    committed: list[int] = []
    place = Place("0-0")
    while len(committed) < count:
        taken = bus.take(dice.randint(1, 20), 0.05)
        for each in taken:
            fate = dice.random()
            if fate < 0.1:
                bus.rewind(place)
                break
            if fate < 0.3:
                # One by one, and perhaps not all of them: as the loop does with a command that fails.
                for index, number in enumerate(numbers([each])):
                    if dice.random() < 0.2:
                        bus.rewind(place)
                        break
                    is_last = index == len(each.commands) - 1
                    place = each.place if is_last else Place(place.entry_id, place.done + 1)
                    committed.append(number)
                else:
                    continue
                break
            committed += numbers([each])
            place = each.place
        if dice.random() < 0.1:
            bus.disconnect()
            bus = reader(redis_url, place)
    assert committed == list(range(1, count + 1))


def test_what_cannot_be_read_is_passed_over_and_said(
    store: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = put(store, envelope(1))
    store.xadd(KEY, {"d": b"noise", "n": "many"})
    store.xadd(KEY, {"something": "else"})
    store.xadd(KEY, {"d": wire.encode_entry(GATEWAY, [b"\x90"]), "n": "9" * 5_000})
    last = put(store, envelope(2), envelope(3))
    bus = reader(redis_url)
    taken = take_all(bus, 3)
    assert numbers(taken) == [1, 2, 3]
    # The place of one within the last entry counts from the one before it that could be read.
    assert [each.place for each in taken] == [Place(first), Place(first, 1), Place(last)]
    assert len([record for record in caplog.records if "passed over" in record.message]) == 3
    bus.rewind(Place(first, 1))
    assert numbers(bus.take(100, 1)) == [3]


# Taking


def test_whole_entries_are_taken_up_to_about_as_many_as_asked_for(store: redis.Redis, redis_url: str) -> None:
    for base in (0, 10, 20):
        put(store, envelope(*range(base + 1, base + 6)), envelope(*range(base + 6, base + 11)))
    bus = reader(redis_url)
    assert len(numbers(bus.take(1, 1))) == 10
    assert bus.waiting_commands == 20
    assert len(numbers(bus.take(19, 1))) == 10
    assert len(numbers(bus.take(100, 1))) == 10
    assert bus.waiting_commands == 0 and bus.take(100, 0) == []


def test_what_waits_beyond_what_may_be_read_ahead_stays_in_redis(
    store: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_READ_COMMANDS", 20)
    monkeypatch.setattr(stream, "MAX_READ_ENTRIES", 2)
    for base in range(0, 100, 10):
        put(store, envelope(*range(base + 1, base + 11)))
    bus = reader(redis_url)
    seen = []
    while group := bus.take(10, 0):
        seen += numbers(group)
        assert bus.waiting_commands <= 30
    assert seen == list(range(1, 101))


def test_a_batch_of_five_hundred_is_one_envelope(store: redis.Redis, redis_url: str) -> None:
    put(store, envelope(*range(1, 501)), envelope(501))
    bus = reader(redis_url)
    taken = bus.take(100, 1)
    assert [len(each.commands) for each in taken] == [500, 1]
    answer(*taken)
    bus.flush()
    assert replies(store) == [(1, list(range(1, 501))), (2, [501])]


def test_taking_waits_for_the_first_and_no_longer_than_asked_for(store: redis.Redis, redis_url: str) -> None:
    bus = reader(redis_url)
    began = monotonic()
    assert bus.take(10, 0) == []
    assert bus.take(10, 0.03) == []
    assert 0.02 < monotonic() - began < 1
    timer = Timer(0.05, lambda: put(store, envelope(1)))
    timer.start()
    taken = take_all(bus, 1)
    timer.join()
    assert numbers(taken) == [1]


def test_closing_keeps_what_waits_for_the_next(store: redis.Redis, redis_url: str) -> None:
    put(store, envelope(1))
    bus = reader(redis_url)
    assert bus.keeps and bus.close() == []
    assert bus.take(10, 0.01) == []
    bus.open()
    assert numbers(bus.take(10, 0.01)) == [1]
    timer = Timer(0.1, bus.close)
    timer.start()
    began = monotonic()
    while bus.take(10, 5) == [] and timer.is_alive():
        assert monotonic() - began < 2
    timer.join()


# Answering


def test_answers_go_to_each_gateway_in_one_element(store: redis.Redis, redis_url: str) -> None:
    put(store, envelope(1), envelope(2))
    put(store, envelope(3), gateway="bb")
    put(store, envelope(4))
    bus = reader(redis_url)
    taken = bus.take(100, 1)
    assert all(each.future.set_running_or_notify_cancel() and not each.future.done() for each in taken)
    answer(*taken)
    assert all(each.future.done() for each in taken) and taken[0].future.result(0)[0].order_id == 1
    assert not store.exists(REPLIES_KEY.format(GATEWAY))
    bus.flush()
    assert store.llen(REPLIES_KEY.format(GATEWAY)) == store.llen(REPLIES_KEY.format("bb")) == 1
    assert replies(store) == [(1, [1]), (2, [2]), (1, [4])]
    assert replies(store, "bb") == [(1, [3])]
    # Nobody may be there to fetch them.
    assert 0 < store.ttl(REPLIES_KEY.format("bb")) <= stream.REPLIES_EXPIRE_SECONDS


def test_the_stream_is_trimmed_behind_what_was_answered(
    store: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "TRIM_SECONDS", 0)
    ids = [put(store, envelope(number)) for number in range(1, 301)]
    bus = reader(redis_url)
    taken = take_all(bus, 300)
    answer(*taken[:200])
    bus.flush()
    kept = [each.decode() for each, _ in store.xrange(KEY)]
    assert kept == ids[199:]
    # In the middle of an entry all of it stays.
    put(store, envelope(301), envelope(302))
    first, _ = take_all(bus, 2)
    answer(*taken[200:], first)
    bus.flush()
    assert store.xlen(KEY) == 2
    assert numbers(take_all(reader(redis_url, first.place), 1)) == [302]


# A Redis that goes, comes, and forgets


def test_a_redis_that_evicts_or_forgets_is_refused(store: redis.Redis, redis_url: str) -> None:
    with pytest.raises(UnsafeRedis, match="append-only"):
        StreamBus(SHARD, redis_url).begin(Place("0-0"))
    StreamBus(SHARD, redis_url, allow_unsafe=True).begin(Place("0-0"))


def test_no_redis_is_an_error_at_the_start_only(mortal: services.Redis) -> None:
    mortal.stop()
    with pytest.raises(RedisError):
        StreamBus(SHARD, mortal.url).begin(Place("0-0"))


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_nothing_is_lost_or_doubled_by_a_restart_of_redis(
    mortal: services.Redis, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    client = redis.Redis.from_url(mortal.url)
    bus = StreamBus(SHARD, mortal.url)
    bus.begin(Place("0-0"))
    bus.open()
    put(client, envelope(1))
    put(client, envelope(2))
    (first,) = bus.take(1, 1)
    getattr(mortal, how)()
    answer(first)
    bus.flush()
    began = monotonic()
    # What was read is not lost by it.
    (second,) = bus.take(1, 0.2)
    assert [bus.take(10, 0.05) for _ in range(3)] == [[], [], []]
    assert monotonic() - began < 3
    assert len([record for record in caplog.records if "is away" in record.message]) == 1
    mortal.start()
    put(client, envelope(3))
    taken = take_all(bus, 1)
    assert numbers([first, second, *taken]) == [1, 2, 3]
    answer(second, *taken)
    bus.flush()
    # The answer that could not be sent was kept.
    assert replies(client) == [(1, [1]), (1, [2]), (1, [3])]
    assert len([record for record in caplog.records if "there again" in record.message]) == 1
    assert "lost data" not in caplog.text


def test_answers_are_not_kept_longer_than_anyone_waits(mortal: services.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    client = redis.Redis.from_url(mortal.url)
    put(client, envelope(1))
    bus = reader(mortal.url)
    taken = bus.take(1, 1)
    mortal.stop()
    answer(*taken)
    bus.flush()
    monkeypatch.setattr(stream, "REPLIES_KEPT_SECONDS", 0)
    mortal.start()
    until(client.ping)
    bus.flush()
    assert replies(client) == []


@pytest.mark.parametrize("left", ["nothing", "an older entry", "an empty stream"])
def test_ids_only_grow_where_redis_lost_data_and_its_clock_is_behind(
    store: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture, left: str
) -> None:
    """The database has seen entries of a time that is still to come for this Redis."""
    ahead = f"{(store.time()[0] + 3600) * 1000}-5"
    if left == "an older entry":
        put(store, envelope(1))
    elif left == "an empty stream":
        store.xdel(KEY, put(store, envelope(1)))
    bus = reader(redis_url, Place(ahead, 0))
    assert "lost data" in caplog.text
    last = put(store, envelope(2))
    assert last > ahead
    assert numbers(take_all(bus, 1)) == [2]
    # The next engine finds nothing to complain of.
    caplog.clear()
    bus = reader(redis_url, Place(ahead))
    assert numbers(take_all(bus, 1)) == [2]
    assert "lost data" not in caplog.text
    # And whoever stands before what marks the loss passes over it without a word.
    expected = [1, 2] if left == "an older entry" else [2]
    assert numbers(take_all(reader(redis_url, Place("0-0")), len(expected))) == expected
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_data_lost_under_a_running_engine_is_found_out_when_it_connects_again(
    mortal: services.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis.Redis.from_url(mortal.url)
    bus = reader(mortal.url)
    ahead = f"{(client.time()[0] + 3600) * 1000}-0"
    put(client, envelope(1), at=ahead)
    answer(*take_all(bus, 1))
    bus.flush()
    mortal.kill()
    mortal.lose_everything()
    mortal.start()
    until(client.ping)
    assert bus.take(10, 0.05) == []
    assert put(client, envelope(2)) > ahead
    assert numbers(take_all(bus, 1)) == [2]
    assert "lost data" in caplog.text


def test_a_redis_that_is_full_refuses_answers_without_harm(
    mortal: services.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis.Redis.from_url(mortal.url)
    put(client, envelope(1))
    bus = reader(mortal.url)
    taken = bus.take(1, 1)
    answer(*taken)
    client.config_set("maxmemory", 1)
    bus.flush()
    assert "refused answers" in caplog.text
    client.config_set("maxmemory", 0)
    bus.flush()
    assert replies(client) == [(1, [1])]
