"""The line between engine and PostgreSQL is cut around COMMIT, and at random: callers get the truth.

``--cuts N`` says how often (8 by default), each of the four ways in turn.
"""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.commit_proxy import AFTER, BEFORE, LATE, CommitProxy
from tests.faults.crew import Crew
from tests.faults.running import hurt_topology, seeded
from tests.faults.watch import Watch
from tests.support.topology import wait_for

pytestmark = pytest.mark.slow

WAYS = (BEFORE, AFTER, LATE, "all")
OPEN_SECONDS = 10.0


def test_a_cut_line_is_no_lie(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cuts = request.config.getoption("--cuts")
    rng = seeded(request)
    proxies: list[CommitProxy] = []

    def through_a_proxy(port: int) -> str:
        proxies.append(stack.enter_context(CommitProxy(port)))
        return f"postgres://oms@127.0.0.1:{proxies[0].port}/oms"

    with ExitStack() as stack:
        topology = stack.enter_context(hurt_topology(tmp_path, engine_database_url=through_a_proxy))
        crew = stack.enter_context(Crew(topology, rng))
        (proxy,) = proxies
        watch = Watch(topology, crew)
        for number in range(cuts):
            crew.trade(rng.uniform(0.1, 0.5))
            way = WAYS[number % len(WAYS)]
            if way == "all":
                proxy.cut_all()
            else:
                before = len(proxy.cuts)
                proxy.arm(way)
                wait_for(lambda: len(proxy.cuts) > before, "nothing is committed", OPEN_SECONDS, topology.tails)  # noqa: B023
            topology.wait_renewed(seconds=OPEN_SECONDS)
            crew.trade(0.2)
            watch.after_cycle()
            watch.whole()
        watch.end()
    print(f"{cuts} cuts, of them around COMMIT: {proxy.cuts}")
