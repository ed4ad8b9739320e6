"""Moving an instrument to another shard, by operators: first where to, then whether to."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from orders import gateway, selectors
from orders.admin.forms import ShardField
from orders.admin.operating import CONFIRMED, confirmation, operator, tell_problem
from orders.admin.phases import PhaseActions
from orders.models import Instrument
from orders.schemas.problems import ProblemError
from orders.shards import shard_ids

_QUESTION = (
    "Move it to shard {shard} with its {count} open orders? Their order of priority stays. Until it has arrived nobody can "
    "trade or cancel; it stays halted until somebody resumes."
)


class MoveForm(forms.Form):
    """Where to."""

    shard = ShardField("Whose engine is to trade it.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ShardField.settle(self, "shard")


class MoveActions(PhaseActions):
    """The page that moves an instrument. Mixed into the admin of instruments."""

    def get_urls(self) -> list[Any]:
        page = path("<path:object_id>/move/", self.admin_site.admin_view(self.move_view), name="orders_instrument_move")
        return [page, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        return super().render_change_form(request, {**context, "has_shards": len(shard_ids()) > 1}, *args, **kwargs)

    @method_decorator(csrf_protect)
    def move_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The button of the change page."""
        row = self._changeable(request, object_id)
        back = reverse("admin:orders_instrument_change", args=[row.pk])
        form = MoveForm(request.POST if request.method == "POST" else None)
        is_question = form.is_valid() and "shard" in form.cleaned_data
        if is_question and CONFIRMED in request.POST:
            self._move(request, row, form.cleaned_data["shard"])
            return HttpResponseRedirect(back)
        count = selectors.open_order_count(instrument_id=row.pk)
        where_to = form.cleaned_data["shard"] if is_question else 0
        return confirmation(
            self,
            request,
            title="Move to another shard",
            question=_QUESTION.format(shard=where_to, count=count)
            if is_question
            else "Where to? The next page asks once more.",
            objects=[f"{row.symbol}, now on shard {row.shard_id}"],
            hidden=[("shard", where_to)] if is_question else [],
            button="Move" if is_question else "Go on…",
            back=back,
            form=None if is_question else form,
            is_question=is_question,
        )

    def _move(self, request: HttpRequest, row: Instrument, shard_id: int) -> None:
        try:
            gateway.instrument_move(actor=operator(request), symbol=row.symbol, shard_id=shard_id)
        except ProblemError as problem:
            tell_problem(request, row.symbol, problem)
            return
        self.log_change(request, row, f"Moved to shard {shard_id}.")
        messages.success(request, f"{row.symbol} is on shard {shard_id} now. It is halted: resume it.")
