"""One instrument's tape."""

import json

from orders.feed import following
from orders.feed.publisher import TradesTold, TradeTold
from orders.feed.tapes import TAPE_LENGTH, Tape
from orders.selectors import InstrumentInfo

ACME = InstrumentInfo(1, "ACME-USD", 0, 2, 3)


def trade(sequence: int) -> TradeTold:
    return TradeTold(sequence, 10000 + sequence, 1000, 1, 0)


def told(previous: int, *sequences: int) -> TradesTold:
    return TradesTold(ACME.id, previous, tuple(trade(sequence) for sequence in sequences))


def test_a_snapshot_then_updates_chain():
    tape = Tape(ACME)
    assert tape.load([trade(2), trade(4)], epoch=3)
    snapshot = json.loads(tape.snapshot().data)
    assert (snapshot["sequence"], snapshot["previous"]) == (4, None)
    assert [row["sequence"] for row in snapshot["trades"]] == [2, 4]
    assert tape.fits(told(4, 6, 8))
    update = json.loads(tape.update(4, tape.move(told(4, 6, 8))).data)
    assert (update["epoch"], update["sequence"], update["previous"]) == (3, 8, 4)
    assert update["trades"][0] == {
        "id": "0-6",
        "sequence": 6,
        "price": "100.06",
        "quantity": "1.000",
        "taker_side": "sell",
        "time": "1970-01-01T00:00:00.000000Z",
    }


def test_only_the_latest_are_kept():
    tape = Tape(ACME)
    assert tape.load([trade(number) for number in range(1, TAPE_LENGTH + 1)], epoch=1)
    assert tape.snapshot() is tape.snapshot()
    tape.move(told(TAPE_LENGTH, TAPE_LENGTH + 1))
    sequences = [row["sequence"] for row in json.loads(tape.snapshot().data)["trades"]]
    assert sequences == list(range(2, TAPE_LENGTH + 2))


def test_commits_kept_while_loading_follow_and_a_read_that_came_too_early_is_not_enough():
    tape = Tape(ACME)
    assert tape.offer(told(4, 6)) and tape.offer(told(6, 8))
    assert not tape.load([trade(2)], epoch=1) and not tape.live
    assert tape.load([trade(2), trade(4), trade(6)], epoch=1)
    assert [row["sequence"] for row in json.loads(tape.snapshot().data)["trades"]] == [2, 4, 6, 8]


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(following, "MAX_KEPT_COMMITS", 2)
    tape = Tape(ACME)
    assert tape.offer(told(0, 1)) and tape.offer(told(1, 2))
    assert not tape.offer(told(2, 3))
    assert tape.kept == []
