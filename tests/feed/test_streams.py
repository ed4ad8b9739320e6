"""One socket's stream of executions: whole, in order, each once."""

import pytest

from orders.feed import streams
from orders.feed.frames import encode
from orders.feed.reading import Told
from orders.feed.streams import ExecutionStream
from orders.schemas.closing import SLOW_CONSUMER
from tests.feed.support import Recorder


def told(sequence: int, previous: int) -> Told:
    return sequence, previous, 99, encode({"sequence": sequence})


def numbers(sink: Recorder) -> list[int]:
    return [message["sequence"] for message in sink.messages]


@pytest.fixture
def sink() -> Recorder:
    return Recorder()


@pytest.fixture
def stream(sink) -> ExecutionStream:
    return ExecutionStream(sink, 1, "alice", 0)


def test_live_events_wait_for_the_past(stream, sink):
    assert stream.offer(told(7, 5)) and stream.offer(told(9, 7))
    assert sink.messages == []
    assert stream.resume((3, [told(5, 3), told(7, 5)]))
    assert numbers(sink) == [5, 7, 9]
    assert stream.offer(told(12, 9))
    assert numbers(sink) == [5, 7, 9, 12]


def test_what_was_told_is_not_told_again(stream, sink):
    stream.resume((5, []))
    assert stream.offer(told(5, 3)) and stream.offer(told(4, 3))
    assert sink.messages == []


def test_a_gap_is_seen_and_what_comes_meanwhile_is_kept(stream, sink):
    stream.resume((5, []))
    assert not stream.offer(told(9, 7))
    assert stream.offer(told(11, 9))
    assert sink.messages == []
    assert stream.resume((5, [told(7, 5), told(9, 7)]))
    assert numbers(sink) == [7, 9, 11]


def test_an_event_that_could_not_be_encoded_is_read_from_the_tables(stream, sink):
    stream.resume((5, []))
    assert not stream.offer((7, 5, 99, None))
    assert stream.resume((5, [told(7, 5)]))
    assert numbers(sink) == [7]


def test_a_read_that_came_too_early_is_repeated(stream, sink):
    stream.offer(told(9, 7))
    assert not stream.resume((5, []))
    assert stream.offer(told(11, 9))
    assert stream.resume((5, [told(7, 5)]))
    assert numbers(sink) == [7, 9, 11]


def test_what_is_kept_is_bounded(stream, sink, monkeypatch):
    monkeypatch.setattr(streams, "MAX_KEPT_EVENTS", 2)
    for sequence in range(1, 4):
        stream.offer(told(sequence, sequence - 1))
    assert sink.closed == SLOW_CONSUMER
