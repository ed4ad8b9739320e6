"""What the twin remembers, in words and plain lists, and how it tells what happened.

Everything alive is in one list, ``open``, each order with the word for where it is: in the ``book``, ``waiting`` for the
last price, or ``held`` until its entry has ended. Nothing is kept that can be counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

Event = tuple[int, str, int, int, int, int, int, str, str, int]

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
PHASES = ("closed", "pre_open", "auction", "continuous", "halted", "no_cancel")
ALIVE = ("new", "partially_filled", "untriggered")


@dataclass(eq=False)
class TwinOrder:
    order_id: int
    account: int
    instrument: int
    side: str
    price: int
    quantity: int
    type: str = "limit"
    time_in_force: str = "gtc"
    stp: str = "cancel_newest"
    post_only: bool = False
    stop_price: int = 0
    trail: int = 0
    trail_bps: int = 0
    display_quantity: int = 0
    expires_at: int = 0
    role: str = ""
    # What became of it.
    where: str = ""
    status: str = "new"
    remaining: int = 0
    hidden: int = 0
    filled: int = 0
    canceled: int = 0
    priority: int = 0
    version: int = 1
    best: int = 0
    group: TwinGroup | None = None

    def __post_init__(self) -> None:
        self.remaining = self.quantity

    @property
    def rank(self) -> tuple[int, int]:
        """Smallest first: better price, then older place."""
        return (-self.price if self.side == "buy" else self.price, self.priority)

    @property
    def tip(self) -> int:
        return self.remaining - self.hidden

    @property
    def is_alive(self) -> bool:
        return self.status in ALIVE

    @property
    def is_child(self) -> bool:
        return self.role in ("take_profit", "stop_loss")

    @property
    def trigger(self) -> int:
        """The stop price as it stands; 0 where there is none, or none yet."""
        if self.type != "trailing_stop" or not self.best:
            return self.stop_price
        width = self.trail or self.best * self.trail_bps // 10_000
        return self.best + width if self.side == "buy" else max(1, self.best - width)


@dataclass(eq=False)
class TwinGroup:
    """Linked orders. ``stage``: ``entry`` until a bracket's entry has ended, then ``pair``, as an OCO is, then ``over``."""

    orders: list[TwinOrder]
    stage: str


@dataclass
class Instrument:
    phase: str = "continuous"
    phase_until: int = 0
    schedule: list[tuple[int, str]] = field(default_factory=list)
    last: int = 0
    price_tick: int = 1
    quantity_step: int = 1
    min_quantity: int = 1
    max_quantity: int = 2**53 - 1
    max_notional: int = 0
    collar_bps: int = 0
    reference_price: int = 0
    breaker_us: int = 0
    base: str = ""
    quote: str = ""

    @property
    def reference(self) -> int:
        return self.last or self.reference_price


@dataclass
class Account:
    state: str = "active"
    max_open_orders: int = 200_000
    max_order_quantity: int = 0
    max_position: int = 0
    max_rate: int = 0
    funded: bool = False
    deposits: dict[str, int] = field(default_factory=dict)
    rate_at: int = 0
    cancel_after_at: int = 0


class State:
    """The memory, questions to it, and the events of the running command."""

    def __init__(self) -> None:
        self.at = 0
        self.sequence = 1
        self.events: list[Event] = []
        self.open: list[TwinOrder] = []
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Account] = defaultdict(Account)
        # What was bought and sold, by account and instrument: [units, notional] a side.
        self.traded: dict[tuple[int, int], dict[str, list[int]]] = defaultdict(lambda: {"buy": [0, 0], "sell": [0, 0]})
        # Groups in which something filled, was lost or ended, in the order in which it happened.
        self.caused: list[TwinGroup] = []

    # Questions

    def find(self, order_id: int, account: int = 0) -> TwinOrder | None:
        return next((one for one in self.open if one.order_id == order_id and account in (0, one.account)), None)

    def position(self, account: int, instrument: int) -> int:
        traded = self.traded[account, instrument]
        return traded["buy"][0] - traded["sell"][0]

    def resting(self, instrument: int, side: str) -> list[TwinOrder]:
        """One side of a book, best first."""
        found = [one for one in self.open if one.instrument == instrument and one.side == side and one.where == "book"]
        return sorted(found, key=lambda one: one.rank)

    def beyond_collar(self, instrument: int, side: str, price: int, reference: int) -> bool:
        bps = self.instruments[instrument].collar_bps
        if not bps or not reference:
            return False
        if side == "buy":
            return price * 10_000 > reference * (10_000 + bps)
        return price * 10_000 < reference * (10_000 - bps)

    # Events

    def tell(
        self, kind: str, order: TwinOrder, quantity: int, reason: str = "", other: int = 0, price: int | None = None
    ) -> None:
        at = order.price if price is None else price
        numbers = (order.order_id, at, quantity, order.remaining, order.filled, order.status, reason, other)
        self.events.append((self.sequence, kind, *numbers))
        self.sequence += 1

    def tell_of(self, kind: str, subject: int, quantity: int = 0, price: int = 0, reason: str = "") -> None:
        """An event without an order: of an instrument or an account."""
        self.events.append((self.sequence, kind, 0, price, quantity, 0, 0, "", reason, subject))
        self.sequence += 1

    def refuse(self, reason: str) -> None:
        self.events.append((0, "command_refused", 0, 0, 0, 0, 0, "", reason, 0))
