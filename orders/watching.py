"""How the shards' engines are, as a process without an engine knows it: what they say of themselves, and what the tables say.

Theory of operation
-------------------
* A thread looks every half second: one query joins shards and leases, the database's clock says how old a lease is. What it
  finds becomes the ``orders.status`` of this process. A lease that nobody renews belongs to an engine that is dead or frozen.
* Engines also tell of a change at once, over the relay (``told``). That is believed for as long as an engine takes to write
  it into its lease, unless the tables know of a later engine.
* After a while without an answer of the database nothing is known any more: the shards count as stalled.
* ``start`` may be called by whoever needs it, as often as they like. A forked process has no threads: it starts its own.
"""

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from threading import Event, Lock, Thread
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from orders import status
from orders.models import Shard

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
# An owner renews its lease every second: one older than this is a dead or frozen engine's.
LEASE_SECONDS = 3
# For so long what an engine has told counts for more than its lease, which it writes every second.
NEWS_SECONDS = 2.0
# For so long the database may not answer before nothing is known any more.
BLIND_SECONDS = 3.0

# For so long whoever asks first waits for the first look.
FIRST_LOOK_SECONDS = 1.0

NO_ENGINE = "No engine runs."
NO_DATABASE = "The database does not answer."


class Sight(NamedTuple):
    """A shard and the lease on it, as the tables have them; ``age`` is since the lease was renewed (None: there is none)."""

    shard_id: int
    epoch: int
    sequence: int
    lease_epoch: int | None
    state: str | None
    detail: str | None
    waiting: int | None
    age: timedelta | None


class News(NamedTuple):
    """What an engine has told of itself: at least how far it had come when it said so."""

    shard_id: int
    epoch: int
    sequence: int
    state: str
    detail: str


def look() -> list[Sight]:
    """Every shard. Raises ``DatabaseError``."""
    age = ExpressionWrapper(Now() - F("lease__renewed_at"), output_field=DurationField())
    rows = Shard.objects.order_by("id").values_list(
        "id", "epoch", "last_sequence", "lease__epoch", "lease__state", "lease__detail", "lease__waiting", age
    )
    return [Sight(*row) for row in rows]


def judge(seen: Sight) -> tuple[str, str]:
    """The state of a shard by the tables, and why it is not open."""
    if seen.age is None or seen.state is None:
        return status.STOPPED, NO_ENGINE
    if seen.state == status.STOPPED:
        return status.STOPPED, seen.detail or NO_ENGINE
    seconds = seen.age.total_seconds()
    if seconds > LEASE_SECONDS:
        return status.STOPPED, f"The engine has not been heard of for {seconds:.0f} s."
    if seen.lease_epoch != seen.epoch:
        return status.RECOVERING, "Another engine takes over."
    return seen.state, seen.detail or ""


class Watcher:
    """One a process: see ``start``."""

    def __init__(self) -> None:
        # Whether anything has become known, if only that the database does not answer.
        self.knows = Event()
        self._stopping = Event()
        self._lock = Lock()
        self._news: dict[int, tuple[News, float]] = {}
        self._answered_at = monotonic()

    def start(self) -> None:
        # Two, because a question to a database that hangs may hang too. Neither keeps the process from ending.
        for work in (self._look, self._mind):
            Thread(target=self._repeat, args=(work,), name="watcher", daemon=True).start()

    def stop(self) -> None:
        """Look no more. Returns at once."""
        self._stopping.set()

    def told(self, news: News) -> None:
        """An engine tells of itself. Any thread."""
        with self._lock:
            known = status.shard_status(news.shard_id)
            if self._is_blind() or news.epoch < known.epoch:
                return
            self._news[news.shard_id] = news, monotonic()
            _become(known, news.state, news.detail, news.epoch)

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            started = monotonic()
            try:
                work()
            except Exception:
                log.exception("looking after the shards failed")
            self._stopping.wait(max(0.0, LOOK_SECONDS - (monotonic() - started)))
        connection.close()

    def _look(self) -> None:
        """What the tables say. The connection stays for the next look, unless something is wrong with it."""
        try:
            found = look()
        except DatabaseError as error:
            log.debug("the shards cannot be read: %s", error)
            connection.close()
            return
        with self._lock:
            self._answered_at = monotonic()
            for seen in found:
                self._take(seen)
        self.knows.set()

    def _take(self, seen: Sight) -> None:
        shard = status.shard_status(seen.shard_id)
        shard.sequence, shard.waiting = seen.sequence, seen.waiting or 0
        if not self._has_news(seen):
            _become(shard, *judge(seen), seen.epoch)

    def _has_news(self, seen: Sight) -> bool:
        """Whether the engine has said something lately that may not be in its lease yet."""
        news, at = self._news.get(seen.shard_id, (None, 0.0))
        return news is not None and monotonic() - at < NEWS_SECONDS and news.epoch >= seen.epoch

    def _mind(self) -> None:
        """A database that has not answered for long: nothing is known any more."""
        with self._lock:
            if not self._is_blind():
                return
            for shard in status.shard_list():
                if shard.state != status.STOPPED:
                    _become(shard, status.STALLED, NO_DATABASE, shard.epoch)
        self.knows.set()

    def _is_blind(self) -> bool:
        return monotonic() - self._answered_at > BLIND_SECONDS


def _become(shard: status.ShardStatus, state: str, detail: str, epoch: int) -> None:
    """As ``ShardStatus.become``; a state is told of in the log when it changes."""
    if state != shard.state:
        level = logging.INFO if state == status.OPEN else logging.WARNING
        log.log(level, "shard %d is %s, epoch %d%s", shard.shard_id, state, epoch, detail and f": {detail}")
    shard.become(state, detail, epoch=epoch)


_watcher: Watcher | None = None
_lock = Lock()


def start() -> Watcher:
    """The watcher of this process, running."""
    global _watcher
    with _lock:
        if _watcher is None:
            _watcher = Watcher()
            _watcher.start()
        return _watcher


def stop() -> None:
    """Look no more, and forget the watcher."""
    global _watcher
    with _lock:
        watcher, _watcher = _watcher, None
    if watcher is not None:
        watcher.stop()


def wait_for_news(timeout_seconds: float) -> bool:
    """Wait until something is known of the shards. Answers whether it is."""
    return start().knows.wait(timeout_seconds)


def shards() -> list[status.ShardStatus]:
    """How every shard is, by number; where engines are elsewhere, as soon as anything is known. Does not ask the database."""
    if settings.OMS_ENGINE == "remote":
        wait_for_news(FIRST_LOOK_SECONDS)
    return status.shard_list()


def _forget() -> None:
    """In a forked process: the threads are the parent's."""
    global _watcher, _lock
    _watcher, _lock = None, Lock()


os.register_at_fork(after_in_child=_forget)
