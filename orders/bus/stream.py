"""The engine's side of the bus over Redis: one reader of one stream, who remembers in the database how far it has come.

Theory of operation
-------------------
* Plain ``XREAD`` from a position, no consumer groups: who has read what is in the shard's row, written in the transaction
  that carried it out. Every envelope says by its ``place`` where the stream stands once it is carried out.
* What was read waits here, undecoded, so that what waits can be counted and groups are as large as what waits allows.
* Ids must only ever grow, or ``XREAD`` would pass over commands for good. A Redis that lost its data under a clock that is
  behind would hand out lower ones: on every connection its last id is compared with the position, and raised where it is lower.
* Answers are collected, and sent by ``flush``: one element of a list for each gateway. Sending one again does no harm, so what
  could not be sent is kept while its callers still wait. Whose answer does not come is told "unknown".
* The stream is trimmed behind what has been answered, which only happens after it was committed: it holds what waits, what is
  being carried out, and one entry more. It is no history; that is in the database.
"""

import logging
from collections import deque
from threading import Event
from time import monotonic, sleep
from typing import Any

from redis.exceptions import RedisError, ResponseError

from orders.bus import wire
from orders.bus.envelope import Envelope, Outcome, Place
from orders.bus.link import Link, checked
from orders.bus.redis_checks import check

log = logging.getLogger(__name__)

COMMANDS_KEY = "oms:commands:{}"
REPLIES_KEY = "oms:replies:{}"
# The fields of an entry: its data, and how many commands are in it.
DATA = b"d"
COUNT = b"n"

# No look at the stream waits longer, so that whoever closes the bus or stops the engine is heard.
MAX_BLOCK_SECONDS = 0.1
# Entries in one answer of Redis, and commands read ahead: bounds memory. What waits beyond that waits in Redis.
MAX_READ_ENTRIES = 1_024
MAX_READ_COMMANDS = 25_000
# Of the number of commands in an entry, whoever wrote it.
MAX_DIGITS = 9
# Answers nobody fetches are dropped after this long; those that cannot be sent are kept as long as their callers wait.
REPLIES_EXPIRE_SECONDS = 60
REPLIES_KEPT_SECONDS = 10
TRIM_SECONDS = 1.0
# Between two tries to reach a Redis that is away.
RETRY_SECONDS = 0.1


class Reply:
    """What stands for a caller's future at the engine: it collects the answer for the next ``flush``.

    Once it is given, everything up to the entry ``behind`` is committed. What not ``is_told`` is not sent.
    """

    __slots__ = ("_outcomes", "behind", "bus", "correlation", "gateway", "is_told")

    def __init__(self, bus: "StreamBus", gateway: str, correlation: int) -> None:
        self.bus = bus
        self.gateway = gateway
        self.correlation = correlation
        self.behind = "0-0"
        self.is_told = True
        self._outcomes: list[Outcome] | None = None

    def set_running_or_notify_cancel(self) -> bool:
        """Nobody can take back what is in the stream."""
        return True

    def done(self) -> bool:
        return self._outcomes is not None

    def set_result(self, outcomes: list[Outcome]) -> None:
        self._outcomes = outcomes
        self.bus.answer(self, outcomes)

    def result(self, timeout: float | None = None) -> list[Outcome]:
        if self._outcomes is None:
            raise TimeoutError
        return self._outcomes


