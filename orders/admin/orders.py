"""Orders: read-only for everybody. The one thing an operator may do is cancel on behalf."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from matching.values import LAST_OPEN_STATUS, REASON_NAMES, SIDE_NAMES, STATUS_NAMES
from orders import gateway
from orders.admin import display
from orders.admin.events import event_table
from orders.admin.filters import AccountFilter, SideFilter, StatusFilter, SymbolFilter, TypeFilter
from orders.admin.lists import Found, HistoryAdmin, Term
from orders.admin.operating import CONFIRMED, confirmation, operator, tell_problem
from orders.admin.trades import trade_ids
from orders.models import Event, Order, Trade
from orders.schemas.decimals import ratio_from_units
from orders.schemas.problems import ProblemError
from orders.schemas.render import trade_id

# Rows of another table on a detail page; the rest is behind a link.
MAX_RELATED = 50
# Orders canceled on behalf in one go: each is a commit that the page waits for.
MAX_CANCELS = 500


@admin.register(Order)
class OrderAdmin(HistoryAdmin):
    named = ("account",)
    list_display = (
        "order_id",
        "created",
        "account_name",
        "symbol",
        "side",
        "type",
        "limit_price",
        "total",
        "filled_quantity",
        "open_quantity",
        "status_name",
        "why",
        "client_id",
    )
    list_filter = (StatusFilter, SideFilter, TypeFilter, SymbolFilter, AccountFilter)
    search_help_text = "Order id, client order id, account name or symbol, exactly."
    actions = ("cancel_on_behalf",)
    fieldsets = (
        (None, {"fields": (("order_id", "client_id"), ("account_name", "symbol"), ("status_name", "why"), "links")}),
        (
            "Terms",
            {
                "fields": (
                    ("side", "type", "time_in_force"),
                    ("limit_price", "total"),
                    ("post_only", "self_trade_prevention"),
                )
            },
        ),
        ("Where it stands", {"fields": (("filled_quantity", "average_price"), ("open_quantity", "canceled_quantity"))}),
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

    # Details

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

    # Cancel on behalf

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Who may change orders, by Django's own permission: all they can change is that an order is open."""
        return request.user.has_perm("orders.change_order")

    @admin.action(description="Cancel on behalf of the account…", permissions=["cancel"])
    def cancel_on_behalf(self, request: HttpRequest, queryset: QuerySet) -> TemplateResponse | None:
        orders = list(queryset.filter(status__lte=LAST_OPEN_STATUS)[: MAX_CANCELS + 1])
        if not orders:
            messages.warning(request, "None of the selected orders is open. Nothing was changed.")
            return None
        if len(orders) > MAX_CANCELS:
            messages.error(request, f"Select at most {MAX_CANCELS} open orders. Nothing was changed.")
            return None
        if CONFIRMED not in request.POST:
            return self._ask_to_cancel(request, orders)
        self._cancel(request, orders)
        return None

    def _ask_to_cancel(self, request: HttpRequest, orders: list[Order]) -> TemplateResponse:
        hidden = [("action", "cancel_on_behalf"), *(("_selected_action", row.pk) for row in orders)]
        return confirmation(
            self,
            request,
            title="Cancel on behalf",
            question="Cancel what remains of these open orders on behalf of their accounts? This cannot be undone.",
            objects=[self._in_words(row) for row in orders],
            hidden=hidden,
            button="Cancel these orders",
            back=request.get_full_path(),
        )

    def _in_words(self, row: Order) -> str:
        info = display.instrument_of(row)
        terms = f"{SIDE_NAMES[row.side]} {self.open_quantity(row)} {info.symbol if info else ''}"
        return f"{row.id}: {terms} at {self.limit_price(row) or 'market'}, {row.account.name}"

    def _cancel(self, request: HttpRequest, orders: list[Order]) -> None:
        canceled = 0
        for row in orders:
            try:
                gateway.order_cancel_on_behalf(actor=operator(request), order_id=row.id)
            except ProblemError as problem:
                tell_problem(request, f"Order {row.id}", problem)
                if problem.code.retryable:
                    messages.error(request, f"{canceled} of {len(orders)} orders were canceled.")
                    return  # the engine is away: the others would only wait for the same answer
            else:
                canceled += 1
                self.log_change(request, row, "Canceled on behalf.")
        tell = messages.success if canceled == len(orders) else messages.warning
        tell(request, f"{canceled} of {len(orders)} orders were canceled.")
