"""The gateways' side of the bus over Redis: from any thread of a web process into the shards' streams, and the answers back.

Theory of operation
-------------------
* ``submit`` only queues, so that it may be called where nothing may wait. What it refuses was not queued.
* One thread sends: it packs all that waits into one ``XADD`` a shard. One thread receives: it waits on a list of this
  process's own, named by chance anew in every process, so that nobody's answers can be taken for another's.
* An envelope that is known not to have been sent is answered "unavailable". One that may have been sent is never sent again:
  it would be carried out twice. Its answer still may come; if not, its caller times out with "unknown", which is the truth.
* Which commands a shard takes says ``orders.status``, which the watcher keeps. While that is not known yet, the sender waits
  for it, not the caller.
* A child process that was forked begins anew, with nothing in flight.
"""

import logging
import os
import secrets
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep
from typing import NamedTuple

from redis.exceptions import RedisError, ResponseError

from orders import status
from orders.bus import wire
from orders.bus.envelope import UNAVAILABLE, Envelope, Outcome
from orders.bus.link import Link, NotConnected, checked
from orders.bus.memory import MAX_WAITING_COMMANDS, RESERVED_FOR_CANCELS, BusClosed, BusFull
from orders.bus.nodes import NodeLease
from orders.bus.stream import COMMANDS_KEY, COUNT, DATA, REPLIES_KEY

log = logging.getLogger(__name__)

# Commands in one entry of a stream, unless a single envelope has more.
MAX_ENTRY_COMMANDS = 512
# Envelopes sent in one go: bounds how long the first of them waits for the last to be packed.
MAX_SENT_ENVELOPES = 1_024
# Whoever waits for an answer gives up long before: what is forgotten then frees its place in the queue.
FORGET_SECONDS = 15.0
# How long the receiver waits for answers before it looks after the rest.
RECEIVE_SECONDS = 1.0
RETRY_SECONDS = 0.2
STOP_SECONDS = 3.0
# How long an envelope waits for the first news of its shard, and the first order for this process's number.
NEWS_SECONDS = 1.0

# The states in which a shard takes orders, and those in which it takes what is reserved: cancels, configuration.
TAKES_ORDERS = frozenset((status.OPEN,))
TAKES_RESERVED = frozenset((status.OPEN, status.CANCEL_ONLY, status.RECOVERING, status.STALLED))
AWAY = "The engines cannot be reached."


class _Sent(NamedTuple):
    """An envelope under way."""

    envelope: Envelope
    shard_id: int
    correlation: int
    reserved: bool
    commands: int
    data: bytes
    since: float


