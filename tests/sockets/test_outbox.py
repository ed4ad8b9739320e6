"""What waits for a slow reader: policies, bounds, and what is said of what was dropped."""

import random

import pytest

from orders.feed.frames import Frame
from orders.sockets import outbox as module
from orders.sockets.outbox import Outbox

BOOK, CANDLES = ("book", 1, 0), ("candles", 1, 5)
TRADES, MORE_TRADES = ("trades", 1, 0), ("trades", 2, 0)
TICKER = ("ticker", 1, 0)


def frame(text: str, span: tuple[int, int, int] | None = None) -> Frame:
    return Frame(text.encode(), span)


def trade(sequence: int) -> Frame:
    """One trade, whose chain has every number."""
    return frame(f"t{sequence}", (sequence - 1, sequence, 1))


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(lambda key, count, previous, sequence: frame(f"skipped {count} {previous}-{sequence}"))


def drain(outbox: Outbox) -> list[str]:
    found = []
    while (taken := outbox.take()) is not None:
        found.append(taken.data.decode())
    assert not outbox and outbox.size == 0
    return found


def test_the_line_goes_first_and_in_order(outbox):
    outbox.market(TICKER, frame("ticker"))
    outbox.answer(frame("answer"))
    outbox.execution(frame("execution"))
    outbox.answer(frame("notice"))
    assert drain(outbox) == ["answer", "execution", "notice", "ticker"]


def test_lanes_take_turns(outbox):
    for number in range(3):
        outbox.market(BOOK, frame(f"b{number}"))
    for number in range(1, 4):
        outbox.market(TRADES, trade(number))
    assert drain(outbox) == ["b0", "t1", "b1", "t2", "b2", "t3"]


@pytest.mark.parametrize("channel", ["ticker", "instruments", "status", "positions"])
def test_of_a_whole_state_only_the_newest_waits(outbox, channel):
    for number in range(5):
        outbox.market((channel, 1, 0), frame(f"one {number}"))
        outbox.market((channel, 2, 0), frame(f"two {number}"))
    assert drain(outbox) == ["one 4", "two 4"]


@pytest.mark.parametrize("key", [BOOK, CANDLES])
def test_a_chain_that_is_too_long_is_lost_whole(outbox, monkeypatch, key):
    monkeypatch.setattr(module, "MAX_CHAIN", 3)
    for number in range(4):
        outbox.market(key, frame(f"{number}"))
    outbox.market(key, frame("later"))
    outbox.answer(frame("answer"))
    assert outbox.take_lost() == [], "not while something waits"
    assert drain(outbox) == ["answer"]
    assert outbox.take_lost() == [key] and outbox.take_lost() == []
    outbox.market(key, frame("snapshot"))
    assert drain(outbox) == ["snapshot"]


def test_the_last_trades_are_kept_and_what_was_skipped_is_told(outbox, monkeypatch):
    monkeypatch.setattr(module, "MAX_TAPE", 3)
    outbox.market(TRADES, frame("snapshot"))
    for number in range(1, 9):
        outbox.market(TRADES, trade(number))
    assert outbox.take().data == b"snapshot"
    assert outbox.take().data == b"skipped 5 0-5"
    assert outbox.take().data == b"t6"
    for number in (9, 10):
        outbox.market(TRADES, trade(number))
    assert drain(outbox) == ["skipped 1 6-7", "t8", "t9", "t10"]


def test_a_new_beginning_of_trades_leaves_out_what_was_before(outbox):
    outbox.market(TRADES, trade(1))
    outbox.market(TRADES, frame("resync"))
    outbox.market(TRADES, frame("snapshot"))
    outbox.market(TRADES, trade(2))
    assert drain(outbox) == ["snapshot", "t2"]


