"""Several shards in one process: each has an engine in a thread of its own, behind one bus that knows them all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from orders import selectors, status, submission
from orders.bus.envelope import UNAVAILABLE, Envelope, Outcome
from orders.bus.memory import BusClosed, MemoryBus
from orders.engine.loop import EngineLoop
from orders.engine.recovery import take_over


class ShardEngine:
    """The engine of one shard; ``stop`` and ``start`` as often as you like, ``pause`` to have it answer nothing for a while."""

    def __init__(self, shard_id: int, listeners: list[Any]) -> None:
        self.shard_id = shard_id
        self.bus = MemoryBus(shard_id=shard_id)
        self._listeners = listeners
        self._may_run = threading.Event()
        self._may_run.set()
        self._turn = threading.Lock()
        self.start()

    def start(self) -> None:
        self.loop = EngineLoop(self.shard_id, self.bus, self._listeners)
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"shard-{self.shard_id}", daemon=True)
        self._thread.start()
        assert self._started.wait(20)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            take_over(self.shard_id)
            self.loop.recover()
            self.bus.open()
            self._started.set()
            while not self.loop.stopping:
                self._may_run.wait(0.05)
                with self._turn:
                    if self._may_run.is_set():
                        self.loop.run_once(0.02)
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._started.set()
            connection.close()

    def pause(self) -> None:
        self._may_run.clear()
        with self._turn:
            pass  # what it had begun is over

    def go_on(self) -> None:
        self._may_run.set()

    def stop(self) -> None:
        self.loop.stopping = True
        for envelope in self.bus.close():
            if envelope.future.set_running_or_notify_cancel():
                envelope.future.set_result([Outcome(UNAVAILABLE) for _ in envelope.commands])
        self._may_run.set()
        self._thread.join(20)
        status.shards.pop(self.shard_id, None)
        if self._error is not None:
            raise self._error


class Shards:
    """The engines by shard, and the bus in front of them."""

    def __init__(self, engines: dict[int, ShardEngine]) -> None:
        self.engines = engines

    def submit(self, envelope: Envelope, *, shard_id: int = 0, reserved: bool = False) -> None:
        if shard_id not in self.engines:
            raise BusClosed
        self.engines[shard_id].bus.submit(envelope, shard_id=shard_id, reserved=reserved)

    def node(self) -> int:
        """Everybody here makes order ids in one process."""
        return 0

    def __getitem__(self, shard_id: int) -> ShardEngine:
        return self.engines[shard_id]


@contextmanager
def running_shards(*shard_ids: int, listeners: list[Any] | None = None) -> Iterator[Shards]:
    """Engines on the test database, and the write door leading to them."""
    selectors.forget_instruments()
    shards = Shards({shard_id: ShardEngine(shard_id, listeners or []) for shard_id in shard_ids})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submission, "bus", lambda: shards)
        try:
            yield shards
        finally:
            for engine in shards.engines.values():
                engine.stop()
    selectors.forget_instruments()
