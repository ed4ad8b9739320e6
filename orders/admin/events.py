"""The event log: every step of every order and every change of configuration, read-only."""

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q

from matching.events import (
    ACCEPTED,
    ACCOUNT_KINDS,
    AMENDED,
    CANCEL_AFTER_FIRED,
    CANCEL_AFTER_SET,
    FILL_MAKER,
    FILL_TAKER,
    INSTRUMENT_KINDS,
    KIND_NAMES,
    PHASE_CHANGED,
    REPLACED,
    SCHEDULE_SET,
    TRANSFERRED,
    TRIGGERED,
    UNCROSSED,
)
from matching.values import PHASE_NAMES, REASON_NAMES, STATUS_NAMES
from orders.admin import display
from orders.admin.filters import AccountFilter, SymbolFilter, WordFilter
from orders.admin.lists import Found, HistoryAdmin, Term
from orders.models import Event, Order, Trade

# Events of no order: what their numbers mean is said in words, but for the price and quantity of an uncross.
_NO_ORDER = frozenset((*ACCOUNT_KINDS, *INSTRUMENT_KINDS))
_NO_NUMBERS = _NO_ORDER - {UNCROSSED}


class KindFilter(WordFilter):
    title = parameter_name = "event"
    column = "kind"
    words = ("", *KIND_NAMES[1:])  # a refused command is no event: it is never stored


def number(event: Event) -> str:
    return f"{event.shard_id}/{event.sequence}"


def step_price(event: Event) -> str | None:
    """The price of a step; none where the order has none, or the event is not about one."""
    return display.price(event, event.price) if event.price and event.kind not in _NO_NUMBERS else None


def step_quantity(event: Event) -> str | None:
    return None if event.kind in _NO_NUMBERS else display.quantity(event, event.quantity)


def status_name(event: Event) -> str | None:
    """The order's status after the event."""
    return None if event.status is None else STATUS_NAMES[event.status]


def words(event: Event) -> str | None:
    """What the numbers of an event do not say: the reason, the new phase, the price before or behind it."""
    reason = REASON_NAMES[event.reason] or None
    if event.kind == PHASE_CHANGED:
        return f"now {PHASE_NAMES[event.quantity]}{f' ({reason})' if reason else ''}"
    if event.kind == SCHEDULE_SET:
        return f"{event.quantity} phase changes to come"
    if event.kind == TRANSFERRED and event.detail:
        told = json.loads(event.detail)
        return f"{display.money(abs(told['amount']))} {told['currency']} paid {'out' if told['amount'] < 0 else 'in'}"
    if event.kind in (CANCEL_AFTER_SET, CANCEL_AFTER_FIRED):
        when = display.micros(event.quantity)
        if event.kind == CANCEL_AFTER_SET:
            return f"cancels at {when}" if when else "disarmed"
        return f"tries again at {when}" if when else "all canceled"
    if event.kind in (AMENDED, REPLACED) and event.other != event.price:
        return f"was at {display.price(event, event.other)}"
    if event.kind == TRIGGERED:
        return f"by the last price {display.price(event, event.other)}"
    if event.kind == ACCEPTED and event.other:
        return f"stop at {display.price(event, event.other)}"
    return reason


def actor_name(event: Event) -> str | None:
    """Who sent the command; a user who is gone is only a number."""
    if event.actor_id is None:
        return None
    return event.actor.get_username() if event.actor is not None else f"user {event.actor_id}"


def trade_pk(event: Event) -> int | None:
    """The trade of a fill has the number of the maker's event, which comes right before the taker's."""
    return event.id if event.kind == FILL_MAKER else event.id - 1 if event.kind == FILL_TAKER else None


def event_table(events: Sequence[Event]) -> Any:
    """An order's events on its page."""
    heads = ("Event", "Time (UTC)", "What", "Price", "Quantity", "Filled", "Remaining", "Status", "Why", "Who")
    rows = [
        (
            display.change_link(Event, event.id, number(event)),
            display.moment(event.at),
            KIND_NAMES[event.kind],
            step_price(event),
            step_quantity(event),
            display.quantity(event, event.filled),
            display.quantity(event, event.remaining),
            status_name(event),
            words(event),
            actor_name(event),
        )
        for event in events
    ]
    return display.table(heads, rows, "No events.")


@admin.register(Event)
class EventAdmin(HistoryAdmin):
    named = ("account", "actor")
    list_display = (
        "number",
        "time",
        "kind_name",
        "symbol",
        "account_name",
        "order_link",
        "step_price",
        "step_quantity",
        "left",
        "status_name",
        "words",
        "who",
    )
    list_filter = (KindFilter, SymbolFilter, AccountFilter)
    search_help_text = "Event (shard/sequence), order id, client order id, account name or symbol, exactly."
    fieldsets = (
        (None, {"fields": ("number", "kind_name", "time", "symbol", "account_name", "order_link", "trade")}),
        ("The step", {"fields": ("step_price", "step_quantity", "done", "left", "status_name", "words")}),
        ("The command", {"fields": ("who", "received", "details")}),
    )

    def find(self, term: Term, before: int | None) -> Found:
        found = Found()
        if term.event is not None:
            found.add(Q(pk=term.event), is_exact=True)
        if term.order_ids:
            found.add(Q(order_id__in=term.order_ids), is_exact=True)
        if term.account_id is not None:
            found.add(Q(account_id=term.account_id), is_indexed=True)
        if term.instrument_id is not None:
            found.add(Q(instrument_id=term.instrument_id))
        return found

    @display.column("event")
    def number(self, row: Event) -> str:
        return number(row)

    @display.column("time (UTC)")
    def time(self, row: Event) -> str | None:
        return display.moment(row.at)

    @display.column("received (UTC)")
    def received(self, row: Event) -> str | None:
        return display.moment(row.received_at)

    @display.column("what")
    def kind_name(self, row: Event) -> str:
        return KIND_NAMES[row.kind]

    @display.column("order")
    def order_link(self, row: Event) -> Any:
        return display.change_link(Order, row.order_id)

    @display.column("trade")
    def trade(self, row: Event) -> Any:
        pk = trade_pk(row)
        return None if pk is None else display.change_link(Trade, pk, Trade(id=pk))

    @display.column("price")
    def step_price(self, row: Event) -> str | None:
        return step_price(row)

    @display.column("quantity")
    def step_quantity(self, row: Event) -> str | None:
        return step_quantity(row)

    @display.column("order filled")
    def done(self, row: Event) -> str | None:
        return None if row.kind in _NO_ORDER else display.quantity(row, row.filled)

    @display.column("order remaining")
    def left(self, row: Event) -> str | None:
        return None if row.kind in _NO_ORDER else display.quantity(row, row.remaining)

    @display.column("order's status")
    def status_name(self, row: Event) -> str | None:
        return status_name(row)

    @display.column("why")
    def words(self, row: Event) -> str | None:
        return words(row)

    @display.column("sent by")
    def who(self, row: Event) -> str | None:
        return actor_name(row)

    @display.column("as asked for")
    def details(self, row: Event) -> str | None:
        return row.detail
