"""The examples of docs/websocket.md are what the service takes and says."""

import json
import re
from pathlib import Path

import pytest

from matching.auction import Uncross
from matching.events import FILL_MAKER, KIND_NAMES
from matching.values import AUCTION, BUY, CONTINUOUS, PARTIALLY_FILLED, PHASE_NAMES, SELL
from orders.feed import books, frames
from orders.feed.books import BookFeed
from orders.feed.publisher import BookChange, Execution, TradeTold
from orders.feed.sessions import SessionView
from orders.levels import InstrumentLevels
from orders.schemas import socket
from orders.schemas.problems import Problem, ProblemError
from orders.selectors import InstrumentInfo
from orders.sockets import protocol as core
from orders.sockets.protocol import SocketProtocol

DOCUMENT = (Path(__file__).parents[2] / "docs" / "websocket.md").read_text()
ACME = InstrumentInfo(1, "ACME-USD", 0, 2, 3)


def examples() -> list[dict]:
    """Every JSON object of the document's code blocks."""
    found = []
    decoder = json.JSONDecoder()
    for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL):
        rest = block.strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            found.append(value)
            rest = rest[end:].strip()
    return found


def said() -> dict[tuple, dict]:
    """One message of each kind as the service says it, by channel (or op) and type."""
    book = BookFeed(ACME)
    book.load(InstrumentLevels(ACME, 1042, 0, [(BUY, 9998, 10000, 2)]), 3, 0)
    snapshot = book.snapshot(25)
    book.open_window(25)
    ((_, update),) = book.apply(BookChange(1, 1044, 1042, ((BUY, 9998, 0, 0),)), 0)
    trade = frames.trade(ACME, TradeTold(1040, 9999, 2000, SELL, 0))
    execution = Execution(7, 1045, 1042, FILL_MAKER, 99, "a-1", 1, BUY, 9998, 1000, 9000, 1000, PARTIALLY_FILLED, 0, 0)
    call = SessionView(3, 1042, AUCTION, 1_795_368_900_000_000, Uncross(9998, 12_000, -5000), 0)
    trading = SessionView(3, 1051, CONTINUOUS, 0, None, 0)
    protocol = SocketProtocol(actor=None, public_market_data=True, connection_id="5f0c")
    protocol.receive('{"op":"ping","id":7}', 0)
    told = [
        snapshot,
        update,
        frames.resync("book", "ACME-USD", "gap"),
        frames.trades(ACME, "snapshot", epoch=3, sequence=1040, previous=None, told=[trade]),
        frames.trades(ACME, "update", epoch=3, sequence=1047, previous=1040, told=[trade, trade]),
        frames.session(ACME, "snapshot", epoch=3, sequence=1042, session=call, at=0),
        frames.session(ACME, "update", epoch=3, sequence=1051, session=trading, at=0),
        frames.executions_snapshot(account="alice", shard_id=0, epoch=3, sequence=1042),
        frames.execution(ACME, shard_id=0, epoch=3, told=execution),
        protocol.to_send(),
        frames.heartbeat({0: (3, 1047)}, 0),
        frames.server_shutdown(),
    ]
    messages = [json.loads(frame.data) for frame in told]
    return {(message.get("channel") or message["op"], message.get("type")): message for message in messages}


def shape(value: object) -> object:
    """Names and kinds, without the values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


from_client = [message for message in examples() if message.get("op") in ("auth", "subscribe", "unsubscribe", "ping")]
from_server = [message for message in examples() if message not in from_client and message.get("op") != "ack"]


@pytest.mark.parametrize("message", from_client, ids=json.dumps)
def test_what_clients_send_is_taken(message):
    assert socket.parse_message(message).op == message["op"]


@pytest.mark.parametrize("message", from_server, ids=lambda message: str(message)[:60])
def test_what_the_server_says_has_the_shape_shown(message):
    ours = said()[message.get("channel") or message["op"], message.get("type")]
    assert list(message) == list(ours)
    if not message.get("asks") == message.get("bids") == []:
        assert shape(message) == shape(ours)


def test_every_kind_of_message_is_shown():
    shown = {(message.get("channel") or message["op"], message.get("type")) for message in from_server}
    assert shown == set(said())
    assert {message["op"] for message in from_client} == {"auth", "subscribe", "unsubscribe", "ping"}


def test_the_book_of_the_example_has_the_checksum_of_the_example():
    ours, shown = said()["book", "snapshot"], next(m for m in from_server if m.get("type") == "snapshot")
    assert ours["checksum"] == shown["checksum"] == 2589312360
    assert ours["bids"] == shown["bids"]
    assert said()["book", "update"]["bids"] == [["99.98", "0.000", 0]]


def test_every_step_of_an_order_and_every_phase_is_named():
    of_orders = ("accepted", "rejected", "fill_maker", "fill_taker", "amended", "replaced", "decremented")
    of_orders += ("triggered", "released", "replenished", "canceled", "expired")
    assert set(of_orders) < set(KIND_NAMES)
    for name in (*of_orders, *PHASE_NAMES):
        assert f"`{name}`" in DOCUMENT


def test_the_session_of_the_example_is_told_so():
    (shown,) = (m for m in from_server if m.get("channel") == "instruments" and m["type"] == "snapshot")
    ours = said()["instruments", "snapshot"]
    for name in ("state", "phase_ends_at", "indicative_price", "indicative_volume", "indicative_surplus"):
        assert ours[name] == shown[name]


def test_the_answers_shown_are_given():
    good, bad = (message for message in examples() if message.get("op") == "ack")
    protocol = SocketProtocol(actor=None, public_market_data=True, connection_id="5f0c")
    protocol.refused(2, ProblemError("unknown_symbol", "There is no instrument 'NOPE'."))
    ours = json.loads(protocol.to_send().data)
    bad["problem"]["request_id"] = ours["problem"]["request_id"]
    assert ours == bad and Problem.model_validate(bad["problem"])
    assert list(good) == ["op", "id", "ok", "account", "scopes"]


@pytest.mark.parametrize(
    "stated",
    [
        f"up to {50}",
        f"{core.MAX_WAITING_MARKET:,} public messages",
        f"{core.MAX_WAITING:,} waiting messages",
        f"more than {core.MAX_SUBSCRIPTIONS} subscriptions",
        f"above {core.MAX_MESSAGE_BYTES // 1024} KiB",
        f"{socket.DEFAULT_DEPTH} (default)",
        "Twenty such answers",
        "432354406",
    ],
)
def test_the_bounds_stated_are_those_in_force(stated):
    assert stated in DOCUMENT
    assert core.MAX_STRIKES == 20 and books.reading.MAX_RESUME_EVENTS == 10_000
