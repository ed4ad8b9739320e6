"""The production topology on this machine, to be looked at: ``make cluster``. Everything goes when it is stopped.

A PostgreSQL and a Redis of its own, an engine with its hot standby, two REST processes, one for sockets, nginx before them,
all on free ports of 127.0.0.1. For production itself see docs/operations.md.
"""

import signal
import sys
import threading

from tests.support.nginx import Nginx
from tests.support.services import ServiceMissing, directory
from tests.support.topology import Topology


def main() -> None:
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    print("starting PostgreSQL, Redis, engines, web processes, nginx ...", flush=True)
    try:
        with directory("oms-cluster-") as place, Topology(OMS_TRUSTED_PROXIES="127.0.0.1") as topology:
            topology.start()
            ports = {"rest": [web.port for web in topology.rest], "web": [web.port for web in topology.sockets]}
            with Nginx(place / "nginx", **ports) as nginx:
                tell(topology, nginx)
                ending.wait()
                print("\nstopping")
    except ServiceMissing as absence:
        sys.exit(f"{absence}: apt install postgresql redis-server nginx-light")


def tell(topology: Topology, nginx: Nginx) -> None:
    """What there is, and what to try."""
    credentials = (topology.directory / "var" / "demo-credentials").read_text().splitlines()
    print(f"\nthe market    http://127.0.0.1:{nginx.port}/          (admin at /admin/)")
    for line in credentials:
        print(f"sign in       {line}")
    print(f"a key         {topology.keys['alice']}  (alice)")
    print(f"logs          {topology.directory}/*.log\n")
    for process in topology.processes():
        print(f"{process.pid:>9}  {process.name}{f', port {process.port}' if hasattr(process, 'port') else ''}")
    print(
        "\nKill any of them (kill -9 PID): it comes back, or its standby takes over. Ctrl-C stops all.",
        flush=True,
    )


if __name__ == "__main__":
    main()
