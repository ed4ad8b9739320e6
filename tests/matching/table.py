"""Runs scenarios that are written as text tables.

A file holds setups and scenarios. A line is a command, an arrow, and everything that happened:

    scenario: a partial fill keeps its place
      alice  a1  sell  10 @ 100              -> open
      bob    b1  sell  10 @ 100              -> open
      carol  t1  buy    4 market             -> filled    a1 4 @ 100
      alice  amend a1   8                    -> partial   place kept
      book                                   -> - | 100 x 14 (a1 b1)

Who, the order's name, side, quantity, price; then any of ``ioc fok post-only`` and a self-trade mode. The answer is the
order's state (``open``, ``partial`` = open and partly filled, ``filled``, ``canceled:reason``, ``rejected:reason``) or
``refused:reason``, then what happened on the way: trades as ``maker quantity @ price``, ``name canceled:reason``,
``name less quantity``, ``place kept`` or ``place lost``. ``book`` shows bids and asks, best first, each level with its
queue. ``units``, ``rules``, ``limits`` and ``phase`` configure. Columns are for the eye: only words count.
"""

from __future__ import annotations

from pathlib import Path

from matching.commands import (
    ANY_SIDE,
    OPEN,
    REDUCTION,
    TOTAL,
    Amend,
    Cancel,
    CancelAll,
    DefineAccount,
    DefineInstrument,
    SetPhase,
)
from matching.engine import Command, Engine
from matching.events import AMENDED, CANCELED, COMMAND_REFUSED, DECREMENTED, FILL_TAKER, REPLACED, Event
from matching.order import Order
from matching.values import (
    ACCOUNT_STATE_NAMES,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    PARTIALLY_FILLED,
    PHASE_NAMES,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    REASON_NAMES,
    SIDE_NAMES,
    STATUS_NAMES,
    STP_CANCEL_NEWEST,
    STP_NAMES,
)

TIMES = {"ioc": IOC, "fok": FOK}
BASES = {"open": OPEN, "less": REDUCTION}


def load(path: Path) -> dict[str, list[tuple[int, str]]]:
    """The scenarios of a file by name: numbered lines, those of the setup they start from first."""
    setups: dict[str, list[tuple[int, str]]] = {}
    scenarios: dict[str, list[tuple[int, str]]] = {}
    lines: list[tuple[int, str]] = []
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.split("#")[0].strip()
        word, _, name = line.partition(": ")
        if word in ("setup", "scenario"):
            kind = setups if word == "setup" else scenarios
            assert name not in kind, f"{path.name}:{number}: {name!r} is there twice"
            lines = kind[name] = []
        elif word == "given":
            lines += setups[name]
        elif line:
            lines.append((number, line))
    return scenarios


