"""What a client noticed: every fault it found and every repair it made, counted."""

from dataclasses import asdict, dataclass
from typing import Literal

# What can be wrong with a stream: something is missing, the sum is another, two messages exclude each other, no sense in it.
Fault = Literal["gap", "checksum", "contradiction", "malformed"]


@dataclass(slots=True)
class Stats:
    """Counters since the client was made; they only grow."""

    messages: int = 0
    # What was wrong with them
    gaps: int = 0
    checksum_failures: int = 0
    contradictions: int = 0
    malformed: int = 0
    duplicates: int = 0
    outdated: int = 0
    ignored: int = 0
    # What the service said of itself
    resyncs: int = 0
    skipped: int = 0
    verified_snapshots: int = 0
    # What was done about it
    connects: int = 0
    disconnects: int = 0
    silences: int = 0
    subscribes: int = 0
    resubscribes: int = 0
    resumes: int = 0
    events_read: int = 0
    repeats: int = 0
    replays: int = 0
    orders_read: int = 0

    def count(self, fault: Fault) -> None:
        """One more of a fault."""
        if fault == "gap":
            self.gaps += 1
        elif fault == "checksum":
            self.checksum_failures += 1
        elif fault == "contradiction":
            self.contradictions += 1
        else:
            self.malformed += 1

    def as_dict(self) -> dict[str, int]:
        return asdict(self)
