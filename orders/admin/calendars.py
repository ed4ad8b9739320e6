"""Session calendars: edited as text, looked at ahead, and held at once by the instruments that follow them."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from matching.values import PHASE_NAMES
from orders.admin import display
from orders.admin.forms import CheckedForm
from orders.admin.operating import operator, problem_text
from orders.calendar import Transition
from orders.fields import micros_to_datetime
from orders.models import Calendar, Instrument, KeptSchedule
from orders.schedules import calendar_of, days_ahead, keep_schedule, now_us
from orders.schemas.calendars import WEEKDAYS, SessionCalendar, timezones
from orders.schemas.problems import ProblemError

_STEPS = "Local times and the phase that begins then, separated by commas. Empty: the phase of the day before goes on."
_EXAMPLE = "09:00 pre_open, 09:25 auction, 09:29:30 no_cancel, 09:30 continuous, 16:00 auction, 16:05 closed"


def steps_text(steps: list[dict[str, str]]) -> str:
    """Steps as they are typed: "09:30 continuous, 16:00 closed"."""
    return ", ".join(f"{step['at']} {step['phase']}" for step in steps)


def steps_said(text: str) -> list[dict[str, str]]:
    """Typed steps for the schema, which says what is wrong with them."""
    steps = []
    for part in text.replace("\n", ",").split(","):
        words = part.split()
        if words:
            steps.append({"at": words[0], "phase": " ".join(words[1:])})
    return steps


def steps_field(example: str = "") -> forms.CharField:
    return forms.CharField(required=False, widget=forms.TextInput(attrs={"size": 100, "placeholder": example}))


class CalendarForm(CheckedForm):
    """A calendar as text; ``definition`` is what the schema made of it, None where nothing was changed."""

    schema = SessionCalendar
    definition: SessionCalendar | None = None

    name = forms.CharField(max_length=64)
    timezone = forms.ChoiceField(label="Time zone", choices=lambda: [(name, name) for name in sorted(timezones())])
    monday = steps_field(_EXAMPLE)
    tuesday = steps_field()
    wednesday = steps_field()
    thursday = steps_field()
    friday = steps_field()
    saturday = steps_field()
    sunday = steps_field()
    holidays = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Dates without sessions such as 2026-12-25, one a line. What is still going on ends at midnight.",
    )
    special_days = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "cols": 110}),
        help_text="Days with steps of their own, one a line: 2026-12-24: 09:30 continuous, 13:00 closed",
    )

    class Meta:
        model = Calendar
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        row = kwargs.get("instance")
        if row is not None and row.pk is not None:
            kwargs["initial"] = {**as_text(row), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)

    def spoken(self) -> dict[str, Any]:
        text = self.cleaned_data
        special_days = {}
        for line in text.get("special_days", "").splitlines():
            if line.strip():
                day, _, steps = line.partition(":")
                special_days[day.strip()] = steps_said(steps)
        return {
            "name": text.get("name", ""),
            "timezone": text.get("timezone", ""),
            "weekly": {day: steps_said(text.get(day, "")) for day in WEEKDAYS},
            "holidays": text.get("holidays", "").replace(",", " ").split(),
            "special_days": special_days,
        }

    def carry_out(self, request: SessionCalendar) -> None:
        if Calendar.objects.filter(name=request.name).exclude(pk=self.instance.pk).exists():
            self.add_error("name", "is in use.")
        self.definition = request

    def _show(self, problem: ProblemError) -> None:
        """Say it beside the field that holds it, and which step or day of it is meant."""
        for error in problem.errors:
            where = [part for part in error["field"].split(".") if part != "[key]"]
            name, inside = where[0], where[1:]
            if name == "weekly":
                name, inside = inside[0] if inside else "", inside[1:]
            words = [f"step {int(part) + 1}" if part.isdecimal() and name != "holidays" else part for part in inside]
            if name == "holidays":
                words = [self.spoken()["holidays"][int(part)] for part in inside if part.isdecimal()]
            said = f"{', '.join(words)}: {error['message']}" if words else error["message"]
            if name in self.fields and name not in self.errors:
                self.add_error(name, said)
            elif name not in self.fields:
                self.add_error(None, said)


class PreviewForm(CalendarForm):
    """The same, of a calendar that is not to be saved: its name may be in use, by itself."""

    def carry_out(self, request: SessionCalendar) -> None:
        self.definition = request


def as_text(row: Calendar) -> dict[str, str]:
    """The form's texts of a calendar."""
    return {
        "name": row.name,
        "timezone": row.timezone,
        **{day: steps_text(row.weekly.get(day, [])) for day in WEEKDAYS},
        "holidays": "\n".join(row.holidays),
        "special_days": "\n".join(f"{day}: {steps_text(steps)}" for day, steps in row.special_days.items()),
    }


