"""Saved books, read-only: what they hold, and whether they still are what was saved."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from matching.order import Order
from matching.values import BUY, SELL
from orders import snapshots
from orders.admin import display
from orders.admin.filters import SymbolFilter
from orders.admin.lists import BoundedPaginator, ReadOnlyAdmin
from orders.models import BookSnapshot

# A page decodes at most so many orders (about a second); `verify_books` does the others.
MAX_DECODED_ORDERS = 100_000
# Levels shown on each side.
DEPTH = 10


def levels(orders: list[Order], side: int) -> list[tuple[int, int, int]]:
    """(price, quantity, orders) of one side, best first, in units."""
    found: dict[int, list[int]] = {}
    for order in orders:
        if order.side == side:
            level = found.setdefault(order.price, [0, 0])
            level[0] += order.remaining
            level[1] += 1
    return [(price, *found[price]) for price in sorted(found, reverse=side == BUY)]


@admin.register(BookSnapshot)
class BookSnapshotAdmin(ReadOnlyAdmin):
    paginator = BoundedPaginator
    ordering = ("-pk",)
    list_display = ("name", "saved", "symbol", "sequence_", "through", "order_count", "depth", "bid", "ask")
    list_filter = (SymbolFilter,)
    fieldsets = (
        (None, {"fields": ("symbol", "saved", "sequence_", "through", "epoch", "schema_version")}),
        ("What it holds", {"fields": ("order_count", "depth", "bid", "ask", "totals")}),
        ("Is it what was saved?", {"fields": ("checksum", "verdict")}),
        ("Best levels", {"fields": ("bids", "asks")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        queryset = super().get_queryset(request)
        # The data of a list's rows would be megabytes that nobody looks at.
        return queryset if request.resolver_match.kwargs.get("object_id") else queryset.defer("data")

    def _orders(self, row: BookSnapshot) -> list[Order] | str:
        """The orders of a saved book, decoded once a page, or why there are none."""
        if not hasattr(row, "_decoded"):
            row._decoded = self._decode(row)
        return row._decoded

    def _decode(self, row: BookSnapshot) -> list[Order] | str:
        if row.orders > MAX_DECODED_ORDERS:
            return f"Not looked at: more than {MAX_DECODED_ORDERS:,} orders. Run manage.py verify_books."
        try:
            return snapshots.decode(row)
        except snapshots.CorruptSnapshot as error:
            return f"Corrupt: {error}. Recovery skips it."

    @display.column("saved book")
    def name(self, row: BookSnapshot) -> str:
        return str(row.pk)

    @display.column("saved (UTC)")
    def saved(self, row: BookSnapshot) -> str | None:
        return display.moment(row.created_at)

    @display.column("instrument")
    def symbol(self, row: BookSnapshot) -> Any:
        return display.symbol_link(row)

    @display.column("after event")
    def sequence_(self, row: BookSnapshot) -> str:
        return f"{row.shard_id}/{row.sequence}"

    @display.column("still true after")
    def through(self, row: BookSnapshot) -> str:
        return f"{row.shard_id}/{row.saved_through}"

    @display.column("orders")
    def order_count(self, row: BookSnapshot) -> int:
        return row.orders

    @display.column("levels, bid and ask")
    def depth(self, row: BookSnapshot) -> str:
        return f"{row.bid_levels} / {row.ask_levels}"

    @display.column("best bid")
    def bid(self, row: BookSnapshot) -> str | None:
        return display.price(row, row.best_bid)

    @display.column("best ask")
    def ask(self, row: BookSnapshot) -> str | None:
        return display.price(row, row.best_ask)

    @display.column("quantity, bid and ask")
    def totals(self, row: BookSnapshot) -> str | None:
        orders = self._orders(row)
        if isinstance(orders, str):
            return None
        sums = [sum(order.remaining for order in orders if order.side == side) for side in (BUY, SELL)]
        return " / ".join(display.quantity(row, units) or "" for units in sums)

    @display.column("verification")
    def verdict(self, row: BookSnapshot) -> Any:
        orders = self._orders(row)
        if isinstance(orders, str):
            return format_html('<strong class="oms-bad">{}</strong>', orders)
        return format_html('<span class="oms-good">{}</span>', f"Intact: {len(orders):,} orders, checksum equal.")

    @display.column("bids")
    def bids(self, row: BookSnapshot) -> Any:
        return self._side(row, BUY)

    @display.column("asks")
    def asks(self, row: BookSnapshot) -> Any:
        return self._side(row, SELL)

    def _side(self, row: BookSnapshot, side: int) -> Any:
        orders = self._orders(row)
        if isinstance(orders, str):
            return None
        rows = [
            (display.price(row, price), display.quantity(row, units), count)
            for price, units, count in levels(orders, side)[:DEPTH]
        ]
        return display.table(("Price", "Quantity", "Orders"), rows, "Empty.")
