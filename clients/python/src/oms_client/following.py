"""Following one stream of numbered messages: what is common to books, trades and candles.

Theory of operation
-------------------
A stream begins with a snapshot. Each message after it names the one before (``previous``), so the chain of numbers
shows every message that is missing. A follower is ``stale`` until it has a snapshot and again from the moment anything is
wrong; while stale it takes nothing but a snapshot. It raises ``Broken`` where the server does not know that something is
wrong, and must be asked for a snapshot.

* A message that was applied before is a duplicate, and left out. One with an old number that was *not* applied means that
  our own number is wrong: broken.
* A snapshot may come unasked. At our own number it must say what we have; a higher number means that we have missed
  something, which it then repairs.
* A lower epoch is of an engine that has lost its shard: ignored. A higher one begins with a snapshot.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from oms_client.models import Json, Malformed, whole
from oms_client.stats import Fault, Stats

# Numbers remembered to tell a duplicate from a wrong number; a network repeats what is recent, if anything.
REMEMBERED = 256


class Broken(Exception):
    """The stream cannot be followed on; a snapshot must be asked for."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault


class Follower(ABC):
    """What one subscription knows. ``take`` gives what its user should hear of."""

    def __init__(self, symbol: str, stats: Stats) -> None:
        self.symbol = symbol
        self.stale = True
        self.epoch = 0
        self.sequence = 0
        self._stats = stats

    @abstractmethod
    def take(self, message: Json) -> Sequence[object]:
        """One message of the channel. Raises ``Broken``."""

    def disconnected(self) -> None:
        """Whatever comes next begins with a snapshot."""
        self.stale = True

    def forget(self) -> None:
        """Begin as if nothing had ever been heard."""
        self.stale = True
        self.epoch = self.sequence = 0

    def _resynced(self, message: Json) -> bool:
        """Whether the server says itself that a snapshot is about to follow."""
        if message.get("type") != "resync":
            return False
        self.stale = True
        self._stats.resyncs += 1
        return True

    def _broken(self, error: "Malformed | Broken") -> "Broken":
        """What is wrong, counted; from now on stale."""
        broken = error if isinstance(error, Broken) else Broken("malformed", str(error))
        self.stale = True
        self._stats.count(broken.fault)
        return broken

    def doubts(self, epoch: int, sequence: int) -> bool:
        """Whether we are beyond the highest numbers there are, as a heartbeat tells: then one of ours is wrong."""
        return self.epoch > epoch or self.sequence > sequence


class ChainFollower(Follower):
    """A follower whose messages name the one before."""

    def __init__(self, symbol: str, stats: Stats) -> None:
        super().__init__(symbol, stats)
        self._applied: deque[int] = deque(maxlen=REMEMBERED)

    def take(self, message: Json) -> Sequence[object]:
        try:
            return self._take(message)
        except (Malformed, Broken) as error:
            raise self._broken(error) from None

    def forget(self) -> None:
        super().forget()
        self._applied.clear()

    def _take(self, message: Json) -> Sequence[object]:
        if self._resynced(message):
            return ()
        kind = message.get("type")
        # What was skipped goes on from what we have, so it names no epoch.
        epoch = self.epoch if kind == "skipped" else whole(message, "epoch")
        sequence = whole(message, "sequence")
        if epoch < self.epoch:
            self._stats.outdated += 1
            return ()
        if kind == "snapshot":
            return self._take_snapshot(message, epoch, sequence)
        if self.stale:
            self._stats.ignored += 1
            return ()
        if epoch == self.epoch and sequence <= self.sequence and sequence in self._applied:
            self._stats.duplicates += 1
            return ()
        previous = whole(message, "previous")
        if epoch != self.epoch or previous != self.sequence or sequence <= previous:
            raise Broken("gap", f"{self.symbol}: {epoch}/{previous} came after {self.epoch}/{self.sequence}")
        items = self._skip(message, sequence) if kind == "skipped" else self._update(message, sequence)
        self.sequence = sequence
        self._applied.append(sequence)
        return items

    def _take_snapshot(self, message: Json, epoch: int, sequence: int) -> Sequence[object]:
        same = not self.stale and epoch == self.epoch
        if same and sequence < self.sequence:
            if sequence not in self._applied:
                raise Broken("contradiction", f"{self.symbol}: a snapshot of {sequence} after {self.sequence}")
            self._stats.duplicates += 1
            return ()
        if same and sequence == self.sequence:
            self._verify(message)
            self._stats.verified_snapshots += 1
            return ()
        if same:
            self._stats.gaps += 1
        items = self._begin(message, sequence)
        self.epoch, self.sequence, self.stale = epoch, sequence, False
        self._applied.append(sequence)
        return items

    @abstractmethod
    def _begin(self, message: Json, sequence: int) -> Sequence[object]:
        """A snapshot to go on from; ``self.sequence`` still is what we had before it."""

    @abstractmethod
    def _update(self, message: Json, sequence: int) -> Sequence[object]:
        """The next message."""

    @abstractmethod
    def _verify(self, message: Json) -> None:
        """A snapshot at our own number. Raises ``Broken`` where it says something else."""

    def _skip(self, message: Json, sequence: int) -> Sequence[object]:
        raise Malformed("nothing can be skipped here")
