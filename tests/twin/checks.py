"""The ladder of checks, from top to bottom: the first that fails is the reason."""

from __future__ import annotations

from collections.abc import Iterator

from tests.twin.funds import Funds
from tests.twin.state import SECOND_US, TwinOrder


class Checks(Funds):
    def why_not(self, order: TwinOrder, off_grid: str = "", before: TwinOrder | None = None, placed: int = 0) -> str:
        """Why ``order`` may not enter as it stands.

        ``before``: what it was until now, where it is amended. ``placed``: how many of its group come before it.
        """
        return next(self.ladder(order, off_grid, before, placed), "")

    def ladder(self, order: TwinOrder, off_grid: str, before: TwinOrder | None, placed: int) -> Iterator[str]:
        yield from self.of_the_phase(order)
        yield from self.of_the_account(order, before)
        yield from self.of_the_grid(order, off_grid)
        yield from self.of_the_collar(order)
        yield from self.of_the_limits(order, before, placed)
        if self.pays_now(order, before) and not self.can_pay(order, before):
            yield "insufficient_funds"

    def post_only_reason(self, order: TwinOrder) -> str:
        trading = self.instruments[order.instrument].phase == "continuous"
        return "post_only_would_cross" if order.post_only and trading and self.crosses(order) else ""

    def of_the_phase(self, order: TwinOrder) -> Iterator[str]:
        phase = self.instruments[order.instrument].phase
        if phase in ("closed", "halted"):
            yield f"market_{phase}"
        at_once = order.type == "market" or (order.type == "limit" and order.time_in_force in ("ioc", "fok"))
        if phase != "continuous" and at_once:
            yield "market_not_continuous"

    def of_the_account(self, order: TwinOrder, before: TwinOrder | None) -> Iterator[str]:
        state = self.accounts[order.account].state
        if state == "halted":
            yield "account_halted"
        if state == "reducing_only" and not order.is_child and self.worst_position(order, before) > 0:
            yield "account_reducing_only"

    def of_the_grid(self, order: TwinOrder, off_grid: str) -> Iterator[str]:
        rules = self.instruments[order.instrument]
        prices = (order.price, order.stop_price, order.trail)
        if "price" in off_grid or any(price % rules.price_tick for price in prices):
            yield "price_not_on_tick"
        quantities = (order.quantity, order.display_quantity)
        if "quantity" in off_grid or any(quantity % rules.quantity_step for quantity in quantities):
            yield "quantity_not_on_step"
        if order.quantity < rules.min_quantity:
            yield "quantity_below_minimum"
        if order.quantity > rules.max_quantity:
            yield "risk_max_quantity"
        if 0 < order.display_quantity * 1000 < order.quantity:
            yield "display_quantity_too_small"

    def of_the_collar(self, order: TwinOrder) -> Iterator[str]:
        """A limit order against the reference, a stop-limit against its own stop price."""
        if order.type == "stop_limit":
            reference = order.stop_price
        elif order.type == "limit" and not order.is_child:
            reference = self.instruments[order.instrument].reference
        else:
            return
        if self.beyond_collar(order.instrument, order.side, order.price, reference):
            yield "price_collar"

    def of_the_limits(self, order: TwinOrder, before: TwinOrder | None, placed: int) -> Iterator[str]:
        rules, account = self.instruments[order.instrument], self.accounts[order.account]
        if 0 < account.max_order_quantity < order.quantity:
            yield "risk_max_quantity"
        if 0 < rules.max_notional < (order.price or order.stop_price or rules.reference) * order.quantity:
            yield "risk_max_notional"
        mine = [one for one in self.open if one.account == order.account]
        if not before and len(mine) + placed >= account.max_open_orders:
            yield "risk_max_open_orders"
        trailing = [one for one in self.open if one.type == "trailing_stop" and one.where == "waiting"]
        here = [one for one in trailing if one.instrument == order.instrument]
        if not before and order.type == "trailing_stop" and len(here) >= 10_000:
            yield "too_many_trailing_stops"
        grows = not before or order.remaining > before.remaining
        if grows and not order.is_child and 0 < account.max_position < self.worst_position(order, before):
            yield "risk_max_position"

    def worst_position(self, order: TwinOrder, before: TwinOrder | None) -> int:
        """What the account would hold on the order's side if this and all its open orders there filled."""
        held = self.position(order.account, order.instrument) * (1 if order.side == "buy" else -1)
        own = (order.account, order.instrument, order.side)
        others = [one for one in self.open if (one.account, one.instrument, one.side) == own and one is not before]
        return held + order.remaining + sum(one.remaining for one in others if one.where != "held")

    def pays_now(self, order: TwinOrder, before: TwinOrder | None) -> bool:
        """What waits reserves nothing, and is asked when it goes live."""
        if before:
            return order.where == "book"
        return order.type in ("limit", "market") and not order.is_child

    def takes_message(self, account_id: int) -> bool:
        """Count one message of the account, if its rate still allows it: a second's worth may come at once."""
        account = self.accounts[account_id]
        if not account.max_rate:
            return True
        until = max(account.rate_at, self.at) + SECOND_US // account.max_rate
        if until > self.at + SECOND_US:
            return False
        account.rate_at = until
        return True

    def crosses(self, order: TwinOrder) -> bool:
        other = self.resting(order.instrument, "sell" if order.side == "buy" else "buy")
        return bool(other) and (other[0].price <= order.price if order.side == "buy" else other[0].price >= order.price)
