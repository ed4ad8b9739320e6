"""Tells what an engine did and how it stands, in the words of the text tables (``tests.matching.table``)."""

from __future__ import annotations

from decimal import Decimal

from matching.auction import indicative
from matching.engine import Engine
from matching.events import (
    AMENDED,
    CANCEL_AFTER_FIRED,
    CANCELED,
    COMMAND_REFUSED,
    DECREMENTED,
    EXPIRED,
    FILL_TAKER,
    KIND,
    ORDER,
    PHASE_CHANGED,
    REASON,
    RELEASED,
    REPLACED,
    REPLENISHED,
    TRIGGERED,
    UNCROSSED,
    Event,
)
from matching.funds import available
from matching.order import Order
from matching.values import MONEY_DECIMALS, PARTIALLY_FILLED, PHASE_NAMES, REASON_NAMES, STATUS_NAMES, UNTRIGGERED


class Narration:
    """One engine, one instrument, and the names of the orders in it."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.ids: dict[str, int] = {}
        self.orders: dict[str, Order] = {}
        self.price_decimals = self.quantity_decimals = 0

    def tell(self, events: list[Event], subjects: list[Order] | None = None) -> str:
        """The state of the orders the line was about, then the other things that happened, in their order."""
        subjects = subjects or []
        about = subjects[0] if subjects else None
        said = []
        for event in events:
            if event[KIND] == COMMAND_REFUSED:
                return ", ".join([*filter(None, said), f"refused:{REASON_NAMES[event[REASON]]}"])
            said.append(self.saying(event, subjects, about))
            if event[KIND] in (TRIGGERED, RELEASED):
                about = event[ORDER]
        states = [self.state(order) for order in subjects]
        return " ".join(filter(None, (*states, ", ".join(filter(None, said)))))

    def saying(self, event: Event, subjects: list[Order], about: Order | None) -> str:
        """One event in words; nothing where the line itself, or another event, tells it already."""
        kind, _, order, price, quantity, _, _, _, reason, other = event
        amount, at = self.number(quantity, False), self.number(price, True)
        if kind == FILL_TAKER and order is not None:
            return f"{self.name(other)} {amount} @ {at}" + ("" if order is about else f" to {order.client_order_id}")
        if kind in (CANCELED, EXPIRED) and order is not None:
            return "" if order in subjects else f"{order.client_order_id} {self.state(order)}"
        if kind == PHASE_CHANGED:
            return f"{PHASE_NAMES[quantity]}:{REASON_NAMES[reason]}" if reason else ""
        if kind == UNCROSSED:
            return f"uncrossed {amount} @ {at}"
        if kind == CANCEL_AFTER_FIRED:
            return "lease over, again in 1" if quantity else "lease over"
        if kind in (AMENDED, REPLACED):
            return "place kept" if kind == AMENDED else "place lost"
        if kind == TRIGGERED and order is not None:
            return f"{order.client_order_id} triggered"
        verb = {DECREMENTED: "less", REPLENISHED: "shows", RELEASED: "released"}.get(kind)
        return f"{order.client_order_id} {verb} {amount}" if verb and order is not None else ""

    def state(self, order: Order) -> str:
        if order.order_id in self.engine.orders:
            if order.status == UNTRIGGERED:
                return "waiting" if order in self.engine.instruments[1].stops.waiting() else "held"
            return "partial" if order.status == PARTIALLY_FILLED else "open"
        reason = REASON_NAMES[order.reason]
        return STATUS_NAMES[order.status] + (f":{reason}" if reason else "")

    def name(self, order_id: int) -> str:
        return next(name for name, known in self.ids.items() if known == order_id)

    def number(self, units: int, is_price: bool) -> str:
        decimals = self.price_decimals if is_price else self.quantity_decimals
        digits = str(units).rjust(decimals + 1, "0")
        return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits

    # How it stands

    def show(self, words: list[str]) -> str:
        instrument = self.engine.instruments[1]
        if words[0] == "book":
            return f"{self.levels('buy')} | {self.levels('sell')}"
        if words[0] == "state":
            return " ".join(self.state(self.orders[name]) for name in words[1:])
        if words[0] == "phase":
            return PHASE_NAMES[instrument.phase]
        if words[0] == "last":
            return self.number(instrument.last_price, True) if instrument.last_price else "-"
        if words[0] == "stops":
            return ", ".join(self.stop(order) for order in instrument.stops.waiting()) or "-"
        found = indicative(instrument)
        if found is None:
            return "-"
        side = (
            f" {'buy' if found.surplus > 0 else 'sell'} {self.number(abs(found.surplus), False)}"
            if found.surplus
            else ""
        )
        return f"{self.number(found.volume, False)} @ {self.number(found.price, True)}{side}"

    def funds(self, account: int) -> str:
        """What of each currency is there and not reserved."""
        found = self.engine.account(account)
        has = {name: Decimal(available(found, name)).scaleb(-MONEY_DECIMALS).normalize() for name in ("USD", "ACME")}
        return ", ".join(f"{name} {amount:f}" for name, amount in has.items())

    def stop(self, order: Order) -> str:
        assert order.conditions is not None
        stop_price = order.conditions.stop_price
        return f"{order.client_order_id} {self.number(stop_price, True) if stop_price else '-'}"

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
            total += f"+{self.number(level.hidden, False)}" if level.hidden else ""
            said.append(f"{self.number(level.price, True)} x {total} ({' '.join(queue)})")
        return ", ".join(said) or "-"
