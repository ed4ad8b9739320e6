"""How commands and outcomes travel through Redis: as msgpack, which holds numbers, texts and lists and nothing that runs.

Rules
-----
* An *entry* is one element of a shard's stream: ``[VERSION, gateway, [envelope, …]]``. A *reply* is one element of a gateway's
  list: ``[VERSION, [[correlation, [outcome, …]], …]]``. The correlation is the gateway's own number of an envelope.
* Integers are exact at any size: what does not fit 64 bits (money, notionals) travels as an extension.
* What does not have exactly the expected shape is refused as a whole by ``WireError``: also where the core is plain, whose
  constructors take anything.
* Raise ``VERSION`` with every change of these shapes. An entry of another version is not guessed at: the engines and web
  processes of one service are of one version.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgpack

from orders.bus.envelope import Envelope, Outcome
from orders.bus.wire_commands import command_of, command_row
from orders.bus.wire_outcomes import outcome_of, outcome_row
from orders.bus.wire_values import WireError, list_of, pack, unpack

VERSION = 1


# Entries of a stream


def encode_envelope(envelope: Envelope, correlation: int) -> bytes:
    """One envelope, to be put into an entry with others. Raises ``TypeError`` for what cannot travel."""
    return pack(
        (
            correlation,
            envelope.actor_id,
            envelope.received_at,
            envelope.deadline,
            envelope.request_id,
            [command_row(command) for command in envelope.commands],
            envelope.fingerprints,
            envelope.details,
        )
    )


def encode_entry(gateway: str, envelopes: list[bytes]) -> bytes:
    """An entry of a stream, of envelopes that are encoded already."""
    packer = msgpack.Packer(autoreset=False)
    packer.pack_array_header(3)
    packer.pack(VERSION)
    packer.pack(gateway)
    packer.pack_array_header(len(envelopes))
    return b"".join((packer.bytes(), *envelopes))


def decode_entry(
    data: bytes, future: Callable[[str, int], Any] = lambda gateway, correlation: Future()
) -> list[Envelope]:
    """The envelopes of an entry. ``future`` is called with gateway and correlation of each. Raises ``WireError``."""
    gateway, rows = _versioned(data, 3)
    if type(gateway) is not str:
        raise WireError("no gateway is named")
    return [_envelope_of(row, gateway, future) for row in list_of(rows)]


def _versioned(data: bytes, length: int) -> list[Any]:
    version, *rest = list_of(unpack(data)) or [None]
    if version != VERSION:
        raise WireError(f"of version {version!r:.40}, not {VERSION}")
    if len(rest) != length - 1:
        raise WireError("cut or too long")
    return rest


def _envelope_of(row: Any, gateway: str, future: Callable[[str, int], Any]) -> Envelope:
    if len(list_of(row)) != 8:
        raise WireError("not an envelope")
    correlation, actor_id, received_at, deadline, request_id, commands, fingerprints, details = row
    if not (
        type(correlation) is type(received_at) is type(deadline) is int
        and (actor_id is None or type(actor_id) is int)
        and type(request_id) is str
    ):
        raise WireError("not an envelope's head")
    built = [command_of(command) for command in list_of(commands)]
    _check_list(fingerprints, len(built), bytes)
    _check_list(details, len(built), str)
    return Envelope(
        built,
        actor_id=actor_id,
        received_at=received_at,
        deadline=deadline,
        fingerprints=fingerprints,
        details=details,
        request_id=request_id,
        future=future(gateway, correlation),
    )


def _check_list(values: Any, count: int, kind: type) -> None:
    """Nothing, or one of a kind or None for each command."""
    if values is None:
        return
    if len(list_of(values)) != count or any(value is not None and type(value) is not kind for value in values):
        raise WireError("not one fingerprint and detail a command")


# Replies


def encode_reply(answers: list[tuple[int, list[Outcome]]]) -> bytes:
    """One element of a gateway's list: the outcomes of envelopes, by their correlations."""
    return pack((VERSION, [(correlation, [*map(outcome_row, outcomes)]) for correlation, outcomes in answers]))


def decode_reply(data: bytes) -> list[tuple[int, list[Outcome]]]:
    """What ``encode_reply`` was given. Raises ``WireError``."""
    (answers,) = _versioned(data, 2)
    try:
        return [(correlation, [outcome_of(*row) for row in rows]) for correlation, rows in answers]
    except (TypeError, ValueError, LookupError) as error:
        raise WireError(f"not outcomes: {error!r:.200}") from error
