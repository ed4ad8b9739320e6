"""How rows look in the admin: decimals and names instead of units and numbers, links instead of ids."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from orders import selectors
from orders.fields import micros_to_datetime
from orders.models import Account, Instrument
from orders.schemas.decimals import from_units, money_text
from orders.selectors import InstrumentInfo

# What stands where there is nothing.
NOTHING = "–"  # noqa: RUF001

Column = Callable[[Any, Any], Any]


def column(description: str, empty: str = NOTHING) -> Callable[[Column], Column]:
    """A method as a column and a field of a page. Django would say "None" in the latter."""

    def decorate(method: Column) -> Column:
        @admin.display(description=description)
        @wraps(method)
        def shown(self: Any, row: Any) -> Any:
            found = method(self, row)
            return empty if found is None else found

        return shown

    return decorate


def instrument_of(row: Any) -> InstrumentInfo | None:
    """Symbol and decimals of a row's instrument, from the cache: costs no query and no join."""
    if row.instrument_id is None:
        return None
    try:
        return selectors.instrument_by_id(row.instrument_id)
    except KeyError:  # gone from the table, which nothing here can do
        return None


def price(row: Any, units: int | None) -> str | None:
    info = instrument_of(row)
    return None if units is None or info is None else from_units(units, info.price_decimals)


def quantity(row: Any, units: int | None) -> str | None:
    info = instrument_of(row)
    return None if units is None or info is None else from_units(units, info.quantity_decimals)


def value(row: Any, units: int | None) -> str | None:
    """A product of price and quantity, which has the decimals of both."""
    info = instrument_of(row)
    return None if units is None or info is None else from_units(units, info.price_decimals + info.quantity_decimals)


def money(units: int) -> str:
    """Units of money without the zeros that say nothing."""
    return money_text(units)


def moment(at: datetime | None) -> str | None:
    """UTC with microseconds: orders a millisecond apart must not look simultaneous."""
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S.%f")


def micros(at: int) -> str | None:
    """A moment in microseconds, to the second; nothing for 0."""
    return f"{micros_to_datetime(at):%Y-%m-%d %H:%M:%S}" if at else None


def plain_choice(field: Any) -> Any:
    """A choice of related rows without Django's buttons to change, add and delete them on the way."""
    for power in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
        if field is not None and hasattr(field.widget, power):
            setattr(field.widget, power, False)
    return field


def change_url(model: type[Model], pk: Any) -> str:
    return reverse(f"admin:orders_{model._meta.model_name}_change", args=[pk])


def change_link(model: type[Model], pk: Any, text: Any = None) -> SafeString | None:
    """A link to a row's page; nothing where there is no row."""
    return None if pk is None else format_html('<a href="{}">{}</a>', change_url(model, pk), text or pk)


def account_link(account: Account | None, account_id: int | None) -> SafeString | None:
    return change_link(Account, account_id, None if account is None else account.name)


def symbol_link(row: Any) -> SafeString | None:
    info = instrument_of(row)
    return None if info is None else change_link(Instrument, info.id, info.symbol)


def list_link(model: type[Model], text: str, **parameters: str) -> SafeString:
    """A link to a list, filtered."""
    address = reverse(f"admin:orders_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, urlencode(parameters), text)


def together(parts: Iterable[Any]) -> SafeString:
    return format_html_join(" · ", "{}", ((part,) for part in parts))


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> SafeString | str:
    """A small table inside a detail page."""
    if not rows:
        return empty
    head = format_html_join("", '<th scope="col">{}</th>', ((text,) for text in heads))
    body = format_html_join(
        "",
        "<tr>{}</tr>",
        (
            (format_html_join("", "<td>{}</td>", ((NOTHING if cell is None else cell,) for cell in row)),)
            for row in rows
        ),
    )
    return format_html('<table class="oms-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body)
