"""The slow, obvious twin of the engine: the oracle of the fast one.

Written from docs/orders.md alone, in words instead of numbers; lists are searched and sorted afresh on every step. It
answers with the events the engine must give: ``(sequence, kind, order id, price, quantity, remaining, filled, status,
reason, other)``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from tests.twin.followers import Followers
from tests.twin.state import DAY_US, PHASES, SECOND_US, Account, Event, Instrument, TwinGroup, TwinOrder

NEVER = 2**62


class TwinEngine(Followers):
    """Each command is a method of keyword arguments; ``do`` runs one at a time ``at`` and returns its events."""

    def do(self, op: str, at: int, **arguments: object) -> list[Event]:
        self.at = at
        self.events = []
        while (first := self.next_due())[0] <= at:
            self.happen(*first)
        getattr(self, op)(**arguments)
        self.settle_all()
        return self.events

    def settle_all(self) -> None:
        for number in sorted(self.instruments):
            self.settle(number)

    # Orders

    def place(self, off_grid: str = "", **order: object) -> None:
        self.place_all([TwinOrder(**order)], [off_grid])  # type: ignore[arg-type]

    def place_group(self, orders: list[dict[str, object]]) -> None:
        """Linked orders: an OCO's limit and stop, or a bracket's entry, take-profit and stop-loss, with their roles."""
        made = [TwinOrder(**{k: v for k, v in one.items() if k != "off_grid"}) for one in orders]  # type: ignore[arg-type]
        self.place_all(made, [str(one.get("off_grid", "")) for one in orders])

    def place_all(self, orders: list[TwinOrder], off_grid: list[str]) -> None:
        if len({order.order_id for order in orders}) < len(orders):
            return self.refuse("invalid_request")
        if orders[0].instrument not in self.instruments:
            return self.refuse("unknown_symbol")
        if any(self.find(order.order_id) for order in orders):
            return self.refuse("duplicate_order_id")
        reasons = [self.why_not(order, off_grid[place], placed=place) for place, order in enumerate(orders)]
        if not any(reasons):
            if not self.takes_message(orders[0].account):
                return self.refuse("rate_limited")
            reasons = [self.post_only_reason(order) for order in orders]
        if any(reasons):
            for order, reason in zip(orders, reasons, strict=True):
                order.remaining, order.canceled, order.status = 0, order.quantity, "rejected"
                self.tell("rejected", order, order.quantity, reason or "linked_order_refused")
            return
        if len(orders) > 1:
            group = TwinGroup(orders, "pair" if len(orders) == 2 else "entry")
            for order in orders:
                order.group = group
        for order in orders:
            self.accept(order)
        late = [order for order in orders if order.time_in_force == "gtd" and order.expires_at <= self.at]
        for order in late:
            self.end(order, "gtd", "expired")
        self.settle(orders[0].instrument) if late else None
        if orders[0].is_alive and not orders[0].where:
            self.execute(orders[0])

    def accept(self, order: TwinOrder) -> None:
        """It is taken; a stop waits from now on, a bracket's child is held."""
        order.priority = self.sequence
        if order.time_in_force == "day":
            order.expires_at = self.session_end(order.instrument)
        if order.is_child:
            order.where = "held"
            self.open.append(order)
        elif order.type in ("stop", "stop_limit", "trailing_stop"):
            self.arm(order, self.instruments[order.instrument].last)
        order.status = "untriggered" if order.where else "new"
        self.tell("accepted", order, order.quantity, other=order.trigger)

    def session_end(self, number: int) -> int:
        closes = [when for when, phase in self.instruments[number].schedule if phase == "closed" and when > self.at]
        return closes[0] if closes else (self.at // DAY_US + 1) * DAY_US

    def amend(
        self,
        order_id: int,
        account: int = 0,
        basis: str = "total",
        expected_version: int = 0,
        off_grid: str = "",
        **change: int,
    ) -> None:
        """``change``: quantity, price, stop_price, trail, trail_bps, display_quantity, expires_at; 0 leaves it as it is."""
        change = {key: value for key, value in change.items() if value}
        if any(value < 0 for value in change.values()) or (basis == "reduction" and "quantity" not in change):
            return self.refuse("invalid_request")
        order = self.find(order_id, account)
        if order is None:
            return self.refuse("order_not_found")
        if expected_version not in (0, order.version):
            return self.refuse("version_conflict")
        if self.instruments[order.instrument].phase == "no_cancel":
            return self.refuse("too_late_to_amend")
        if any(not self.has(order, key) for key in change) or {"trail", "trail_bps"} <= change.keys():
            return self.refuse("not_amendable")
        if change.get("expires_at", NEVER) <= self.at:
            return self.refuse("invalid_request")
        wanted = self.amended(order, basis, change)
        if wanted.remaining <= 0:
            phase = self.instruments[order.instrument].phase
            if phase in ("closed", "halted"):
                return self.refuse(f"market_{phase}")
            return self.end(order, "amended_to_filled")
        reason = self.why_not(wanted, off_grid, before=order)
        if not reason:
            reason = self.post_only_reason(wanted) if self.takes_message(order.account) else "rate_limited"
        if reason:
            return self.refuse(reason)
        self.take_over(order, wanted)

    def has(self, order: TwinOrder, key: str) -> bool:
        """Whether the order has what is to be changed."""
        unfired = order.where in ("waiting", "held")
        return {
            "quantity": order.group is None or order.group.stage == "over",
            "price": order.type in ("limit", "stop_limit"),
            "stop_price": unfired and order.type in ("stop", "stop_limit"),
            "trail": unfired and order.type == "trailing_stop",
            "trail_bps": unfired and order.type == "trailing_stop",
            "display_quantity": order.display_quantity > 0,
            "expires_at": order.time_in_force == "gtd",
        }[key]

    def amended(self, order: TwinOrder, basis: str, change: dict[str, int]) -> TwinOrder:
        """A copy of the order as it is to be."""
        wanted = copy.copy(order)
        gone = order.filled + order.canceled
        quantity = change.pop("quantity", 0)
        if quantity:
            wanted.quantity = {"total": quantity, "open": gone + quantity, "reduction": order.quantity - quantity}[
                basis
            ]
        wanted.remaining = wanted.quantity - gone
        if "trail" in change or "trail_bps" in change:
            wanted.trail = wanted.trail_bps = 0
        for key, value in change.items():
            setattr(wanted, key, value)
        wanted.hidden = max(0, order.hidden - max(0, order.remaining - wanted.remaining))
        if "display_quantity" in change and order.where == "book":
            wanted.hidden = max(0, wanted.remaining - wanted.display_quantity)
        return wanted

    def take_over(self, order: TwinOrder, wanted: TwinOrder) -> None:
        """The order becomes what is wanted. A new place: where it grows, a stop moves, or a resting order's price does."""
        before = (order.stop_price, order.trail, order.trail_bps)
        moves = before != (wanted.stop_price, wanted.trail, wanted.trail_bps)
        moves |= order.where == "book" and order.price != wanted.price
        moves |= wanted.remaining > order.remaining
        old_price = order.price
        for key in ("price", "quantity", "remaining", "hidden", "stop_price", "trail", "trail_bps"):
            setattr(order, key, getattr(wanted, key))
        order.display_quantity, order.expires_at = wanted.display_quantity, wanted.expires_at
        order.version += 1
        if not moves:
            return self.tell("amended", order, order.quantity, other=old_price)
        order.priority = self.sequence
        self.tell("replaced", order, order.quantity, other=old_price)
        if order.where == "book":
            self.leave(order)
            self.execute(order)
        elif order.where == "waiting":
            self.leave(order)
            self.arm(order, self.instruments[order.instrument].last)

    def cancel(self, order_id: int, account: int = 0, reason: str = "user_request") -> None:
        order = self.find(order_id, account)
        if order is None:
            return self.refuse("order_not_found")
        if self.instruments[order.instrument].phase == "no_cancel":
            return self.refuse("too_late_to_cancel")
        self.end(order, reason)

    def cancel_all(self, account: int = 0, instrument: int = 0, side: str = "", reason: str = "user_request") -> None:
        if instrument and instrument not in self.instruments:
            return self.refuse("unknown_symbol")
        if instrument and self.instruments[instrument].phase == "no_cancel":
            return self.refuse("too_late_to_cancel")
        for order in self.by_place():
            wanted = (account in (0, order.account), instrument in (0, order.instrument), side in ("", order.side))
            if all(wanted) and self.instruments[order.instrument].phase != "no_cancel":
                self.end(order, reason)

    def by_place(self) -> list[TwinOrder]:
        return sorted(self.open, key=lambda one: one.priority)

    # Time

    def advance_time(self) -> None:
        """Nothing but the time."""

    def next_due(self) -> tuple[int, int, int]:
        """The earliest of all that is due: when, of which kind, and the id of what."""
        return min(self.due(), default=(NEVER, 0, 0))

    def due(self) -> Iterator[tuple[int, int, int]]:
        for order in self.open:
            if order.time_in_force in ("gtd", "day"):
                yield order.expires_at, 0 if order.time_in_force == "gtd" else 3, order.order_id
        for number, account in self.accounts.items():
            if account.cancel_after_at:
                yield account.cancel_after_at, 1, number
        for number, instrument in self.instruments.items():
            if instrument.phase_until:
                yield instrument.phase_until, 2, number
            if instrument.schedule:
                yield instrument.schedule[0][0], 2, number

    def happen(self, when: int, kind: int, subject: int) -> None:
        if kind in (0, 3):
            order = self.find(subject)
            assert order is not None
            self.end(order, order.time_in_force, "expired")
            self.settle(order.instrument)
        elif kind == 1:
            self.run_out(subject)
        else:
            self.change_when_due(subject, when)

    def run_out(self, number: int) -> None:
        """A lease that nobody renewed: what cannot be canceled now is tried again in a second."""
        mine = [order for order in self.by_place() if order.account == number]
        for order in mine:
            if order.is_alive and self.instruments[order.instrument].phase != "no_cancel":
                self.end(order, "cancel_after")
        self.settle_all()
        again = self.at + SECOND_US if any(order.account == number for order in self.open) else 0
        self.accounts[number].cancel_after_at = again
        self.tell_of("cancel_after_fired", number, again)

    def change_when_due(self, number: int, when: int) -> None:
        instrument = self.instruments[number]
        if instrument.phase_until == when:
            self.change_phase(number, "continuous", 0, "schedule")
        else:
            self.enter_scheduled(number, instrument.schedule.pop(0)[1])
        self.settle(number)

    def enter_scheduled(self, number: int, phase: str) -> None:
        if self.instruments[number].phase not in ("halted", phase):
            self.change_phase(number, phase, 0, "schedule")

    # Configuration

    def define_instrument(self, instrument: int, **rules: int) -> None:
        known = self.instruments.get(instrument, Instrument())
        kept = {key: getattr(known, key) for key in ("phase", "phase_until", "schedule", "last")}
        self.instruments[instrument] = Instrument(**kept, **rules)
        self.tell_of("instrument_defined", instrument)

    def set_phase(self, instrument: int, phase: str, lasts_us: int = 0) -> None:
        if instrument not in self.instruments:
            return self.refuse("unknown_symbol")
        if lasts_us < 0 or (lasts_us and phase == "continuous"):
            return self.refuse("invalid_request")
        self.change_phase(instrument, phase, self.at + lasts_us if lasts_us else 0, "")

    def set_schedule(self, instrument: int, transitions: list[tuple[int, str]], enter_current: bool = False) -> None:
        if instrument not in self.instruments:
            return self.refuse("unknown_symbol")
        times = [when for when, _ in transitions]
        if times != sorted(set(times)) or len(times) > 500 or any(phase not in PHASES for _, phase in transitions):
            return self.refuse("invalid_request")
        coming = [one for one in transitions if one[0] > self.at]
        self.instruments[instrument].schedule = coming
        self.tell_of("schedule_set", instrument, len(coming))
        if enter_current and len(coming) < len(transitions):
            self.enter_scheduled(instrument, transitions[-len(coming) - 1][1])

    def define_account(self, account: int, **limits: int | str) -> None:
        """New limits; money, a lease and what was spent of a rate stay, but without a rate nothing is counted."""
        before = self.accounts[account]
        self.accounts[account] = Account(**limits)  # type: ignore[arg-type]
        self.accounts[account].rate_at = before.rate_at if limits.get("max_rate") else 0
        self.accounts[account].cancel_after_at = before.cancel_after_at
        self.accounts[account].deposits = before.deposits
        self.tell_of("account_defined", account)

    def cancel_after(self, account: int, delay_us: int) -> None:
        if delay_us < 0:
            return self.refuse("invalid_request")
        at = self.at + delay_us if delay_us else 0
        if at or self.accounts[account].cancel_after_at:
            self.accounts[account].cancel_after_at = at
            self.tell_of("cancel_after_set", account, at)
