"""The peers' process, and what the kernel says of a process and of its connections (Linux)."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.server import ROOT, free_port

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ESTABLISHED = "01"


def cpu_seconds(pid: int) -> float:
    """User and system time so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    """Memory that is resident right now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def load_average() -> float:
    """Of the last minute: what else the machine was doing."""
    return os.getloadavg()[0]


def held_peers(port: int) -> set[int]:
    """The clients' ports of the connections that the server on ``port`` holds: its end is open and belongs to a process."""
    held = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        here, there, state, inode = fields[1], fields[2], fields[3], fields[9]
        if int(here.rpartition(":")[2], 16) == port and state == ESTABLISHED and inode != "0":
            held.add(int(there.rpartition(":")[2], 16))
    return held


class Peers:
    """``benchmarks.peers`` in a process of its own: ``with Peers() as peers: ... peers.port``."""

    def __init__(self) -> None:
        self.port = free_port()

    def __enter__(self) -> "Peers":
        command = [sys.executable, "-m", "benchmarks.peers", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self.process.stdout is not None and self.process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
