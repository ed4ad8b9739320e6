"""docs/websocket.md tells what the service takes and says: its examples are those of the models, its numbers those in force."""

import json
import re
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from matching.auction import Uncross
from matching.events import FILL_MAKER, KIND_NAMES
from matching.lifecycle import TRANSITIONS
from matching.values import AUCTION, BUY, CONTINUOUS, PARTIALLY_FILLED, PHASE_NAMES, SELL
from orders.candles import INTERVALS, Candle
from orders.feed import books, candles, frames, reading, tapes
from orders.feed.books import BookFeed
from orders.feed.frames import Frame
from orders.feed.life import HEARTBEAT_SECONDS
from orders.feed.publisher import BookChange, Execution, TradeTold
from orders.feed.sessions import SessionView
from orders.feed.tickers import TickerView
from orders.levels import InstrumentLevels
from orders.schemas import closing, socket
from orders.schemas.closing import CLOSE_CODES
from orders.schemas.examples import EXAMPLES, read_all
from orders.schemas.orders import MAX_BATCH
from orders.schemas.problems import ProblemError
from orders.schemas.render import position_out
from orders.schemas.replies import SERVER_MESSAGES
from orders.selectors import InstrumentInfo
from orders.sockets import entry, outbox, patience, protocol
from orders.sockets.protocol import SocketProtocol
from orders.status import OPEN, ShardStatus
from orders.submission import ANSWER_TIMEOUT_SECONDS
from tests.support import messages

ACME = InstrumentInfo(1, "ACME-USD", 0, 2, 3)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "websocket.md").read_text()
ACME = InstrumentInfo(1, "ACME-USD", 0, 2, 3)
SHOWN = [value for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL) for value in read_all(block)]
KNOWN = [example for examples in EXAMPLES.values() for example in examples]


@pytest.mark.parametrize("message", SHOWN, ids=lambda message: json.dumps(message)[:80])
def test_an_example_of_the_page_is_one_of_a_model(message):
    """Those are read by their models, and by the schemas, in tests/api/test_asyncapi.py."""
    assert message in KNOWN


def test_every_kind_of_message_is_shown():
    answers = {kind for model in SERVER_MESSAGES for kind in messages.kinds_of(model)}
    shown = {messages.kind_of(message) for message in SHOWN}
    # Whole states come alike at first and later.
    alike = {("ticker", "snapshot"), ("status", "update")}
    alike |= {("trades", "resync")}
    assert answers - shown == alike
    asked = {(message["op"], message.get("channel")) for message in SHOWN if "op" in message}
    for op in (*socket._BY_OP, *socket._BY_CHANNEL):
        assert op in {name for name, _ in asked}
    for channel in socket._BY_CHANNEL["subscribe"]:
        assert ("subscribe", channel) in asked and f"| `{channel}` |" in DOCUMENT


def at(clock: str) -> int:
    """A moment of the day of the examples, in microseconds since 1970."""
    moment = datetime.fromisoformat(f"2026-11-22T{clock}+00:00")
    return int(moment.timestamp()) * 1_000_000


def book_said() -> list[Frame]:
    book = BookFeed(ACME)
    book.load(InstrumentLevels(ACME, 1042, 0, [(BUY, 9998, 10000, 2)]), 3, at("17:30:52"))
    snapshot = book.snapshot(25)
    book.open_window(25)
    ((_, update),) = book.apply(BookChange(1, 1044, 1042, ((BUY, 9998, 0, 0),)), at("17:30:53"))
    return [snapshot, update, frames.resync("book", "ACME-USD", "gap")]


def trades_said() -> list[Frame]:
    first, second, third = (
        frames.trade(ACME, TradeTold(*told))
        for told in (
            (1040, 9999, 2000, SELL, at("17:30:50")),
            (1045, 9998, 1000, SELL, at("17:30:53")),
            (1047, 9997, 1000, SELL, at("17:30:53")),
        )
    )
    minute = Candle(at("17:30:00"), 10000, 10002, 9999, 9999, 14000, 0, 5, 1040)
    later = minute._replace(low=9997, close=9997, volume=16000, trades=7, last_sequence=1047)
    day = TickerView(
        *(3, 1047, 9997, (9996, 4000, 1), (9999, 12500, 3), 9874, 10002, 9870),
        *(214_500, 9941 * 214_500, 61, at("17:30:53")),
    )
    return [
        frames.trades(ACME, "snapshot", epoch=3, sequence=1040, previous=None, told=[first]),
        frames.trades(ACME, "update", epoch=3, sequence=1047, previous=1040, told=[second, third]),
        frames.candles(ACME, "1m", "snapshot", epoch=3, sequence=1040, previous=None, told=[minute]),
        frames.candles(ACME, "1m", "update", epoch=3, sequence=1047, previous=1040, told=[later]),
        frames.resync("candles", "ACME-USD", "slow_reader", INTERVALS.index("1m")),
        frames.ticker(ACME, "update", day),
    ]


