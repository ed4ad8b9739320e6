"""A real server under clients that break every rule: each gets a coded answer or a close code, nothing is logged as an error,
and a well-behaved client beside them (it follows the book and places orders) notices nothing."""

import json
import random
import threading
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest

from orders.codes import CODES
from orders.schemas.closing import CLOSE_CODES
from orders.sockets.patience import CONTROL_BURST
from orders.sockets.protocol import MAX_MESSAGE_BYTES
from tests.feed.client import BookClient
from tests.sockets.wire import BINARY, CLOSE, PING, PONG, TEXT, Wire, frame
from tests.support.server import Server

# RFC 6455: what a client did to the protocol itself, or to UTF-8.
PROTOCOL_ERROR, BAD_TEXT = 1002, 1007
ALLOWED = {*CLOSE_CODES, PROTOCOL_ERROR, BAD_TEXT}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("fuzz"))
    server.manage("seed_demo")
    server.start("--save-interval", "0")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def keys(server) -> dict[str, str]:
    made = {name: server.manage("create_api_key", name, "--scopes", "read,trade") for name in ("alice", "bob")}
    return {name: done.stdout.strip() for name, done in made.items()}


class Bystander(threading.Thread):
    """Places an order, waits for answer and execution, follows the book; again and again until stopped."""

    def __init__(self, server: Server, key: str) -> None:
        super().__init__(daemon=True)
        self._port = server.port
        self._key = key
        self._stopping = threading.Event()
        self.rounds = 0
        self.slowest_seconds = 0.0
        self.error: BaseException | None = None
        self.book = BookClient(25)

    def run(self) -> None:
        try:
            with Wire(self._port) as wire:
                wire.say(op="auth", key=self._key)
                wire.say(op="subscribe", channel="executions")
                wire.say(op="subscribe", channel="book", symbols=["ACME-USD"])
                while not self._stopping.is_set():
                    self._round(wire)
        except BaseException as error:
            self.error = error

    def _round(self, wire: Wire) -> None:
        started, price = monotonic(), f"{50 + self.rounds % 20}.00"
        order = {"symbol": "ACME-USD", "side": "buy", "quantity": "1", "price": price}
        wire.say(op="place", id=self.rounds, **order)
        order_id = None
        while True:
            message = wire.hear()
            if message.get("channel") == "book":
                self.book.take(message)
            elif message.get("op") == "result":
                assert message["id"] == self.rounds and message["ok"], message
                order_id = message["order"]["id"]
            elif message.get("type") == "update":
                assert message["order_id"] == order_id
                break
        self.rounds += 1
        self.slowest_seconds = max(self.slowest_seconds, monotonic() - started)
        sleep(0.005)

    def stop(self) -> None:
        self._stopping.set()
        self.join(15)


@pytest.fixture(autouse=True)
def unharmed(server, keys) -> Iterator[None]:
    """Beside every test somebody works, and afterwards the log is clean."""
    bystander = Bystander(server, keys["bob"])
    bystander.start()
    yield
    rounds = bystander.rounds
    end = monotonic() + 10
    while bystander.rounds == rounds and bystander.error is None and monotonic() < end:
        sleep(0.01)
    bystander.stop()
    assert bystander.error is None and bystander.rounds > rounds
    assert bystander.slowest_seconds < 5
    assert bystander.book.resyncs == []
    assert server.process.poll() is None
    log = server.log.read_text(errors="replace")
    assert not any(word in log for word in ("Traceback", "ERROR", "CRITICAL", "Unhandled")), server.tail()


def answered(wire: Wire) -> bool:
    """Read until the pong of a last ping, or a close code: each answer is coded. Answers whether the connection lives."""
    wire.say(op="ping", id="the end")
    try:
        while True:
            opcode, payload = wire.read()
            if opcode == CLOSE:
                assert int.from_bytes(payload[:2], "big") in ALLOWED, payload
                return False
            if opcode != TEXT:
                continue
            message = json.loads(payload)
            if message.get("op") == "pong" and message["id"] == "the end":
                return True
            if "problem" in message:
                assert message["problem"]["code"] in CODES and message["problem"]["code"] != "internal_error", message
    except (ConnectionError, BrokenPipeError):
        pytest.fail("the connection ended without a code")


# The protocol below


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b'{"op":"ping","id":"\xe2\x82"}',
        b"\xf5\x80\x80\x80",
    ],
)
def test_bad_utf8(server, payload):
    with Wire(server.port) as wire:
        wire.frame(payload)
        assert wire.close_code() == BAD_TEXT


