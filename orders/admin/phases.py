"""Phases of instruments, set by operators: for the rows of a list and for one instrument, always after a question."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from pydantic import ValidationError

from matching.values import CONTINUOUS, PHASE_NAMES
from orders import gateway, schedules, selectors
from orders.admin.operating import CONFIRMED, confirmation, operator, tell_problem
from orders.models import Instrument
from orders.schemas.configuration import PhaseRequest
from orders.schemas.problems import ProblemError, from_validation

_STOPPED = "New orders and amends will be refused. Open orders stay, and can be canceled."
_CALLED = "Orders that can rest are taken and nothing trades"
# What an operator does: the phase it leads to, its name on the page, what it means, and what is said when it is done.
PHASE_CHANGES = {
    "halt": (
        "halted",
        "Halt trading",
        f"{_STOPPED} A halt overrules the calendar until somebody resumes.",
        "trading is halted",
    ),
    "resume": (
        "continuous",
        "Resume trading",
        "Orders will be taken and matched. What crosses trades now, all at one price; open orders keep their places.",
        "trading is resumed",
    ),
    "close": ("closed", "Close trading", f"{_STOPPED} What crosses in an auction trades now.", "trading is closed"),
    "pre-open": (
        "pre_open",
        "Go before the open",
        f"{_CALLED}; cancels and amends are taken.",
        "it is before the open",
    ),
    "auction": (
        "auction",
        "Call an auction",
        f"{_CALLED} until the end; the indicative price is published.",
        "an auction is called",
    ),
    "no-cancel": (
        "no_cancel",
        "Take no cancels",
        f"{_CALLED} until the end; no cancels and no amends.",
        "cancels are not taken",
    ),
}
FOLLOW = "calendar"


class PhaseForm(forms.Form):
    """How long; shown with the question."""

    lasts_seconds = forms.IntegerField(
        label="For so many seconds",
        required=False,
        min_value=1,
        help_text="Then it opens by itself. Empty: until somebody, or the calendar, changes it.",
    )

    def __init__(self, phase: str, data: Any = None) -> None:
        super().__init__(data)
        self.phase = phase
        if phase == PHASE_NAMES[CONTINUOUS]:
            del self.fields["lasts_seconds"]

    def _post_clean(self) -> None:
        """The schema has the last word, as everywhere."""
        said = {name: value for name, value in self.cleaned_data.items() if value is not None}
        try:
            self.request = PhaseRequest.model_validate({"phase": self.phase, **said})
        except ValidationError as error:
            for found in from_validation(error).errors:
                name = found["field"] if found["field"] in self.fields else None
                self.add_error(name, found["message"])


class PhaseActions(admin.ModelAdmin):
    """The actions and the pages that change phases. Mixed into the admin of instruments."""

    actions = ("halt", "resume", "close", "pre_open", "auction", "no_cancel")

    @admin.action(description="Halt…", permissions=["change"])
    def halt(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "halt")

    @admin.action(description="Resume…", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "resume")

    @admin.action(description="Close…", permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "close")

    @admin.action(description="Pre-open…", permissions=["change"])
    def pre_open(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "pre-open")

    @admin.action(description="Call an auction…", permissions=["change"])
    def auction(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "auction")

    @admin.action(description="Take no cancels…", permissions=["change"])
    def no_cancel(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._change_phases(request, queryset, "no-cancel")

    def _change_phases(self, request: HttpRequest, queryset: QuerySet, change: str) -> HttpResponse | None:
        rows = list(queryset)
        form = PhaseForm(PHASE_CHANGES[change][0], request.POST if CONFIRMED in request.POST else None)
        if form.is_valid():
            for row in rows:
                if not self._set_phase(request, row, change, form.request):
                    break
            return None
        hidden = [("action", request.POST["action"]), *(("_selected_action", row.pk) for row in rows)]
        return self._ask(request, change, rows, hidden, request.get_full_path(), form)

    def get_urls(self) -> list[Any]:
        pages = [
            path(
                f"<path:object_id>/phase/{FOLLOW}/",
                self.admin_site.admin_view(self.follow_view),
                name="orders_instrument_follow",
            ),
            path(
                "<path:object_id>/phase/<str:change>/",
                self.admin_site.admin_view(self.phase_view),
                name="orders_instrument_phase",
            ),
        ]
        return [*pages, *super().get_urls()]

    @method_decorator(csrf_protect)
    def phase_view(self, request: HttpRequest, object_id: str, change: str) -> HttpResponse:
        """The buttons of the change page: asks, then does."""
        row = self._changeable(request, object_id)
        if change not in PHASE_CHANGES:
            raise Http404
        form = PhaseForm(PHASE_CHANGES[change][0], request.POST if CONFIRMED in request.POST else None)
        if form.is_valid():
            self._set_phase(request, row, change, form.request)
            return HttpResponseRedirect(_page_of(row))
        return self._ask(request, change, [row], [], _page_of(row), form)

    @method_decorator(csrf_protect)
    def follow_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Back to what the calendar says, after a phase set by hand."""
        row = self._changeable(request, object_id)
        if row.calendar is None:
            raise Http404
        if request.method == "POST" and CONFIRMED in request.POST:
            self._follow(request, row)
            return HttpResponseRedirect(_page_of(row))
        now_due = schedules.days_ahead(schedules.calendar_of(row.calendar), schedules.now_us())[0][1]
        return confirmation(
            self,
            request,
            title="Follow the calendar",
            question="The instrument enters the phase that its calendar says it should be in. A halt stays: resume first.",
            objects=[f"{_now(row)}; {row.calendar} says {PHASE_NAMES[now_due]}"],
            hidden=[],
            button="Follow the calendar",
            back=_page_of(row),
        )

    def _changeable(self, request: HttpRequest, object_id: str) -> Instrument:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return row

    def _ask(
        self,
        request: HttpRequest,
        change: str,
        rows: list[Instrument],
        hidden: list[Any],
        back: str,
        form: PhaseForm,
    ) -> HttpResponse:
        counts = selectors.open_order_counts()
        _, title, question, _ = PHASE_CHANGES[change]
        return confirmation(
            self,
            request,
            title=title,
            question=question,
            objects=[f"{_now(row)}, {counts.get(row.pk, 0)} open orders" for row in rows],
            hidden=hidden,
            button=title,
            back=back,
            form=form,
        )

    def _set_phase(self, request: HttpRequest, row: Instrument, change: str, wanted: PhaseRequest) -> bool:
        """Do it and say so. False where the engine is away, and there is no sense in asking it for the next."""
        done = PHASE_CHANGES[change][-1]
        seconds = wanted.lasts_seconds or 0
        if PHASE_NAMES[row.phase] == wanted.phase and not seconds and not row.phase_until:
            messages.info(request, f"{row.symbol} is {wanted.phase} already.")
            return True
        try:
            gateway.instrument_set_phase(
                actor=operator(request), instrument_id=row.pk, phase=wanted.phase, lasts_seconds=seconds
            )
        except ProblemError as problem:
            tell_problem(request, row.symbol, problem)
            return not problem.code.retryable
        told = f"{done}, for {seconds} seconds" if seconds else done
        self.log_change(request, row, f"{told[0].upper()}{told[1:]}.")
        messages.success(request, f"{row.symbol}: {told}.")
        return True

    def _follow(self, request: HttpRequest, row: Instrument) -> None:
        try:
            schedules.follow_calendar(row, schedules.now_us(), operator(request), enter_current=True)
        except ProblemError as problem:
            tell_problem(request, row.symbol, problem)
            return
        row.refresh_from_db()
        self.log_change(request, row, "Follows its calendar again.")
        messages.success(request, f"{row.symbol} follows {row.calendar}: {PHASE_NAMES[row.phase]}.")


def _page_of(row: Instrument) -> str:
    return reverse("admin:orders_instrument_change", args=[row.pk])


def _now(row: Instrument) -> str:
    return f"{row.symbol}: now {PHASE_NAMES[row.phase]}"