def phase_table(coming: list[Transition], zone: ZoneInfo | None) -> Any:
    """Phase changes to come, in local time where there is a time zone, and in UTC."""
    rows = []
    for at, phase in coming:
        moment = micros_to_datetime(at)
        local = [f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z}"] if zone is not None else []
        rows.append([*local, f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}", PHASE_NAMES[phase]])
    heads = ["Local time"] if zone is not None else []
    return display.table([*heads, "UTC", "Phase"], rows, "None.")


def keep_now(request: HttpRequest, row: Instrument) -> None:
    """Have an instrument follow its calendar at once, and say so; where the engine is away, the keeper does it later."""
    try:
        keep_schedule(row, actor=operator(request))
    except ProblemError as problem:
        messages.warning(request, f"{row.symbol}: {problem_text(problem)} It follows as soon as the engine can.")
    else:
        said = f"follows {row.calendar}" if row.calendar is not None else "follows no calendar any more"
        messages.success(request, f"{row.symbol} {said}.")


@admin.register(Calendar)
class CalendarAdmin(admin.ModelAdmin):
    form = CalendarForm
    view_on_site = False
    show_full_result_count = False
    sortable_by = ()
    list_display = ("name", "timezone", "instruments", "changed")
    search_fields = ("name",)
    change_form_template = "admin/orders/calendar/change_form.html"

    class Media:
        css = {"all": ("oms/admin.css",)}

    # Who may do what

    def has_delete_permission(self, request: HttpRequest, obj: Calendar | None = None) -> bool:
        """Not while an instrument follows it, or still has its schedule."""
        return super().has_delete_permission(request, obj) and (obj is None or not is_used(obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """No bulk deletion: it would stumble over those in use."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    # The form

    def get_fieldsets(self, request: HttpRequest, obj: Calendar | None = None) -> list[Any]:
        if obj is not None and not self.has_change_permission(request, obj):
            return [
                (None, {"fields": ("name", "timezone", "instruments", "changed")}),
                ("What it says", {"fields": ("in_words",)}),
                ("The days to come", {"fields": ("ahead",)}),
            ]
        sections = [
            (None, {"fields": ("name", "timezone")}),
            ("Every week", {"fields": WEEKDAYS, "description": _STEPS}),
            ("Other days", {"fields": ("holidays", "special_days")}),
        ]
        if obj is not None:
            sections.append(("The days to come, as saved", {"fields": ("instruments", "changed", "ahead")}))
        return sections

    def get_readonly_fields(self, request: HttpRequest, obj: Calendar | None = None) -> tuple[str, ...]:
        return () if obj is None else ("instruments", "changed", "in_words", "ahead")

    def get_form(self, request: HttpRequest, obj: Calendar | None = None, change: bool = False, **kwargs: Any) -> Any:
        # Its fields are none of the model's: Django is not to look for them there.
        form = super().get_form(request, obj, change, **{**kwargs, "fields": ()})
        return type(form.__name__, (form,), {"actor": operator(request)})

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without Django's transaction: it would hold the write lock while the engine takes the schedules."""
        return self._changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Calendar, form: CalendarForm, change: bool) -> None:
        said = form.definition
        if said is None:
            return
        obj.name, obj.timezone = said.name, said.timezone
        words = said.model_dump()
        obj.weekly, obj.holidays, obj.special_days = words["weekly"], words["holidays"], words["special_days"]
        obj.version = obj.version + 1 if change else 1
        obj.changed_at = now_us()
        super().save_model(request, obj, form, change)
        for row in Instrument.objects.filter(calendar=obj).select_related("calendar", "kept_schedule"):
            keep_now(request, row)

    # Looking ahead

    def get_urls(self) -> list[Any]:
        preview = path("preview/", self.admin_site.admin_view(self.preview_view), name="orders_calendar_preview")
        return [preview, *super().get_urls()]

    @method_decorator((csrf_protect, require_POST))
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What the calendar in the form would say of the days to come."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = type("Preview", (PreviewForm,), {"actor": operator(request)})(request.POST)
        errors = [
            f"{form.fields[name].label or name.replace('_', ' ').capitalize()}: {text}" if name in form.fields else text
            for name, texts in form.errors.items()
            for text in texts
        ]
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Preview", "errors": errors}
        if not errors:
            assert form.definition is not None
            found = days_ahead(form.definition, now_us())
            context |= {
                "now": PHASE_NAMES[found[0][1]],
                "table": phase_table(found[1:], ZoneInfo(form.definition.timezone)),
            }
        return TemplateResponse(request, "admin/orders/calendar/preview.html", context)

    # Columns

    @display.column("followed by", empty="no instrument")
    def instruments(self, row: Calendar) -> Any:
        followers = Instrument.objects.filter(calendar=row).order_by("symbol")
        links = [display.change_link(Instrument, one.pk, one.symbol) for one in followers]
        return display.together(links) if links else None

    @display.column("changed (UTC)")
    def changed(self, row: Calendar) -> str | None:
        return display.moment(row.changed_at)

    @display.column("by day")
    def in_words(self, row: Calendar) -> Any:
        texts = as_text(row)
        names = (*WEEKDAYS, "holidays", "special_days")
        return display.table(("Day", "Steps"), [(name.replace("_", " "), texts[name] or None) for name in names], "")

    @display.column("phases to come")
    def ahead(self, row: Calendar) -> Any:
        return phase_table(days_ahead(calendar_of(row), now_us())[1:], ZoneInfo(row.timezone))


def is_used(row: Calendar) -> bool:
    return Instrument.objects.filter(calendar=row).exists() or KeptSchedule.objects.filter(calendar=row).exists()
