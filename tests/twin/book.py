"""The slow, obvious twin of the engine: the oracle of the fast one.

Written from the matching semantics alone, in words instead of numbers: open orders are one plain list, searched and
sorted afresh on every step; nothing is kept that can be counted. It answers with the events the engine must give:
``(sequence, kind, order id, price, quantity, remaining, filled, reason, other)``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

Event = tuple[int, str, int, int, int, int, int, str, int]


@dataclass
class TwinOrder:
    order_id: int
    account: int
    instrument: int
    side: str
    price: int
    quantity: int
    type: str
    time_in_force: str
    stp: str
    post_only: bool
    remaining: int
    filled: int = 0
    canceled: int = 0
    priority: int = 0
    version: int = 1

    @property
    def rank(self) -> tuple[int, int]:
        """Smallest first: better price, then older place."""
        return (-self.price if self.side == "buy" else self.price, self.priority)


@dataclass
class Limits:
    state: str = "active"
    max_open_orders: int = 200_000
    max_order_quantity: int = 0
    max_position: int = 0


@dataclass
class Rules:
    phase: str = "continuous"
    price_tick: int = 1
    quantity_step: int = 1
    min_quantity: int = 1
    max_quantity: int = 2**53 - 1
    max_notional: int = 0
    collar_bps: int = 0
    reference_price: int = 0


class TwinEngine:
    """Each command is a method of keyword arguments; ``do`` runs one and returns its events."""

    def __init__(self) -> None:
        self.sequence = 1
        self.events: list[Event] = []
        self.open: list[TwinOrder] = []
        self.rules: dict[int, Rules] = {}
        self.last: dict[int, int] = {}
        self.limits: dict[int, Limits] = defaultdict(Limits)
        # What was bought and sold, by account and instrument: [units, notional] a side.
        self.traded: dict[tuple[int, int], dict[str, list[int]]] = defaultdict(lambda: {"buy": [0, 0], "sell": [0, 0]})

    def do(self, op: str, **arguments: object) -> list[Event]:
        self.events = []
        getattr(self, op)(**arguments)
        return self.events

    # Commands

    def place(
        self,
        order_id: int,
        account: int,
        instrument: int,
        side: str,
        price: int,
        quantity: int,
        type: str = "limit",
        time_in_force: str = "gtc",
        stp: str = "cancel_newest",
        post_only: bool = False,
        off_grid: str = "",
    ) -> None:
        if instrument not in self.rules:
            return self.refuse("unknown_symbol")
        if self.find(order_id, 0):
            return self.refuse("duplicate_order_id")
        order = TwinOrder(
            order_id, account, instrument, side, price, quantity, type, time_in_force, stp, post_only, quantity
        )
        reason = self.why_not(order, price, quantity, quantity, off_grid)
        if reason:
            order.remaining, order.canceled = 0, quantity
            return self.tell("rejected", order, quantity, reason)
        order.priority = self.sequence
        self.tell("accepted", order, quantity)
        self.enter(order)

    def amend(
        self,
        order_id: int,
        account: int = 0,
        price: int = 0,
        quantity: int = 0,
        basis: str = "total",
        expected_version: int = 0,
        off_grid: str = "",
    ) -> None:
        if price < 0 or quantity < 0 or (basis == "reduction" and quantity == 0):
            return self.refuse("invalid_request")
        order = self.find(order_id, account)
        if order is None:
            return self.refuse("order_not_found")
        if expected_version not in (0, order.version):
            return self.refuse("version_conflict")
        gone = order.filled + order.canceled
        total = {"total": quantity, "open": gone + quantity, "reduction": order.quantity - quantity}[basis]
        total = total if quantity else order.quantity
        new_price = price or order.price
        if total <= gone:
            closed = self.phase_reason(order.instrument)
            return self.refuse(closed) if closed else self.end(order, "amended_to_filled")
        reason = self.why_not(order, new_price, total, total - gone, off_grid, has_open=order.remaining)
        if reason:
            return self.refuse(reason)
        old_price, keeps = order.price, new_price == order.price and total - gone <= order.remaining
        order.price, order.quantity, order.remaining = new_price, total, total - gone
        order.version += 1
        if keeps:
            return self.tell("amended", order, total, other=old_price)
        order.priority = self.sequence
        self.tell("replaced", order, total, other=old_price)
        self.open = [one for one in self.open if one is not order]
        self.enter(order)

    def cancel(self, order_id: int, account: int = 0, reason: str = "user_request") -> None:
        order = self.find(order_id, account)
        return self.end(order, reason) if order else self.refuse("order_not_found")

    def cancel_all(self, account: int = 0, instrument: int = 0, side: str = "", reason: str = "user_request") -> None:
        for order in sorted(self.open, key=lambda one: one.priority):
            wanted = (account in (0, order.account), instrument in (0, order.instrument), side in ("", order.side))
            if all(wanted):
                self.end(order, reason)

    def define_instrument(self, instrument: int, **rules: int) -> None:
        phase = self.rules[instrument].phase if instrument in self.rules else "continuous"
        self.rules[instrument] = Rules(phase, **rules)
        self.configured("instrument_defined", 0, instrument)

    def set_phase(self, instrument: int, phase: str) -> None:
        if instrument not in self.rules:
            return self.refuse("unknown_symbol")
        if phase != self.rules[instrument].phase:
            self.rules[instrument].phase = phase
            self.configured("phase_changed", ["closed", "", "", "continuous", "halted"].index(phase), instrument)

    def define_account(self, account: int, **limits: int | str) -> None:
        self.limits[account] = Limits(**limits)  # type: ignore[arg-type]
        self.configured("account_defined", 0, account)

    # Checks

    def phase_reason(self, instrument: int) -> str:
        return {"continuous": "", "closed": "market_closed"}.get(self.rules[instrument].phase, "market_halted")

    def reference(self, instrument: int) -> int:
        return self.last.get(instrument) or self.rules[instrument].reference_price

    def beyond_collar(self, instrument: int, side: str, price: int, reference: int) -> bool:
        bps = self.rules[instrument].collar_bps
        if not bps or not reference:
            return False
        if side == "buy":
            return price * 10_000 > reference * (10_000 + bps)
        return price * 10_000 < reference * (10_000 - bps)

    def why_not(
        self, order: TwinOrder, price: int, quantity: int, remaining: int, off_grid: str, has_open: int = 0
    ) -> str:
        rules, limits = self.rules[order.instrument], self.limits[order.account]
        reference = self.reference(order.instrument)
        mine = [one for one in self.open if one.account == order.account]
        worst = self.position(order.account, order.instrument) * (1 if order.side == "buy" else -1)
        worst += sum(one.remaining for one in mine if (one.instrument, one.side) == (order.instrument, order.side))
        worst += remaining - has_open
        ladder = [
            (self.phase_reason(order.instrument), True),
            ("account_halted", limits.state == "halted"),
            ("account_reducing_only", limits.state == "reducing_only" and worst > 0),
            ("price_not_on_tick", "price" in off_grid or price % rules.price_tick != 0),
            ("quantity_not_on_step", "quantity" in off_grid or quantity % rules.quantity_step != 0),
            ("quantity_below_minimum", quantity < rules.min_quantity),
            ("risk_max_quantity", quantity > rules.max_quantity),
            (
                "price_collar",
                order.type == "limit" and self.beyond_collar(order.instrument, order.side, price, reference),
            ),
            ("risk_max_quantity", 0 < limits.max_order_quantity < quantity),
            ("risk_max_notional", 0 < rules.max_notional < (price or reference) * quantity),
            ("risk_max_open_orders", not has_open and len(mine) >= limits.max_open_orders),
            ("risk_max_position", 0 < limits.max_position < worst and remaining > has_open),
            ("post_only_would_cross", order.post_only and bool(self.opposite(order, price))),
        ]
        return next((reason for reason, failed in ladder if failed and reason), "")

    # Matching

    def opposite(self, order: TwinOrder, price: int) -> list[TwinOrder]:
        """Orders of the other side that ``price`` reaches (0: all of them), best first."""
        found = [one for one in self.open if one.instrument == order.instrument and one.side != order.side]
        if price:
            found = [one for one in found if (one.price <= price if order.side == "buy" else one.price >= price)]
        return sorted(found, key=lambda one: one.rank)

    def queue(self, order: TwinOrder, reference: int) -> list[TwinOrder]:
        """What ``order`` may trade with, in order. The collar of a market order is that of the moment it came."""
        if order.type == "limit":
            return self.opposite(order, order.price)
        found = self.opposite(order, 0)
        return [one for one in found if not self.beyond_collar(order.instrument, order.side, one.price, reference)]

    def can_fill(self, order: TwinOrder, reference: int) -> bool:
        found = 0
        for one in self.queue(order, reference):
            if one.account != order.account or order.stp == "none":
                found += one.remaining
            elif order.stp != "cancel_oldest":
                break
        return found >= order.remaining

    def enter(self, order: TwinOrder) -> None:
        reference = self.reference(order.instrument)
        if order.time_in_force == "fok" and not self.can_fill(order, reference):
            return self.end(order, "fok")
        while order.remaining and (queue := self.queue(order, reference)):
            maker = queue[0]
            if maker.account != order.account or order.stp == "none":
                self.trade(maker, order)
                continue
            smaller = min(maker.remaining, order.remaining)
            if order.stp in ("cancel_oldest", "cancel_both"):
                self.end(maker, "self_trade")
            if order.stp in ("cancel_newest", "cancel_both"):
                self.end(order, "self_trade")
            if order.stp == "decrement":
                self.lose(maker, smaller)
                self.lose(order, smaller)
        if not order.remaining:
            return
        if order.type == "market":
            return self.end(order, "price_collar" if self.opposite(order, 0) else "no_liquidity")
        if order.time_in_force == "gtc":
            return self.open.append(order)
        self.end(order, "ioc")

    def trade(self, maker: TwinOrder, taker: TwinOrder) -> None:
        quantity = min(maker.remaining, taker.remaining)
        for one in (maker, taker):
            one.remaining -= quantity
            one.filled += quantity
            units_and_notional = self.traded[one.account, one.instrument][one.side]
            units_and_notional[0] += quantity
            units_and_notional[1] += quantity * maker.price
        self.tell("fill_maker", maker, quantity, price=maker.price)
        self.tell("fill_taker", taker, quantity, price=maker.price, other=maker.order_id)
        self.last[maker.instrument] = maker.price
        self.open = [one for one in self.open if one.remaining]

    def lose(self, order: TwinOrder, quantity: int) -> None:
        if quantity == order.remaining:
            return self.end(order, "self_trade")
        order.remaining -= quantity
        order.canceled += quantity
        self.tell("decremented", order, quantity, "self_trade")

    def end(self, order: TwinOrder, reason: str) -> None:
        quantity, order.remaining = order.remaining, 0
        order.canceled += quantity
        self.open = [one for one in self.open if one is not order]
        self.tell("canceled", order, quantity, reason)

    # Answers

    def find(self, order_id: int, account: int) -> TwinOrder | None:
        return next((one for one in self.open if one.order_id == order_id and account in (0, one.account)), None)

    def position(self, account: int, instrument: int) -> int:
        traded = self.traded[account, instrument]
        return traded["buy"][0] - traded["sell"][0]

    def tell(
        self, kind: str, order: TwinOrder, quantity: int, reason: str = "", other: int = 0, price: int | None = None
    ) -> None:
        at = order.price if price is None else price
        self.events.append(
            (self.sequence, kind, order.order_id, at, quantity, order.remaining, order.filled, reason, other)
        )
        self.sequence += 1

    def configured(self, kind: str, value: int, subject: int) -> None:
        self.events.append((self.sequence, kind, 0, 0, value, 0, 0, "", subject))
        self.sequence += 1

    def refuse(self, reason: str) -> None:
        self.events.append((0, "command_refused", 0, 0, 0, 0, 0, reason, 0))
