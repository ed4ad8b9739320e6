"""Canceling by operators: selected orders on behalf of their accounts, or everything that matches, after a question."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from matching.values import CANCELED, LAST_OPEN_STATUS, R_LINKED_ORDER, SIDE_NAMES
from orders import gateway, selectors
from orders.admin import display
from orders.admin.lists import HistoryAdmin
from orders.admin.operating import CONFIRMED, confirmation, operator, tell_problem
from orders.models import Account, Instrument, Order
from orders.schemas.problems import ProblemError

# Orders canceled on behalf in one go: each is a commit that the page waits for.
MAX_CANCELS = 500
# Orders in whose admin history a mass cancel is told; the log of events has it of every one.
MAX_LOGGED = 500
# Accounts and instruments that a mass cancel hits are told one by one up to this many.
MAX_TOLD = 50


class MassCancelForm(forms.Form):
    """Which open orders: all that match everything that is chosen."""

    account = forms.CharField(
        required=False, max_length=64, help_text="An account's name, exactly. Empty: everybody's."
    )
    symbol = forms.ModelChoiceField(
        Instrument.objects.order_by("symbol"),
        required=False,
        to_field_name="symbol",
        label="Instrument",
        empty_label="all instruments",
    )
    side = forms.ChoiceField(required=False, choices=[("", "both sides"), *((side, side) for side in SIDE_NAMES)])

    def clean_account(self) -> str:
        name = self.cleaned_data["account"]
        if name and not Account.objects.filter(name=name).exists():
            raise forms.ValidationError("There is no such account.")
        return name

    def chosen(self) -> dict[str, str | None]:
        """For the gateway."""
        symbol = self.cleaned_data["symbol"]
        return {
            "account": self.cleaned_data["account"] or None,
            "symbol": symbol.symbol if symbol is not None else None,
            "side": self.cleaned_data["side"] or None,
        }

    def orders(self) -> QuerySet:
        """The rows that it would hit. (The literal lets a database use the index that has only open orders.)"""
        chosen = self.chosen()
        rows = Order.objects.filter(status__lte=RawSQL(str(LAST_OPEN_STATUS), ()))
        if chosen["account"]:
            rows = rows.filter(account_id__in=Account.objects.filter(name=chosen["account"]).values("id"))
        if chosen["symbol"]:
            rows = rows.filter(instrument_id=selectors.instrument_by_symbol(chosen["symbol"]).id)
        return rows.filter(side=SIDE_NAMES.index(chosen["side"])) if chosen["side"] else rows


class CancelActions(HistoryAdmin):
    """What the list of orders can do about them."""

    actions = ("cancel_on_behalf",)
    change_list_template = "admin/orders/order/change_list.html"

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
        terms = f"{SIDE_NAMES[row.side]} {display.quantity(row, row.remaining)} {info.symbol if info else ''}"
        return f"{row.id}: {terms} at {display.price(row, row.price) or 'market'}, {row.account.name}"

    def _cancel(self, request: HttpRequest, orders: list[Order]) -> None:
        canceled = 0
        for row in orders:
            try:
                gateway.order_cancel_on_behalf(actor=operator(request), order_id=row.id)
            except ProblemError as problem:
                if Order.objects.filter(id=row.id, status=CANCELED, reason=R_LINKED_ORDER).exists():
                    canceled += 1  # it followed another of the selected orders, which it is linked to
                    continue
                tell_problem(request, f"Order {row.id}", problem)
                if problem.code.retryable:
                    messages.error(request, f"{canceled} of {len(orders)} orders were canceled.")
                    return  # the engine is away: the others would only wait for the same answer
            else:
                canceled += 1
                self.log_change(request, row, "Canceled on behalf.")
        tell = messages.success if canceled == len(orders) else messages.warning
        tell(request, f"{canceled} of {len(orders)} orders were canceled.")

    # Mass cancel

    def get_urls(self) -> list[Any]:
        page = path("cancel/", self.admin_site.admin_view(self.mass_cancel_view), name="orders_order_cancel")
        return [page, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may = {"has_cancel_permission": self.has_cancel_permission(request)}
        return super().changelist_view(request, {**(extra_context or {}), **may})

    @method_decorator(csrf_protect)
    def mass_cancel_view(self, request: HttpRequest) -> HttpResponse:
        """First which, then how many that is and whether to; then it is one command."""
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        form = MassCancelForm(request.POST if request.method == "POST" else None)
        back = reverse("admin:orders_order_changelist")
        if not form.is_valid():
            return confirmation(
                self,
                request,
                title="Mass cancel",
                question="Which open orders? The next page counts them and asks.",
                objects=[],
                hidden=[],
                button="Count them…",
                back=back,
                form=form,
                is_question=False,
            )
        if CONFIRMED not in request.POST:
            return self._ask_to_cancel_all(request, form, back)
        self._cancel_all(request, form)
        return HttpResponseRedirect(back)

    def _ask_to_cancel_all(self, request: HttpRequest, form: MassCancelForm, back: str) -> TemplateResponse:
        counts: dict[tuple[int, int], int] = {}
        for key in form.orders().values_list("account_id", "instrument_id").iterator():
            counts[key] = counts.get(key, 0) + 1
        total = sum(counts.values())
        names = dict(Account.objects.filter(id__in={account for account, _ in counts}).values_list("id", "name"))
        told = sorted(counts.items(), key=lambda item: -item[1])
        objects = [
            f"{names.get(account, account)}, {selectors.instrument_by_id(instrument).symbol}: {count}"
            for (account, instrument), count in told[:MAX_TOLD]
        ]
        if len(told) > MAX_TOLD:
            objects.append(f"and {len(told) - MAX_TOLD} more")
        chosen = form.chosen()
        which = ", ".join(filter(None, (chosen["account"], chosen["symbol"], chosen["side"]))) or "everything"
        return confirmation(
            self,
            request,
            title="Mass cancel",
            question=f"Cancel {total} open orders ({which})? Those placed until then are canceled too. "
            "This cannot be undone.",
            objects=objects,
            hidden=[(name, value or "") for name, value in chosen.items()],
            button=f"Cancel {total} orders",
            back=back,
        )

    def _cancel_all(self, request: HttpRequest, form: MassCancelForm) -> None:
        try:
            outcome = gateway.order_cancel_matching_on_behalf(actor=operator(request), **form.chosen())
        except ProblemError as problem:
            tell_problem(request, "Mass cancel", problem)
            return
        for row in Order.objects.filter(id__in=outcome.canceled[:MAX_LOGGED]):
            self.log_change(request, row, "Canceled by a mass cancel.")
        messages.success(request, f"{len(outcome.canceled)} orders were canceled.")
        left = form.orders().count()
        if left:
            messages.warning(
                request, f"{left} matching orders are open: placed just now, or where no cancels are taken."
            )
