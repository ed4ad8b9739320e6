"""Accounts and API keys: who may act, within which limits, and the keys of programs."""

from time import time_ns
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.csrf import csrf_protect

from matching.values import ACCOUNT_STATE_NAMES
from orders import keys, selectors
from orders.actors import OPERATE
from orders.admin import display
from orders.admin.filters import AccountFilter, WordFilter
from orders.admin.forms import AccountForm, NewKeyForm
from orders.admin.funds import FundsActions
from orders.admin.lists import BoundedPaginator
from orders.admin.operating import CONFIRMED, confirmation, operator
from orders.models import Account, ApiKey, Event, Order, Position, Trade
from orders.schemas.decimals import from_units

# Instruments for which the page says what a limit in units means.
INSTRUMENTS_EXPLAINED = 20
# Members named in the list of accounts.
MEMBERS_NAMED = 3

_UNITS = (
    "Instruments have different decimals, and one limit holds for all of them: so it is counted in units, the last decimal "
    "of the quantity. The table shows what the saved limits mean for each instrument."
)


class AccountStateFilter(WordFilter):
    title = parameter_name = "state"
    column = "state"
    words = ACCOUNT_STATE_NAMES


@admin.register(Account)
class AccountAdmin(FundsActions):
    view_on_site = False
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    sortable_by = ()
    list_display = (
        "name",
        "state_name",
        "member_names",
        "max_open_orders",
        "max_order_quantity",
        "max_position",
        "max_rate",
    )
    list_filter = (AccountStateFilter,)
    list_max_show_all = 0
    search_fields = ("name",)
    autocomplete_fields = ("members",)
    readonly_fields = (
        "name",
        "state_name",
        "is_funded",
        "lease",
        "money",
        "see_also",
        "in_decimals",
        "created",
        "deletable",
    )

    class Media:
        css = {"all": ("oms/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("members")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == AccountStateFilter.parameter_name

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        """Only what never was used, and what nobody can use at this moment: orders and events name their account."""
        return super().has_delete_permission(request, obj) and (obj is None or not _why_kept(obj))

    # The form

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        return () if obj is None else self.readonly_fields

    def get_fieldsets(self, request: HttpRequest, obj: Account | None = None) -> list[Any]:
        if obj is None:
            return [(None, {"fields": ("name", "members"), "description": "State and limits are set afterwards."})]
        may_change = self.has_change_permission(request, obj)
        state = "state" if may_change else "state_name"
        return [
            (None, {"fields": ("name", "members", "created", "see_also")}),
            ("State", {"fields": (state, "max_open_orders", "max_rate", "lease")}),
            ("Funds", {"fields": ("funded" if may_change else "is_funded", "money")}),
            (
                "Limits in units",
                {"fields": ("max_order_quantity", "max_position", "in_decimals"), "description": _UNITS},
            ),
            ("Deleting", {"fields": ("deletable",)}),
        ]

    def get_form(self, request: HttpRequest, obj: Account | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, **{"form": AccountForm, **kwargs})
        return type(form.__name__, (form,), {"actor": operator(request)})

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A change without Django's transaction: it would hold the write lock while the engine waits for it."""
        if object_id is None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        return self._changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        """A new row has the default limits. Later state and limits are the engine's: ``AccountForm.carry_out``."""
        if change:
            obj.refresh_from_db()
        else:
            obj.created_at = time_ns() // 1000
            super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "members" in form.changed_data:
            transaction.on_commit(keys.forget_keys)  # who is no member any more loses the use of their keys

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return display.plain_choice(super().formfield_for_dbfield(db_field, request, **kwargs))

    # Columns

    @display.column("state")
    def state_name(self, row: Account) -> str:
        return ACCOUNT_STATE_NAMES[row.state]

    @display.column("funded")
    def is_funded(self, row: Account) -> str:
        return "yes" if row.funded else "no"

    @display.column("members")
    def member_names(self, row: Account) -> str:
        names = sorted(user.get_username() for user in row.members.all())
        more = len(names) - MEMBERS_NAMED
        return ", ".join(names[:MEMBERS_NAMED]) + (f" and {more} more" if more > 0 else "")

    @display.column("created (UTC)")
    def created(self, row: Account) -> str | None:
        return display.moment(row.created_at)

    @display.column("cancel-after (UTC)", empty="no lease: nothing is canceled by itself")
    def lease(self, row: Account) -> str | None:
        due = selectors.account_lease(account_id=row.pk)
        return None if due is None else f"all open orders at {display.moment(due)}, unless renewed"

    @display.column("see also")
    def see_also(self, row: Account) -> Any:
        return display.together(
            (
                display.list_link(Order, "open orders", account=row.name, status="open"),
                display.list_link(Order, "all orders", account=row.name),
                display.list_link(Trade, "trades", account=row.name),
                display.list_link(Event, "events", account=row.name),
                display.list_link(Position, "positions", account=row.name),
                display.list_link(ApiKey, "API keys", account=row.name),
            )
        )

    @display.column("in each instrument")
    def in_decimals(self, row: Account) -> Any:
        def said(units: int, decimals: int) -> str:
            return from_units(units, decimals) if units else "no limit"

        rows = [
            (
                instrument.symbol,
                f"1 unit = {from_units(1, instrument.quantity_decimals)} {instrument.base}",
                said(row.max_order_quantity, instrument.quantity_decimals),
                said(row.max_position, instrument.quantity_decimals),
            )
            for instrument in selectors.instrument_list()[:INSTRUMENTS_EXPLAINED]
        ]
        return display.table(("Instrument", "Unit", "Order at most", "Position at most"), rows, "No instruments yet.")

    @display.column("can it be deleted?")
    def deletable(self, row: Account) -> str:
        return _why_kept(row) or "Yes: it was never used."


def _why_kept(account: Account) -> str:
    """Why an account cannot be deleted; empty where it can."""
    if Order.objects.filter(account_id=account.pk).exists() or Event.objects.filter(account_id=account.pk).exists():
        return "No: it has orders or events. Halt it instead."
    if account.api_keys.exists():
        return "No: it has API keys, which are kept, revoked ones too. Halt it instead."
    if account.members.exists():
        return "Not while it has members: one of them might be placing its first order."
    return ""


class KeyStateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("valid", "valid"), ("expired", "expired"), ("revoked", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        now = time_ns() // 1000
        if self.value() == "revoked":
            return queryset.filter(revoked_at__isnull=False)
        if self.value() == "expired":
            return queryset.filter(revoked_at=None, expires_at__lte=now)
        if self.value() == "valid":
            return queryset.filter(revoked_at=None).exclude(expires_at__lte=now)
        return None


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    view_on_site = False
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ("-pk",)
    sortable_by = ()
    list_display = ("start", "name", "user", "account", "scopes", "state", "expires", "revoked", "created")
    list_filter = (KeyStateFilter, AccountFilter)
    list_select_related = ("user", "account")
    list_max_show_all = 0
    search_fields = ("=prefix", "=user__username", "=account__name")
    search_help_text = "The start of a key (12 characters), user name or account name, exactly."
    autocomplete_fields = ("user", "account")
    actions = ("revoke",)

    class Media:
        css = {"all": ("oms/admin.css",)}

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Nobody: a key that was used is evidence. Revoke it."""
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup in (KeyStateFilter.parameter_name, AccountFilter.parameter_name)

    # The form

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> list[Any]:
        if obj is None:
            return [(None, {"fields": ("user", "account", "name", "scopes", "expires_at", "addresses")})]
        facts = ("start", "user", "account", "scopes", "addresses", "state", "created", "expires", "revoked")
        return [(None, {"fields": ("name", *facts)})]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("start", "user", "account", "scopes", "addresses", "state", "created", "expires", "revoked")

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, **{"form": NewKeyForm, **kwargs})
        actor = operator(request)
        if not request.user.is_superuser:
            # Whoever may make keys must not make one that may do more than they themselves.
            actor = type(actor)(actor.user_id, actor.username, 0, "", actor.scopes - {OPERATE})
        return type(form.__name__, (form,), {"actor": actor})

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return display.plain_choice(super().formfield_for_dbfield(db_field, request, **kwargs))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """One button: what follows a new key is the page that shows it."""
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            # The name alone: saving the whole row could undo a revocation of this moment.
            ApiKey.objects.filter(pk=obj.pk).update(name=form.cleaned_data["name"])
            return
        data = form.cleaned_data
        row, request.new_key = keys.create_key(
            user=data["user"],
            account=data["account"],
            scopes=data["scopes"],
            name=data["name"],
            expires_at=data["expires_at"],
            addresses=data["addresses"],
        )
        obj.__dict__.update(row.__dict__)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The one page that shows the key: straight in the answer, which (as all of the admin) no cache may keep."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "API key created",
            "row": obj,
            "key": request.new_key,
            "back": reverse("admin:orders_apikey_changelist"),
        }
        return TemplateResponse(request, "admin/orders/apikey/created.html", context)

    # Columns

    @display.column("key")
    def start(self, row: ApiKey) -> str:
        return format_html("<code>{}…</code>", row.prefix)

    @display.column("state")
    def state(self, row: ApiKey) -> str:
        if row.revoked_at is not None:
            return "revoked"
        if row.expires_at is not None and row.expires_at.timestamp() <= time_ns() / 1e9:
            return "expired"
        return "valid"

    @display.column("expires (UTC)", empty="never")
    def expires(self, row: ApiKey) -> str | None:
        return display.moment(row.expires_at)

    @display.column("revoked (UTC)")
    def revoked(self, row: ApiKey) -> str | None:
        return display.moment(row.revoked_at)

    @display.column("created (UTC)")
    def created(self, row: ApiKey) -> str | None:
        return display.moment(row.created_at)

    # Revoking

    @admin.action(description="Revoke…", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        rows = list(queryset.filter(revoked_at=None))
        if not rows:
            messages.warning(request, "The selected keys are revoked already.")
            return None
        if CONFIRMED not in request.POST:
            return confirmation(
                self,
                request,
                title="Revoke API keys",
                question="Revoke these keys? Programs that use them are shut out within a second, for good.",
                objects=[f"{row.prefix}… {row.name} ({row.user}, {row.account}, {row.scopes})" for row in rows],
                hidden=[("action", "revoke"), *(("_selected_action", row.pk) for row in rows)],
                button="Revoke",
                back=request.get_full_path(),
            )
        for row in rows:
            keys.revoke_key(row)
            self.log_change(request, row, "Revoked.")
        messages.success(request, f"{len(rows)} keys were revoked.")
        return None
