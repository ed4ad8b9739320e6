"""A connection: what is sent once, what is known, and what is not."""

import signal
import socket
from threading import Thread
from time import monotonic, sleep

import pytest
import redis
from redis.exceptions import RedisError, ResponseError

from orders.bus import link as link_module
from orders.bus.link import Link, NotConnected, checked
from tests.bus.parties import until
from tests.support import services


def test_several_commands_go_together_and_an_error_is_an_answer(store: redis.Redis, redis_url: str) -> None:
    link = Link(redis_url)
    assert link.connect() and not link.connect()
    answers = link.call(("SET", "a", b"\x00\xff"), ("RPUSH", "a", 1), ("GET", "a"))
    assert (answers[0], answers[2]) == (b"OK", b"\x00\xff")
    assert isinstance(answers[1], ResponseError)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        checked(answers)
    # What came after the error was read too.
    assert link.call(("GET", "a")) == [b"\x00\xff"]


def test_nobody_there_means_nothing_was_sent() -> None:
    with pytest.raises(NotConnected):
        Link(f"redis://127.0.0.1:{services.free_port()}/0").call(("INCR", "n"))


def test_a_connection_that_ended_while_it_was_idle_is_made_anew(mortal: services.Redis) -> None:
    link = Link(mortal.url)
    assert link.call(("INCR", "n")) == [1]
    mortal.stop()
    mortal.start()
    sleep(link_module.FRESH_SECONDS)
    assert link.connect()
    assert link.call(("INCR", "n")) == [2]


def test_one_that_ends_under_a_command_leaves_it_unknown_and_is_not_tried_again(mortal: services.Redis) -> None:
    """Redis carries out what was sent, and its answer does not come in time."""
    link = Link(mortal.url)
    link.connect()
    client = redis.Redis.from_url(mortal.url)
    assert mortal.process is not None
    mortal.process.send_signal(signal.SIGSTOP)
    began = monotonic()
    with pytest.raises(RedisError) as caught:
        link.call(("INCR", "n"))
    assert not isinstance(caught.value, NotConnected)
    assert monotonic() - began < link_module.ANSWER_SECONDS + 1
    mortal.process.send_signal(signal.SIGCONT)
    until(lambda: client.get("n") == b"1")
    assert link.call(("GET", "n")) == [b"1"]


def test_one_that_does_not_answer_at_first_is_not_there() -> None:
    """Its port takes connections, and that is all."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        link = Link(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        with pytest.raises(NotConnected):
            link.call(("INCR", "n"))


def test_a_command_that_waits_is_given_its_time(store: redis.Redis, redis_url: str) -> None:
    link = Link(redis_url, blocks_seconds=link_module.ANSWER_SECONDS)
    thread = Thread(target=lambda: (sleep(link_module.ANSWER_SECONDS + 0.3), store.rpush("list", "x")))
    thread.start()
    assert link.call(("BLPOP", "list", 5)) == [[b"list", b"x"]]
    thread.join()


def test_what_cannot_be_packed_breaks_nothing(store: redis.Redis, redis_url: str) -> None:
    link = Link(redis_url)
    with pytest.raises(RedisError):
        link.call(("SET", "a", object()))
    assert link.call(("GET", "a")) == [None]


def test_whatever_is_to_be_checked_is_checked_on_every_new_connection_first(mortal: services.Redis) -> None:
    seen: list[object] = []

    def look() -> None:
        seen.extend(link.call(("GET", "n")))
        if len(seen) == 2:
            raise ResponseError("not this one")

    link = Link(mortal.url, on_connect=look)
    assert link.call(("INCR", "n")) == [1]
    assert link.call(("INCR", "n")) == [2]
    link.close()
    with pytest.raises(ResponseError, match="not this one"):
        link.call(("INCR", "n"))
    assert link.call(("INCR", "n")) == [3]
    assert seen == [None, b"2", b"2"]
