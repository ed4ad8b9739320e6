"""Filters of the sidebar, by the words and names of the API."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest

from matching.values import LAST_OPEN_STATUS, ROLE_NAMES, SIDE_NAMES, STATUS_NAMES, TIME_IN_FORCE_NAMES, TYPE_NAMES
from orders import selectors
from orders.admin.lists import ACCOUNTS_OFFERED
from orders.models import Account
from orders.schemas.problems import ProblemError


class WordFilter(admin.SimpleListFilter):
    """Choose by the name of a number: ``?side=buy``. A word that is none of them matches nothing."""

    column = ""
    words: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word.replace("_", " ")) for word in self.words if word]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        word = self.value()
        if word is None:
            return None
        return queryset.filter(**{self.column: self.words.index(word)}) if word in self.words else queryset.none()


class SideFilter(WordFilter):
    title = parameter_name = column = "side"
    words = SIDE_NAMES


class TypeFilter(WordFilter):
    title = parameter_name = column = "type"
    words = TYPE_NAMES


class TimeInForceFilter(WordFilter):
    title = "time in force"
    parameter_name = column = "time_in_force"
    words = TIME_IN_FORCE_NAMES


class RoleFilter(WordFilter):
    """Linked orders, by the part they have in their group."""

    title = "part of a group"
    parameter_name = column = "role"
    words = ROLE_NAMES


class IcebergFilter(admin.SimpleListFilter):
    """``?iceberg=yes``"""

    title = parameter_name = "iceberg"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        if self.value() is None:
            return None
        if self.value() not in ("yes", "no"):
            return queryset.none()
        return queryset.filter(display_quantity__isnull=self.value() == "no")


class StatusFilter(WordFilter):
    """``open`` beside the statuses. Few of many orders are open, and an index has them: so all are found, however old."""

    title = parameter_name = column = "status"
    words = STATUS_NAMES

    @property
    def is_indexed(self) -> bool:
        return self.value() == "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), *super().lookups(request, model_admin)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        if self.value() == "open":
            # As a literal: a database does not know that a parameter fits the condition of the partial index.
            return queryset.filter(status__lte=RawSQL(str(LAST_OPEN_STATUS), ()))
        return super().queryset(request, queryset)


class SymbolFilter(admin.SimpleListFilter):
    """``?symbol=ACME-USD``"""

    title = "instrument"
    parameter_name = "symbol"

    def has_output(self) -> bool:
        return True  # also without a single instrument, or Django would ignore the parameter

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(row.symbol, row.symbol) for row in selectors.instrument_list()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        if self.value() is None:
            return None
        try:
            return queryset.filter(instrument_id=selectors.instrument_by_symbol(self.value()).id)
        except ProblemError:
            return queryset.none()


class AccountFilter(admin.SimpleListFilter):
    """``?account=alice``. The first accounts are offered, and the one that is chosen."""

    title = parameter_name = "account"
    is_indexed = True

    def has_output(self) -> bool:
        return True

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = list(Account.objects.order_by("id").values_list("name", flat=True)[:ACCOUNTS_OFFERED])
        chosen = self.value()
        if chosen is not None and chosen not in names:
            names.insert(0, chosen)
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        if self.value() is None:
            return None
        account_id = Account.objects.filter(name=self.value()).values_list("id", flat=True).first()
        return queryset.none() if account_id is None else self.of_account(request, queryset, account_id)

    def of_account(self, request: HttpRequest, queryset: QuerySet, account_id: int) -> QuerySet:
        return queryset.filter(account_id=account_id)
