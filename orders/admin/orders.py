"""Orders: read-only for everybody. What an operator may do is cancel: see ``canceling``."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest

from matching.stops import trailing_stop_price
from matching.values import REASON_NAMES, ROLE_NAMES, SIDE_NAMES, STATUS_NAMES, TYPE_NAMES
from orders import selectors
from orders.admin import display
from orders.admin.canceling import CancelActions
from orders.admin.events import event_table
from orders.admin.filters import (
    AccountFilter,
    IcebergFilter,
    RoleFilter,
    SideFilter,
    StatusFilter,
    SymbolFilter,
    TimeInForceFilter,
    TypeFilter,
)
from orders.admin.lists import Found, Term
from orders.admin.trades import trade_ids
from orders.models import Event, Order, Trade
from orders.schemas.decimals import PERCENT_DECIMALS, from_units, ratio_from_units
from orders.schemas.render import trade_id

# Rows of another table on a detail page; the rest is behind a link.
MAX_RELATED = 50


@admin.register(Order)
class OrderAdmin(CancelActions):
    named = ("account",)
    list_display = (
        "order_id",
        "created",
        "account_name",
        "symbol",
        "status_name",
        "side",
        "type",
        "limit_price",
        "stop",
        "total",
        "filled_quantity",
        "open_quantity",
        "why",
        "client_id",
    )
    list_filter = (
        *(StatusFilter, SideFilter, TypeFilter, TimeInForceFilter, RoleFilter, IcebergFilter),
        *(SymbolFilter, AccountFilter),
    )
    search_help_text = "Order id, client order id, account name or symbol, exactly."
    fieldsets = (
        (None, {"fields": (("order_id", "client_id"), ("account_name", "symbol"), ("status_name", "why"), "links")}),
        (
            "Terms",
            {
                "fields": (
                    ("side", "type"),
                    ("limit_price", "total"),
                    ("stop", "trails_by"),
                    ("time_in_force", "expires"),
                    ("tip", "post_only"),
                    "self_trade_prevention",
                )
            },
        ),
        (
            "Where it stands",
            {
                "fields": (
                    ("filled_quantity", "average_price"),
                    ("open_quantity", "hidden_quantity"),
                    "canceled_quantity",
                )
            },
        ),
        ("Linked orders", {"fields": ("role_name", "linked_orders")}),
        ("Its events", {"fields": ("event_rows",)}),
        ("Its trades", {"fields": ("trade_rows",)}),
        ("Numbers", {"fields": (("shard_id", "sequence", "priority", "version"), ("created", "updated"))}),
    )

    def find(self, term: Term, before: int | None) -> Found:
        found = Found()
        if term.order_ids:
            found.add(Q(pk__in=term.order_ids), is_exact=True)
        if term.account_id is not None:
            found.add(Q(account_id=term.account_id), is_indexed=True)
        if term.instrument_id is not None:
            found.add(Q(instrument_id=term.instrument_id))
        return found

    # Columns

    @display.column("id")
    def order_id(self, row: Order) -> str:
        return str(row.id)

    @display.column("client order id")
    def client_id(self, row: Order) -> str | None:
        return row.client_order_id

    @display.column("created (UTC)")
    def created(self, row: Order) -> str | None:
        return display.moment(row.created_at)

    @display.column("last change (UTC)")
    def updated(self, row: Order) -> str | None:
        return display.moment(row.updated_at)

    @display.column("price")
    def limit_price(self, row: Order) -> str | None:
        return display.price(row, row.price)

    @display.column("stop price")
    def stop(self, row: Order) -> str | None:
        """Where a trailing stop that waits stands now is not in its row: it moves with the market."""
        if row.stop_price is not None:
            return display.price(row, row.stop_price)
        best = row.trail_best if hasattr(row, "trail_best") else selectors.trail_best(row)
        if not best:
            return None
        return display.price(row, trailing_stop_price(row.side, best, row.trail or 0, row.trail_bps or 0))

    @display.column("trails by")
    def trails_by(self, row: Order) -> str | None:
        if row.trail_bps is not None:
            return f"{from_units(row.trail_bps, PERCENT_DECIMALS)} %"
        return display.price(row, row.trail)

    @display.column("shown at a time")
    def tip(self, row: Order) -> str | None:
        return display.quantity(row, row.display_quantity)

    @display.column("of it hidden")
    def hidden_quantity(self, row: Order) -> str | None:
        return display.quantity(row, row.hidden) if row.display_quantity is not None else None

    @display.column("expires (UTC)")
    def expires(self, row: Order) -> str | None:
        return display.moment(row.expires_at)

    @display.column("its part")
    def role_name(self, row: Order) -> str | None:
        return ROLE_NAMES[row.role].replace("_", " ") or None

    @display.column("quantity")
    def total(self, row: Order) -> str | None:
        return display.quantity(row, row.quantity)

    @display.column("filled")
    def filled_quantity(self, row: Order) -> str | None:
        return display.quantity(row, row.filled)

    @display.column("remaining")
    def open_quantity(self, row: Order) -> str | None:
        return display.quantity(row, row.remaining)

    @display.column("canceled")
    def canceled_quantity(self, row: Order) -> str | None:
        return display.quantity(row, row.canceled)

    @display.column("average price")
    def average_price(self, row: Order) -> str | None:
        info = display.instrument_of(row)
        return ratio_from_units(row.notional, row.filled, info.price_decimals) if row.filled and info else None

    @display.column("status")
    def status_name(self, row: Order) -> str:
        return STATUS_NAMES[row.status]

    @display.column("reason")
    def why(self, row: Order) -> str | None:
        return REASON_NAMES[row.reason] or None

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        bests = selectors.trail_bests(changelist.result_list)  # one query for all rows of the page
        for row in changelist.result_list:
            row.trail_best = bests.get(row.id, 0)
        return changelist

    # Details

    @display.column("the others")
    def linked_orders(self, row: Order) -> Any:
        if row.group_id is None:
            return None
        heads = ("Order", "Part", "Side", "Type", "Price", "Stop price", "Quantity", "Filled", "Status", "Reason")
        group = list(Order.objects.filter(group_id=row.group_id).exclude(id=row.id).order_by("id"))
        for one, best in selectors.trail_bests(group).items():
            next(order for order in group if order.id == one).trail_best = best
        return display.table(heads, [self._leg_row(one) for one in group], "None.")

    def _leg_row(self, row: Order) -> tuple[Any, ...]:
        return (
            display.change_link(Order, row.id),
            self.role_name(row),
            SIDE_NAMES[row.side],
            TYPE_NAMES[row.type],
            self.limit_price(row),
            self.stop(row),
            self.total(row),
            self.filled_quantity(row),
            self.status_name(row),
            self.why(row),
        )

    @display.column("see also")
    def links(self, row: Order) -> Any:
        return display.together(
            (
                display.list_link(Event, "all its events", q=str(row.id)),
                display.list_link(Trade, "all its trades", q=str(row.id)),
                display.list_link(Order, "the account's orders", account=row.account.name),
            )
        )

    @display.column("newest first")
    def event_rows(self, row: Order) -> Any:
        events = Event.objects.filter(order_id=row.id).order_by("-id").prefetch_related("actor")[:MAX_RELATED]
        return event_table(list(events))

    @display.column("newest first")
    def trade_rows(self, row: Order) -> Any:
        trades = Trade.objects.filter(pk__in=trade_ids(Q(order_id=row.id), MAX_RELATED)).order_by("-id")
        heads = ("Trade", "Time (UTC)", "As", "Price", "Quantity", "Against order")
        return display.table(heads, [self._trade_row(row, trade) for trade in trades], "No trades.")

    def _trade_row(self, row: Order, trade: Trade) -> tuple[Any, ...]:
        is_maker = trade.maker_order_id == row.id
        return (
            display.change_link(Trade, trade.id, trade_id(trade.shard_id, trade.sequence)),
            display.moment(trade.at),
            "maker" if is_maker else "taker",
            display.price(trade, trade.price),
            display.quantity(trade, trade.quantity),
            display.change_link(Order, trade.taker_order_id if is_maker else trade.maker_order_id),
        )
