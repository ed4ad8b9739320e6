"""What clients and readers of a fault run write down: what was sent when, and what was answered, or heard, when.

All times are one process's monotonic clock, so "answered before sent" means what it says. Numbers are in units.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

# What is traded, by the number of its shard.
SYMBOLS = ("ACME-USD", "ACME-EUR")

PLACE, AMEND, CANCEL, CANCEL_ALL, READ = "place", "amend", "cancel", "cancel_all", "read"
# How a call was answered. UNKNOWN: not at all, or by a word that says that nobody knows.
DONE, REFUSED, NOT_ACCEPTED, UNKNOWN = "done", "refused", "not_accepted", "unknown"


class Told(NamedTuple):
    """An order as an answer told of it. ``fills`` are (sequence, price, quantity), of what the command itself traded."""

    order_id: int
    status: str
    price: int
    quantity: int
    filled: int
    remaining: int
    version: int
    sequence: int
    fills: tuple[tuple[int, int, int], ...] = ()


class Terms(NamedTuple):
    """What a client asked for in a new order; ``price`` 0: none."""

    side: str
    type: str
    time_in_force: str
    post_only: bool
    price: int
    quantity: int


@dataclass(slots=True)
class Call:
    """One command (or one look at an order) and its answer.

    ``batch`` is the same number for those sent together, in their order (0: alone). Of an amend ``price`` and ``quantity``
    are the new ones (0: as it was); of a cancel by filter, which here is always of all the account's orders on one shard or
    on all of them, ``canceled`` are the ids it answered.
    """

    kind: str
    account: int
    sent_at: float
    client_order_id: str = ""
    order_id: int = 0
    terms: Terms | None = None
    price: int = 0
    quantity: int = 0
    batch: int = 0
    answered_at: float | None = None
    outcome: str = UNKNOWN
    code: str = ""
    told: Told | None = None
    canceled: tuple[int, ...] = ()


class Execution(NamedTuple):
    """A message of the executions channel."""

    heard_at: float
    epoch: int
    sequence: int
    previous: int
    event: str
    order_id: int
    filled: int
    remaining: int
    status: str


class TradeTold(NamedTuple):
    """A trade as the trades channel told of it."""

    heard_at: float
    epoch: int
    sequence: int
    price: int
    quantity: int
    taker_side: str


class BookTold(NamedTuple):
    """A whole book, kept from the messages of the book channel: (price, quantity, orders) best first."""

    heard_at: float
    epoch: int
    sequence: int
    bids: tuple[tuple[int, int, int], ...]
    asks: tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Ledger:
    """Of one shard. Lists are appended to by one thread each, or under the interpreter's own lock."""

    calls: list[Call] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    trades: list[TradeTold] = field(default_factory=list)
    books: list[BookTold] = field(default_factory=list)
    # (when, epoch of the shard's row)
    epochs: list[tuple[float, int]] = field(default_factory=list)

    def with_part_of(self, everywhere: list[Call], orders: set[int]) -> "Ledger":
        """Also what was asked of all shards at once, as far as it was answered about this one's orders."""
        parts = [replace(call, canceled=tuple([one for one in call.canceled if one in orders])) for call in everywhere]
        return replace(self, calls=[*self.calls, *parts])


class Units(NamedTuple):
    """Decimals of an instrument, for reading answers."""

    price_decimals: int = 2
    quantity_decimals: int = 3

    def price(self, text: str | None) -> int:
        return 0 if text is None else int(Decimal(text).scaleb(self.price_decimals))

    def quantity(self, text: str) -> int:
        return int(Decimal(text).scaleb(self.quantity_decimals))

    def told(self, answer: dict[str, Any]) -> Told:
        """An order of an answer."""
        fills = tuple(
            (int(fill["trade_id"].split("-")[1]), self.price(fill["price"]), self.quantity(fill["quantity"]))
            for fill in answer.get("fills", ())
        )
        return Told(
            int(answer["id"]),
            answer["status"],
            self.price(answer["price"]),
            self.quantity(answer["quantity"]),
            self.quantity(answer["filled_quantity"]),
            self.quantity(answer["remaining_quantity"]),
            answer["version"],
            answer["sequence"],
            fills,
        )


def shard_of(body: dict[str, Any]) -> int:
    """Where the instrument of a request, an answer or a message is traded."""
    return SYMBOLS.index(body["symbol"])
