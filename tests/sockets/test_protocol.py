"""The protocol core: what it answers, what it asks for, what it bounds. No socket, no database, no loop."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.actors import Actor
from orders.codes import CODES
from orders.feed.frames import Frame
from orders.schemas.problems import ProblemError
from orders.selectors import InstrumentInfo
from orders.sockets import outbox, patience
from orders.sockets import protocol as core
from orders.sockets.protocol import SocketProtocol
from orders.sockets.tasks import (
    Authenticate,
    ClosePrivate,
    Command,
    OpenExecutions,
    OpenPositions,
    Subscribe,
    Unsubscribe,
)

ALICE = Actor(1, "alice", 7, "alice", frozenset(("read", "trade")))
ACME = InstrumentInfo(1, "ACME-USD", 0, 2, 3)
BOOK = ("book", 1, 0)
NOW = 1_763_832_652_000_000
SECOND = 1_000_000


def connection(actor: Actor | None = None, *, public: bool = True) -> SocketProtocol:
    return SocketProtocol(actor=actor, public_market_data=public, connection_id="c-1", at=NOW)


def say(protocol: SocketProtocol, value: object, at: int = NOW) -> object:
    text = value if isinstance(value, str) or value is None else json.dumps(value)
    return protocol.receive(text, at)


def frame_of(text: str) -> Frame:
    return Frame(text.encode())


def heard(protocol: SocketProtocol) -> list[dict]:
    found = []
    while (frame := protocol.outbox.take()) is not None:
        found.append(json.loads(frame.data))
    return found


def subscribed(protocol: SocketProtocol, info: InstrumentInfo = ACME, depth: int = 25) -> None:
    task = say(protocol, {"op": "subscribe", "channel": "book", "symbols": [info.symbol], "depth": depth})
    assert protocol.subscribed(task, [info])
    heard(protocol)


# What is asked of the shell


def test_ping_is_answered_at_once():
    protocol = connection()
    assert say(protocol, {"op": "ping", "id": 3}) is None
    assert heard(protocol) == [{"op": "pong", "id": 3, "time": "2025-11-22T17:30:52.000000Z"}]


def test_a_good_key_is_answered_with_who_it_stands_for():
    protocol = connection()
    task = say(protocol, {"op": "auth", "id": "a", "key": "oms_x"})
    assert task == Authenticate("a", "oms_x")
    protocol.authenticated(task, ALICE)
    assert heard(protocol) == [{"op": "ack", "id": "a", "ok": True, "account": "alice", "scopes": ["read", "trade"]}]
    assert protocol.actor is ALICE and protocol.close_code is None


def test_a_wrong_key_ends_the_connection():
    protocol = connection()
    protocol.authenticated(say(protocol, {"op": "auth", "id": 1, "key": "wrong"}), None)
    (answer,) = heard(protocol)
    assert answer["ok"] is False and answer["problem"]["code"] == "not_authenticated"
    assert answer["problem"]["request_id"] == "c-1"
    assert protocol.close_code == 4001


@pytest.mark.parametrize(
    ("message", "task"),
    [
        ({"channel": "book", "symbols": ["A"]}, Subscribe(1, "book", ("A",), 25)),
        ({"channel": "book", "symbols": ["A", "B", "A"], "depth": 1000}, Subscribe(1, "book", ("A", "B"), 1000)),
        ({"channel": "trades", "symbols": ["A"]}, Subscribe(1, "trades", ("A",), 0)),
        ({"channel": "instruments", "symbols": ["A", "B"]}, Subscribe(1, "instruments", ("A", "B"), 0)),
        ({"channel": "ticker", "symbols": ["A"]}, Subscribe(1, "ticker", ("A",), 0)),
        ({"channel": "candles", "symbols": ["A"], "interval": "1h"}, Subscribe(1, "candles", ("A",), 5)),
        ({"channel": "status"}, Subscribe(1, "status", (), 0)),
        ({"channel": "positions"}, OpenPositions(1, ALICE)),
        ({"channel": "executions"}, OpenExecutions(1, ALICE, None)),
        ({"channel": "executions", "after": {"0": 5, "12": 0}}, OpenExecutions(1, ALICE, {0: 5, 12: 0})),
    ],
)
def test_subscriptions_become_tasks(message, task):
    assert say(connection(ALICE), {"op": "subscribe", "id": 1, **message}) == task


def test_the_acknowledgement_comes_before_the_snapshot_and_nothing_after_leaving():
    protocol = connection()
    task = say(protocol, {"op": "subscribe", "id": 1, "channel": "book", "symbols": ["ACME-USD"]})
    assert protocol.subscribed(task, [ACME]) == [ACME]
    protocol.market(BOOK, frame_of('{"snapshot":1}'))
    assert heard(protocol) == [{"op": "ack", "id": 1, "ok": True}, {"snapshot": 1}]
    left = say(protocol, {"op": "unsubscribe", "id": 2, "channel": "book", "symbols": ["ACME-USD", "NEVER"]})
    assert left == Unsubscribe(2, (BOOK,))
    protocol.market(BOOK, frame_of('{"late":1}'))
    protocol.unsubscribed(left)
    assert heard(protocol) == [{"op": "ack", "id": 2, "ok": True}]


def test_candles_are_subscribed_by_interval_and_left_by_interval_or_all():
    protocol = connection()
    for interval in ("1m", "1h"):
        task = say(protocol, {"op": "subscribe", "channel": "candles", "symbols": ["ACME-USD"], "interval": interval})
        protocol.subscribed(task, [ACME])
    left = say(protocol, {"op": "unsubscribe", "channel": "candles", "symbols": ["ACME-USD"], "interval": "1m"})
    assert left.keys == (("candles", 1, 0),)
    everything = say(protocol, {"op": "unsubscribe", "channel": "candles", "symbols": ["ACME-USD"]})
    assert everything.keys == (("candles", 1, 0), ("candles", 1, 5))


def test_the_status_of_the_service_is_subscribed_and_left():
    protocol = connection()
    assert protocol.subscribed(say(protocol, {"op": "subscribe", "channel": "status"}), []) == [None]
    assert say(protocol, {"op": "unsubscribe", "channel": "status"}).keys == (("status", 0, 0),)


def test_one_stays_who_one_is_while_a_private_channel_is_open():
    protocol = connection(ALICE)
    protocol.executions_opened(say(protocol, {"op": "subscribe", "channel": "executions"}))
    protocol.positions_opened(say(protocol, {"op": "subscribe", "channel": "positions"}))
    for channel in ("executions", "positions"):
        heard(protocol)
        assert say(protocol, {"op": "auth", "key": "other"}) is None
        assert heard(protocol)[0]["problem"]["code"] == "invalid_request"
        task = say(protocol, {"op": "unsubscribe", "id": 4, "channel": channel})
        assert task == ClosePrivate(4, channel)
        protocol.market(("positions", 1, 0), frame_of('{"late":1}'))
        protocol.private_closed(task)
    assert heard(protocol) == [{"op": "ack", "id": 4, "ok": True}]
    assert isinstance(say(protocol, {"op": "auth", "key": "other"}), Authenticate)


# Who may


@pytest.mark.parametrize(
    ("actor", "public", "channel", "code"),
    [
        (None, True, "executions", "not_authenticated"),
        (Actor(1, "a", 7, "a", frozenset(("trade",))), True, "executions", "permission_denied"),
        (Actor(1, "staff", 0, "", frozenset(("read", "operate"))), True, "executions", "permission_denied"),
        (None, False, "book", "not_authenticated"),
        (None, False, "trades", "not_authenticated"),
        (None, False, "instruments", "not_authenticated"),
        (None, False, "status", "not_authenticated"),
        (None, True, "positions", "not_authenticated"),
        (Actor(1, "a", 7, "a", frozenset(("trade",))), True, "positions", "permission_denied"),
        (Actor(1, "a", 7, "a", frozenset(("trade",))), False, "book", "permission_denied"),
    ],
)
def test_private_channels_need_a_key_with_the_scope(actor, public, channel, code):
    protocol = connection(actor, public=public)
    symbols = {} if channel in ("executions", "positions", "status") else {"symbols": ["A"]}
    assert say(protocol, {"op": "subscribe", "id": 1, "channel": channel, **symbols}) is None
    (answer,) = heard(protocol)
    assert answer["problem"]["code"] == code and protocol.close_code is None


def test_market_data_that_is_not_public_is_open_to_those_who_may_read():
    assert say(connection(ALICE, public=False), {"op": "subscribe", "channel": "trades", "symbols": ["A"]})


# Bad messages

BAD = [
    (None, "invalid_request"),
    ("", "invalid_request"),
    ("hello", "invalid_request"),
    ("[]", "invalid_request"),
    ("null", "invalid_request"),
    ("17", "invalid_request"),
    ('{"op":"ping","op":"ping"}', "invalid_request"),
    ('{"op":"ping","id":NaN}', "invalid_request"),
    ('{"op":"ping","id":1e400}', "invalid_request"),
    ('{"op":"ping","id":' + "9" * 5000 + "}", "invalid_request"),
    ('{"op":"ping","id":"\\ud800"}', "invalid_request"),
    ("[" * 20_000, "invalid_request"),
    ('{"a":' * 10_000, "invalid_request"),
    ('{"op":"nonsense"}', "invalid_request"),
    ('{"op":["subscribe"]}', "invalid_request"),
    ('{"op":{}}', "invalid_request"),
    ("{}", "invalid_request"),
    ('{"op":"ping","more":1}', "invalid_request"),
    ('{"op":"ping","id":true}', "invalid_request"),
    ('{"op":"ping","id":1.5}', "invalid_request"),
    ('{"op":"ping","id":[]}', "invalid_request"),
    ('{"op":"ping","id":9007199254740993}', "invalid_request"),
    ('{"op":"auth"}', "invalid_request"),
    ('{"op":"auth","key":7}', "invalid_request"),
    ('{"op":"auth","key":"' + "x" * 300 + '"}', "invalid_request"),
    ('{"op":"subscribe"}', "invalid_request"),
    ('{"op":"subscribe","channel":"ticker"}', "invalid_request"),
    ('{"op":"subscribe","channel":"candles","symbols":["A"]}', "invalid_request"),
    ('{"op":"subscribe","channel":"candles","symbols":["A"],"interval":"7m"}', "invalid_request"),
    ('{"op":"subscribe","channel":"status","symbols":["A"]}', "invalid_request"),
    ('{"op":"unsubscribe","channel":"positions","symbols":["A"]}', "invalid_request"),
    ('{"op":"subscribe","channel":["book"],"symbols":["A"]}', "invalid_request"),
    ('{"op":"subscribe","channel":"book"}', "invalid_request"),
    ('{"op":"subscribe","channel":"book","symbols":[]}', "invalid_request"),
    ('{"op":"subscribe","channel":"book","symbols":"A"}', "invalid_request"),
    ('{"op":"subscribe","channel":"book","symbols":[1]}', "invalid_request"),
    ('{"op":"subscribe","channel":"book","symbols":["a b"]}', "invalid_request"),
    ('{"op":"subscribe","channel":"book","symbols":["A\\u0000"]}', "invalid_request"),
    ('{"op":"subscribe","channel":"book","symbols":["A"],"depth":11}', "invalid_request"),
    ('{"op":"subscribe","channel":"book","symbols":["A"],"depth":"25"}', "invalid_request"),
    ('{"op":"subscribe","channel":"trades","symbols":["A"],"depth":25}', "invalid_request"),
    ('{"op":"subscribe","channel":"instruments"}', "invalid_request"),
    ('{"op":"subscribe","channel":"instruments","symbols":["A"],"depth":25}', "invalid_request"),
    ('{"op":"subscribe","channel":"executions","symbols":["A"]}', "invalid_request"),
    ('{"op":"subscribe","channel":"executions","after":5}', "invalid_request"),
    ('{"op":"subscribe","channel":"executions","after":{"0":-1}}', "invalid_request"),
    ('{"op":"subscribe","channel":"executions","after":{"0":"5"}}', "invalid_request"),
    ('{"op":"subscribe","channel":"executions","after":{"00":5}}', "invalid_request"),
    ('{"op":"subscribe","channel":"executions","after":{"\\u0661":5}}', "invalid_request"),
    ('{"op":"subscribe","channel":"executions","after":{"0":999999999999999999999}}', "invalid_request"),
    ('{"op":"unsubscribe","channel":"book"}', "invalid_request"),
    ('{"op":"ping","x":"' + "x" * 270_000 + '"}', "request_too_large"),
    ('{"op":"ping","x":"' + "é" * 140_000 + '"}', "request_too_large"),
]


@pytest.mark.parametrize(("text", "code"), BAD, ids=[str(text)[:48] for text, _ in BAD])
def test_a_bad_message_is_answered_and_not_the_end(text, code):
    protocol = connection(ALICE)
    assert say(protocol, text) is None
    (answer,) = heard(protocol)
    assert (answer["op"], answer["ok"], answer["problem"]["code"]) == ("ack", False, code)
    assert len(json.dumps(answer)) < 4_000
    assert protocol.close_code is None
    say(protocol, {"op": "ping"})
    assert heard(protocol)[0]["op"] == "pong"


def test_the_id_comes_back_where_the_rest_is_wrong():
    protocol = connection()
    say(protocol, {"op": "subscribe", "id": "mine", "channel": "book", "symbols": []})
    (answer,) = heard(protocol)
    assert answer["id"] == "mine" and answer["problem"]["errors"][0]["field"] == "symbols"


@pytest.mark.parametrize(
    ("message", "close_code"),
    [
        ("nonsense", 4000),
        ({"op": "subscribe", "channel": "executions"}, 4001),
    ],
)
def test_many_bad_messages_in_a_row_are_the_end(message, close_code):
    protocol = connection()
    for _ in range(patience.MAX_STRIKES - 1):
        say(protocol, message)
    say(protocol, {"op": "ping"})
    for _ in range(patience.MAX_STRIKES - 1):
        say(protocol, message)
    assert protocol.close_code is None
    say(protocol, message)
    assert protocol.close_code == close_code
    assert len(heard(protocol)) == 2 * patience.MAX_STRIKES
    assert say(protocol, {"op": "ping"}) is None and heard(protocol) == []


def test_many_requests_one_may_not_make_end_with_4003():
    protocol = connection(Actor(1, "a", 7, "a", frozenset(("trade",))))
    for _ in range(patience.MAX_STRIKES):
        say(protocol, {"op": "subscribe", "channel": "executions"})
    assert protocol.close_code == 4003


def test_symbols_that_do_not_exist_count_as_well():
    protocol = connection()
    for _ in range(patience.MAX_STRIKES):
        task = say(protocol, {"op": "subscribe", "id": 1, "channel": "book", "symbols": ["NOPE"]})
        protocol.refused(task, ProblemError("unknown_symbol"))
    assert protocol.close_code == 4000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
words = st.sampled_from(
    (
        "ping",
        "auth",
        "subscribe",
        "unsubscribe",
        "book",
        "trades",
        "instruments",
        "executions",
        "candles",
        "status",
        "place",
        "amend",
        "cancel",
        "cancel_all",
        "cancel_after",
        "place_batch",
        "buy",
        "1.5",
        "ACME-USD",
        "0",
        10,
        25,
        2**60,
        "",
    )
)
near_misses = st.fixed_dictionaries(
    {"op": words | json_values},
    optional={
        name: words | st.lists(words, max_size=3) | st.dictionaries(st.text("012", max_size=2), words) | json_values
        for name in (
            *("id", "key", "channel", "symbols", "depth", "interval", "after", "extra"),
            *("symbol", "side", "quantity", "price", "order_id", "client_order_id", "orders", "seconds", "version"),
        )
    },
)


@given(st.lists(near_misses | json_values | st.text(max_size=30).map(lambda text: ("raw", text)), max_size=30))
def test_nothing_a_client_sends_raises(values):
    protocol = connection(ALICE)
    for value in values:
        was_open = protocol.close_code is None
        task = protocol.receive(value[1] if isinstance(value, tuple) else json.dumps(value), NOW)
        if isinstance(task, Command):
            protocol.failed(task.slot, ProblemError("engine_unavailable"))
        answers = heard(protocol)
        if not was_open:
            assert task is None and answers == []
            continue
        assert len(answers) == (1 if task is None or isinstance(task, Command) else 0)
        for answer in answers:
            assert answer["op"] in ("ack", "pong", "result")
            assert answer["op"] == "pong" or answer["ok"] or answer["problem"]["code"] in CODES


# Bounds


def instruments(count: int) -> list[InstrumentInfo]:
    return [InstrumentInfo(number, f"S{number}", 0, 2, 3) for number in range(1, count + 1)]


def test_one_subscription_too_many_ends_the_connection():
    protocol = connection()
    infos = instruments(core.MAX_SUBSCRIPTIONS)
    message = {"op": "subscribe", "id": 1, "channel": "book", "symbols": [info.symbol for info in infos]}
    assert protocol.subscribed(say(protocol, message), infos)
    assert protocol.subscribed(say(protocol, message), infos), "the same again is no more"
    task = say(protocol, {"op": "subscribe", "id": 2, "channel": "trades", "symbols": ["S1"]})
    assert not protocol.subscribed(task, infos[:1])
    assert heard(protocol)[-1]["problem"]["code"] == "too_many_subscriptions"
    assert protocol.close_code == 4010


def test_a_slow_reader_of_a_book_begins_anew_with_a_snapshot(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_CHAIN", 3)
    protocol = connection(ALICE)
    subscribed(protocol)
    protocol.execution(frame_of('{"execution":1}'), 0)
    for number in range(5):
        protocol.market(BOOK, frame_of(f'{{"update":{number}}}'))
    protocol.execution(frame_of('{"execution":2}'), 0)
    assert protocol.lost() == [], "not before everything else is sent"
    assert heard(protocol) == [{"execution": 1}, {"execution": 2}]
    assert protocol.lost() == [("book", ACME, 25)]
    protocol.market(BOOK, frame_of('{"snapshot":1}'))
    resync = {"channel": "book", "symbol": "ACME-USD", "type": "resync", "reason": "slow_reader"}
    assert heard(protocol) == [resync, {"snapshot": 1}]
    assert protocol.lost() == [] and protocol.close_code is None


def test_leaving_a_channel_that_was_lost_brings_no_snapshot(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_CHAIN", 1)
    protocol = connection()
    subscribed(protocol)
    for _ in range(3):
        protocol.market(BOOK, frame_of("{}"))
    protocol.unsubscribed(say(protocol, {"op": "unsubscribe", "channel": "book", "symbols": ["ACME-USD"]}))
    heard(protocol)
    assert protocol.lost() == []


def test_a_slow_reader_of_trades_is_told_which_it_missed(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_TAPE", 1)
    protocol = connection()
    protocol.subscribed(say(protocol, {"op": "subscribe", "channel": "trades", "symbols": ["ACME-USD"]}), [ACME])
    heard(protocol)
    for number in range(1, 4):
        protocol.market(("trades", 1, 0), Frame(b'{"trade":%d}' % number, (number - 1, number, 2)))
    skipped = {"channel": "trades", "symbol": "ACME-USD", "type": "skipped", "count": 4, "previous": 0, "sequence": 2}
    assert heard(protocol) == [skipped, {"trade": 3}]


def test_executions_are_never_dropped_and_too_many_waiting_end_the_connection(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_EXECUTIONS", 3)
    protocol = connection(ALICE)
    for _ in range(3):
        protocol.execution(frame_of("{}"), 0)
    assert protocol.close_code is None
    protocol.execution(frame_of("{}"), 0)
    assert protocol.close_code == 4009 and protocol.is_over
    protocol.execution(frame_of("{}"), 0)
    assert heard(protocol) == []


def test_what_a_resume_brings_does_not_count(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_EXECUTIONS", 3)
    protocol = connection(ALICE)
    task = say(protocol, {"op": "subscribe", "channel": "executions"})
    protocol.executions_opened(task)
    for _ in range(10):
        protocol.execution(frame_of("{}"), 0)
    protocol.executions_told()
    for _ in range(3):
        protocol.execution(frame_of("{}"), 0)
    assert protocol.close_code is None and len(heard(protocol)) == 14
    for _ in range(4):
        protocol.execution(frame_of("{}"), 0)
    assert protocol.close_code == 4009


def test_answers_nobody_fetches_end_the_connection(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_UNSENT_BYTES", 1_000)
    monkeypatch.setattr(outbox, "MAX_ANSWER_BYTES", 2_000)
    protocol = connection()
    for number in range(100):
        say(protocol, {"op": "ping", "id": number})
    assert protocol.close_code == 4009 and protocol.is_over


# Messages about the connection come at a price


def test_more_control_messages_than_a_client_needs_are_the_end():
    protocol = connection()
    for number in range(patience.CONTROL_BURST):
        say(protocol, {"op": "ping", "id": number})
    assert len(heard(protocol)) == patience.CONTROL_BURST and protocol.close_code is None
    say(protocol, {"op": "ping", "id": "more"})
    (answer,) = heard(protocol)
    assert (answer["id"], answer["problem"]["code"]) == ("more", "rate_limited")
    assert protocol.close_code == 4029


def test_the_allowance_comes_back():
    protocol = connection()
    for second in range(10):
        for _ in range(patience.CONTROL_PER_SECOND):
            say(protocol, {"op": "ping"}, NOW + second * SECOND)
    assert protocol.close_code is None


# Time


def tick(protocol: SocketProtocol, seconds: float, *, reads: bool = True, writes: bool = True) -> None:
    protocol.tick(NOW + int(seconds * SECOND), reads=reads, writes=writes)


def test_silence_ends_the_connection():
    protocol = connection()
    tick(protocol, 29.9)
    assert protocol.close_code is None
    tick(protocol, 30)
    assert protocol.close_code == 4008 and protocol.is_over


@pytest.mark.parametrize("message", [{"op": "ping"}, "nonsense", {"op": "subscribe", "channel": "executions"}])
def test_any_message_breaks_the_silence(message):
    protocol = connection()
    say(protocol, message, NOW + 20 * SECOND)
    tick(protocol, 49)
    assert protocol.close_code is None
    tick(protocol, 51)
    assert protocol.close_code == 4008


def test_silence_is_nobodys_fault_while_the_server_does_not_read():
    protocol = connection()
    tick(protocol, 40, reads=False)
    tick(protocol, 69)
    assert protocol.close_code is None
    tick(protocol, 70)
    assert protocol.close_code == 4008


def test_a_transport_that_stands_still_ends_the_connection():
    protocol = connection()
    for seconds in range(0, 100, 10):
        say(protocol, {"op": "ping"}, NOW + seconds * SECOND)
        tick(protocol, seconds, writes=seconds != 50)
    heard(protocol)
    for seconds in range(100, 130, 10):
        say(protocol, {"op": "ping"}, NOW + seconds * SECOND)
        tick(protocol, seconds, writes=False)
        assert protocol.close_code is None
    tick(protocol, 130, writes=False)
    assert protocol.close_code == 4009 and protocol.is_over


def test_what_waits_at_the_end_has_a_moment_to_be_sent():
    protocol = connection()
    say(protocol, {"op": "ping"})
    protocol.close(4000)
    tick(protocol, 1)
    assert not protocol.is_over
    tick(protocol, 1 + patience.GOODBYE_SECONDS)
    assert protocol.is_over and protocol.close_code == 4000


def test_a_revoked_key_is_the_end_at_once():
    protocol = connection(ALICE)
    say(protocol, {"op": "ping"})
    protocol.revoked()
    assert protocol.close_code == 4030 and protocol.is_over and heard(protocol) == []


def test_the_first_close_code_counts():
    protocol = connection()
    protocol.close(1001)
    protocol.close(4009)
    assert protocol.close_code == 1001
