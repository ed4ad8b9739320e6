"""Owners and standbys as real processes: who dies is replaced within two seconds, who stops hands over at once.

Frozen ones are in ``test_frozen.py``.
"""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from orders.engine.standby import DATABASE_AWAY_SECONDS
from tests.support.topology import Process, Topology, wait_for

pytestmark = pytest.mark.slow

TAKEOVER_SECONDS = 2.0


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    """One shard with an owner and two standbys, one REST process."""
    with Topology(rest=1, sockets=0, spares=2) as topology, topology.explained():
        topology.start()
        yield topology


@pytest.fixture
def owner(topology: Topology) -> Process:
    """The engine that has the shard, once the others are ready to follow it."""
    wait_for(lambda: len(topology.standbys()) == 2, "no standbys", 30, topology.tails)
    found = topology.owner()
    assert found is not None, topology.tails()
    return found


def place(topology: Topology, cid: str) -> int:
    body = {
        "symbol": "ACME-USD",
        "side": "buy",
        "type": "limit",
        "price": "90",
        "quantity": "1",
        "client_order_id": cid,
    }
    return topology.rest[0].request("POST", "/api/v1/orders", body, key=topology.keys["alice"])[0]


def test_a_killed_owner_is_replaced(topology: Topology, owner: Process) -> None:
    epoch, starts = topology.epoch(), owner.starts
    owner.kill()
    seconds = topology.wait_open(after_epoch=epoch)
    print(f"taken over within {seconds:.2f} s of a kill")
    assert seconds < TAKEOVER_SECONDS
    assert topology.epoch() == epoch + 1, "two standbys have taken over"
    wait_for(lambda: place(topology, "after-a-kill") in (200, 201), "no order is taken", 5, topology.tails)
    wait_for(lambda: owner.starts > starts, "the supervisor does not start it again", 10, topology.tails)


def test_an_owner_that_stops_hands_over(topology: Topology, owner: Process) -> None:
    """While somebody trades: every order is answered, by the one or the other."""
    epoch = topology.epoch()
    answers: list[int] = []
    halt = threading.Event()

    def trade() -> None:
        while not halt.is_set():
            answers.append(place(topology, f"handed-over-{len(answers)}"))

    trader = threading.Thread(target=trade)
    trader.start()
    time.sleep(0.3)
    started = time.monotonic()
    ends = len(owner.ends)
    owner.send(signal.SIGTERM)
    seconds = topology.wait_open(after_epoch=epoch)
    time.sleep(0.3)
    halt.set()
    trader.join()
    print(f"handed over within {time.monotonic() - started:.2f} s, open after {seconds:.2f} s, {len(answers)} orders")
    assert seconds < TAKEOVER_SECONDS
    wait_for(lambda: len(owner.ends) > ends, "it does not end", 10, topology.tails)
    assert owner.ends[-1] == 0
    # One that had begun when the old owner let go is answered by the new one; orders sent in between are told to come back.
    assert set(answers) <= {201, 503} and answers.count(201) > 5
    count = topology.rows("SELECT count(*) FROM orders_order WHERE client_order_id LIKE 'handed-over-%%'")[0][0]
    assert count == answers.count(201)


def test_a_database_that_restarts_leaves_one_owner(topology: Topology, owner: Process) -> None:
    """The owner, if it is quick, and its epoch; in any case one, and orders go on."""
    epoch = topology.epoch()
    topology.postgres.stop(signal.SIGINT)
    topology.postgres.start()
    started = time.monotonic()
    wait_for(lambda: place(topology, "after-a-restart") in (200, 201), "no order is taken", 20, topology.tails)
    print(f"orders are taken {time.monotonic() - started:.2f} s after PostgreSQL is there again")
    time.sleep(2 * DATABASE_AWAY_SECONDS)
    assert topology.owner() is owner and topology.epoch() == epoch, topology.tails()
    assert [
        row[0] for row in topology.rows("SELECT count(*) FROM orders_order WHERE client_order_id = 'after-a-restart'")
    ] == [1]


def test_every_answer_is_in_the_tables(topology: Topology, owner: Process) -> None:
    """At the end of all of it."""
    assert "good" in topology.manage("verify_books").stdout
    assert "nothing waits" in topology.manage("pass_over", "--shard", "0").stdout
