"""A frozen engine under load: the standby takes over in time, and the thawed one writes nothing.

``--freezes N`` says how often (2 by default), by turns at random and inside a transaction.
"""

import signal
import time
from pathlib import Path

import pytest

from tests.faults.crew import Crew
from tests.faults.running import fault_file, hurt_topology, seeded
from tests.faults.watch import Watch
from tests.support.topology import Process, Topology, wait_for

pytestmark = pytest.mark.slow

# What is promised, from the moment of the freeze to the successor's first command.
TAKEOVER_SECONDS = 6.0
# How long a busy machine may need to start a standby.
PATIENCE_SECONDS = 60.0
# How long a thawed engine is watched, unless it has ended before.
WATCH_SECONDS = 3.0


def test_a_frozen_owner_is_replaced_and_writes_nothing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    freezes = request.config.getoption("--freezes")
    rng = seeded(request)
    seconds: list[float] = []
    with hurt_topology(tmp_path) as topology, Crew(topology, rng) as crew:
        watch = Watch(topology, crew)
        for number in range(freezes):
            wait_for(lambda: bool(topology.standbys()), "no standby", PATIENCE_SECONDS, topology.tails)
            crew.trade(rng.uniform(0.3, 1.0))
            is_inside = number % 2 == 1
            epoch, owner = topology.epoch(), topology.owner()
            assert owner is not None
            if is_inside:
                freeze_inside(tmp_path, rng.choice(("match", "before_commit")), topology)
            else:
                owner.send(signal.SIGSTOP)
            seconds.append(topology.wait_open(after_epoch=epoch, seconds=TAKEOVER_SECONDS))
            crew.trade(0.3)
            thaw(topology, owner, crew)
            watch.after_cycle()
            print(f"freeze {number + 1}, {'in a transaction' if is_inside else 'at random'}: {seconds[-1]:.2f} s")
        watch.end()
    print(f"{freezes} freezes: taken over within {max(seconds):.2f} s, nothing written by the thawed ones")


def freeze_inside(directory: Path, point: str, topology: Topology) -> None:
    """Let the owner stop itself where its transaction is open."""
    file = fault_file(directory)
    file.write_text(f"{point} stop")
    wait_for(lambda: not file.exists(), f"no engine passes {point}", 10, topology.tails)


def thaw(topology: Topology, owner: Process, crew: Crew) -> None:
    """Let the old owner go on while nobody sends anything: it ends, and not a row changes."""
    crew.pause()
    before, pid = state(topology), owner.pid
    owner.send(signal.SIGCONT)
    deadline = time.monotonic() + WATCH_SECONDS
    while owner.pid == pid and owner.is_running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert owner.pid != pid or not owner.is_running, f"the thawed engine goes on\n{topology.tails()}"
    assert state(topology) == before, "the thawed engine has written"


def state(topology: Topology) -> list[tuple[object, ...]]:
    """All that an engine could have changed."""
    return topology.rows(
        "SELECT epoch, batch, last_sequence, stream_id, stream_done, (SELECT max(id) FROM orders_event), "
        "(SELECT count(*) FROM orders_order), (SELECT sum(version) FROM orders_order) FROM orders_shard WHERE id = 0"
    )