def test_binary_messages_are_answered(server):
    with Wire(server.port) as wire:
        for payload in (b"", b"\x00\xff" * 100, b'{"op":"ping"}'):
            wire.frame(payload, BINARY)
            assert wire.hear()["problem"]["code"] == "invalid_request"


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 10 * MAX_MESSAGE_BYTES])
def test_oversize(server, size):
    with Wire(server.port) as wire:
        wire.socket.sendall(frame(b"x" * size)[: MAX_MESSAGE_BYTES // 2])
        assert wire.close_code() == 1009


def test_oversize_in_fragments(server):
    with Wire(server.port) as wire:
        wire.frame(b"x" * 100_000, final=False)
        for _ in range(2):
            wire.frame(b"x" * 100_000, 0, final=False)
        assert wire.close_code() == 1009


def test_fragments_make_a_message_with_control_frames_between_them(server):
    with Wire(server.port) as wire:
        text = json.dumps({"op": "ping", "id": "in pieces €"}, ensure_ascii=False).encode()
        wire.frame(text[:1], final=False)
        for place in range(1, len(text) - 1):
            wire.frame(text[place : place + 1], 0, final=False)
            if place % 10 == 0:
                wire.frame(b"hello", PING)
        wire.frame(text[-1:], 0)
        assert wire.hear()["id"] == "in pieces €"


BROKEN = {
    "reserved opcode": frame(b"x", 3),
    "reserved control opcode": frame(b"x", 11),
    "continuation of nothing": frame(b"x", 0),
    "long ping": frame(b"x" * 126, PING),
    "ping in fragments": frame(b"x", PING, final=False),
    "not masked": frame(b'{"op":"ping"}', masked=False),
    "message within a message": frame(b"one", final=False) + frame(b"two", final=False),
    "reserved bits": b"\xf1\x80\x00\x00\x00\x00",
    "length of 2**64 - 1": b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_frames_that_break_the_rules(server, raw):
    with Wire(server.port) as wire:
        wire.socket.sendall(raw)
        assert wire.close_code() in (PROTOCOL_ERROR, 1009)


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xed", b"\x03\xe8\xff", b"\xff\xff"])
def test_a_close_that_breaks_the_rules_is_the_end_all_the_same(server, payload):
    with Wire(server.port) as wire:
        wire.frame(payload, CLOSE)
        assert wire.close_code() in (PROTOCOL_ERROR, BAD_TEXT, 1005, 1006)


def test_control_frames_do_no_harm(server):
    with Wire(server.port) as wire:
        for _ in range(200):
            wire.frame(b"p" * 125, PING)
            wire.frame(b"", PONG)
        assert answered(wire)


def test_a_client_that_vanishes_in_the_middle_of_a_frame(server):
    for cut in (1, 3, 7, 40):
        wire = Wire(server.port)
        wire.socket.sendall(frame(b'{"op":"subscribe","channel":"book","symbols":["ACME-USD"]}')[:cut])
        wire.close()


# Messages


NASTY: list[bytes] = [
    b"",
    b"\x00",
    b"nonsense",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"op":' + b"[" * 50_000,
    b'{"op":"ping","id":' + b"9" * 100_000 + b"}",
    b'{"op":"ping","id":1e999999999}',
    b'{"op":"ping","id":"' + b"x" * 200_000 + b'"}',
    b'{"op":"ping","op":"ping"}',
    b'{"op":"\\ud800"}',
    b'{"op":["place"]}',
    b'{"op":{"place":1}}',
    b'{"op":"drop_all_orders"}',
    b'{"op":"place","orders":' + b"1" * 20_000 + b"}",
    b'{"op":"place_batch","orders":{"0":1}}',
    b'{"op":"place_batch","orders":[' + b"0," * 100_000 + b"0]}",
    b'{"op":"place_batch","orders":[' + b"[" * 10_000 + b"]" * 10_000 + b"]}",
    b'{"op":"amend","order_id":99999999999999999999,"price":"1"}',
    b'{"op":"cancel","order_id":"' + b"9" * 19 + b'"}',
    b'{"op":"cancel_after","seconds":1e308}',
    b'{"op":"place","symbol":"ACME-USD","side":"buy","quantity":"1e999999","price":"NaN"}',
    b'{"op":"place","symbol":"ACME-USD","side":"buy","quantity":"' + b"9" * 100_000 + b'","price":"1"}',
    '{"op":"place","symbol":"ACME-USD","side":"buy","quantity":"\u0661","price":"\uff11"}'.encode(),
    b'{"op":"subscribe","channel":"book","symbols":["\\u0000"],"depth":1e9}',
    b'{"op":"subscribe","channel":"executions","after":{"0":99999999999}}',
    b'{"op":"auth","key":"oms_' + b"x" * 100_000 + b'"}',
    b"null",
    b"-0",
    b'"op"',
]


@pytest.mark.parametrize("signed_in", [False, True])
def test_each_nasty_message_is_answered(server, keys, signed_in):
    for payload in NASTY:
        with Wire(server.port) as wire:
            if signed_in:
                wire.say(op="auth", key=keys["alice"])
                assert wire.hear()["ok"]
            wire.frame(payload)
            problem = wire.hear()["problem"]
            assert problem["code"] in CODES and problem["code"] != "internal_error", payload[:80]
            assert answered(wire), payload[:80]


WORDS: list[Any] = [
    *(
        "auth",
        "subscribe",
        "unsubscribe",
        "ping",
        "place",
        "amend",
        "cancel",
        "cancel_all",
        "cancel_after",
        "place_batch",
    ),
    *(
        "book",
        "trades",
        "ticker",
        "candles",
        "instruments",
        "status",
        "executions",
        "positions",
        "1m",
        "ACME-USD",
        "NOPE",
    ),
    *(
        "buy",
        "sell",
        "limit",
        "stop",
        "1",
        "99.98",
        "-1",
        "0",
        "",
        None,
        True,
        0,
        25,
        2**70,
        -1.5,
        [],
        {},
        ["ACME-USD"],
        {"0": 1},
    ),
]
NAMES = (
    *("id", "key", "channel", "symbols", "depth", "interval", "after", "symbol", "side", "type", "quantity", "price"),
    *("stop_price", "order_id", "client_order_id", "orders", "seconds", "version", "order_class", "stop_loss", "extra"),
)


@pytest.mark.parametrize("seed", range(8))
def test_random_messages(server, keys, seed):
    rng = random.Random(seed)
    print("seed", seed)
    for _ in range(15):
        with Wire(server.port) as wire:
            if rng.random() < 0.7:
                wire.say(op="auth", key=keys["alice"])
            for _ in range(rng.randrange(1, 40)):
                message = {"op": rng.choice(WORDS)}
                message |= {rng.choice(NAMES): rng.choice(WORDS) for _ in range(rng.randrange(8))}
                data = json.dumps(message).encode()
                if rng.random() < 0.1:
                    place = rng.randrange(len(data))
                    data = data[:place] + bytes((rng.randrange(128),)) + data[place + 1 :]
                try:
                    wire.frame(data)
                except (ConnectionError, BrokenPipeError):
                    break
            else:
                answered(wire)
                continue
            assert wire.close_code() in {*ALLOWED, 1006}


def test_random_bytes(server):
    rng = random.Random(5)
    for _ in range(60):
        with Wire(server.port) as wire:
            wire.socket.sendall(rng.randbytes(rng.randrange(1, 4_000)))
            wire.socket.shutdown(1)
            wire.close_code()


# Floods


def test_a_flood_of_control_messages_ends_with_4029(server):
    with Wire(server.port) as wire:
        wire.socket.sendall(frame(b'{"op":"ping"}') * (3 * CONTROL_BURST))
        assert wire.close_code() == 4029


def test_a_flood_of_nonsense_ends_with_4000(server):
    with Wire(server.port) as wire:
        wire.socket.sendall(frame(b"nonsense") * 1_000)
        assert wire.close_code() == 4000


def test_a_flood_of_orders_without_a_key_ends_with_4001(server):
    with Wire(server.port) as wire:
        order = b'{"op":"place","symbol":"ACME-USD","side":"buy","quantity":"1","price":"9"}'
        wire.socket.sendall(frame(order) * 1_000)
        assert wire.close_code() == 4001


def test_a_flood_of_orders_is_carried_out_in_order(server, keys):
    """Five thousand at once, far more than may be under way: the socket makes the client wait, and each is answered."""
    count = 5_000
    with Wire(server.port) as wire:
        wire.say(op="auth", key=keys["alice"])
        assert wire.hear()["ok"]
        order = {"op": "place", "symbol": "ACME-USD", "side": "buy", "quantity": "1", "price": "40.00"}
        data = b"".join(frame(json.dumps({**order, "id": number}).encode()) for number in range(count))
        sender = threading.Thread(target=wire.socket.sendall, args=(data,), daemon=True)
        sender.start()
        for number in range(count):
            answer = wire.hear()
            assert (answer["op"], answer["id"]) == ("result", number)
            assert answer["ok"] or answer["problem"]["code"] in ("engine_unavailable", "command_expired"), answer
        sender.join(10)
        wire.say(op="cancel_all", id="all")
        assert wire.hear()["ok"]


def test_a_client_that_orders_and_never_reads_is_made_to_wait_then_closed_and_costs_little(server, keys):
    before = memory_mb(server)
    with Wire(server.port, receive_bytes=4096) as wire:
        wire.say(op="auth", key=keys["alice"])
        assert wire.hear()["ok"]
        wire.socket.settimeout(1)
        order = frame(b'{"op":"place","symbol":"ACME-USD","side":"buy","quantity":"1","price":"41.00"}') * 100
        sent = 0
        with pytest.raises(TimeoutError):
            for _ in range(2_000):
                wire.socket.sendall(order)
                sent += 100
        assert sent < 100_000, "the server took no more"
        assert memory_mb(server) - before < 60


def memory_mb(server: Server) -> float:
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
