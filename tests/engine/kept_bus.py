"""A bus that keeps what it carries, in memory: a log of entries that outlives the engines that read it."""

from dataclasses import dataclass, field
from typing import Any

from orders.bus.envelope import Envelope, Outcome, Place
from orders.engine.retrying import as_it_came
from orders.models import Shard
from orders.models.market import NO_ENTRY


class Killed(BaseException):
    """The engine's process ends here."""


@dataclass
class Log:
    """Entries of envelopes as they were sent, and every answer that was given, by the number of the envelope."""

    entries: list[list[Envelope]] = field(default_factory=list)
    answers: dict[int, list[Outcome]] = field(default_factory=dict)

    def append(self, *envelopes: Envelope) -> None:
        """One entry."""
        self.entries.append([fresh(envelope) for envelope in envelopes])

    @property
    def last_id(self) -> str:
        return f"{len(self.entries)}-0" if self.entries else NO_ENTRY

    def number(self, entry: int, envelope: int) -> int:
        return sum(map(len, self.entries[:entry])) + envelope


class Reply:
    """Collects an answer, once, and only one that is committed."""

    def __init__(self, log: Log, number: int | None, place: Place) -> None:
        self._log, self._number, self._place = log, number, place
        self._outcomes: list[Outcome] | None = None

    def set_running_or_notify_cancel(self) -> bool:
        return True

    def done(self) -> bool:
        return self._outcomes is not None

    def result(self, timeout: float) -> list[Outcome]:
        assert self._outcomes is not None
        return self._outcomes

    def set_result(self, outcomes: list[Outcome]) -> None:
        assert not self.done(), "answered twice"
        row = Shard.objects.get(id=0)
        place = (int(row.stream_id.split("-")[0]), row.stream_done)
        assert place >= (int(self._place.entry_id.split("-")[0]), self._place.done), "answered before it was committed"
        self._outcomes = outcomes
        if self._number is not None:
            assert self._number not in self._log.answers, "answered twice"
            self._log.answers[self._number] = outcomes


class KeptBus:
    """The engine's side, as ``orders.bus.stream.StreamBus`` is."""

    keeps = True
    waiting_commands = 0

    def __init__(self, log: Log) -> None:
        self.log = log
        self.rewinds = 0
        self.flushes = 0
        self.stand(Place(NO_ENTRY))

    def stand(self, place: Place) -> None:
        self._next = int(place.entry_id.split("-")[0])
        self._skip = place.done

    def begin(self, place: Place) -> None:
        self.stand(place)

    def open(self) -> None: ...

    def close(self) -> list[Envelope]:
        return []

    def flush(self) -> None:
        self.flushes += 1

    def rewind(self, place: Place) -> None:
        self.rewinds += 1
        self.stand(place)

    def take(self, max_commands: int, timeout_seconds: float) -> list[Envelope]:
        taken: list[Envelope] = []
        while self._next < len(self.log.entries) and sum(len(each.commands) for each in taken) < max_commands:
            taken += self._envelopes(self._next)
            self._next += 1
            self._skip = 0
        return taken

    def _envelopes(self, index: int) -> list[Envelope]:
        found = []
        entry = self.log.entries[index]
        total, done = sum(len(envelope.commands) for envelope in entry), 0
        for number, sent in enumerate(entry):
            envelope = fresh(sent)
            first, done = done, done + len(envelope.commands)
            if done <= self._skip and total:
                continue
            left_out = max(0, self._skip - first)
            del envelope.commands[:left_out]
            for column in (envelope.fingerprints, envelope.details):
                if column:
                    del column[:left_out]
            before = f"{index}-0" if index else NO_ENTRY
            envelope.place = Place(f"{index + 1}-0") if done == total else Place(before, done)
            reply: Any = Reply(self.log, None if left_out else self.log.number(index, number), envelope.place)
            envelope.future = reply
            found.append(envelope)
        return found


def fresh(envelope: Envelope) -> Envelope:
    """The same envelope as it comes off the wire: commands of its own, for the core to change."""
    return Envelope(
        [as_it_came(command, {}) for command in envelope.commands],
        actor_id=envelope.actor_id,
        received_at=envelope.received_at,
        deadline=envelope.deadline,
        fingerprints=list(envelope.fingerprints) if envelope.fingerprints else None,
        details=list(envelope.details) if envelope.details else None,
        request_id=envelope.request_id,
    )
