"""How a fault run begins: its seed, and a topology whose engines end where a test says."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import conftest
from tests.support.services import ServiceMissing
from tests.support.topology import Topology

LAUNCHER = Path(__file__).with_name("launcher.py")


def seeded(request: pytest.FixtureRequest) -> random.Random:
    """The run's dice; the seed is printed."""
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    return random.Random(seed)


def fault_file(directory: Path) -> Path:
    """What ``tests.faults.launcher`` looks for."""
    return directory / "fault"


@contextmanager
def hurt_topology(
    directory: Path, *, sockets: int = 1, engine_database_url: Callable[[int], str] | None = None
) -> Iterator[Topology]:
    """A running topology; skips where PostgreSQL or Redis is missing, shows all logs where something goes wrong."""
    try:
        topology = Topology(
            launcher=LAUNCHER,
            sockets=sockets,
            # The one that was killed last may still be starting when the next one is.
            spares=2,
            engine_database_url=engine_database_url,
            OMS_FAULT_FILE=str(fault_file(directory)),
        )
        with topology, topology.explained():
            topology.start()
            yield topology
    except ServiceMissing as error:
        conftest.missing(error)
