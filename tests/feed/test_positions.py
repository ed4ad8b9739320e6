"""Positions as sockets are told them: those of the tables, also when messages get lost and engines come and go."""

import pytest

from orders import gateway
from orders.feed import frames, reading
from orders.feed.positions import PositionStream
from orders.feed.private import Opening
from orders.holdings import position_list
from orders.schemas.render import position_out
from tests.feed.support import Recorder, wait_until
from tests.feed.test_candles import trade
from tests.feed.test_hub import random_flow
from tests.support.market import OPERATOR, actor_for, make_account, make_instrument, place

pytestmark = pytest.mark.django_db(transaction=True)


HEAD = ("channel", "type", "account", "shard", "epoch", "sequence")


def kept(sink: Recorder) -> tuple[dict[str, dict], int]:
    """The positions of a client that has read everything, by symbol, and as of which event."""
    positions: dict[str, dict] = {}
    place = 0
    for message in sink.of("positions"):
        assert message["account"] == "alice" and message["shard"] == 0
        if message["type"] == "snapshot":
            positions = {position["symbol"]: position for position in message["positions"]}
        elif message["sequence"] >= place:
            changed = {name: value for name, value in message.items() if name not in HEAD}
            positions[changed["symbol"]] = changed
        place = max(place, message["sequence"])
    return positions, place


def from_tables(alice) -> dict[str, dict]:
    rows = position_list(alice.id, 0).positions
    return {row.instrument.symbol: position_out(row, row.instrument, row.instrument.last_price) for row in rows}


def same(told: dict[str, dict], stored: dict[str, dict]) -> bool:
    """The mark price of a position is the last price when it changed; somebody else's trade does not tell it again."""
    marks = ("mark_price", "unrealized_pnl")

    def unmarked(positions: dict[str, dict]) -> dict[str, dict]:
        return {s: {n: v for n, v in p.items() if n not in marks} for s, p in positions.items()}

    return unmarked(told) == unmarked(stored)


def test_a_snapshot_then_each_position_that_changed(feed, acme, alice, actors):
    trade(actors, "100")
    sink = feed.open_positions(alice)
    trade(actors, "102")
    place(actors[0], "buy", "1", "50")  # trades nothing
    feed.settled()
    snapshot, update = sink.of("positions")
    assert [row["quantity"] for row in snapshot["positions"]] == ["-1.000"]
    assert update["type"] == "update" and update["sequence"] > snapshot["sequence"]
    assert {name: update[name] for name in ("quantity", "sold", "average_price", "mark_price", "unrealized_pnl")} == {
        "quantity": "-2.000",
        "sold": "2.000",
        "average_price": "101.000000",
        "mark_price": "102.00",
        "unrealized_pnl": "-2.00000",
    }
    assert kept(sink)[0] == from_tables(alice)


def test_they_are_the_accounts_own(feed, acme, alice, actors):
    sink = feed.open_positions(alice)
    carol = actor_for(make_account("carol"))
    trade([carol, actors[1]], "100")
    feed.settled()
    assert [message["type"] for message in sink.of("positions")] == ["snapshot"]
    feed.loop.call(feed.hub.close_positions, sink)
    trade(actors, "100")
    feed.settled()
    assert len(sink.of("positions")) == 1
    assert feed.hub._life.positions.streams == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_told_and_stored_agree_whenever_one_looks(feed, acme, alice, actors, seed):
    make_instrument("OTHER-USD")
    sink = feed.open_positions(alice)
    for number in range(10):
        random_flow(seed * 10 + number, actors, 25)
        trade(actors, "7", "OTHER-USD")
        feed.settled()
        late = feed.open_positions(alice)
        assert same(kept(sink)[0], from_tables(alice)) and same(kept(late)[0], from_tables(alice))
        assert kept(sink)[1] <= kept(late)[1] == feed.open_executions(alice).messages[0]["sequence"]
    assert sorted(kept(sink)[0]) == ["ACME-USD", "OTHER-USD"]


