"""Shards: how their engines are, and the switch to cancels only."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from orders import gateway, status, watching
from orders.admin import display
from orders.admin.lists import ReadOnlyAdmin
from orders.admin.operating import CONFIRMED, confirmation, operator, tell_problem
from orders.models import Shard
from orders.schemas.problems import ProblemError

# What each action leads to, its question, and what is said when it is done.
MODES = {
    "cancel_only": (
        True,
        "Have these shards take cancels only? Orders and amends will be told to come back; cancels, and what operators do, "
        "are taken. It stays so when an engine starts anew.",
        "only cancels are taken",
    ),
    "open": (False, "Have these shards take orders again?", "orders are taken"),
}


@admin.register(Shard)
class ShardAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "why", "mode", "epoch", "last_sequence", "waiting", "owner", "heard")
    ordering = ("id",)
    actions = ("cancel_only", "open")
    fields = (*list_display, "at_", "stream_id")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("lease")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may change shards, by Django's own permission: all they can change is the mode."""
        return request.user.has_perm("orders.change_shard")

    @admin.action(description="Take cancels only…", permissions=["operate"])
    def cancel_only(self, request: HttpRequest, queryset: QuerySet) -> TemplateResponse | None:
        return self._set_mode(request, queryset, "cancel_only")

    @admin.action(description="Take orders again…", permissions=["operate"])
    def open(self, request: HttpRequest, queryset: QuerySet) -> TemplateResponse | None:
        return self._set_mode(request, queryset, "open")

    def _set_mode(self, request: HttpRequest, queryset: QuerySet, mode: str) -> TemplateResponse | None:
        rows = list(queryset)
        cancel_only, question, done = MODES[mode]
        if CONFIRMED not in request.POST:
            return confirmation(
                self,
                request,
                title="Cancels only" if cancel_only else "Orders again",
                question=question,
                objects=rows,
                hidden=[("action", mode), *(("_selected_action", row.pk) for row in rows)],
                button="Take cancels only" if cancel_only else "Take orders again",
                back=request.get_full_path(),
            )
        for row in rows:
            try:
                gateway.shard_set_mode(actor=operator(request), shard_id=row.pk, cancel_only=cancel_only)
            except ProblemError as problem:
                tell_problem(request, row, problem)
            else:
                self.log_change(request, row, f"Now {done}.")
                messages.success(request, f"{row}: {done}.")
        return None

    def _known(self, row: Shard) -> status.ShardStatus | None:
        return next((shard for shard in watching.shards() if shard.shard_id == row.pk), None)

    @display.column("shard")
    def name(self, row: Shard) -> str:
        return str(row.pk)

    @display.column("state")
    def state(self, row: Shard) -> str | None:
        known = self._known(row)
        return None if known is None else known.state

    @display.column("because")
    def why(self, row: Shard) -> str | None:
        known = self._known(row)
        return (known.detail or None) if known is not None else "No engine runs in this process."

    @display.column("mode")
    def mode(self, row: Shard) -> str:
        return "cancels only" if row.cancel_only else "orders"

    @display.column("waiting commands")
    def waiting(self, row: Shard) -> str | None:
        known = self._known(row)
        return None if known is None or settings.OMS_ENGINE != "remote" else str(known.waiting)

    @display.column("engine")
    def owner(self, row: Shard) -> str | None:
        return getattr(getattr(row, "lease", None), "owner", None)

    @display.column("last heard of")
    def heard(self, row: Shard) -> Any:
        return getattr(getattr(row, "lease", None), "renewed_at", None)

    @display.column("time of its last command")
    def at_(self, row: Shard) -> Any:
        return display.micros_to_datetime(row.at) if row.at else None
