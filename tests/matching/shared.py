"""Runs the scenarios that were collected from the tests of public engines (``test_shared_scenarios`` says where they are).

One scenario is a dict: an instrument's tick and lot, ``config``, ``steps`` with what each must answer, and the book after them.
Orders without an account are of an account each, so that nobody meets himself. Moments count from midnight.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from matching.auction import indicative
from matching.commands import REDUCTION, AdvanceTime, Amend, Cancel, Command, DefineInstrument, SetPhase
from matching.engine import Engine
from matching.events import COMMAND_REFUSED, FILL_TAKER, KIND, Event
from matching.order import Conditions, Order
from matching.values import (
    DAY_US,
    FIRST_STOP,
    PHASE_NAMES,
    SIDE_NAMES,
    STATUS_NAMES,
    STP_NAMES,
    TIME_IN_FORCE_NAMES,
    TYPE_NAMES,
    UNTRIGGERED,
)
from orders.schemas.orders import PlaceOrder

START_US = 20_000 * DAY_US
MODES = {"cancel_taker": "cancel_newest", "cancel_maker": "cancel_oldest"}
SETTINGS = {"price_band_bps", "band_reference", "phase", "reference", "last_price"}
# What other engines are told to do; here it cannot be set, and the scenario shows whether it differs.
OTHER_SETTINGS = {"market_remainder", "pressure_band_pct", "reject_stop_orders", "stop_trigger"}
STATES = {
    "open": {"new"},
    "pending": {"untriggered"},
    "cancelled": {"canceled"},
    "filled_or_cancelled": {"filled", "canceled"},
}


class UnknownFeature(Exception):
    """The scenario needs what this engine does not have."""


class Differs(Exception):
    """Something came out otherwise than the scenario says."""


def run(scenario: dict[str, Any]) -> None:
    """Raises ``UnknownFeature`` or ``Differs``, each saying what."""
    player = Player(scenario)
    for number, step in enumerate(scenario["steps"], 1):
        player.play(step, f"step {number}")
        player.engine.check_invariants()
    player.check_book(scenario)


def decimals(word: str) -> int:
    exponent = Decimal(word).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def equal(what: str, ours: object, expected: object) -> None:
    if ours != expected:
        raise Differs(f"{what}: {ours}, expected {expected}")


def door_refuses(step: dict[str, Any]) -> bool:
    """What never reaches the core: the door takes no such order."""
    terms = {"side": step["side"], "type": step["type"], "price": step["price"], "quantity": step["qty"]}
    try:
        PlaceOrder(symbol="ACME-USD", **terms)
    except ValueError:
        return True
    return False


class Player:
    def __init__(self, scenario: dict[str, Any]) -> None:
        self.engine = Engine()
        self.now = START_US
        self.orders: dict[str, Order] = {}
        self.ids: dict[str, int] = {}
        self.accounts: dict[str, int] = {}
        rules, config = scenario["instrument"], scenario.get("config", {})
        if config.keys() - SETTINGS - OTHER_SETTINGS:
            raise UnknownFeature(", ".join(config.keys() - SETTINGS - OTHER_SETTINGS))
        self.price_decimals, self.quantity_decimals = decimals(rules["tick"]), decimals(rules["lot"])
        step = self.quantity(rules["lot"])
        collar_bps, reference = config.get("price_band_bps", 0), self.price(config.get("reference"))
        define = DefineInstrument(1, "ACME-USD", price_tick=self.price(rules["tick"]), quantity_step=step)
        define.min_quantity, define.collar_bps, define.reference_price = step, collar_bps, reference
        self.apply(define)
        # An amend carries no mode here: an order has that of its amend from the beginning.
        self.modes = {step["id"]: step["stp"] for step in scenario["steps"] if step.get("stp")}
        if "last_price" in config:
            self.trade_at(config["last_price"])
        if "phase" in config:
            self.apply(SetPhase(1, PHASE_NAMES.index(config["phase"])))

    # Numbers

    def price(self, word: str | None) -> int:
        return int(Decimal(word or 0).scaleb(self.price_decimals))

    def quantity(self, word: str | None) -> int:
        if word is None:
            raise UnknownFeature("an order without a quantity")
        return int(Decimal(word).scaleb(self.quantity_decimals))

    def account(self, name: str) -> int:
        return self.accounts.setdefault(name, len(self.accounts) + 1)

    def apply(self, command: Command) -> list[Event]:
        return self.engine.apply(self.engine.next_sequence, self.now, command)

    # Steps

    def play(self, step: dict[str, Any], where: str) -> None:
        self.now = START_US + step.get("now", self.now - START_US)
        play = getattr(self, f"play_{step['op']}", None)
        if play is None:
            raise UnknownFeature(step["op"])
        expect = step.get("expect", {})
        if expect.keys() - {"filled", "order", "others", "price", "status", "trades", "volume"}:
            raise UnknownFeature(", ".join(expect))
        events = play(step, expect, where)
        self.check_trades(events, expect, where)
        for name, status in expect.get("others", {}).items():
            self.check_status(self.orders[name], status, f"{where}: {name}")
        self.check_order(expect.get("order"), where)
        self.check_queue(step.get("queue"), where)

    def play_place(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        if step["type"] == "market" and step["price"] is not None:
            equal(f"{where}: refused by the door", door_refuses(step), expect["status"] == "rejected")
            return []
        order = self.order(step)
        if step.get("duplicate"):
            events = self.apply(order)
            equal(where, events[0][KIND] == COMMAND_REFUSED, expect["status"] == "rejected")
            return events
        self.orders[step["id"]] = order
        events = self.apply(order)
        self.check_status(order, expect["status"], where)
        equal(f"{where}: filled", order.filled, self.quantity(expect["filled"]))
        return events

    def order(self, step: dict[str, Any]) -> Order:
        known = {
            "account",
            "display_qty",
            "duplicate",
            "expect",
            "expire_at",
            "id",
            "now",
            "op",
            "post_only",
            "price",
            "qty",
        }
        known |= {"queue", "side", "stop_price", "stp", "tif", "trailing_offset", "trigger_by", "ts", "type"}
        type, time, mode = step["type"], step["tif"].lower(), self.modes.get(step["id"], "cancel_newest")
        mode = MODES.get(mode, mode)
        if type not in TYPE_NAMES or time not in TIME_IN_FORCE_NAMES or mode not in STP_NAMES:
            raise UnknownFeature(f"{type} {time} {mode}")
        if step.keys() - known:
            raise UnknownFeature(", ".join(step.keys() - known))
        trails = type == "trailing_stop"
        conditions = Conditions(
            0 if trails else self.price(step.get("stop_price")),
            self.price(str(step.get("trailing_offset", 0))),
            0,
            self.quantity(step.get("display_qty", "0")),
            START_US + step["expire_at"] if "expire_at" in step else 0,
        )
        needed = TYPE_NAMES.index(type) >= FIRST_STOP or "display_qty" in step or time in ("day", "gtd")
        return Order(
            self.ids.setdefault(step["id"], len(self.ids) + 1),
            self.account(step.get("account") or f"owner of {step['id']}"),
            1,
            SIDE_NAMES.index(step["side"]),
            self.price(step["price"]),
            self.quantity(step["qty"]),
            TYPE_NAMES.index(type),
            TIME_IN_FORCE_NAMES.index(time),
            STP_NAMES.index(mode),
            step.get("post_only", False),
            step["id"],
            0,
            conditions if needed else None,
        )

    def play_modify(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        """``qty`` is the new total."""
        quantity = self.quantity(step.get("qty", "0"))
        return self.change(Amend(self.ids.get(step["id"], 99), 0, self.price(step.get("price")), quantity), step, where)

    def play_reduce(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        return self.change(Amend(self.ids[step["id"]], 0, 0, self.quantity(str(step["by"])), REDUCTION), step, where)

    def play_cancel(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        account = self.account(step["account"]) if "account" in step else 0
        return self.change(Cancel(self.ids.get(step["id"], 99), account), step, where)

    def change(self, command: Command, step: dict[str, Any], where: str) -> list[Event]:
        events = self.apply(command)
        expect = step["expect"]
        refused = bool(events) and events[-1][KIND] == COMMAND_REFUSED
        if expect["status"] is not None:
            equal(f"{where}: refused", refused, expect["status"] == "rejected")
        if not refused:
            self.check_status(self.orders[step["id"]], expect["status"], where)
            if expect["filled"] is not None:
                equal(f"{where}: filled", self.orders[step["id"]].filled, self.quantity(expect["filled"]))
        return events

    def play_uncross(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        found = indicative(self.engine.instruments[1])
        assert found is not None
        expected = (self.price(expect["price"]), self.quantity(expect["volume"]))
        equal(f"{where}: price and volume", (found.price, found.volume), expected)
        return self.apply(SetPhase(1, PHASE_NAMES.index("continuous")))

    def play_advance_time(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        self.now = START_US + step["to"]
        return self.apply(AdvanceTime())

    def play_end_of_day(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        self.now = START_US + DAY_US
        return self.apply(AdvanceTime())

    def play_last_price(self, step: dict[str, Any], expect: dict[str, Any], where: str) -> list[Event]:
        return self.trade_at(step["price"])

    def trade_at(self, price: str) -> list[Event]:
        """Two strangers trade one lot: that is how a last price comes about."""
        lot, at = self.engine.instruments[1].quantity_step, self.price(price)
        number = 1_000 + len(self.ids)
        self.apply(Order(number, self.account("a stranger"), 1, 0, at, lot))
        self.ids[str(number)] = number
        return self.apply(Order(number + 1_000, self.account("another"), 1, 1, at, lot))

    # Checks

    def check_status(self, order: Order, expected: str | None, where: str) -> None:
        if expected is None:
            return
        status = STATUS_NAMES[order.status]
        if order.order_id in self.engine.orders and order.status != UNTRIGGERED and expected == "open":
            return
        if status not in STATES.get(expected, {expected}):
            raise Differs(f"{where}: {status}, expected {expected}")

    def check_trades(self, events: list[Event], expect: dict[str, Any], where: str) -> None:
        names = {number: name for name, number in self.ids.items()}
        trades = [
            [names[other], order.client_order_id, price, quantity]
            for kind, _, order, price, quantity, _, _, _, _, other in events
            if kind == FILL_TAKER and order is not None and order.client_order_id
        ]
        if expect.get("trades") is not None:
            expected = [
                [maker, taker, self.price(at), self.quantity(qty)] for maker, taker, at, qty in expect["trades"]
            ]
            equal(f"{where}: trades", trades, expected)

    def check_order(self, expected: dict[str, Any] | None, where: str) -> None:
        if expected is not None:
            order = self.orders[expected["id"]]
            assert order.conditions is not None
            equal(f"{where}: stop price", order.conditions.stop_price, self.price(expected["stop_price"]))

    def check_queue(self, expected: dict[str, Any] | None, where: str) -> None:
        if expected is not None:
            level = self.engine.instruments[1].book.level(
                SIDE_NAMES.index(expected["side"]), self.price(expected["price"])
            )
            ids, order = [], level.head if level else None
            while order is not None:
                ids.append(order.client_order_id)
                order = order.newer
            equal(f"{where}: queue", ids, expected["ids"])

    def check_book(self, scenario: dict[str, Any]) -> None:
        for side, name in enumerate(("bids", "asks")):
            levels = self.engine.instruments[1].book.top(side, 100)
            expected = scenario["book_after"][name]
            if expected is not None:
                expected = [(self.price(price), self.quantity(quantity)) for price, quantity in expected]
                equal(name, [(price, quantity) for price, quantity, _ in levels], expected)
            hidden = scenario.get("hidden_after", {}).get(name)
            if hidden is not None:
                book = self.engine.instruments[1].book
                found = [(price, book.level(side, price).hidden) for price, _, _ in levels]
                expected = [(self.price(price), self.quantity(quantity)) for price, quantity in hidden]
                equal(f"hidden {name}", [one for one in found if one[1]], expected)