class StreamBus:
    """Make it, ``begin``, ``open``; then ``take`` and ``flush`` in the engine's thread. ``close`` may come from any."""

    # What was taken and not answered comes again, after ``rewind`` or to the next engine.
    keeps = True

    def __init__(self, shard_id: int, url: str, *, allow_unsafe: bool = False) -> None:
        self._shard_id = shard_id
        self._key = COMMANDS_KEY.format(shard_id)
        self._allow_unsafe = allow_unsafe
        self._link = Link(url, blocks_seconds=MAX_BLOCK_SECONDS, on_connect=self._connected)
        self._is_open = Event()
        self._is_away = False
        # The last entry that was read from Redis, and the last that was handed to the engine.
        self._read_id = self._taken_id = "0-0"
        # Commands of the next entry that are carried out already.
        self._skip = 0
        # Entries read and not taken: id, data, number of commands.
        self._ahead: deque[tuple[str, bytes, int]] = deque()
        self._ahead_commands = 0
        self._answers: dict[str, list[tuple[int, list[Outcome]]]] = {}
        self._unsent: deque[tuple[float, str, bytes]] = deque()
        self._answered_id = self._trimmed_id = "0-0"
        self._trimmed_at = 0.0

    @property
    def waiting_commands(self) -> int:
        """Commands that were read and wait to be taken."""
        return self._ahead_commands

    def begin(self, place: Place) -> None:
        """Connect, and stand where the database says. Raises ``UnsafeRedis`` or ``RedisError``."""
        self._link.connect()
        check(self._link, allow_unsafe=self._allow_unsafe)
        self.rewind(place)
        self._raise_last_id()

    def open(self) -> None:
        self._is_open.set()

    def close(self) -> list[Envelope]:
        """Take no more. Nothing is handed back: what waits stays in the stream, for whoever runs the shard next."""
        self._is_open.clear()
        return []

    def disconnect(self) -> None:
        """Let go of the connection, in the engine's thread and after the last ``flush``."""
        self._link.close()

    def rewind(self, place: Place) -> None:
        """Read again from there: nothing after it has been carried out."""
        self._read_id = self._taken_id = place.entry_id
        self._skip = place.done
        self._ahead.clear()
        self._ahead_commands = 0

    # Taking

    def take(self, max_commands: int, timeout_seconds: float) -> list[Envelope]:
        """What waits: whole entries, up to about ``max_commands``. Waits up to ``timeout_seconds`` for the first, or less."""
        if not self._is_open.wait(min(timeout_seconds, MAX_BLOCK_SECONDS)):
            return []
        try:
            self._read(timeout_seconds)
        except RedisError as error:
            self._lost(error)
            sleep(min(timeout_seconds, RETRY_SECONDS))
        taken: list[Envelope] = []
        count = 0
        while self._ahead and self._is_open.is_set():
            entry_id, data, commands = self._ahead[0]
            if taken and count + commands > max_commands:
                break
            self._ahead.popleft()
            self._ahead_commands -= commands
            count += commands
            taken += self._envelopes(entry_id, data)
        return taken

    def _read(self, timeout_seconds: float) -> None:
        """Read ahead: at once where something waits already, else as long as that."""
        if self._ahead_commands >= MAX_READ_COMMANDS:
            return
        block_ms = 0 if self._ahead else int(min(timeout_seconds, MAX_BLOCK_SECONDS) * 1000)
        block = ("BLOCK", block_ms) if block_ms else ()
        (answer,) = checked(
            self._link.call(("XREAD", "COUNT", MAX_READ_ENTRIES, *block, "STREAMS", self._key, self._read_id))
        )
        if not answer:
            return
        for entry_id, fields in answer[0][1]:
            self._read_id = entry_id.decode()
            named = dict(zip(fields[::2], fields[1::2], strict=True))
            count = named.get(COUNT, b"")[:MAX_DIGITS]
            commands = int(count) if count.isdigit() else 0
            self._ahead.append((self._read_id, named.get(DATA, b""), commands))
            self._ahead_commands += commands

    def _envelopes(self, entry_id: str, data: bytes) -> list[Envelope]:
        """The envelopes of an entry that are still to be carried out, each with its place and somewhere to put its answer."""
        try:
            envelopes = wire.decode_entry(data, self._reply)
        except Exception as error:
            # Whatever it is: it would be the same for every engine to come.
            log.error("shard %d: entry %s cannot be read and is passed over: %s", self._shard_id, entry_id, error)
            envelopes = []
        if not envelopes:
            # As if it were not there, also to whoever stands within the entry after it.
            return []
        before, skip = self._taken_id, self._skip
        self._taken_id, self._skip = entry_id, 0
        total = sum([len(envelope.commands) for envelope in envelopes])
        done = 0
        left = []
        for envelope in envelopes:
            first, done = done, done + len(envelope.commands)
            if skip and done <= skip:
                continue
            envelope.place = Place(entry_id) if done == total else Place(before, done)
            envelope.future.behind = envelope.place.entry_id
            if first < skip:
                # What is answered in part only would be told wrong.
                envelope.future.is_told = False
                _leave_out(envelope, skip - first)
            left.append(envelope)
        return left

    def _reply(self, gateway: str, correlation: int) -> "Reply":
        return Reply(self, gateway, correlation)

    # Answering

    def answer(self, reply: Reply, outcomes: list[Outcome]) -> None:
        """Collect an answer."""
        self._answered_id = reply.behind
        if reply.is_told:
            self._answers.setdefault(reply.gateway, []).append((reply.correlation, outcomes))

    def flush(self) -> None:
        """Send the answers that were given, and trim now and then. A Redis that is away is no error here."""
        now = monotonic()
        for gateway, answers in self._answers.items():
            self._unsent.append((now, gateway, wire.encode_reply(answers)))
        self._answers.clear()
        while self._unsent and now - self._unsent[0][0] > REPLIES_KEPT_SECONDS:
            self._unsent.popleft()
        calls: list[tuple[Any, ...]] = []
        for _, gateway, data in self._unsent:
            key = REPLIES_KEY.format(gateway)
            calls += [("RPUSH", key, data), ("EXPIRE", key, REPLIES_EXPIRE_SECONDS)]
        trims = self._answered_id != self._trimmed_id and now - self._trimmed_at >= TRIM_SECONDS
        if trims:
            calls.append(("XTRIM", self._key, "MINID", self._answered_id))
        if not calls:
            return
        try:
            checked(self._link.call(*calls))
        except ResponseError as error:
            log.error("shard %d: Redis refused answers: %s", self._shard_id, error)
            return
        except RedisError as error:
            self._lost(error)
            return
        self._unsent.clear()
        if trims:
            self._trimmed_id, self._trimmed_at = self._answered_id, now

    # A Redis that goes and comes

    def _lost(self, error: RedisError) -> None:
        if not self._is_away:
            log.error("shard %d: Redis is away: %s", self._shard_id, error)
        self._is_away = True
        self._link.close()

    def _connected(self) -> None:
        """Before anything is read or sent on a connection."""
        self._raise_last_id()
        if self._is_away:
            log.warning("shard %d: Redis is there again", self._shard_id)
        self._is_away = False

    def _raise_last_id(self) -> None:
        """Make sure that every entry to come has a higher id than the last that was read. Raises ``RedisError``."""
        last_id = self._last_id()
        if _id(last_id) >= _id(self._read_id):
            return
        log.error(
            "shard %d: Redis has lost data: its last entry is %s, but %s was read; what it holds up to that is passed over",
            self._shard_id,
            last_id,
            self._read_id,
        )
        # An entry without commands, which makes the stream where there is none. XSETID cannot do that.
        nothing = wire.encode_entry("", [])
        (answer,) = self._link.call(("XADD", self._key, self._read_id, DATA, nothing, COUNT, 0))
        if isinstance(answer, ResponseError) and _id(self._last_id()) < _id(self._read_id):
            raise answer

    def _last_id(self) -> str:
        (answer,) = self._link.call(("XINFO", "STREAM", self._key))
        if isinstance(answer, ResponseError):
            if "no such key" in str(answer):
                return "0-0"
            raise answer
        found: bytes = dict(zip(answer[::2], answer[1::2], strict=True))[b"last-generated-id"]
        return found.decode()


def _leave_out(envelope: Envelope, commands: int) -> None:
    """Drop the first commands of an envelope: they are carried out."""
    del envelope.commands[:commands]
    for each in (envelope.fingerprints, envelope.details):
        if each is not None:
            del each[:commands]


def _id(text: str) -> tuple[int, int]:
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)
