"""What travels between gateway and engine: envelopes with commands one way, outcomes the other."""

from concurrent.futures import Future
from typing import NamedTuple

from matching.commands import Command
from matching.order import Conditions, Order
from matching.values import NO_ROLE

# How a command came out.
DONE = "done"  # it had its effect, which is committed (a refused new order too: that is an effect)
REFUSED = "refused"  # no effect: ``reason`` says why
REPLAYED = "replayed"  # the client order id is known, with the same request: ``order_id`` is the order
CONFLICT = "conflict"  # the client order id is known, with another request
EXPIRED = "expired"  # it waited past its deadline and was not carried out
UNAVAILABLE = "unavailable"  # it was not carried out because the engine could not
FAILED = "failed"  # it was not carried out because the engine stumbled over it
UNKNOWN = "unknown"  # its shard has not answered, where others have: never said by an engine


class OrderRecord:
    """An order as it stood right after a command, in units: the same attribute names as the ``Order`` table."""

    __slots__ = (
        "account_id",
        "canceled",
        "client_order_id",
        "created_at",
        "filled",
        "id",
        "instrument_id",
        "notional",
        "post_only",
        "price",
        "quantity",
        "reason",
        "remaining",
        "self_trade_prevention",
        "sequence",
        "shard_id",
        "side",
        "status",
        "time_in_force",
        "type",
        "updated_at",
        "version",
    )

    # What a plain order has of the rest, for all of them.
    hidden: int = 0
    stop_price: int | None = None
    trail: int | None = None
    trail_bps: int | None = None
    display_quantity: int | None = None
    expires_at: int | None = None
    group_id: int | None = None
    role: int = NO_ROLE

    def __init__(self, order: Order, shard_id: int, sequence: int, updated_at: int) -> None:
        self.id = order.order_id
        self.client_order_id = order.client_order_id or None
        self.account_id = order.account_id
        self.instrument_id = order.instrument_id
        self.shard_id = shard_id
        self.side = order.side
        self.type = order.type
        self.time_in_force = order.time_in_force
        self.self_trade_prevention = order.self_trade_prevention
        self.post_only = order.post_only
        self.price = order.price or None
        self.quantity = quantity = order.quantity
        self.remaining = remaining = order.remaining
        self.canceled = canceled = order.canceled
        self.filled = quantity - remaining - canceled
        self.notional = order.notional
        self.status = order.status
        self.reason = order.reason
        self.version = order.version
        self.sequence = sequence
        self.created_at = order.created_at
        self.updated_at = updated_at


class ConditionalOrderRecord(OrderRecord):
    """One of an order with conditions.

    Only ``stop_price`` of a trailing stop that waits says more than the row does: where it stood at that moment.
    """

    __slots__ = (
        "display_quantity",
        "expires_at",
        "group_id",
        "hidden",
        "role",
        "stop_price",
        "trail",
        "trail_bps",
    )

    def __init__(self, order: Order, conditions: Conditions, shard_id: int, sequence: int, updated_at: int) -> None:
        super().__init__(order, shard_id, sequence, updated_at)
        self.hidden = order.hidden
        self.stop_price = conditions.stop_price or None
        self.trail = conditions.trail or None
        self.trail_bps = conditions.trail_bps or None
        self.display_quantity = conditions.display_quantity or None
        self.expires_at = conditions.expires_at or None
        self.group_id = conditions.group_id or None
        self.role = conditions.role


def record_of(order: Order, shard_id: int, sequence: int, updated_at: int) -> OrderRecord:
    """An order as it stands."""
    conditions = order.conditions
    if conditions is None:
        return OrderRecord(order, shard_id, sequence, updated_at)
    return ConditionalOrderRecord(order, conditions, shard_id, sequence, updated_at)


class Outcome:
    """What became of one command.

    ``order`` is set where the command was about one order and had an effect, or about a group: then it is the first, and
    ``legs`` are the others. ``fills`` are the trades of ``order`` as the taker, as (sequence, price, quantity), ``makers``
    the order ids on the other side of them (never for the public); ``canceled`` the ids a cancel by filter ended;
    ``priority_kept`` an amend's answer; ``due_at`` when a cancel-after fires, in microseconds since 1970 (0: disarmed).
    """

    __slots__ = (
        "canceled",
        "due_at",
        "fills",
        "kind",
        "legs",
        "makers",
        "order",
        "order_id",
        "priority_kept",
        "reason",
    )

    def __init__(
        self,
        kind: str,
        *,
        order_id: int = 0,
        reason: int = 0,
        order: OrderRecord | None = None,
        fills: tuple[tuple[int, int, int], ...] = (),
        makers: tuple[int, ...] = (),
        legs: tuple[OrderRecord, ...] = (),
        canceled: tuple[int, ...] = (),
        priority_kept: bool = False,
        due_at: int = 0,
    ) -> None:
        self.kind = kind
        self.order_id = order_id
        self.reason = reason
        self.order = order
        self.fills = fills
        self.makers = makers
        self.legs = legs
        self.canceled = canceled
        self.priority_kept = priority_kept
        self.due_at = due_at


class SetShardMode(NamedTuple):
    """An operator's command to a shard's engine rather than to its books: take cancels and configuration only, or everything.

    It holds for the groups after the one it is in, and outlasts the engine. The core knows nothing of it.
    """

    cancel_only: bool


class Place(NamedTuple):
    """How far a stream of commands is carried out: every entry up to ``entry_id``, and ``done`` commands of the next."""

    entry_id: str
    done: int = 0


class Envelope:
    """Commands of one sender that are answered together (but each succeeds or fails on its own).

    ``fingerprints`` has one entry a command: the hash of the request for a new order (or group: its first order's) with a
    client order id, else None. ``details`` the same way: JSON to keep with the command's event (or None). ``deadline`` is
    the time (microseconds since 1970) after which the commands must not be carried out any more, 0 for never (cancels).
    ``request_id`` names the request in the logs of both sides. ``place`` is set where the bus keeps what it carries: where
    the log of commands stands once this envelope is carried out.
    """

    __slots__ = (
        "actor_id",
        "commands",
        "deadline",
        "details",
        "fingerprints",
        "future",
        "place",
        "received_at",
        "request_id",
    )

    def __init__(
        self,
        commands: list[Command | SetShardMode],
        *,
        actor_id: int | None,
        received_at: int,
        deadline: int = 0,
        fingerprints: list[bytes | None] | None = None,
        details: list[str | None] | None = None,
        request_id: str = "-",
        place: Place | None = None,
        future: "Future[list[Outcome]] | None" = None,
    ) -> None:
        self.commands = commands
        self.actor_id = actor_id
        self.received_at = received_at
        self.deadline = deadline
        self.fingerprints = fingerprints
        self.details = details
        self.request_id = request_id
        self.place = place
        self.future: Future[list[Outcome]] = Future() if future is None else future

    def part(self, indexes: list[int]) -> "Envelope":
        """Some of its commands, as an envelope of their own."""
        return Envelope(
            [self.commands[index] for index in indexes],
            actor_id=self.actor_id,
            received_at=self.received_at,
            deadline=self.deadline,
            fingerprints=None if self.fingerprints is None else [self.fingerprints[index] for index in indexes],
            details=None if self.details is None else [self.details[index] for index in indexes],
            request_id=self.request_id,
        )
