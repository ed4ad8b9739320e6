"""The embedded engine: owns the lock, recovers, and runs the loop in a thread of this process."""

import logging
import threading

from django.db import connection

from orders import status
from orders.bus import bus
from orders.bus.envelope import UNAVAILABLE, Outcome
from orders.engine.loop import EngineLoop
from orders.engine.ownership import shard_lock
from orders.engine.recovery import take_over
from orders.feed.publisher import Listener

log = logging.getLogger(__name__)

# How long a stop waits for the group that is being committed.
STOP_SECONDS = 15


class EmbeddedEngine:
    """``acquire()`` the lock (before migrating), ``start()``, ``stop()``. Also a context manager doing all three."""

    def __init__(self, shard_id: int = 0, listeners: list[Listener] | None = None) -> None:
        self.shard_id = shard_id
        self._lock = shard_lock(shard_id)
        self._bus = bus()
        self.loop = EngineLoop(shard_id, self._bus, listeners)
        self._thread = threading.Thread(target=self._run, name=f"engine-{shard_id}", daemon=True)
        self._started = threading.Event()
        self._error: BaseException | None = None
        # Told when the engine has died by itself.
        self.on_death = lambda error: None

    @property
    def failed(self) -> bool:
        """Whether the engine died by itself."""
        return self._error is not None

    def acquire(self) -> None:
        """Become the owner. Raises ``AlreadyOwned``."""
        self._lock.acquire()

    def start(self) -> None:
        """Recover and take commands. Raises what the recovery raised."""
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Take no more commands, finish the group in hand, answer what waits, let go of the lock."""
        self.loop.stopping = True
        self._answer_left()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
        self._lock.release()

    def __enter__(self) -> "EmbeddedEngine":
        self.acquire()
        try:
            self.start()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            take_over(self.shard_id)
            self.loop.recover()
            self._bus.open()
            self._started.set()
            while not self.loop.stopping:
                self.loop.run_once()
        except BaseException as error:
            self._error = error
            log.critical("shard %d: the engine stopped: %s", self.shard_id, error, exc_info=error)
            self.loop.status.become(status.STOPPED, str(error)[:200])
            if self._started.is_set():
                self.on_death(error)
        finally:
            self.loop.status.become(status.STOPPED, self.loop.status.detail)
            self._answer_left()
            connection.close()
            self._started.set()

    def _answer_left(self) -> None:
        for envelope in self._bus.close():
            if envelope.future.set_running_or_notify_cancel():
                envelope.future.set_result([Outcome(UNAVAILABLE) for _ in envelope.commands])
