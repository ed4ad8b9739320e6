"""What travels between gateway and engine: envelopes with commands one way, outcomes the other."""

from concurrent.futures import Future

from matching.commands import Command
from matching.order import Order

# How a command came out.
DONE = "done"  # it had its effect, which is committed (a refused new order too: that is an effect)
REFUSED = "refused"  # no effect: ``reason`` says why
REPLAYED = "replayed"  # the client order id is known, with the same request: ``order_id`` is the order
CONFLICT = "conflict"  # the client order id is known, with another request
EXPIRED = "expired"  # it waited past its deadline and was not carried out
UNAVAILABLE = "unavailable"  # it was not carried out because the engine could not
FAILED = "failed"  # it was not carried out because the engine stumbled over it


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
        self.quantity = order.quantity
        self.remaining = order.remaining
        self.canceled = order.canceled
        self.filled = order.quantity - order.remaining - order.canceled
        self.notional = order.notional
        self.status = order.status
        self.reason = order.reason
        self.version = order.version
        self.sequence = sequence
        self.created_at = order.created_at
        self.updated_at = updated_at


class Outcome:
    """What became of one command.

    ``order`` is set where the command was about one order and had an effect; ``fills`` are the taker's trades of it as
    (sequence, price, quantity), ``makers`` the order ids on the other side of them (never for the public); ``canceled``
    the ids a cancel by filter ended; ``priority_kept`` an amend's answer.
    """

    __slots__ = ("canceled", "fills", "kind", "makers", "order", "order_id", "priority_kept", "reason")

    def __init__(
        self,
        kind: str,
        *,
        order_id: int = 0,
        reason: int = 0,
        order: OrderRecord | None = None,
        fills: tuple[tuple[int, int, int], ...] = (),
        makers: tuple[int, ...] = (),
        canceled: tuple[int, ...] = (),
        priority_kept: bool = False,
    ) -> None:
        self.kind = kind
        self.order_id = order_id
        self.reason = reason
        self.order = order
        self.fills = fills
        self.makers = makers
        self.canceled = canceled
        self.priority_kept = priority_kept


class Envelope:
    """Commands of one sender that are answered together (but each succeeds or fails on its own).

    ``fingerprints`` has one entry a command: the hash of the request for a new order with a client order id, else None.
    ``details`` the same way: JSON to keep with the command's event (or None). ``deadline`` is the time (microseconds
    since 1970) after which the commands must not be carried out any more, 0 for never (cancels).
    """

    __slots__ = ("actor_id", "commands", "deadline", "details", "fingerprints", "future", "received_at")

    def __init__(
        self,
        commands: list[Command],
        *,
        actor_id: int | None,
        received_at: int,
        deadline: int = 0,
        fingerprints: list[bytes | None] | None = None,
        details: list[str | None] | None = None,
    ) -> None:
        self.commands = commands
        self.actor_id = actor_id
        self.received_at = received_at
        self.deadline = deadline
        self.fingerprints = fingerprints
        self.details = details
        self.future: Future[list[Outcome]] = Future()
