"""Drives the engine and its twin side by side and compares everything that can be seen.

A step is a word and keyword arguments in the public vocabulary (``do("place", order_id=1, side="buy", ...)``); both
sides get it in their own form. After each: events, next sequence, queues of every level, holdings, open orders and last
prices must be equal, every change of status must be in the lifecycle table, and the engine's invariants must hold.
"""

from __future__ import annotations

import random
from typing import Any

from matching.commands import (
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
from matching.events import KIND_NAMES, Event
from matching.lifecycle import TRANSITIONS, UNBORN, status_after
from matching.order import Order
from matching.values import (
    ACCOUNT_STATE_NAMES,
    PHASE_NAMES,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    REASON_NAMES,
    SIDE_NAMES,
    STP_NAMES,
    TIME_IN_FORCE_NAMES,
    TYPE_NAMES,
)
from tests.twin.book import TwinEngine

BASES = {"total": TOTAL, "open": OPEN, "reduction": REDUCTION}
OFF_GRID = {"": 0, "price": PRICE_OFF_GRID, "quantity": QUANTITY_OFF_GRID}

# Six ticks and few accounts: most orders meet another, many their own.
PRICES = range(100, 106)
ACCOUNTS = (1, 2, 3)
INSTRUMENTS = (1, 2)


def to_command(op: str, a: dict[str, Any]) -> Command:
    """The engine's command for a step."""
    if op == "place":
        return Order(
            a["order_id"],
            a["account"],
            a["instrument"],
            SIDE_NAMES.index(a["side"]),
            a["price"],
            a["quantity"],
            TYPE_NAMES.index(a.get("type", "limit")),
            TIME_IN_FORCE_NAMES.index(a.get("time_in_force", "gtc")),
            STP_NAMES.index(a.get("stp", "cancel_newest")),
            a.get("post_only", False),
            off_grid=OFF_GRID[a.get("off_grid", "")],
        )
    if op == "amend":
        return Amend(
            a["order_id"],
            a.get("account", 0),
            a.get("price", 0),
            a.get("quantity", 0),
            BASES[a.get("basis", "total")],
            a.get("expected_version", 0),
            OFF_GRID[a.get("off_grid", "")],
        )
    if op == "cancel":
        return Cancel(a["order_id"], a.get("account", 0))
    if op == "cancel_all":
        side = SIDE_NAMES.index(a["side"]) if a.get("side") else -1
        return CancelAll(a.get("account", 0), a.get("instrument", 0), side)
    if op == "set_phase":
        return SetPhase(a["instrument"], PHASE_NAMES.index(a["phase"]))
    if op == "define_instrument":
        rules = {key: value for key, value in a.items() if key != "instrument"}
        return DefineInstrument(a["instrument"], f"SYM-{a['instrument']}", **rules)
    limits = {**a, "state": ACCOUNT_STATE_NAMES.index(a.get("state", "active"))}
    return DefineAccount(limits.pop("account"), **limits)


def in_words(event: Event) -> tuple[int, str, int, int, int, int, int, str, int]:
    """An engine's event as the twin tells it."""
    kind, sequence, order, price, quantity, remaining, filled, reason, other = event
    order_id = order.order_id if order else 0
    return (sequence, KIND_NAMES[kind], order_id, price, quantity, remaining, filled, REASON_NAMES[reason], other)


class Pair:
    """An engine and its twin, two instruments, three accounts."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.twin = TwinEngine()
        self.status: dict[int, int] = {}
        self.seen: set[tuple[int, int, int]] = set()
        self.reasons: set[str] = set()
        self.steps: list[tuple[str, dict[str, Any]]] = []
        for instrument in INSTRUMENTS:
            self.do("define_instrument", instrument=instrument)

    def do(self, op: str, **arguments: Any) -> list[Event]:
        """Run one step on both sides and compare."""
        self.steps.append((op, arguments))
        before = self.engine.next_sequence
        events = self.engine.apply(before, len(self.steps), to_command(op, arguments))
        assert [in_words(event) for event in events] == self.twin.do(op, **arguments)
        assert self.engine.next_sequence == self.twin.sequence
        self.check_numbers(before, events)
        self.follow(events)
        self.engine.check_invariants()
        self.compare()
        return events

    def check_numbers(self, before: int, events: list[Event]) -> None:
        """Numbers follow one another without a gap; only a refused command has none."""
        numbers = [event[1] for event in events if event[1]]
        assert numbers == list(range(before, before + len(numbers)))
        assert self.engine.next_sequence == before + len(numbers)

    def follow(self, events: list[Event]) -> None:
        """Fold the events through the lifecycle table; the engine's own statuses must be the result."""
        for kind, _, order, _, _, remaining, _, reason, _ in events:
            self.reasons.add(REASON_NAMES[reason])
            if order is None:
                continue
            old = self.status.get(order.order_id, UNBORN)
            new = status_after(old, kind, remaining)
            assert new in TRANSITIONS[old, kind]
            self.seen.add((old, kind, new))
            self.status[order.order_id] = new
        for _, _, order, *_ in events:
            assert order is None or order.status == self.status[order.order_id]

    def compare(self) -> None:
        engine, twin = self.engine, self.twin
        assert set(engine.orders) == {order.order_id for order in twin.open}
        for order in twin.open:
            ours = engine.orders[order.order_id]
            assert (ours.price, ours.quantity, ours.remaining, ours.canceled, ours.priority, ours.version) == (
                order.price,
                order.quantity,
                order.remaining,
                order.canceled,
                order.priority,
                order.version,
            )
        for number, instrument in engine.instruments.items():
            assert instrument.last_price == twin.last.get(number, 0)
            for side, book in (("buy", instrument.book.bids), ("sell", instrument.book.asks)):
                best_first = [book.levels[key] for key in reversed(book.keys)]
                mine = [order for order in twin.open if (order.instrument, order.side) == (number, side)]
                expected = [order.order_id for order in sorted(mine, key=lambda order: order.rank)]
                assert [order_id for level in best_first for order_id in queue(level)] == expected
            self.compare_holdings(number)

    def compare_holdings(self, number: int) -> None:
        for account, holding in self.engine.instruments[number].holdings.items():
            traded = self.twin.traded[account, number]
            assert [holding.bought, holding.bought_notional] == traded["buy"]
            assert [holding.sold, holding.sold_notional] == traded["sell"]
        assert {account for account, instrument in self.twin.traded if instrument == number} <= set(
            self.engine.instruments[number].holdings
        )


def queue(level: Any) -> list[int]:
    """The order ids of a level, oldest first."""
    found = []
    order = level.head
    while order is not None:
        found.append(order.order_id)
        order = order.newer
    return found


class Dice:
    """Seeded steps: mostly orders, amends and cancels, now and then a change of rules, which is soon taken back."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.next_id = 1

    def step(self, pair: Pair) -> tuple[str, dict[str, Any]]:
        roll = self.random.random()
        if roll < 0.70:
            return "place", self.order(pair)
        if roll < 0.85:
            return "amend", self.amend(pair)
        if roll < 0.96:
            return "cancel", self.target(pair)
        if roll < 0.963:
            return "cancel_all", self.filter()
        return self.rules()

    def order(self, pair: Pair) -> dict[str, Any]:
        pick = self.random.choice
        order_id = self.next_id
        self.next_id += 1
        if pair.twin.open and self.random.random() < 0.01:
            order_id = pick(pair.twin.open).order_id
        market = self.random.random() < 0.1
        side = pick(SIDE_NAMES)
        # Buyers mostly bid low and sellers mostly ask high, or nothing would rest.
        prices = PRICES if self.random.random() < 0.25 else PRICES[:3] if side == "buy" else PRICES[3:]
        return {
            "order_id": order_id,
            "account": pick(ACCOUNTS),
            "instrument": 3 if self.random.random() < 0.01 else pick((1, 1, 1, 2)),
            "side": side,
            "price": 0 if market else pick(prices),
            "quantity": self.random.randint(1, 12),
            "type": "market" if market else "limit",
            "time_in_force": pick(("gtc", "gtc", "gtc", "gtc", "ioc", "fok")),
            "stp": pick(STP_NAMES),
            "post_only": not market and self.random.random() < 0.1,
            "off_grid": pick(("price", "quantity")) if self.random.random() < 0.01 else "",
        }

    def target(self, pair: Pair) -> dict[str, Any]:
        """Somebody's order: mostly an open one, by its owner or an operator; sometimes gone or another's."""
        pick = self.random.choice
        if not pair.twin.open or self.random.random() < 0.05:
            return {"order_id": self.random.randint(1, self.next_id), "account": pick(ACCOUNTS)}
        order = pick(pair.twin.open)
        return {"order_id": order.order_id, "account": pick((0, order.account, order.account, pick(ACCOUNTS)))}

    def amend(self, pair: Pair) -> dict[str, Any]:
        pick = self.random.choice
        return {
            **self.target(pair),
            "price": pick((0, 0, *PRICES)),
            "quantity": self.random.randint(0, 14),
            "basis": pick(("total", "total", "open", "reduction")),
            "expected_version": pick((0, 0, 0, 1, 2)),
            "off_grid": pick(("price", "quantity")) if self.random.random() < 0.02 else "",
        }

    def filter(self) -> dict[str, Any]:
        pick = self.random.choice
        return {
            "account": pick((0, *ACCOUNTS, 9)),
            "instrument": pick((0, *INSTRUMENTS)),
            "side": pick(("", *SIDE_NAMES)),
        }

    def rules(self) -> tuple[str, dict[str, Any]]:
        pick = self.random.choice
        plain = self.random.random() < 0.75
        roll = self.random.random()
        if roll < 0.3:
            return "set_phase", {
                "instrument": pick((*INSTRUMENTS, 3)),
                "phase": "continuous" if plain else pick(("halted", "closed")),
            }
        if roll < 0.65:
            return "define_instrument", {"instrument": pick(INSTRUMENTS)} | (
                {}
                if plain
                else {
                    "price_tick": pick((1, 1, 2)),
                    "quantity_step": pick((1, 1, 3)),
                    "min_quantity": pick((1, 3)),
                    "max_quantity": pick((10, 1000)),
                    "max_notional": pick((0, 900)),
                    "collar_bps": pick((0, 50, 150, 200)),
                    "reference_price": pick((0, 102)),
                }
            )
        return "define_account", {"account": pick(ACCOUNTS)} | (
            {}
            if plain
            else {
                "state": pick(ACCOUNT_STATE_NAMES),
                "max_open_orders": pick((1, 4, 100)),
                "max_order_quantity": pick((0, 8)),
                "max_position": pick((0, 15)),
            }
        )