class RemoteBus:
    """``submit`` starts what it needs. One a process; ``start`` does the same without a command.

    ``wait_for_news`` waits up to so many seconds until anything is known of the shards.
    """

    def __init__(
        self,
        url: str,
        *,
        capacity: int = MAX_WAITING_COMMANDS,
        reserve: int = RESERVED_FOR_CANCELS,
        wait_for_news: Callable[[float], bool] = lambda seconds: True,
    ) -> None:
        self._url = url
        self._capacity = capacity
        self._reserve = reserve
        self._wait_for_news = wait_for_news
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._gateway = secrets.token_hex(8)
        self._outgoing: SimpleQueue[_Sent | None] = SimpleQueue()
        # By correlation, the oldest first.
        self._under_way: dict[int, _Sent] = {}
        self._waiting = 0
        self._correlations = count(1)
        self._is_away = False
        self._is_closed = False
        self._is_stopping = False
        self._looked_after_at = 0.0
        self._node = NodeLease(self._gateway)

    @property
    def is_open(self) -> bool:
        """Whether Redis can be reached, as far as is known."""
        return not self._is_away

    @property
    def waiting_commands(self) -> int:
        """Commands of this process that are not answered."""
        return self._waiting

    def node(self) -> int:
        """This process's own number for order ids. Waits a moment for the first. Raises ``BusClosed`` where it has none."""
        self.start()
        number = self._node.number(0.0 if self._is_away else NEWS_SECONDS)
        if number is None:
            raise BusClosed(AWAY)
        return number

    def start(self) -> None:
        """Start the threads, where they do not run in this process yet."""
        if self._threads:
            return
        with self._lock:
            if self._threads:
                return
            threads = [
                Thread(target=self._send_for_good, name="bus-sender", daemon=True),
                Thread(target=self._receive_for_good, name="bus-receiver", daemon=True),
            ]
            for thread in threads:
                thread.start()
            self._threads = threads

    def close(self) -> None:
        """Take no more: this process ends. What is under way is still answered."""
        self._is_closed = True

    def stop(self) -> None:
        """Send what waits and end the threads, within a second or so. What is under way then is not answered any more."""
        self._is_stopping = True
        self._outgoing.put(None)
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def submit(self, envelope: Envelope, *, shard_id: int = 0, reserved: bool = False) -> None:
        """Queue an envelope. Raises ``BusFull`` or ``BusClosed``; ``reserved`` is for cancels and configuration."""
        self.start()
        if self._is_closed:
            raise BusClosed("The server is stopping.")
        if self._is_away:
            raise BusClosed(AWAY)
        shard = status.shards.get(shard_id)
        if shard is not None:
            _admit(shard, reserved)
        commands = len(envelope.commands)
        correlation = next(self._correlations)
        data = wire.encode_envelope(envelope, correlation)
        sent = _Sent(envelope, shard_id, correlation, reserved, commands, data, monotonic())
        room = self._capacity + (self._reserve if reserved else 0)
        with self._lock:
            if self._waiting + commands > room or (shard is not None and shard.waiting > room):
                raise BusFull
            self._waiting += commands
            self._under_way[correlation] = sent
        self._outgoing.put(sent)

    # Sending

    def _send_for_good(self) -> None:
        self._wait_for_news(0.0)
        link = Link(self._url)
        while not self._is_stopping:
            waiting = self._gathered()
            try:
                self._send(link, [sent for sent in waiting if self._is_admitted(sent)])
            except Exception:
                log.exception("commands were not sent, or it is not known whether they were")
        link.close()

    def _gathered(self) -> list[_Sent]:
        """All that waits; waits for the first."""
        gathered = [self._outgoing.get()]
        try:
            while len(gathered) < MAX_SENT_ENVELOPES:
                gathered.append(self._outgoing.get_nowait())
        except Empty:
            pass
        return [sent for sent in gathered if sent is not None]

    def _is_admitted(self, sent: _Sent) -> bool:
        """Whether the shard takes this, once anything is known of the shard."""
        if sent.shard_id not in status.shards:
            self._wait_for_news(max(0.0, sent.since + NEWS_SECONDS - monotonic()))
        shard = status.shards.get(sent.shard_id)
        try:
            if shard is None:
                raise BusClosed
            _admit(shard, sent.reserved)
        except BusClosed:
            self._refuse([sent])
            return False
        return True

    def _send(self, link: Link, waiting: list[_Sent]) -> None:
        entries = list(_packed(waiting))
        calls = [
            (
                "XADD",
                COMMANDS_KEY.format(entry[0].shard_id),
                "*",
                DATA,
                wire.encode_entry(self._gateway, [sent.data for sent in entry]),
                COUNT,
                sum([sent.commands for sent in entry]),
            )
            for entry in entries
        ]
        if not calls:
            return
        try:
            answers = link.call(*calls)
        except NotConnected as error:
            self._lost(error)
            self._refuse(waiting)
            return
        except RedisError as error:
            self._lost(error)
            return
        for entry, answer in zip(entries, answers, strict=True):
            if isinstance(answer, ResponseError):
                log.error("Redis refused commands: %s", answer)
                self._refuse(entry)

    def _refuse(self, entry: list[_Sent]) -> None:
        """Tell the callers that nothing was carried out."""
        for sent in entry:
            self._resolve(sent.correlation, [Outcome(UNAVAILABLE)] * sent.commands)

    # Receiving

    def _receive_for_good(self) -> None:
        link = Link(self._url, blocks_seconds=RECEIVE_SECONDS, on_connect=lambda: self._node.renew(link))
        while not self._is_stopping:
            try:
                self._receive_once(link)
            except RedisError as error:
                self._lost(error)
                self._forget_old()
                sleep(RETRY_SECONDS)
            except Exception:
                log.exception("answers were not told to those who wait for them")
        link.close()

    def _receive_once(self, link: Link) -> None:
        """Wait for one element of answers; now and then look after the rest first."""
        link.connect()
        self._found()
        if monotonic() - self._looked_after_at >= RECEIVE_SECONDS:
            self._looked_after_at = monotonic()
            self._node.renew(link)
            self._forget_old()
        (answer,) = checked(link.call(("BLPOP", REPLIES_KEY.format(self._gateway), RECEIVE_SECONDS)))
        if answer is not None:
            self._receive(answer[1])

    def _receive(self, data: bytes) -> None:
        try:
            answers = wire.decode_reply(data)
        except wire.WireError as error:
            log.error("answers cannot be read: %s", error)
            return
        for correlation, outcomes in answers:
            self._resolve(correlation, outcomes)

    def _resolve(self, correlation: int, outcomes: list[Outcome]) -> None:
        """Answer whoever still waits for this."""
        with self._lock:
            sent = self._under_way.pop(correlation, None)
            if sent is None:
                return
            self._waiting -= sent.commands
        if sent.envelope.future.set_running_or_notify_cancel():
            sent.envelope.future.set_result(outcomes)

    def _forget_old(self) -> None:
        """Give up what was not answered: its outcome is unknown."""
        end = monotonic() - FORGET_SECONDS
        forgotten = []
        with self._lock:
            while self._under_way:
                oldest = next(iter(self._under_way.values()))
                if oldest.since > end:
                    break
                del self._under_way[oldest.correlation]
                self._waiting -= oldest.commands
                forgotten.append(oldest)
        for sent in forgotten:
            sent.envelope.future.cancel()

    def _lost(self, error: RedisError) -> None:
        if not self._is_away:
            log.error("Redis is away: %s", error)
        self._is_away = True

    def _found(self) -> None:
        if self._is_away:
            log.warning("Redis is there again")
        self._is_away = False


def _admit(shard: status.ShardStatus, reserved: bool) -> None:
    """Raises ``BusClosed`` where the shard takes no such commands now."""
    if shard.state not in (TAKES_RESERVED if reserved else TAKES_ORDERS):
        raise BusClosed("Only cancels are taken now." if shard.state == status.CANCEL_ONLY else "")


def _packed(waiting: list[_Sent]) -> list[list[_Sent]]:
    """Entries, each of one shard and in the order in which they came."""
    entries: list[list[_Sent]] = []
    # Of each shard, the entry that still has room, and the commands in it.
    open_entries: dict[int, tuple[list[_Sent], int]] = {}
    for sent in waiting:
        entry, filled = open_entries.get(sent.shard_id, ([], 0))
        if not entry or filled + sent.commands > MAX_ENTRY_COMMANDS:
            entry, filled = [], 0
            entries.append(entry)
        entry.append(sent)
        open_entries[sent.shard_id] = entry, filled + sent.commands
    return entries
