"""Trades and positions: read-only for everybody."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from matching.events import FILL_MAKER, FILL_TAKER
from orders.admin import display
from orders.admin.filters import AccountFilter, SymbolFilter
from orders.admin.lists import BEFORE, Found, HistoryAdmin, Term, as_before
from orders.models import Event, Order, Position, Trade
from orders.schemas.decimals import ratio_from_units
from orders.schemas.render import position_out, trade_id

# An account's newest fills among which its trades are looked for at a time.
MAX_FILLS = 1_000


def trade_ids(condition: Q, limit: int, before: int | None = None) -> list[int]:
    """Ids of the trades behind the newest ``limit`` fills: the maker's event, which is one before the taker's."""
    fills = Event.objects.filter(condition, kind__in=(FILL_MAKER, FILL_TAKER))
    if before is not None:
        fills = fills.filter(pk__lte=before)
    rows = fills.order_by("-id").values_list("id", "kind")[:limit]
    return [one if kind == FILL_MAKER else one - 1 for one, kind in rows]


class TradeAccountFilter(AccountFilter):
    """An account's trades, by its fills, which have an index."""

    cut_at: int | None = None

    def of_account(self, request: HttpRequest, queryset: QuerySet, account_id: int) -> QuerySet:
        ids = trade_ids(Q(account_id=account_id), MAX_FILLS, as_before(request.GET.get(BEFORE, "")))
        self.cut_at = min(ids) if len(ids) == MAX_FILLS else None
        return queryset.filter(pk__in=ids)


@admin.register(Trade)
class TradeAdmin(HistoryAdmin):
    named = ("maker_account", "taker_account")
    list_display = ("number", "time", "symbol", "trade_price", "traded", "taker_side", "maker", "taker")
    list_filter = (SymbolFilter, TradeAccountFilter)
    search_help_text = "Trade (shard-sequence), order id, client order id, account name or symbol, exactly."
    fieldsets = (
        (None, {"fields": ("number", "time", "symbol", "trade_price", "traded", "worth", "taker_side")}),
        ("Maker", {"fields": ("maker_order_link", "maker", "maker_event")}),
        ("Taker", {"fields": ("taker_order_link", "taker", "taker_event")}),
    )

    def find(self, term: Term, before: int | None) -> Found:
        found = Found()
        if term.event is not None:
            found.add(Q(pk=term.event), is_exact=True)
        if term.order_ids:
            found.add(Q(pk__in=trade_ids(Q(order_id__in=term.order_ids), MAX_FILLS, before)), is_exact=True)
        if term.account_id is not None:
            ids = trade_ids(Q(account_id=term.account_id), MAX_FILLS, before)
            found.cut_at = min(ids) if len(ids) == MAX_FILLS else None
            found.add(Q(pk__in=ids), is_exact=True)
        if term.instrument_id is not None:
            found.add(Q(instrument_id=term.instrument_id), is_indexed=True)
        return found

    @display.column("trade")
    def number(self, row: Trade) -> str:
        return trade_id(row.shard_id, row.sequence)

    @display.column("time (UTC)")
    def time(self, row: Trade) -> str | None:
        return display.moment(row.at)

    @display.column("price")
    def trade_price(self, row: Trade) -> str | None:
        return display.price(row, row.price)

    @display.column("quantity")
    def traded(self, row: Trade) -> str | None:
        return display.quantity(row, row.quantity)

    @display.column("value")
    def worth(self, row: Trade) -> str | None:
        return display.value(row, row.price * row.quantity)

    @display.column("maker")
    def maker(self, row: Trade) -> Any:
        return display.account_link(row.maker_account, row.maker_account_id)

    @display.column("taker")
    def taker(self, row: Trade) -> Any:
        return display.account_link(row.taker_account, row.taker_account_id)

    @display.column("order")
    def maker_order_link(self, row: Trade) -> Any:
        return display.change_link(Order, row.maker_order_id)

    @display.column("order")
    def taker_order_link(self, row: Trade) -> Any:
        return display.change_link(Order, row.taker_order_id)

    @display.column("event")
    def maker_event(self, row: Trade) -> Any:
        return display.change_link(Event, row.id, f"{row.shard_id}/{row.sequence}")

    @display.column("event")
    def taker_event(self, row: Trade) -> Any:
        return display.change_link(Event, row.id + 1, f"{row.shard_id}/{row.sequence + 1}")


@admin.register(Position)
class PositionAdmin(HistoryAdmin):
    named = ("account",)
    list_display = (
        "holder",
        "symbol",
        "net_quantity",
        "bought_quantity",
        "sold_quantity",
        "bought_value",
        "sold_value",
    )
    list_filter = (SymbolFilter, AccountFilter)
    search_help_text = "Account name or symbol, exactly."
    fieldsets = (
        (None, {"fields": ("account_name", "symbol", "net_quantity", "links")}),
        ("Profit and loss", {"fields": ("average_price", "realized", "mark", "unrealized")}),
        ("Bought", {"fields": ("bought_quantity", "bought_value", "average_bought")}),
        ("Sold", {"fields": ("sold_quantity", "sold_value", "average_sold")}),
    )

    def find(self, term: Term, before: int | None) -> Found:
        found = Found()
        if term.account_id is not None:
            found.add(Q(account_id=term.account_id), is_indexed=True)
        if term.instrument_id is not None:
            found.add(Q(instrument_id=term.instrument_id))
        return found

    @display.column("account")
    def holder(self, row: Position) -> str:
        return row.account.name

    @display.column("net")
    def net_quantity(self, row: Position) -> str | None:
        return display.quantity(row, row.net)

    @display.column("bought")
    def bought_quantity(self, row: Position) -> str | None:
        return display.quantity(row, row.bought)

    @display.column("sold")
    def sold_quantity(self, row: Position) -> str | None:
        return display.quantity(row, row.sold)

    @display.column("bought for")
    def bought_value(self, row: Position) -> str | None:
        return display.value(row, row.bought_notional)

    @display.column("sold for")
    def sold_value(self, row: Position) -> str | None:
        return display.value(row, row.sold_notional)

    @display.column("average price")
    def average_bought(self, row: Position) -> str | None:
        return self._average(row, row.bought_notional, row.bought)

    @display.column("average price")
    def average_sold(self, row: Position) -> str | None:
        return self._average(row, row.sold_notional, row.sold)

    def _average(self, row: Position, notional: int, quantity: int) -> str | None:
        info = display.instrument_of(row)
        return ratio_from_units(notional, quantity, info.price_decimals) if quantity and info else None

    @display.column("average price", empty="the position is zero")
    def average_price(self, row: Position) -> str | None:
        return _told(row)["average_price"]

    @display.column("realized")
    def realized(self, row: Position) -> str:
        return _told(row)["realized_pnl"]

    @display.column("last price")
    def mark(self, row: Position) -> str | None:
        return _told(row)["mark_price"]

    @display.column("unrealized")
    def unrealized(self, row: Position) -> str | None:
        return _told(row)["unrealized_pnl"]

    @display.column("see also")
    def links(self, row: Position) -> Any:
        return display.together(
            (
                display.list_link(Order, "the account's orders", account=row.account.name),
                display.list_link(Trade, "the account's trades", account=row.account.name),
            )
        )


def _told(row: Position) -> dict[str, Any]:
    """A position as its holder is told, with what it has gained and would gain."""
    return position_out(row, row.instrument, row.instrument.last_price)
