"""The production topology under load, hurt again and again: what was acknowledged is there, once, and nothing else was told.

``--cycles N`` sets how many faults (30 by default; 300 take about a quarter of an hour), ``--seed N`` repeats a run. Each
cycle lets the clients trade, does one harm, waits until the shard takes orders again, and looks at what was acknowledged
meanwhile. Every ten, and at the end, the whole history is checked (``tests.faults.history``); every fifty, and at the end,
``verify_books`` is run. A quarter of the faults befall a topology of two shards, whose clients trade on both at once: what
holds of one shard's history must hold of each, and a client order id is taken once on all of them.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.crew import Crew
from tests.faults.launcher import POINTS
from tests.faults.ledger import DONE
from tests.faults.running import hurt_topology, seeded
from tests.faults.watch import Watch
from tests.support.topology import Topology, wait_for

pytestmark = pytest.mark.slow

# What is promised of a standby that is there when the owner dies; and how long anything may take on a busy machine, where the
# next engine may have to start first.
TAKEOVER_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
# Cycles from one look at everything to the next: it reads the whole log, and starting a command costs seconds.
WHOLE_CHECK_EVERY = 10
VERIFY_EVERY = 50
TRADE_SECONDS = (0.1, 0.5)


class Harm:
    """One topology, its crew, and what can be done to them. Each harm returns once the service is whole enough to trade.

    What befalls an engine befalls that of any shard.
    """

    def __init__(self, topology: Topology, crew: Crew, rng: random.Random, fault_file: Path) -> None:
        self.topology, self.crew, self.rng, self.fault_file = topology, crew, rng, fault_file
        # Seconds from each death of an owner with a standby to its successor's first state "open".
        self.takeovers: list[float] = []

    def engine_at(self, point: str) -> None:
        """The owner dies at a point of a group's way."""
        shard = self._shard()
        epoch, has_standby = self.topology.epoch(shard), bool(self.topology.standbys(shard))
        self.fault_file.write_text(f"{point} kill {shard}")
        wait_for(
            lambda: not self.fault_file.exists(), f"no engine passes {point}", PATIENCE_SECONDS, self.topology.tails
        )
        self._taken_over(shard, epoch, has_standby)

    def engine(self) -> None:
        """The owner dies at no particular point."""
        self._opens()
        shard = self._shard()
        epoch, has_standby = self.topology.epoch(shard), bool(self.topology.standbys(shard))
        owner = self.topology.owner(shard)
        assert owner is not None
        owner.kill()
        self._taken_over(shard, epoch, has_standby)

    def engine_session(self) -> None:
        """An administrator ends every session of the owner."""
        lease = self.topology.lease(self._shard())
        assert lease is not None
        self.topology.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", lease[0]
        )
        self._opens()

    def web(self) -> None:
        self.rng.choice(self.topology.rest).kill()

    def sockets(self) -> None:
        self.rng.choice(self.topology.sockets).kill()

    def postgres(self) -> None:
        self.topology.postgres.kill()
        self._away()
        self.topology.postgres.start()
        self._opens()

    def postgres_immediate(self) -> None:
        self.topology.postgres.stop(signal.SIGQUIT)
        self._away()
        self.topology.postgres.start()
        self._opens()

    def postgres_backend(self) -> None:
        """One backend dies, of an engine if there is one: PostgreSQL then throws all of them out and recovers."""
        found = self.topology.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = 'oms' AND pid <> pg_backend_pid() "
            "ORDER BY application_name LIKE %s DESC LIMIT 1",
            "%:%:%",
        )
        if found:
            self.topology.postgres.kill_backend(found[0][0])
            time.sleep(0.1)  # it takes the postmaster a moment to notice
        self._opens()

    def redis(self) -> None:
        self.topology.redis.kill()
        self._away()
        self.topology.redis.start()
        self._opens()

    def redis_and_its_disk(self) -> None:
        """What Redis held is gone: only what was not answered may be."""
        self.topology.redis.kill()
        self.topology.redis.lose_everything()
        self.topology.redis.start()
        self._opens()

    def _shard(self) -> int:
        return self.rng.randrange(len(self.topology.engines))

    def _away(self) -> None:
        time.sleep(self.rng.choice((0, 0, 0.3)))

    def _taken_over(self, shard: int, epoch: int, has_standby: bool) -> None:
        seconds = self.topology.wait_open(shard, after_epoch=epoch, seconds=PATIENCE_SECONDS)
        if has_standby:
            self.takeovers.append(seconds)

    def _opens(self) -> None:
        for shard in self.topology.engines:
            self.topology.wait_renewed(shard, seconds=PATIENCE_SECONDS)


def harms(harm: Harm, rng: random.Random) -> Iterator[tuple[str, Callable[[], None]]]:
    """All kinds of faults in turn, shuffled anew each time; the engine's own most often."""
    kinds: list[tuple[str, Callable[[], None]]] = [
        (f"engine {point}", lambda point=point: harm.engine_at(point)) for point in POINTS
    ]
    kinds += [("engine at random", harm.engine)] * 3
    for name in ("web", "sockets", "postgres", "postgres_immediate", "postgres_backend", "engine_session"):
        kinds.append((name, getattr(harm, name)))
    kinds += [("web", harm.web), ("redis", harm.redis), ("redis", harm.redis)]
    kinds.append(("redis and its disk", harm.redis_and_its_disk))
    while True:
        rng.shuffle(kinds)
        yield from kinds


@pytest.mark.parametrize("shards", [1, 2])
def test_faults_lose_nothing(request: pytest.FixtureRequest, tmp_path: Path, shards: int) -> None:
    cycles = request.config.getoption("--cycles")
    on_two = cycles // 4
    cycles = on_two if shards == 2 else cycles - on_two
    rng = seeded(request)
    done: Counter[str] = Counter()
    with hurt_topology(tmp_path, shards=shards) as topology, Crew(topology, rng) as crew:
        harm, watch = Harm(topology, crew, rng, tmp_path / "fault"), Watch(topology, crew)
        kinds = harms(harm, rng)
        for number in range(1, cycles + 1):
            crew.trade(rng.uniform(*TRADE_SECONDS))
            name, what = next(kinds)
            started = time.monotonic()
            what()
            done[name] += 1
            watch.after_cycle()
            print(f"cycle {number}: {name}, {time.monotonic() - started:.2f} s")
            if number % WHOLE_CHECK_EVERY == 0:
                watch.whole()
            if number % VERIFY_EVERY == 0:
                watch.verified()
        watch.end()
        tell(crew, harm, done)


def tell(crew: Crew, harm: Harm, done: Counter[str]) -> None:
    calls = Counter((call.kind, call.outcome) for ledger in crew.ledgers for call in ledger.calls)
    calls += Counter((f"{call.kind} everywhere", call.outcome) for call in crew.everywhere)
    acknowledged = sum(count for (_, outcome), count in calls.items() if outcome == DONE)
    takeovers = sorted(harm.takeovers)
    print(f"{sum(done.values())} faults: {dict(done)}")
    print(f"{sum(calls.values())} calls, {acknowledged} acknowledged: {dict(calls)}")
    if takeovers:
        median = takeovers[len(takeovers) // 2]
        print(f"takeover after a kill, {len(takeovers)} times: median {median:.2f} s, at most {takeovers[-1]:.2f} s")
        assert median <= TAKEOVER_SECONDS
    assert acknowledged > sum(done.values())