class Table:
    """One engine, one instrument, and the names of the people and orders in it."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.accounts: dict[str, int] = {}
        self.orders: dict[str, Order] = {}
        self.ids: dict[str, int] = {}
        self.price_decimals = self.quantity_decimals = 0
        self.rules: dict[str, int] = {}

    def run(self, lines: list[tuple[int, str]], where: str) -> None:
        for number, line in lines:
            command, arrow, expected = line.partition("->")
            if not self.engine.instruments and not command.startswith("units"):
                self.apply(DefineInstrument(1, "ACME-USD", **self.rules))
            happened = self.do(command.split())
            self.engine.check_invariants()
            if arrow:
                assert happened == " ".join(expected.split()), f"{where}:{number}: {line}"

    def do(self, words: list[str]) -> str:
        """Run one line and tell what happened, in the words of the tables."""
        if words[0] == "book":
            return f"{self.levels('buy')} | {self.levels('sell')}"
        if words[0] == "units":
            self.price_decimals, self.quantity_decimals = (len(word.partition(".")[2]) for word in words[1:3])
            self.rules = {"price_decimals": self.price_decimals, "quantity_decimals": self.quantity_decimals}
            return ""
        if words[0] in ("rules", "limits", "phase"):
            return self.configure(words)
        who = self.account(words[0])
        if words[1] == "amend":
            return self.amend(who, words[2:])
        if words[1:3] == ["cancel", "all"]:
            side = SIDE_NAMES.index(words[3]) if words[3:] else ANY_SIDE
            return self.tell(self.apply(CancelAll(who, side=side)), None) or "nothing"
        if words[1] == "cancel":
            return self.tell(self.apply(Cancel(self.ids.get(words[2], 10**6), who)), self.orders.get(words[2]))
        return self.place(who, words[1:])

    # Commands

    def apply(self, command: Command) -> list[Event]:
        return self.engine.apply(self.engine.next_sequence, 0, command)

    def account(self, name: str) -> int:
        """``operator`` is nobody's account: it may touch every order."""
        return 0 if name == "operator" else self.accounts.setdefault(name, len(self.accounts) + 1)

    def units(self, word: str, decimals: int) -> tuple[int, bool]:
        """A number in units, and whether it has more decimals than a unit can hold (then those are dropped)."""
        whole, _, fraction = word.partition(".")
        return int(whole + fraction[:decimals].ljust(decimals, "0")), bool(fraction[decimals:].strip("0"))

    def price(self, word: str) -> tuple[int, int]:
        price, off = self.units(word, self.price_decimals)
        return price, PRICE_OFF_GRID if off else 0

    def quantity(self, word: str) -> tuple[int, int]:
        quantity, off = self.units(word, self.quantity_decimals)
        return quantity, QUANTITY_OFF_GRID if off else 0

    def place(self, who: int, words: list[str]) -> str:
        name, side, amount, *rest = words
        quantity, off_grid = self.quantity(amount)
        type, price = MARKET, 0
        if rest.pop(0) == "@":
            type = LIMIT
            price, price_off = self.price(rest.pop(0))
            off_grid |= price_off
        time, mode, post_only = IOC if type == MARKET else GTC, STP_CANCEL_NEWEST, False
        for word in rest:
            if word in TIMES:
                time = TIMES[word]
            elif word == "post-only":
                post_only = True
            else:
                mode = STP_NAMES.index(word)
        order_id = self.ids.setdefault(name, len(self.ids) + 1)
        order = Order(
            order_id, who, 1, SIDE_NAMES.index(side), price, quantity, type, time, mode, post_only, name, off_grid
        )
        self.orders.setdefault(name, order)
        return self.tell(self.apply(order), order)

    def amend(self, who: int, words: list[str]) -> str:
        """``amend a1 8``: the total; ``open 8``, ``less 8``; ``@ 101``: the price; ``version 2``: only that one."""
        name, *rest = words
        price = total = off_grid = version = 0
        basis = TOTAL
        while rest:
            word = rest.pop(0)
            if word == "@":
                price, off = self.price(rest.pop(0))
            elif word == "version":
                version, off = int(rest.pop(0)), 0
            else:
                basis = BASES.get(word, TOTAL)
                total, off = self.quantity(rest.pop(0) if word in BASES else word)
            off_grid |= off
        order = Amend(self.ids.get(name, 10**6), who, price, total, basis, version, off_grid)
        return self.tell(self.apply(order), self.orders.get(name))

    def configure(self, words: list[str]) -> str:
        if words[0] == "phase":
            return self.tell(self.apply(SetPhase(1, PHASE_NAMES.index(words[1]))), None) or "done"
        named = dict(word.split("=") for word in words if "=" in word)
        if words[0] == "limits":
            state = ACCOUNT_STATE_NAMES.index(named.pop("state", "active"))
            limits = {key: self.quantity(value)[0] for key, value in named.items() if key != "max_open_orders"}
            if "max_open_orders" in named:
                limits["max_open_orders"] = int(named["max_open_orders"])
            return self.tell(self.apply(DefineAccount(self.account(words[1]), state, **limits)), None) or "done"
        read = {"price_tick": self.price, "reference_price": self.price}
        read |= {"quantity_step": self.quantity, "min_quantity": self.quantity, "max_quantity": self.quantity}
        rules = self.rules | {key: read[key](value)[0] if key in read else int(value) for key, value in named.items()}
        return self.tell(self.apply(DefineInstrument(1, "ACME-USD", **rules)), None) or "done"

    # What happened

    def tell(self, events: list[Event], subject: Order | None) -> str:
        """The state of the order the line was about, then the other things that happened, in their order."""
        said = []
        for kind, _, order, price, quantity, _, _, reason, other in events:
            name = order.client_order_id if order else ""
            if kind == COMMAND_REFUSED:
                return f"refused:{REASON_NAMES[reason]}"
            if kind == FILL_TAKER:
                said.append(f"{self.name(other)} {self.number(quantity, False)} @ {self.number(price, True)}")
            elif kind in (AMENDED, REPLACED):
                said.append("place kept" if kind == AMENDED else "place lost")
            elif kind == DECREMENTED:
                said.append(f"{name} less {self.number(quantity, False)}")
            elif kind == CANCELED and order is not subject:
                said.append(f"{name} canceled:{REASON_NAMES[reason]}")
        return " ".join(filter(None, (self.state(subject) if subject else "", ", ".join(said))))

    def state(self, order: Order) -> str:
        if order.order_id in self.engine.orders:
            return "partial" if order.status == PARTIALLY_FILLED else "open"
        reason = REASON_NAMES[order.reason]
        return STATUS_NAMES[order.status] + (f":{reason}" if reason else "")

    def name(self, order_id: int) -> str:
        return next(name for name, known in self.ids.items() if known == order_id)

    def number(self, units: int, is_price: bool) -> str:
        decimals = self.price_decimals if is_price else self.quantity_decimals
        digits = str(units).rjust(decimals + 1, "0")
        return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits

    def levels(self, side: str) -> str:
        book = self.engine.instruments[1].book
        half = book.bids if side == "buy" else book.asks
        said = []
        for level in (half.levels[key] for key in reversed(half.keys)):
            queue, order = [], level.head
            while order is not None:
                queue.append(order.client_order_id)
                order = order.newer
            total = self.number(level.quantity, False)
            said.append(f"{self.number(level.price, True)} x {total} ({' '.join(queue)})")
        return ", ".join(said) or "-"
