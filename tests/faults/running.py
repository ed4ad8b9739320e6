"""How a fault run begins: its seed, and a topology whose engines end where a test says."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import conftest
from tests.faults.ledger import SYMBOLS
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
    directory: Path,
    *,
    shards: int = 1,
    sockets: int = 1,
    spares: int = 2,
    engine_database_url: Callable[[int], str] | None = None,
) -> Iterator[Topology]:
    """A running topology, with an instrument to trade on each shard.

    Skips where PostgreSQL or Redis is missing, shows all logs where something goes wrong.
    """
    try:
        topology = Topology(
            launcher=LAUNCHER,
            shards=shards,
            sockets=sockets,
            # Two: the one that was killed last may still be starting when the next one is.
            spares=spares,
            engine_database_url=engine_database_url,
            OMS_FAULT_FILE=str(fault_file(directory)),
        )
        with topology, topology.explained():
            topology.start()
            for shard in range(1, shards):
                topology.run(_DEFINE.format(symbol=SYMBOLS[shard], shard=shard))
            yield topology
    except ServiceMissing as error:
        conftest.missing(error)


# The demo market is all on the first shard.
_DEFINE = """
from matching.commands import DefineInstrument
from orders import gateway
from orders.actors import SCOPES, Actor
definition = DefineInstrument(0, "{symbol}", "ACME", "EUR", 2, 3)
gateway.instrument_define(actor=Actor(0, "test", 0, "", frozenset(SCOPES)), definition=definition, shard_id={shard})
"""
