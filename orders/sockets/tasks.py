"""What the protocol asks its shell to do: whatever needs the database, the hub or the engine.

The shell does one after the other, and comes back with what is named here, or with ``refused``.
"""

from dataclasses import dataclass

from orders.actors import Actor
from orders.feed.board import Key
from orders.schemas.socket import MessageId, OrderEntry
from orders.sockets.entry import Slot


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find out whose key this is, then ``authenticated``."""

    id: MessageId | None
    key: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Find the symbols, ``subscribed``, then ask the hub. ``detail`` as the hub wants it; no symbols: of the service."""

    id: MessageId | None
    channel: str
    symbols: tuple[str, ...]
    detail: int


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Have the hub stop, then ``unsubscribed``."""

    id: MessageId | None
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class OpenExecutions:
    """Have the hub read the account's past, ``executions_opened``, let it tell, ``executions_told``."""

    id: MessageId | None
    actor: Actor
    after: dict[int, int] | None


@dataclass(frozen=True, slots=True)
class OpenPositions:
    """Have the hub read the account's positions, ``positions_opened``, let it tell."""

    id: MessageId | None
    actor: Actor


@dataclass(frozen=True, slots=True)
class ClosePrivate:
    """Have the hub close the stream, then ``private_closed``. ``channel`` is executions or positions."""

    id: MessageId | None
    channel: str


class Command:
    """Submit it; say ``about`` which orders it is as soon as that is known; ``result`` when it is answered."""

    __slots__ = ("message", "slot")

    def __init__(self, message: OrderEntry, slot: Slot) -> None:
        self.message = message
        self.slot = slot


Task = Authenticate | Subscribe | Unsubscribe | OpenExecutions | OpenPositions | ClosePrivate | Command
