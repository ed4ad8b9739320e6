"""A command under way: what answers it, and what its sender makes of the answer.

Services of the write door come in two halves. Preparing and submitting does not wait; it gives a ``Submission``. A thread that
has nothing else to do ``wait``s for it; a socket goes on and is told by the future.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from time import time_ns
from typing import Generic, NamedTuple, TypeVar

from django.conf import settings
from django.db import close_old_connections

from matching.commands import Command
from oms_project.logs import current_request_id
from orders import command_log
from orders.actors import Actor
from orders.bus import bus
from orders.bus.envelope import UNAVAILABLE, Envelope, Outcome, SetShardMode
from orders.bus.memory import BusClosed, BusFull
from orders.codes import RETRY_AFTER_SECONDS
from orders.gathering import Gathered
from orders.schemas.problems import ProblemError
from orders.shards import remembered_count

# A command not begun after this long is not carried out at all: prices would be stale.
COMMAND_TTL_SECONDS = 5
# A caller waits longer than a command may: what has begun by then nearly always ends in time.
ANSWER_TIMEOUT_SECONDS = 10

Answer = TypeVar("Answer")


class Submission(NamedTuple, Generic[Answer]):
    """``finish`` turns the outcomes into the service's answer, or raises ``ProblemError``; it may ask the tables.

    ``order_ids`` are the orders the command is about, as far as that is known beforehand; ``order_id`` is the one to name
    while the outcome is unknown. ``give_up``, where several shards are to answer, has the future done with what they have
    said so far.
    """

    future: Future[list[Outcome]]
    finish: Callable[[list[Outcome]], Answer]
    order_ids: tuple[int, ...] = ()
    order_id: int | None = None
    give_up: Callable[[], None] | None = None


def submit(
    commands: list[Command | SetShardMode],
    finish: Callable[[list[Outcome]], Answer],
    *,
    shards: Sequence[int],
    actor: Actor,
    fingerprints: list[bytes | None] | None = None,
    details: list[str | None] | None = None,
    order_ids: tuple[int, ...] = (),
    order_id: int | None = None,
    expires: bool = True,
) -> Submission[Answer]:
    """Queue commands that are answered together. Raises ``engine_unavailable`` where nothing was queued.

    ``shards`` has one entry a command: where it goes. Those that do not expire (cancels, configuration) have reserved room in
    the queue.
    """
    now = now_us()
    envelope = Envelope(
        commands,
        actor_id=actor.user_id or None,
        received_at=now,
        deadline=now + COMMAND_TTL_SECONDS * 1_000_000 if expires else 0,
        fingerprints=fingerprints,
        details=details,
        request_id=current_request_id.get(),
    )
    if settings.OMS_LOG_COMMANDS:
        command_log.follow(envelope)
    first = shards[0]
    if all(shard_id == first for shard_id in shards):
        enqueue(envelope, shard_id=first, reserved=not expires)
        return Submission(envelope.future, finish, order_ids, order_id)
    gathered = _submit_split(envelope, shards, reserved=not expires)
    return Submission(gathered, finish, order_ids, order_id, gathered.give_up)


def _submit_split(envelope: Envelope, shards: Sequence[int], *, reserved: bool) -> Gathered:
    """Queue each command of an envelope on its shard. Those of a shard that takes none are ``UNAVAILABLE``.

    Raises ``engine_unavailable`` where no shard took any.
    """
    places: dict[int, list[int]] = {}
    for place, shard_id in enumerate(shards):
        places.setdefault(shard_id, []).append(place)
    parts: list[tuple[list[int], Future[list[Outcome]]]] = []
    refusals: list[ProblemError] = []
    for shard_id, own in places.items():
        part = envelope.part(own)
        try:
            enqueue(part, shard_id=shard_id, reserved=reserved)
        except ProblemError as problem:
            refusals.append(problem)
            part.future.set_result([Outcome(UNAVAILABLE) for _ in own])
        parts.append((own, part.future))
    if len(refusals) == len(parts):
        raise refusals[0]
    return Gathered(len(shards), parts)


def enqueue(envelope: Envelope, *, shard_id: int, reserved: bool) -> None:
    """Hand an envelope to the bus. Raises ``engine_unavailable``."""
    try:
        bus().submit(envelope, shard_id=shard_id, reserved=reserved)
    except BusFull:
        raise unavailable(f"{_engine(shard_id)} is busy.") from None
    except BusClosed as closed:
        raise unavailable(str(closed) or f"{_engine(shard_id)} is not running.") from None


def node() -> int:
    """This process's own number for order ids. Raises ``engine_unavailable`` where it has none."""
    try:
        return bus().node()
    except BusClosed as closed:
        raise unavailable(str(closed)) from None


def _engine(shard_id: int) -> str:
    return f"The engine of shard {shard_id}" if remembered_count() > 1 else "The engine"


def wait(submission: Submission[Answer]) -> Answer:
    """The answer, once it is durable. Raises ``engine_timeout`` where the outcome is not known yet."""
    # The wait may be long and there may be many: none of them may hold a database connection meanwhile.
    close_old_connections()
    try:
        outcomes = submission.future.result(ANSWER_TIMEOUT_SECONDS)
    except (FutureTimeout, CancelledError):
        if submission.give_up is None:
            raise timed_out(submission.order_id) from None
        submission.give_up()
        outcomes = submission.future.result(0)
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
