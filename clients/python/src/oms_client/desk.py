"""The commands that are not settled yet: sent, waiting for a connection, for a moment to try again, or for an order to be read.

``commands`` says what each answer means; here is only when. Whatever happens, a command's deadline ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from oms_client.commands import Again, Command, Done, Read, Step
from oms_client.errors import NotSent
from oms_client.line import Line, Patience, ReadOrder, Settled
from oms_client.models import Json, Malformed, Order
from oms_client.stats import Stats


@dataclass(slots=True)
class Pending:
    """A command on its way. ``retry_at``: not before then. ``read``: the order that is being read for it."""

    id: int
    command: Command
    deadline: float
    patience: Patience
    in_flight: bool = False
    retry_at: float = 0.0
    read: Read | None = None
    is_reading: bool = False
    attempts: int = 0


class Desk:
    """All pending commands, in the order they were given."""

    def __init__(self, line: Line, stats: Stats, jitter: Callable[[], float]) -> None:
        self._line = line
        self._stats = stats
        self._jitter = jitter
        self._pending: dict[int, Pending] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._pending)

    def submit(self, command: Command, at: float, deadline: float) -> int:
        """Take a command on; its id comes back in ``Settled``."""
        self._numbers += 1
        pending = Pending(self._numbers, command, deadline, Patience(self._jitter))
        self._pending[pending.id] = pending
        self._advance(pending, at)
        return pending.id

    def ready(self, at: float) -> None:
        """There is a connection again."""
        for pending in list(self._pending.values()):
            self._advance(pending, at)

    def disconnected(self, at: float) -> None:
        """What was in flight is in doubt now."""
        for pending in list(self._pending.values()):
            if pending.in_flight:
                pending.in_flight = False
                self._step(pending, pending.command.lost(), at)

    def found(self, command_id: int, order: Order | None, at: float) -> None:
        """What ``ReadOrder`` asked for."""
        pending = self._pending.get(command_id)
        if pending is not None and pending.is_reading:
            pending.is_reading, pending.read = False, None
            self._step(pending, pending.command.found(order), at)

    def unread(self, command_id: int, at: float) -> None:
        """The order could not be read; try again later."""
        pending = self._pending.get(command_id)
        if pending is not None:
            pending.is_reading = False
            pending.retry_at = at + pending.patience.next()

    def tick(self, at: float) -> None:
        for pending in list(self._pending.values()):
            if at >= pending.deadline:
                self._give_up(pending, None)
            else:
                self._advance(pending, at)

    def stop(self, error: Exception) -> None:
        """Nothing will be sent any more."""
        for pending in list(self._pending.values()):
            self._give_up(pending, error)

    def _advance(self, pending: Pending, at: float) -> None:
        """Whatever can be done now for a command that waits."""
        if pending.in_flight or pending.is_reading or at < pending.retry_at:
            return
        if pending.read is not None:
            pending.is_reading = True
            self._stats.orders_read += 1
            self._line.put(ReadOrder(pending.id, pending.read.order_id, pending.read.client_order_id))
        elif self._line.ready:
            pending.in_flight = True
            pending.attempts += 1
            self._stats.repeats += pending.attempts > 1
            self._line.ask(pending.command.message(), at, partial(self._answered, pending))

    def _answered(self, pending: Pending, answer: Json, at: float) -> None:
        if pending.id not in self._pending:
            return
        pending.in_flight = False
        self._stats.replays += answer.get("replayed") is True
        try:
            step = pending.command.answered(answer)
        except Malformed:
            # As good as none; sent again at once, it might be answered so for ever.
            self._stats.malformed += 1
            step = pending.command.lost()
            pending.retry_at = at + pending.patience.next()
        self._step(pending, step, at)

    def _step(self, pending: Pending, step: Step, at: float) -> None:
        if isinstance(step, Done):
            del self._pending[pending.id]
            self._line.put(Settled(pending.id, step.result, step.error))
            return
        if isinstance(step, Read):
            pending.read = step
        elif isinstance(step, Again) and step.later:
            pending.retry_at = at + pending.patience.next()
        self._advance(pending, at)

    def _give_up(self, pending: Pending, error: Exception | None) -> None:
        if pending.in_flight:
            pending.command.lost()
        done = pending.command.expired()
        del self._pending[pending.id]
        never_sent = isinstance(done.error, NotSent)
        self._line.put(Settled(pending.id, done.result, error if error is not None and never_sent else done.error))