def markets_said() -> list[Frame]:
    call = SessionView(3, 1042, AUCTION, at("17:35:00"), Uncross(9998, 12_000, -5000), at("17:30:52"))
    trading = SessionView(3, 1051, CONTINUOUS, 0, None, at("17:35:00"))
    return [
        frames.session(ACME, "snapshot", epoch=3, sequence=1042, session=call, at=call.at),
        frames.session(ACME, "update", epoch=3, sequence=1051, session=trading, at=trading.at),
        frames.status("snapshot", [ShardStatus(0, OPEN, 3, 1047)], at("17:30:53")),
    ]


def account_said() -> list[Frame]:
    step = Execution(
        *(7, 1045, 1042, FILL_MAKER, 257613953212416000, "a-1", 1, BUY, 9998, 1000, 9000, 1000),
        *(PARTIALLY_FILLED, 0, 0, at("17:30:53")),
    )
    before = SimpleNamespace(
        bought=3000, sold=5000, bought_notional=29_700_000, sold_notional=50_000_000, cost=-20_000_000
    )
    after = SimpleNamespace(
        bought=4000, sold=5000, bought_notional=39_698_000, sold_notional=50_000_000, cost=-10_000_000
    )
    place = {"account": "alice", "shard_id": 0, "epoch": 3}
    return [
        frames.executions_snapshot(**place, sequence=1042),
        frames.execution(ACME, shard_id=0, epoch=3, told=step),
        frames.positions_snapshot(**place, sequence=1042, told=[position_out(before, ACME, 9999)]),
        frames.position(**place, sequence=1045, told=position_out(after, ACME, 9998)),
    ]


def connection_said() -> list[Frame]:
    connection = SocketProtocol(actor=None, public_market_data=True, connection_id="5f0c…")
    connection.receive('{"op":"ping","id":13}', at("17:30:52"))
    asked = connection.receive('{"op":"subscribe","id":2,"channel":"book","symbols":["NOPE"]}', at("17:30:52"))
    connection.refused(asked, ProblemError("unknown_symbol", "There is no instrument 'NOPE'."))
    return [
        *(connection.outbox.take(), connection.outbox.take()),
        *(frames.heartbeat({0: (3, 1047)}, at("17:30:55")), frames.server_shutdown()),
    ]


@pytest.mark.parametrize("said", [book_said, trades_said, markets_said, account_said, connection_said])
def test_the_service_says_what_the_examples_show(said):
    for frame in said():
        message = json.loads(frame.data)
        assert message in KNOWN
        (example,) = (example for example in KNOWN if example == message)
        assert list(example) == list(message), "fields in the same order"


def test_every_step_of_an_order_every_phase_and_every_interval_is_named():
    for name in {KIND_NAMES[kind] for _, kind in TRANSITIONS}.union(PHASE_NAMES, INTERVALS):
        assert f"`{name}`" in DOCUMENT


def test_the_close_codes_of_the_page_are_those_of_the_registry():
    told = re.findall(r"^\| (\d{4}) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert told == [(str(code), meaning) for code, meaning in CLOSE_CODES.items()]


@pytest.mark.parametrize(
    "stated",
    [
        f"latest trades (up to {tapes.TAPE_LENGTH})",
        f"latest candles (up to {candles.CHART_LENGTH})",
        f"more than {reading.MAX_RESUME_EVENTS:,} missed events",
        f"{socket.DEFAULT_DEPTH} (default)",
        f"(1 to {socket.MAX_SYMBOLS})",
        f"up to {MAX_BATCH}, each on its own",
        f"comes every {HEARTBEAT_SECONDS} seconds",
        {60: "About once a minute a snapshot comes unasked"}[books.SNAPSHOT_SECONDS],
        f"closed with {closing.TIMEOUT}",
        f"nothing for {patience.SILENCE_SECONDS} seconds is closed",
        f"nothing for {patience.STANDSTILL_SECONDS} seconds is closed with {closing.SLOW_CONSUMER}",
        f"has {patience.GOODBYE_SECONDS} seconds to be read",
        f"{patience.CONTROL_BURST} at once, then {patience.CONTROL_PER_SECOND} a second; past it {closing.RATE_LIMITED}",
        f"problem in a row | {patience.MAX_STRIKES} |",
        f"bytes of a message | {protocol.MAX_MESSAGE_BYTES // 1024} KiB",
        f"subscriptions of a connection | {protocol.MAX_SUBSCRIPTIONS}:",
        f"without an answer | {entry.MAX_IN_FLIGHT:,},",
        f"without an answer after {ANSWER_TIMEOUT_SECONDS} seconds",
        f"past {outbox.MAX_CHAIN} messages",
        f"the last {outbox.MAX_TAPE:,} messages",
        f"past {outbox.MAX_EXECUTIONS:,} the connection",
        f"more than {outbox.LONG_LINE_BYTES // 1024} KiB of them wait",
        f"past {outbox.MAX_ANSWER_BYTES // 1024**2} MiB it is closed with {closing.SLOW_CONSUMER}",
        f"Past {outbox.MAX_UNSENT_BYTES // 1024} KiB of all that waits but executions",
        "432354406",
    ],
)
def test_the_bounds_stated_are_those_in_force(stated):
    assert stated in DOCUMENT
