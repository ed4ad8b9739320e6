"""Lists of tables with millions of rows: ordered by primary key, never counted whole, never sorted or searched unindexed.

A filter or search on a column without an index would read the whole table when little matches. So it looks at the newest
``WINDOW`` rows only (of those an index narrows down: an account's, the open ones), and at most ``MAX_LISTED`` matches are
counted and paged. A link at the end of the last page looks further back, from there. Exact ids are found at any age.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from orders import selectors
from orders.admin import display
from orders.models import Account, ClientOrderId
from orders.models.trading import SEQUENCE_BITS, event_id
from orders.schemas.problems import ProblemError

# Rows a filter or search without an index looks through: a tenth of a second, three at worst (an account's, scattered).
WINDOW = 200_000
# Matches counted and paged through; skipping over more would take longer than narrowing them down.
MAX_LISTED = 10_000
PER_PAGE = 100
# Accounts offered in the sidebar; others are found by their names.
ACCOUNTS_OFFERED = 20
# The parameter of "look further back": the last primary key seen.
BEFORE = "before"
MAX_ID = 2**63 - 1
EVENT_NUMBER = re.compile(r"([0-9]{1,4})[-/]([0-9]{1,15})")


class BoundedPaginator(Paginator):
    """Counts to ``MAX_LISTED`` and no further."""

    @cached_property
    def _counted(self) -> int:
        return self.object_list.order_by().prefetch_related(None).values("pk")[: MAX_LISTED + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self._counted, MAX_LISTED)

    @property
    def is_cut(self) -> bool:
        """Whether more rows match than are listed."""
        return self._counted > MAX_LISTED


@dataclass(slots=True)
class Found:
    """What a search term means for a table: the rows, whether by primary keys, and the part an index narrows down."""

    condition: Q = field(default_factory=Q)
    is_exact: bool = True
    indexed: Q = field(default_factory=Q)
    cut_at: int | None = None

    def add(self, condition: Q, *, is_exact: bool = False, is_indexed: bool = False) -> None:
        self.indexed = condition if is_indexed and not self.condition else Q()
        self.condition |= condition
        self.is_exact = self.is_exact and is_exact


@dataclass(frozen=True, slots=True)
class Term:
    """What the text in the search box names. Every look-up is by an index."""

    order_ids: tuple[int, ...]
    event: int | None
    account_id: int | None
    instrument_id: int | None


def understand(text: str) -> Term:
    """An order id, a client order id, an event or trade (``shard-sequence``), an account's name or a symbol."""
    orders = {int(text)} if text.isascii() and text.isdecimal() and len(text) <= selectors.MAX_ID_DIGITS else set()
    orders.update(
        ClientOrderId.objects.filter(account_id__in=Account.objects.values("id"), client_order_id=text).values_list(
            "order_id", flat=True
        )
    )
    number = EVENT_NUMBER.fullmatch(text)
    event = None
    if number and int(number[1]) < 1 << 15 and int(number[2]) < 1 << SEQUENCE_BITS:
        event = event_id(int(number[1]), int(number[2]))
    try:
        instrument_id = selectors.instrument_by_symbol(text.upper()).id
    except ProblemError:
        instrument_id = None
    return Term(
        tuple(sorted(one for one in orders if one <= MAX_ID)),
        event,
        Account.objects.filter(name=text).values_list("id", flat=True).first(),
        instrument_id,
    )


def as_before(text: str) -> int | None:
    """The primary key of ``?before=``; what is none counts as not given."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


class HistoryChangeList(ChangeList):
    """The list of a ``HistoryAdmin``; see the module. ``older`` is the query string of what lies further back."""

    older: str | None = None

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        parameters = super().get_filters_params(params)
        parameters.pop(BEFORE, None)
        return parameters

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet:
        queryset = super().get_queryset(request, exclude_parameters)
        self.clear_all_filters_qs = self.get_query_string(remove=[*self.get_filters_params(), BEFORE])
        base = self.model._default_manager.order_by("-pk")
        looks_along = False  # whether rows must be looked at that no index has singled out
        for spec in self.filter_specs:
            narrowed = spec.queryset(request, base) if getattr(spec, "is_indexed", False) else None
            base = base if narrowed is None else narrowed
            looks_along |= narrowed is None and spec.value() is not None
        self.before = as_before(self.params.get(BEFORE, ""))
        if self.before is not None:
            base = base.filter(pk__lt=self.before)
            queryset = queryset.filter(pk__lt=self.before)
        self.floor = None
        term = self.query.strip()
        if term:
            found = self.model_admin.find(understand(term), self.before)
            if not found.condition:
                return queryset.none()
            queryset = queryset.filter(found.condition)
            base = base.filter(found.indexed)
            looks_along = not found.is_exact and (looks_along or not found.indexed)
            self.floor = found.cut_at
        if looks_along and self.floor is None:
            self.floor = base.values_list("pk", flat=True)[WINDOW - 1 : WINDOW].first()
            if self.floor is not None:
                queryset = queryset.filter(pk__gte=self.floor)
        return queryset

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        cut_at = self.floor or next((spec.cut_at for spec in self.filter_specs if getattr(spec, "cut_at", None)), None)
        if self.page_num < self.paginator.num_pages:
            return
        if self.paginator.is_cut:
            cut_at = self.result_list[len(self.result_list) - 1].pk
        if cut_at is not None:
            self.older = self.get_query_string({BEFORE: cut_at}, remove=["p"])


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows nobody changes here, superusers included: the engine writes them, or nobody."""

    view_on_site = False
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = PER_PAGE
    list_max_show_all = 0
    sortable_by = ()

    class Media:
        css = {"all": ("oms/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only the filters of the sidebar: any other column would be a walk through the whole table."""
        return lookup in {item.parameter_name for item in self.list_filter}


class HistoryAdmin(ReadOnlyAdmin):
    """A table with millions of rows. Subclasses say what a search term means for it, and name the relations they show."""

    named: tuple[str, ...] = ("account",)
    paginator = BoundedPaginator
    ordering = ("-pk",)
    search_fields = ("pk",)  # shows the box; what is looked for is in ``find``

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return HistoryChangeList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Nothing yet: ``HistoryChangeList`` searches, because it also knows what must bound the search."""
        return queryset, False

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        # Names by a query more for the page's rows: a join would invite a planner to walk the accounts first.
        return super().get_queryset(request).prefetch_related(*self.named)

    def find(self, term: Term, before: int | None) -> Found:
        """Which rows a term means; an empty condition where none."""
        raise NotImplementedError

    @display.column("instrument")
    def symbol(self, row: Any) -> Any:
        return display.symbol_link(row)

    @display.column("account")
    def account_name(self, row: Any) -> Any:
        return display.account_link(row.account, row.account_id)