def test_past_the_bytes_books_go_first_then_trades_never_the_line(outbox, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 100)
    outbox.market(TICKER, frame("t" * 10))
    outbox.market(BOOK, frame("b" * 40))
    outbox.market(TRADES, frame("x" * 40, (0, 1, 1)))
    outbox.answer(frame("a" * 20))
    outbox.market(MORE_TRADES, trade(1))
    assert outbox.size == 72 and not outbox.overflowed
    outbox.answer(frame("a" * 40))
    outbox.market(TICKER, frame("t" * 10))
    assert outbox.size == 70, "the trades went too"
    taken = drain(outbox)
    assert taken[:2] == ["a" * 20, "a" * 40]
    assert sorted(taken[2:]) == ["skipped 1 0-1", "skipped 1 0-1", "t" * 10]
    assert outbox.take_lost() == [BOOK]


def test_answers_have_a_bound_of_their_own(outbox, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 100)
    monkeypatch.setattr(module, "LONG_LINE_BYTES", 200)
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 300)
    outbox.market(BOOK, frame("b" * 90))
    outbox.answer(frame("a" * 200))
    assert outbox.size == 200 and not outbox.line_is_long
    outbox.answer(frame("a" * 100))
    assert outbox.line_is_long and not outbox.overflowed
    outbox.answer(frame("a"))
    assert outbox.overflowed


def test_executions_are_counted_not_weighed(outbox, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 100)
    monkeypatch.setattr(module, "MAX_EXECUTIONS", 3)
    for _ in range(3):
        outbox.execution(frame("e" * 60))
    assert not outbox.overflowed and outbox.size == 0
    outbox.execution(frame("e"))
    assert outbox.overflowed


def test_what_a_resume_brought_counts_no_more_once_it_is_sent(outbox, monkeypatch):
    monkeypatch.setattr(module, "MAX_EXECUTIONS", 2)
    outbox.resuming()
    for _ in range(5):
        outbox.execution(frame("missed"))
    outbox.resumed()
    for _ in range(2):
        outbox.execution(frame("live"))
    for _ in range(5):
        outbox.take()
    assert not outbox.overflowed
    outbox.execution(frame("one too many"))
    assert outbox.overflowed


def test_what_is_left_is_forgotten(outbox, monkeypatch):
    monkeypatch.setattr(module, "MAX_CHAIN", 1)
    for _ in range(2):
        outbox.market(BOOK, frame("b"))
    outbox.market(TRADES, trade(1))
    outbox.market(TICKER, frame("t"))
    outbox.forget(lambda key: key in (BOOK, TRADES))
    assert drain(outbox) == ["t"] and outbox.take_lost() == []


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_the_chains_fit(seed, outbox, monkeypatch):
    """Pushes, sends and losses at random: books arrive without a gap between losses, of trades every one is accounted for."""
    rng = random.Random(seed)
    print("seed", seed)
    monkeypatch.setattr(module, "MAX_CHAIN", rng.choice((1, 3, 10)))
    monkeypatch.setattr(module, "MAX_TAPE", rng.choice((1, 3, 10)))
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", rng.choice((20, 60, 10_000)))
    made, told_book, told_trade = {BOOK: 0, TRADES: 0}, 0, 0
    anew = True

    def take() -> None:
        nonlocal told_book, told_trade, anew
        taken = outbox.take()
        if taken is None:
            if outbox.take_lost():
                anew = True
            return
        text = taken.data.decode()
        if text.startswith("b"):
            assert anew or int(text[1:]) == told_book + 1
            told_book, anew = int(text[1:]), False
        elif text.startswith("skipped"):
            _, count, span = text.split(" ")
            first, last = span.split("-")
            assert int(first) == told_trade and int(last) - int(first) == int(count)
            told_trade = int(last)
        elif text.startswith("t"):
            assert int(text[1:]) == told_trade + 1
            told_trade += 1

    for _ in range(600):
        what = rng.random()
        if what < 0.3:
            made[BOOK] += 1
            outbox.market(BOOK, frame(f"b{made[BOOK]}"))
        elif what < 0.6:
            made[TRADES] += 1
            outbox.market(TRADES, trade(made[TRADES]))
        elif what < 0.65:
            outbox.market(TICKER, frame("state"))
        else:
            take()
        assert outbox.size == sum(lane.size for lane in outbox._lanes.values())
        assert outbox.size <= module.MAX_UNSENT_BYTES
        assert len(outbox._turns) == sum(bool(lane) for lane in outbox._lanes.values())
    while outbox:
        take()
    assert told_trade == made[TRADES]
