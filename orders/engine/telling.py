"""What the engine's log says of commands: whose request they came with, so that both sides' lines can be laid together."""

import logging
from collections.abc import Sequence

from orders.bus.envelope import Envelope
from orders.engine.attempt import Attempt

log = logging.getLogger(__name__)

# A group takes milliseconds: one that takes this long made all of its callers wait.
SLOW_SECONDS = 1.0
# Requests named in a line.
MAX_NAMED = 10


def named(group: Sequence[Envelope]) -> dict[str, object]:
    """What a line says of the one request of a group, and of its one command; nothing where there are several."""
    if len(group) != 1:
        return {}
    told: dict[str, object] = {"request_id": group[0].request_id}
    if len(group[0].commands) == 1:
        command = group[0].commands[0]
        told |= {"command": type(command).__name__, "order_id": getattr(command, "order_id", None)}
    return told


def requests_of(group: Sequence[Envelope]) -> str:
    """The requests of a group, in words."""
    ids = ", ".join(envelope.request_id for envelope in group[:MAX_NAMED])
    return f"{ids} and {len(group) - MAX_NAMED} more" if len(group) > MAX_NAMED else ids


def tell_unusual(shard_id: int, attempt: Attempt, seconds: float) -> None:
    """A group that was carried out: what of it had come too late, and whether it took long."""
    expired = attempt.expired
    if expired:
        commands = sum(len(envelope.commands) for envelope in expired)
        log.warning(
            "shard %d: %d commands had waited past their deadline and were not begun; requests %s",
            shard_id,
            commands,
            requests_of(expired),
            extra=named(expired),
        )
    if seconds > SLOW_SECONDS:
        log.warning(
            "shard %d: a group of %d requests took %.2f s: %s",
            shard_id,
            len(attempt.group),
            seconds,
            requests_of(attempt.group),
            extra=named(attempt.group),
        )
