"""A command under way: what answers it, and what its sender makes of the answer.

Services of the write door come in two halves. Preparing and submitting does not wait; it gives a ``Submission``. A thread that
has nothing else to do ``wait``s for it; a socket goes on and is told by the future.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from time import time_ns
from typing import Generic, NamedTuple, TypeVar

from django.db import close_old_connections

from matching.commands import Command
from orders.actors import Actor
from orders.bus import bus
from orders.bus.envelope import Envelope, Outcome
from orders.bus.memory import BusClosed, BusFull
from orders.codes import RETRY_AFTER_SECONDS
from orders.schemas.problems import ProblemError

# A command not begun after this long is not carried out at all: prices would be stale.
COMMAND_TTL_SECONDS = 5
# A caller waits longer than a command may: what has begun by then nearly always ends in time.
ANSWER_TIMEOUT_SECONDS = 10

Answer = TypeVar("Answer")


class Submission(NamedTuple, Generic[Answer]):
    """``finish`` turns the outcomes into the service's answer, or raises ``ProblemError``; it may ask the tables.

    ``order_ids`` are the orders the command is about, as far as that is known beforehand; ``order_id`` is the one to name
    while the outcome is unknown.
    """

    future: Future[list[Outcome]]
    finish: Callable[[list[Outcome]], Answer]
    order_ids: tuple[int, ...] = ()
    order_id: int | None = None


def submit(
    commands: list[Command],
    finish: Callable[[list[Outcome]], Answer],
    *,
    actor: Actor,
    fingerprints: list[bytes | None] | None = None,
    details: list[str | None] | None = None,
    order_ids: tuple[int, ...] = (),
    order_id: int | None = None,
    expires: bool = True,
) -> Submission[Answer]:
    """Queue commands that are answered together. Raises ``engine_unavailable`` where nothing was queued.

    Those that do not expire (cancels, configuration) have reserved room in the queue.
    """
    now = now_us()
    envelope = Envelope(
        commands,
        actor_id=actor.user_id or None,
        received_at=now,
        deadline=now + COMMAND_TTL_SECONDS * 1_000_000 if expires else 0,
        fingerprints=fingerprints,
        details=details,
    )
    enqueue(envelope, reserved=not expires)
    return Submission(envelope.future, finish, order_ids, order_id)


def enqueue(envelope: Envelope, *, reserved: bool) -> None:
    """Hand an envelope to the bus. Raises ``engine_unavailable``."""
    try:
        bus().submit(envelope, reserved=reserved)
    except BusFull:
        raise unavailable("The engine is busy.") from None
    except BusClosed:
        raise unavailable("The engine is not running.") from None


def wait(submission: Submission[Answer]) -> Answer:
    """The answer, once it is durable. Raises ``engine_timeout`` where the outcome is not known yet."""
    # The wait may be long and there may be many: none of them may hold a database connection meanwhile.
    close_old_connections()
    try:
        outcomes = submission.future.result(ANSWER_TIMEOUT_SECONDS)
    except (FutureTimeout, CancelledError):
        raise timed_out(submission.order_id) from None
    return submission.finish(outcomes)


def timed_out(order_id: int | None) -> ProblemError:
    """The problem of a command that was not answered in time."""
    return ProblemError("engine_timeout", outcome="unknown", order_id=order_id)


def unavailable(detail: str, order_id: int | None = None) -> ProblemError:
    """The problem of a command that was not carried out, and may be sent again."""
    return ProblemError(
        "engine_unavailable", detail, order_id=order_id, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


def now_us() -> int:
    return time_ns() // 1000
