"""Trading: what an order meets, self-trades, the tips of icebergs, and how orders end."""

from __future__ import annotations

import copy

from tests.twin.checks import Checks
from tests.twin.funds import AT_MARKET
from tests.twin.state import TwinOrder


class Book(Checks):
    def execute(self, order: TwinOrder) -> None:
        """Let an order trade that was placed, replaced, triggered or released; what remains of it rests or ends."""
        if not self.can_pay(order):
            return self.end(order, "insufficient_funds")
        if self.instruments[order.instrument].phase == "continuous":
            self.trade_all(order)
        if not order.remaining:
            return
        if order.type in AT_MARKET:
            return self.give_up(order)
        if order.time_in_force in ("ioc", "fok"):
            return self.end(order, order.time_in_force)
        order.where = "book"
        order.hidden = max(0, order.remaining - order.display_quantity) if order.display_quantity else 0
        self.open.append(order)

    def trade_all(self, order: TwinOrder) -> None:
        # The collar of an order without a limit is that of the moment it came.
        reference = self.instruments[order.instrument].reference
        if order.time_in_force == "fok" and not self.can_fill(order, reference):
            return self.end(order, "fok")
        while order.remaining and (line := self.line(order, reference)):
            maker = line[0]
            if maker.account != order.account or order.stp == "none":
                self.trade(maker, order, maker.price, min(maker.tip, order.remaining))
            else:
                self.prevent_self_trade(maker, order)

    def line(self, order: TwinOrder, reference: int) -> list[TwinOrder]:
        """What ``order`` may trade with, in order."""
        buying = order.side == "buy"
        found = self.resting(order.instrument, "sell" if buying else "buy")
        if order.type in AT_MARKET:
            return [one for one in found if not self.beyond_collar(order.instrument, order.side, one.price, reference)]
        return [one for one in found if (one.price <= order.price if buying else one.price >= order.price)]

    def can_fill(self, order: TwinOrder, reference: int) -> bool:
        """Fill-or-kill: play it on a copy of the line. It ends at the first own order, unless that would be canceled."""
        line = [copy.copy(one) for one in self.line(order, reference)]
        wanted = order.remaining
        while line and wanted > 0:
            maker = line.pop(0)
            if maker.account == order.account and order.stp != "none":
                if order.stp == "cancel_oldest":
                    continue
                break
            wanted -= maker.tip
            if maker.hidden:
                maker.remaining = maker.hidden
                maker.hidden = max(0, maker.remaining - maker.display_quantity)
                behind = [place for place, one in enumerate(line) if one.price == maker.price]
                line.insert(behind[-1] + 1 if behind else 0, maker)
        return wanted <= 0

    def trade(self, maker: TwinOrder, taker: TwinOrder, price: int, quantity: int) -> None:
        for one in (maker, taker):
            one.remaining -= quantity
            one.filled += quantity
            one.status = "partially_filled" if one.remaining else "filled"
            units_and_notional = self.traded[one.account, one.instrument][one.side]
            units_and_notional[0] += quantity
            units_and_notional[1] += quantity * price
        self.instruments[maker.instrument].last = price
        self.tell("fill_maker", maker, quantity, price=price)
        self.tell("fill_taker", taker, quantity, price=price, other=maker.order_id)
        for one in (maker, taker):
            self.note(one)
            if one.where == "book" and not one.remaining:
                self.leave(one)
            elif one.where == "book" and not one.tip:
                self.replenish(one)

    def replenish(self, order: TwinOrder) -> None:
        """The next tip, behind all others of its price."""
        order.priority = self.sequence
        order.hidden = max(0, order.remaining - order.display_quantity)
        self.tell("replenished", order, order.tip)

    def prevent_self_trade(self, maker: TwinOrder, taker: TwinOrder) -> None:
        smaller = min(maker.remaining, taker.remaining)
        if taker.stp in ("cancel_oldest", "cancel_both"):
            self.end(maker, "self_trade")
        if taker.stp in ("cancel_newest", "cancel_both"):
            self.end(taker, "self_trade")
        if taker.stp == "decrement":
            self.lose(maker, smaller, "self_trade")
            self.lose(taker, smaller, "self_trade")

    def give_up(self, order: TwinOrder) -> None:
        """What remains of an order without a limit cannot trade: nothing is left, or it is beyond the collar."""
        if not self.resting(order.instrument, "sell" if order.side == "buy" else "buy"):
            return self.end(order, "no_liquidity")
        self.end(order, "price_collar")
        breaker_us = self.instruments[order.instrument].breaker_us
        if breaker_us:
            self.change_phase(order.instrument, "auction", self.at + breaker_us, "circuit_breaker")

    def change_phase(self, number: int, phase: str, until: int, reason: str) -> None:
        raise NotImplementedError

    # Ends

    def lose(self, order: TwinOrder, quantity: int, reason: str) -> None:
        """Become smaller without a trade; what an iceberg hides goes first."""
        if quantity == order.remaining:
            return self.end(order, reason)
        self.shrink(order, quantity)
        order.canceled += quantity
        self.tell("decremented", order, quantity, reason, int(order.where == "book"))
        self.note(order)

    def shrink(self, order: TwinOrder, quantity: int) -> None:
        order.remaining -= quantity
        order.hidden = max(0, order.hidden - quantity)

    def end(self, order: TwinOrder, reason: str, kind: str = "canceled") -> None:
        quantity, order.remaining, order.hidden = order.remaining, 0, 0
        order.canceled += quantity
        order.status = kind
        self.tell(kind, order, quantity, reason, int(order.where == "book"))
        self.leave(order)
        self.note(order)

    def leave(self, order: TwinOrder) -> None:
        self.open = [one for one in self.open if one is not order]
        order.where = ""

    def note(self, order: TwinOrder) -> None:
        """What is linked to ``order`` must follow, once this execution is over."""
        if order.group:
            self.caused.append(order.group)
