"""A lease is renewed while the engine moves, told lost when it is, and an engine that hangs does not look alive."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from orders import status
from orders.engine import lease
from orders.engine.election import LostShard
from orders.engine.lease import LeaseKeeper


class FakeElection:
    """Does what a test says, renewal by renewal."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.trouble: list[Exception] = []
        self.wins: list[bool | Exception] = []
        self.has_session = False

    def renew(self, **told: Any) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        self.told.append(told)

    def win_again(self, epoch: int) -> bool:
        won = self.wins.pop(0)
        if isinstance(won, Exception):
            raise won
        return won


@pytest.fixture
def election(monkeypatch: pytest.MonkeyPatch) -> FakeElection:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(lease, "AGAIN_SECONDS", 0.01)
    return FakeElection()


@pytest.fixture
def loop() -> Any:
    return SimpleNamespace(
        shard_id=0,
        status=status.ShardStatus(0, status.OPEN),
        bus=SimpleNamespace(waiting_commands=4),
        moved_at=time.monotonic(),
    )


@pytest.fixture
def keep(election: FakeElection, loop: Any) -> Iterator[Callable[[], tuple[LeaseKeeper, list[Exception]]]]:
    lost: list[Exception] = []
    keeper = LeaseKeeper(election, loop, 7, lost.append)  # type: ignore[arg-type]

    def start() -> tuple[LeaseKeeper, list[Exception]]:
        keeper.start()
        return keeper, lost

    yield start
    if keeper.ident is not None and keeper.is_alive():
        keeper.stop()


def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 5
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_is_renewed_now_and_then_and_at_once_when_something_changes(
    keep: Any, election: FakeElection, loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep()
    until(lambda: len(election.told) >= 3)
    assert election.told[0] == {"epoch": 7, "state": "open", "detail": "", "waiting": 4}
    monkeypatch.setattr(lease, "RENEW_SECONDS", 60)
    time.sleep(0.1)
    loop.status.become(status.STALLED, "the disk")
    until(lambda: election.told[-1]["state"] == status.STALLED)
    assert election.told[-1]["detail"] == "the disk"


def test_a_session_that_is_lost_is_looked_for_until_it_is_won_again(keep: Any, election: FakeElection) -> None:
    election.trouble = [psycopg.OperationalError("terminated")]
    election.wins = [psycopg.OperationalError("refused"), False, True]
    _, lost = keep()
    until(lambda: election.told)
    assert not election.wins and not lost


def test_a_renewal_that_fails_need_not_cost_the_lock(keep: Any, election: FakeElection) -> None:
    election.has_session = True
    election.trouble = [psycopg.errors.LockNotAvailable("somebody alters the table")]
    _, lost = keep()
    until(lambda: election.told)
    assert not lost


def test_a_shard_that_is_lost_is_told_once(keep: Any, election: FakeElection) -> None:
    election.trouble = [psycopg.OperationalError("terminated")]
    election.wins = [LostShard("it is another's")]
    keeper, lost = keep()
    until(lambda: lost)
    keeper.join(5)
    assert [str(error) for error in lost] == ["it is another's"] and not election.told


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_hangs_ends_the_process(
    keep: Any, loop: Any, election: FakeElection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exits: list[int] = []

    def leave(code: int) -> None:
        exits.append(code)
        raise SystemExit  # ends the thread, where the real one ends the process

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    loop.moved_at -= lease.HUNG_SECONDS + 1
    loop.status.state = status.RECOVERING  # reads a large market
    keeper, _ = keep()
    until(lambda: election.told)
    assert not exits
    loop.status.state = status.OPEN
    keeper.join(5)
    assert exits == [1] and "has not moved" in caplog.text
