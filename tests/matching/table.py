"""Runs scenarios that are written as text tables.

A file holds setups and scenarios. A line is a command, an arrow, and everything that happened:

    scenario: a partial fill keeps its place
      alice  a1  sell  10 @ 100              -> open
      bob    b1  sell  10 @ 100              -> open
      carol  t1  buy    4 market             -> filled    a1 4 @ 100
      alice  amend a1   8                    -> partial   place kept
      book                                   -> - | 100 x 14 (a1 b1)

Who, the order's name, side, quantity, then its terms in any order:

    @ 100              a limit; without one and without a stop: market
    stop 95            a stop; with a limit a stop-limit
    trail 5, trail 1%  a trailing stop
    show 10            an iceberg
    ioc fok day        time in force; gtd 10: until that time
    post-only          and the self-trade modes of matching.values
    oco s1 stop 95     linked to a stop named s1, of the same side and quantity
    bracket t1 @ 110 s1 stop 95    the entry of a bracket, and its children

``amend`` takes the same terms and ``8`` (the total), ``open 8``, ``less 8``, ``version 2``. ``cancel``, ``cancel all [side]``
and ``cancel-after 5`` do what they say. ``at 10`` lets time go by, alone or before a command: seconds, or a time of day
(``17:30``, ``1d08:00`` a day later); it begins at midnight. ``units``, ``rules``, ``limits``, ``phase auction [seconds]`` and
``schedule [current] 08:00 auction 09:00 continuous`` configure; ``deposit 100 USD`` and ``withdraw`` move money.

The answer is the state of the order (of a group: of each): ``open``, ``partial`` (open and partly filled), ``waiting`` (a
stop), ``held`` (a bracket's child), ``filled``, ``canceled:reason``, ``expired:reason``, ``rejected:reason``; or
``refused:reason``. Then what happened on the way, in the words of ``Narration.saying``. A trade is ``maker quantity @ price``,
with ``to taker`` where that is not the order that the line, or the last ``triggered`` or ``released``, is about.

``book`` shows bids and asks, best first, each level with its queue (``10+70``: 70 more are hidden); ``stops`` the waiting
ones in order of priority with their stop prices; ``indicative`` what the uncross would be; ``last`` the last price;
``state`` how orders stand; ``funds`` what somebody could pay with; ``phase`` alone the phase. Columns are for the eye: only
words count.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from matching.commands import (
    ANY_SIDE,
    OPEN,
    REDUCTION,
    TOTAL,
    AdvanceTime,
    Amend,
    Cancel,
    CancelAfter,
    CancelAll,
    Command,
    DefineAccount,
    DefineInstrument,
    OrderGroup,
    SetPhase,
    SetSchedule,
    Transfer,
)
from matching.events import Event
from matching.order import Conditions, Order
from matching.values import (
    ACCOUNT_STATE_NAMES,
    DAY,
    DAY_US,
    FIRST_STOP,
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    MARKET,
    MONEY_DECIMALS,
    PHASE_NAMES,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    ROLE_NAMES,
    SECOND_US,
    SIDE_NAMES,
    STOP,
    STOP_LIMIT,
    STP_CANCEL_NEWEST,
    STP_NAMES,
    TRAILING_STOP,
)
from tests.matching.narration import Narration

TIMES = {"ioc": IOC, "fok": FOK, "day": DAY, "gtd": GTD}
BASES = {"open": OPEN, "less": REDUCTION}
# The first moment: a midnight.
START_US = 20_000 * DAY_US
# An order nobody placed.
NOBODY = 10**6


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


class Table(Narration):
    """Reads the lines of a table, and the names of the people in them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START_US
        self.accounts: dict[str, int] = {}
        self.rules: dict[str, int] = {}

    def run(self, lines: list[tuple[int, str]], where: str) -> None:
        for number, line in lines:
            command, arrow, expected = line.partition("->")
            if not self.engine.instruments and not command.startswith("units"):
                self.apply(self.configuration(["rules"]))
            happened = self.do(command.split())
            self.engine.check_invariants()
            if arrow:
                expected = " ".join(expected.split())
                assert happened == expected, f"{where}:{number}: {line}\n  happened: {happened}"

    def do(self, words: list[str]) -> str:
        """Run one line and tell what happened, in the words of the tables."""
        if words[0] == "at":
            self.now = self.moment(words[1])
            return self.do(words[2:]) if words[2:] else self.tell(self.apply(AdvanceTime())) or "nothing"
        if words[0] == "funds":
            return self.funds(self.account(words[1]))
        if words[0] in ("book", "stops", "indicative", "last", "state") or words == ["phase"]:
            return self.show(words)
        if words[0] == "units":
            self.price_decimals, self.quantity_decimals = (len(word.partition(".")[2]) for word in words[1:3])
            self.rules = {"price_decimals": self.price_decimals, "quantity_decimals": self.quantity_decimals}
            return ""
        if words[0] in ("rules", "limits", "phase", "schedule"):
            return self.tell(self.apply(self.configuration(words))) or "done"
        who = self.account(words[0])
        if words[1] == "amend":
            return self.amend(who, words[2:])
        if words[1:3] == ["cancel", "all"]:
            side = SIDE_NAMES.index(words[3]) if words[3:] else ANY_SIDE
            return self.tell(self.apply(CancelAll(who, side=side))) or "nothing"
        if words[1] in ("deposit", "withdraw"):
            amount = int(Decimal(words[2]).scaleb(MONEY_DECIMALS)) * (1 if words[1] == "deposit" else -1)
            return self.tell(self.apply(Transfer(who, words[3], amount))) or "done"
        if words[1] == "cancel-after":
            return self.tell(self.apply(CancelAfter(who, self.duration(words[2])))) or "done"
        if words[1] == "cancel":
            subjects = [self.orders[words[2]]] if words[2] in self.orders else []
            return self.tell(self.apply(Cancel(self.ids.get(words[2], NOBODY), who)), subjects)
        return self.place(who, words[1:])

    # Words

    def apply(self, command: Command) -> list[Event]:
        return self.engine.apply(self.engine.next_sequence, self.now, command)

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

    def duration(self, word: str) -> int:
        """Seconds, as microseconds."""
        return self.units(word, 6)[0]

    def moment(self, word: str) -> int:
        days, _, rest = word.rpartition("d")
        clock = [int(part) for part in rest.split(":")] if ":" in rest else []
        seconds = sum(part * 60 ** (2 - place) for place, part in enumerate(clock)) * SECOND_US
        return START_US + int(days or 0) * DAY_US + (seconds if clock else self.duration(rest or "0"))

    def terms(self, words: list[str]) -> tuple[dict[str, Any], Conditions]:
        """The terms of an order or an amend: what is plain by name, and the conditions."""
        plain: dict[str, Any] = {"off_grid": 0}
        conditions = Conditions()
        words = list(words)
        while words:
            word = words.pop(0)
            off = 0
            if word == "@":
                plain["price"], off = self.price(words.pop(0))
            elif word == "stop":
                conditions.stop_price, off = self.price(words.pop(0))
            elif word == "trail" and words[0].endswith("%"):
                conditions.trail_bps = self.units(words.pop(0)[:-1], 2)[0]
            elif word == "trail":
                conditions.trail, off = self.price(words.pop(0))
            elif word == "show":
                conditions.display_quantity, off = self.quantity(words.pop(0))
            elif word in TIMES:
                plain["time_in_force"] = TIMES[word]
                conditions.expires_at = self.moment(words.pop(0)) if word == "gtd" else 0
            elif word == "version":
                plain["expected_version"] = int(words.pop(0))
            elif word == "post-only":
                plain["post_only"] = True
            elif word in STP_NAMES:
                plain["self_trade_prevention"] = STP_NAMES.index(word)
            elif word != "market":
                plain["basis"] = BASES.get(word, TOTAL)
                plain["quantity"], off = self.quantity(words.pop(0) if word in BASES else word)
            plain["off_grid"] |= off
        return plain, conditions

    # Commands

    def place(self, who: int, words: list[str]) -> str:
        """An order, or a group of them: the first has name, side and quantity, the others name and terms."""
        name, side, amount, *rest = words
        index = SIDE_NAMES.index(side)
        if "oco" in rest:
            cut = rest.index("oco")
            legs = [(name, rest[:cut], index), (rest[cut + 1], rest[cut + 2 :], index)]
            roles = ["oco_limit", "oco_stop"]
        elif "bracket" in rest:
            cut = rest.index("bracket")
            later = next(place for place in range(cut + 2, len(rest)) if rest[place] in ("stop", "trail")) - 1
            legs = [(name, rest[:cut], index), (rest[cut + 1], rest[cut + 2 : later], 1 - index)]
            legs.append((rest[later], rest[later + 1 :], 1 - index))
            roles = ["entry", "take_profit", "stop_loss"]
        else:
            order = self.order(who, name, index, amount, rest)
            return self.tell(self.apply(order), [order])
        orders = [self.order(who, name, side, amount, terms) for name, terms, side in legs]
        for order, role in zip(orders, roles, strict=True):
            order.conditions = order.conditions or Conditions()
            order.conditions.group_id, order.conditions.role = orders[0].order_id, ROLE_NAMES.index(role)
        return self.tell(self.apply(OrderGroup(orders)), orders)

    def order(self, who: int, name: str, side: int, amount: str, words: list[str]) -> Order:
        plain, conditions = self.terms(words)
        quantity, off_grid = self.quantity(amount)
        price = plain.get("price", 0)
        type = LIMIT if price else MARKET
        if conditions.stop_price:
            type = STOP_LIMIT if price else STOP
        elif conditions.trail or conditions.trail_bps:
            type = TRAILING_STOP
        needed = type >= FIRST_STOP or conditions.display_quantity or plain.get("time_in_force") in (DAY, GTD)
        order = Order(
            self.ids.setdefault(name, len(self.ids) + 1),
            who,
            1,
            side,
            price,
            quantity,
            type,
            plain.get("time_in_force", IOC if type == MARKET else GTC),
            plain.get("self_trade_prevention", STP_CANCEL_NEWEST),
            plain.get("post_only", False),
            name,
            off_grid | plain["off_grid"],
            conditions if needed else None,
        )
        self.orders.setdefault(name, order)
        return order

    def amend(self, who: int, words: list[str]) -> str:
        """``amend a1 8``: the total; ``open 8``, ``less 8``; ``@ 101``: the price; ``version 2``: only that one."""
        name, *rest = words
        plain, conditions = self.terms(rest)
        plain.pop("time_in_force", None)
        fields = ("stop_price", "trail", "trail_bps", "display_quantity", "expires_at")
        plain |= {field: getattr(conditions, field) for field in fields}
        amend = Amend(self.ids.get(name, NOBODY), who, **plain)
        return self.tell(self.apply(amend), [self.orders[name]] if name in self.orders else [])

    def configuration(self, words: list[str]) -> Command:
        if words[0] == "phase":
            return SetPhase(1, PHASE_NAMES.index(words[1]), self.duration(words[2]) if words[2:] else 0)
        if words[0] == "schedule":
            current = words[1:2] == ["current"]
            pairs = words[2 if current else 1 :]
            steps = [
                (self.moment(at), PHASE_NAMES.index(phase)) for at, phase in zip(pairs[::2], pairs[1::2], strict=True)
            ]
            return SetSchedule(1, steps, current)
        named = dict(word.split("=") for word in words if "=" in word)
        if words[0] == "limits":
            state = ACCOUNT_STATE_NAMES.index(named.pop("state", "active"))
            counts = ("max_open_orders", "max_rate")
            funded = named.pop("funded", "0") == "1"
            limits = {key: int(value) if key in counts else self.quantity(value)[0] for key, value in named.items()}
            return DefineAccount(self.account(words[1]), state, funded=funded, **limits)
        read = {"price_tick": self.price, "reference_price": self.price}
        read |= {"quantity_step": self.quantity, "min_quantity": self.quantity, "max_quantity": self.quantity}
        rules = {
            key: read[key](value)[0] if key in read else int(value) for key, value in named.items() if key != "breaker"
        }
        breaker_us = self.duration(named.get("breaker", "0"))
        return DefineInstrument(1, "ACME-USD", "ACME", "USD", breaker_us=breaker_us, **(self.rules | rules))