@pytest.mark.parametrize("seed", [3, 4])
def test_they_stay_right_when_messages_are_lost_repeated_and_late(feed, acme, alice, actors, seed):
    sink = feed.open_positions(alice)
    feed.spoil(seed)
    random_flow(seed, actors, 200)
    feed.mend()
    place(actors[1], price="1")  # anything of anybody
    wait_until(lambda: same(kept(sink)[0], from_tables(alice)), "the truth")
    assert len(sink.of("positions", "snapshot")) > 1, "the test lost nothing"


def test_the_next_engine_is_told_by_a_snapshot(feed, acme, alice, actors):
    sink = feed.open_positions(alice)
    trade(actors, "100")
    feed.restart_engine()
    trade(actors, "101")
    wait_until(lambda: sink.of("positions", "snapshot")[-1]["epoch"] == 2, "the next engine")
    wait_until(lambda: kept(sink)[0] == from_tables(alice), "its trade")


def test_nothing_is_encoded_for_accounts_nobody_listens_to(feed, acme, alice, actors, monkeypatch):
    encoded = []
    original = frames.position
    monkeypatch.setattr(frames, "position", lambda **kwargs: encoded.append(1) or original(**kwargs))
    trade(actors, "100")
    assert encoded == []
    sinks = [feed.open_positions(alice) for _ in range(3)]
    trade(actors, "100")
    feed.settled()
    assert len(encoded) == 1 and len({id(sink.frames[-1]) for sink in sinks}) == 1


def test_what_got_lost_while_they_were_being_read_is_read_again(feed, acme, alice, actors, monkeypatch):
    """The read is from before the loss, and nothing follows by which it would be seen."""
    original, reads = reading.positions, []

    def slow(account_id, shard_id):
        answer = original(account_id, shard_id)
        if not reads:
            feed.drop = lambda message: True
            trade(actors, "100")
            feed.mend()
            gateway.instrument_set_phase(actor=OPERATOR, instrument_id=acme.id, phase="halted")
        reads.append(answer)
        return answer

    monkeypatch.setattr(reading, "positions", slow)
    sink = feed.open_positions(alice)
    wait_until(lambda: kept(sink)[0] == from_tables(alice) != {}, "what got lost")
    assert len(reads) == 2


# One stream, without a hub


def update(instrument_id: int, sequence: int) -> tuple:
    return instrument_id, sequence, frames.Frame(b'{"sequence":%d}' % sequence)


def sequences(sink: Recorder) -> list[int]:
    return [message["sequence"] for message in sink.messages]


@pytest.fixture
def stream() -> PositionStream:
    return PositionStream(Recorder(), 1, "alice", 0)


def test_changes_wait_for_the_read_and_only_the_newest_of_each(stream):
    assert stream.offer(update(1, 5)) and stream.offer(update(2, 7)) and stream.offer(update(1, 9))
    assert stream.offer(update(1, 6))
    assert stream.begin((1, 7, []), 1)
    assert sequences(stream.sink) == [7, 9]


def test_what_is_older_is_not_told(stream):
    stream.begin((1, 7, []), 1)
    assert stream.offer(update(1, 6)) and stream.offer(update(1, 8)) and stream.offer(update(2, 8))
    assert stream.offer(update(1, 7))
    assert sequences(stream.sink) == [7, 8, 8]


def test_what_could_not_be_encoded_is_read(stream):
    stream.begin((1, 7, []), 1)
    assert not stream.offer((1, 8, None))


def test_an_opening_that_is_too_old_is_read_again_after_it_is_told(stream):
    class Owner:
        reread_streams: list = []

        def reread(self, stream):
            self.reread_streams.append(stream)

    stream.attempt = 1
    Opening(Owner(), [(stream, 0, 1, (1, 7, []))]).tell()
    assert sequences(stream.sink) == [7] and Owner.reread_streams == [stream] and not stream.opening
