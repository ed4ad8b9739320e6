"""Instruments: made, changed, halted, resumed and closed, always by a command through the gateway."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from matching.values import MAX_UNITS, PHASE_NAMES
from orders import gateway, selectors
from orders.admin import display
from orders.admin.filters import WordFilter
from orders.admin.forms import InstrumentForm
from orders.admin.operating import CONFIRMED, confirmation, operator, tell_problem
from orders.models import BookSnapshot, Event, Instrument, Order, Position, Trade
from orders.schemas.decimals import from_units
from orders.schemas.problems import ProblemError

# What an operator does: the phase it leads to, and what that means.
_STOPPED = "New orders and amends will be refused. Open orders stay, and can be canceled."
PHASE_CHANGES = {
    "halt": ("halted", _STOPPED),
    "resume": ("continuous", "Orders will be taken and matched again. Open orders keep their places."),
    "close": ("closed", _STOPPED),
}
DONE = {"halt": "halted", "resume": "resumed", "close": "closed"}
_FIXED = ("symbol", "price_decimals", "quantity_decimals")


class StateFilter(WordFilter):
    title = parameter_name = "state"
    column = "phase"
    words = PHASE_NAMES

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(phase, phase) for phase, _ in PHASE_CHANGES.values()]


@admin.register(Instrument)
class InstrumentAdmin(admin.ModelAdmin):
    form = InstrumentForm
    view_on_site = False
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_display = ("symbol", "state", "tick", "step", "smallest", "largest", "collar", "last", "open_orders")
    list_filter = (StateFilter,)
    search_fields = ("symbol",)
    actions = ("halt", "resume", "close")
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
        what = ("symbol", "base", "quote", "price_decimals", "quantity_decimals")
        limits = ("price_tick", "quantity_step", "min_quantity", "max_quantity", "max_notional")
        collar = ("price_collar", "reference_price")
        if obj is None:
            return [
                ("What it is", {"fields": what}),
                ("Rules", {"fields": (*limits, *collar, "phase")}),
            ]
        if not self.has_change_permission(request, obj):
            limits = ("tick", "step", "smallest", "largest", "most_worth")
            collar = ("collar", "reference")
        return [
            ("Now", {"fields": ("state", "last", "open_orders", "see_also")}),
            ("What it is", {"fields": what}),
            ("Rules", {"fields": (*limits, *collar)}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Instrument | None = None) -> tuple[str, ...]:
        return () if obj is None else (*_FIXED, "state", "last", "open_orders", "see_also")

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
        """The engine has written the row already: see ``InstrumentForm.carry_out``."""
        obj.refresh_from_db()

    # Columns

    @display.column("state")
    def state(self, row: Instrument) -> str:
        return PHASE_NAMES[row.phase]

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

    # Halt, resume, close

    @admin.action(description="Halt…", permissions=["change"])
    def halt(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "halt")

    @admin.action(description="Resume…", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "resume")

    @admin.action(description="Close…", permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "close")

    def _change_phases(self, request: HttpRequest, queryset: QuerySet, change: str) -> HttpResponse | None:
        rows = list(queryset)
        if CONFIRMED in request.POST:
            for row in rows:
                if not self._set_phase(request, row, change):
                    break
            return None
        hidden = [("action", change), *(("_selected_action", row.pk) for row in rows)]
        return self._ask(request, change, rows, hidden, request.get_full_path())

    def get_urls(self) -> list[Any]:
        address = path(
            "<path:object_id>/phase/<str:change>/",
            self.admin_site.admin_view(self.phase_view),
            name="orders_instrument_phase",
        )
        return [address, *super().get_urls()]

    @method_decorator(csrf_protect)
    def phase_view(self, request: HttpRequest, object_id: str, change: str) -> HttpResponse:
        """The buttons of the change page: asks, then does."""
        row = self.get_object(request, unquote(object_id))
        if row is None or change not in PHASE_CHANGES:
            raise Http404
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        back = reverse("admin:orders_instrument_change", args=[row.pk])
        if request.method == "POST" and CONFIRMED in request.POST:
            self._set_phase(request, row, change)
            return HttpResponseRedirect(back)
        return self._ask(request, change, [row], [], back)

    def _ask(
        self, request: HttpRequest, change: str, rows: list[Instrument], hidden: list[Any], back: str
    ) -> HttpResponse:
        counts = selectors.open_order_counts()
        return confirmation(
            self,
            request,
            title=f"{change.capitalize()} trading",
            question=PHASE_CHANGES[change][1],
            objects=[
                f"{row.symbol}: now {PHASE_NAMES[row.phase]}, {counts.get(row.pk, 0)} open orders" for row in rows
            ],
            hidden=hidden,
            button=change.capitalize(),
            back=back,
        )

    def _set_phase(self, request: HttpRequest, row: Instrument, change: str) -> bool:
        """Do it and say so. False where the engine is away, and there is no sense in asking it for the next."""
        phase = PHASE_CHANGES[change][0]
        if PHASE_NAMES[row.phase] == phase:
            messages.info(request, f"{row.symbol} is {phase} already.")
            return True
        try:
            gateway.instrument_set_phase(actor=operator(request), instrument_id=row.pk, phase=phase)
        except ProblemError as problem:
            tell_problem(request, row.symbol, problem)
            return not problem.code.retryable
        self.log_change(request, row, f"Trading was {DONE[change]}.")
        messages.success(request, f"{row.symbol}: trading is {DONE[change]}.")
        return True
