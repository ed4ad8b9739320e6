"""Money of accounts: paid in and out by operators, always by a command through the gateway."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from pydantic import ValidationError

from orders import gateway
from orders.admin import display
from orders.admin.forms import NOT_A_DECIMAL, NOT_A_NAME, ShardField
from orders.admin.operating import CONFIRMED, confirmation, operator, tell_problem
from orders.balances import balance_list
from orders.models import Account, Deposit
from orders.schemas.configuration import TransferRequest
from orders.schemas.problems import ProblemError, from_validation
from orders.shards import shard_ids

_WORDS = {"in": "paid in", "out": "paid out"}


class TransferForm(forms.Form):
    """How much of which currency, and which way; the schema has the last word."""

    direction = forms.ChoiceField(label="Pay", choices=[("in", "in"), ("out", "out")])
    amount = forms.CharField(max_length=28, help_text="For example 1000.50")
    currency = forms.CharField(max_length=16, help_text="As instruments call it, for example USD.")
    shard = ShardField("Orders are paid with the money of their instrument's shard.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ShardField.settle(self, "shard")

    @property
    def shard_id(self) -> int | None:
        """The one that was chosen; None where there is no choice."""
        return self.cleaned_data.get("shard")

    def _post_clean(self) -> None:
        said = {name: value for name, value in self.cleaned_data.items() if name != "shard"}
        try:
            self.request = TransferRequest.model_validate(said)
        except ValidationError as error:
            for found in from_validation(error).errors:
                name, message = found["field"], found["message"]
                if found["code"] == "string_pattern_mismatch":
                    message = NOT_A_NAME if name == "currency" else NOT_A_DECIMAL
                if name in self.fields and name not in self.errors:
                    self.add_error(name, message)


def _where(form: TransferForm) -> str:
    return "" if form.shard_id is None else f", shard {form.shard_id}"


def _in_words(form: TransferForm) -> str:
    return f"Pay {form.request.amount} {form.request.currency} {form.request.direction}{_where(form)}"


class FundsActions(admin.ModelAdmin):
    """The page that pays in and out, and what an account has. Mixed into the admin of accounts."""

    change_form_template = "admin/orders/account/change_form.html"

    def get_urls(self) -> list[Any]:
        page = path(
            "<path:object_id>/transfer/",
            self.admin_site.admin_view(self.transfer_view),
            name="orders_account_transfer",
        )
        return [page, *super().get_urls()]

    @method_decorator(csrf_protect)
    def transfer_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """First how much, then whether to; then it is one command."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        back = reverse("admin:orders_account_change", args=[row.pk])
        form = TransferForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and CONFIRMED in request.POST:
            self._transfer(request, row, form)
            return HttpResponseRedirect(back)
        is_question = form.is_valid()
        return confirmation(
            self,
            request,
            title="Pay in or out",
            question=f"{_in_words(form)}?" if is_question else "How much? The next page asks once more.",
            objects=[row.name],
            hidden=list(form.cleaned_data.items()) if is_question else [],
            button="Pay" if is_question else "Go on…",
            back=back,
            form=None if is_question else form,
            is_question=is_question,
        )

    def _transfer(self, request: HttpRequest, row: Account, form: TransferForm) -> None:
        wanted = form.request
        try:
            gateway.account_transfer(
                actor=operator(request),
                account_id=row.pk,
                currency=wanted.currency,
                amount=wanted.units,
                shard_id=form.shard_id,
            )
        except ProblemError as problem:
            tell_problem(request, row.name, problem)
            return
        told = f"{wanted.amount} {wanted.currency} {_WORDS[wanted.direction]}{_where(form)}"
        self.log_change(request, row, f"{told}.")
        messages.success(request, f"{row.name}: {told}.")

    @display.column("money", empty="nothing was paid in or traded")
    def money(self, row: Account) -> Any:
        paid = {
            (deposit.shard_id, deposit.currency): deposit.amount
            for deposit in Deposit.objects.filter(account_id=row.pk)
        }
        rows = [
            (
                str(balance.shard_id),
                balance.currency,
                display.money(paid.get((balance.shard_id, balance.currency), 0)),
                display.money(balance.total),
                display.money(balance.held),
            )
            for balance in balance_list(row)
        ]
        heads = ("Shard", "Currency", "Paid in, less out", "Balance", "Held by orders")
        if not rows:
            return None
        if len(shard_ids()) == 1:
            heads, rows = heads[1:], [row[1:] for row in rows]
        return display.table(heads, rows, "")
