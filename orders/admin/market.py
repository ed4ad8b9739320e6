"""Instruments: made and changed, always by a command through the gateway; their phases are in ``phases``."""

import json
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from matching.auction import is_call
from matching.values import MAX_UNITS, PHASE_NAMES, SECOND_US, SIDE_NAMES
from orders import selectors
from orders.admin import display
from orders.admin.calendars import keep_now, phase_table
from orders.admin.filters import WordFilter
from orders.admin.forms import FIXED, InstrumentForm
from orders.admin.moving import MoveActions
from orders.admin.operating import operator
from orders.levels import level_list
from orders.models import BookSnapshot, Calendar, Event, Instrument, Order, Position, Trade
from orders.schedules import now_us
from orders.schemas.decimals import from_units
from orders.shards import shard_ids

_NOW = ("auction_now", "last", "open_orders", "waiting_stops", "see_also")
# Phase changes to come that the page lists.
MAX_COMING = 20


class StateFilter(WordFilter):
    title = parameter_name = "state"
    column = "phase"
    words = PHASE_NAMES


@admin.register(Instrument)
class InstrumentAdmin(MoveActions):
    form = InstrumentForm
    view_on_site = False
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_select_related = ("calendar",)
    list_display = (
        *("symbol", "state", "until", "tick", "step", "smallest", "largest", "collar", "breaker"),
        *("last", "open_orders", "calendar"),
    )
    list_filter = (StateFilter,)
    search_fields = ("symbol",)
    change_form_template = "admin/orders/instrument/change_form.html"

    class Media:
        css = {"all": ("oms/admin.css",)}

    # Who may do what

    def has_delete_permission(self, request: HttpRequest, obj: Instrument | None = None) -> bool:
        """Nobody: its orders and trades stay. Close it."""
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == StateFilter.parameter_name

    # The form

    def get_fieldsets(self, request: HttpRequest, obj: Instrument | None = None) -> list[Any]:
        limits = ("price_tick", "quantity_step", "min_quantity", "max_quantity", "max_notional")
        collar = ("price_collar", "circuit_breaker_seconds", "reference_price")
        if obj is None:
            return [
                ("What it is", {"fields": FIXED if len(shard_ids()) == 1 else (*FIXED, "shard_number")}),
                ("Rules", {"fields": (*limits, *collar)}),
                ("Sessions", {"fields": ("phase", "calendar")}),
            ]
        calendar = "calendar"
        if not self.has_change_permission(request, obj):
            limits = ("tick", "step", "smallest", "largest", "most_worth")
            collar = ("collar", "breaker", "reference")
            calendar = "calendar_name"
        return [
            ("Now", {"fields": (("state", "until"), *_NOW)}),
            ("What it is", {"fields": (*FIXED, "shard_number")}),
            ("Rules", {"fields": (*limits, *collar)}),
            ("Sessions", {"fields": (calendar, "coming")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Instrument | None = None) -> tuple[str, ...]:
        return () if obj is None else (*FIXED, "shard_number", "state", "until", *_NOW, "coming")

    def get_form(self, request: HttpRequest, obj: Instrument | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": operator(request)})

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without Django's transaction: it would hold the database's write lock while the engine waits for it."""
        return self._changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Instrument, form: Any, change: bool) -> None:
        """The engine has written the row already: see ``InstrumentForm.carry_out``. The calendar is not the engine's."""
        obj.refresh_from_db()
        chosen = form.cleaned_data["calendar"]
        if obj.calendar != chosen:
            # The one column: a save of the row would overwrite what the engine wrote meanwhile.
            Instrument.objects.filter(pk=obj.pk).update(calendar=chosen)
            obj.calendar = chosen
            keep_now(request, obj)

    # Columns

    @display.column("state")
    def state(self, row: Instrument) -> str:
        return PHASE_NAMES[row.phase]

    @display.column("shard")
    def shard_number(self, row: Instrument) -> str:
        return str(row.shard_id)

    @display.column("until (UTC)", empty="–")  # noqa: RUF001
    def until(self, row: Instrument) -> str | None:
        return display.micros(row.phase_until)

    @display.column("auction now", empty="no auction is called, or nothing crosses")
    def auction_now(self, row: Instrument) -> str | None:
        if not is_call(row.phase):
            return None
        (levels,) = level_list(shard_id=row.shard_id, instrument_id=row.pk)[2]
        found = levels.indicative
        if found is None:
            return None
        price, volume = from_units(found.price, row.price_decimals), from_units(found.volume, row.quantity_decimals)
        left = from_units(abs(found.surplus), row.quantity_decimals)
        over = f"{left} more to {SIDE_NAMES[found.surplus < 0]}" if found.surplus else "nothing is left over"
        return f"{volume} would trade at {price}, {over}"

    @display.column("waiting stops")
    def waiting_stops(self, row: Instrument) -> Any:
        count = selectors.waiting_order_count(instrument_id=row.pk)
        return display.list_link(Order, str(count), symbol=row.symbol, status="untriggered")

    @display.column("calendar", empty="none: phases are set by hand")
    def calendar_name(self, row: Instrument) -> Any:
        return display.change_link(Calendar, row.calendar_id, row.calendar and row.calendar.name)

    @display.column("phases to come")
    def coming(self, row: Instrument) -> Any:
        zone = None if row.calendar is None else ZoneInfo(row.calendar.timezone)
        coming = [(at, phase) for at, phase in json.loads(row.schedule) if at > now_us()][:MAX_COMING]
        return phase_table(coming, zone)

    @display.column("circuit breaker", empty="none")
    def breaker(self, row: Instrument) -> str | None:
        return f"{row.breaker_us // SECOND_US} s" if row.breaker_us else None

    @display.column("price tick")
    def tick(self, row: Instrument) -> str:
        return from_units(row.price_tick, row.price_decimals)

    @display.column("quantity step")
    def step(self, row: Instrument) -> str:
        return from_units(row.quantity_step, row.quantity_decimals)

    @display.column("minimum quantity")
    def smallest(self, row: Instrument) -> str:
        return from_units(row.min_quantity, row.quantity_decimals)

    @display.column("maximum quantity", empty="no limit")
    def largest(self, row: Instrument) -> str | None:
        return None if row.max_quantity == MAX_UNITS else from_units(row.max_quantity, row.quantity_decimals)

    @display.column("maximum value", empty="no limit")
    def most_worth(self, row: Instrument) -> str | None:
        return from_units(row.max_notional, row.price_decimals + row.quantity_decimals) if row.max_notional else None

    @display.column("price collar", empty="none")
    def collar(self, row: Instrument) -> str | None:
        return f"{from_units(row.collar_bps, 2)} %" if row.collar_bps else None

    @display.column("reference price", empty="none")
    def reference(self, row: Instrument) -> str | None:
        return from_units(row.reference_price, row.price_decimals) if row.reference_price else None

    @display.column("last price", empty="no trade yet")
    def last(self, row: Instrument) -> str | None:
        return from_units(row.last_price, row.price_decimals) if row.last_price else None

    @display.column("open orders")
    def open_orders(self, row: Instrument) -> Any:
        count = row.open_orders if hasattr(row, "open_orders") else selectors.open_order_counts().get(row.pk, 0)
        return display.list_link(Order, str(count), symbol=row.symbol, status="open")

    @display.column("see also")
    def see_also(self, row: Instrument) -> Any:
        names = {Order: "orders", Trade: "trades", Event: "events", Position: "positions", BookSnapshot: "saved books"}
        return display.together(display.list_link(model, name, symbol=row.symbol) for model, name in names.items())

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        counts = selectors.open_order_counts()  # one query for all rows of the page
        for row in changelist.result_list:
            row.open_orders = counts.get(row.pk, 0)
        return changelist
