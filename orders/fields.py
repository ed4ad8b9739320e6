"""Column types that hold exact numbers on both databases.

SQLite's numeric affinity keeps fifteen digits of a DECIMAL, so no column here is one. Prices and quantities are integers
in units of their instrument; times are integers in microseconds; sums and products that pass 64 bits have a type of their
own.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros_to_datetime(micros: int) -> datetime:
    """Microseconds since 1970 as an aware datetime, exactly (a float would lose the last digits)."""
    return EPOCH + timedelta(microseconds=micros)


def datetime_to_micros(value: datetime) -> int:
    """The inverse of ``micros_to_datetime``."""
    return (value - EPOCH) // timedelta(microseconds=1)


class RowIdField(models.BigIntegerField):
    """A 64-bit primary key that we number ourselves. On SQLite it is the row's own id: no second index, rows in order."""

    def db_type(self, connection: Any) -> str:
        return "integer" if connection.vendor == "sqlite" else "bigint"

    def rel_db_type(self, connection: Any) -> str:
        return "bigint"


class MicrosField(models.BigIntegerField):
    """A moment, stored as microseconds since 1970, read as an aware datetime in UTC. Takes either."""

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> datetime | None:
        return None if value is None else micros_to_datetime(value)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, int):
            return micros_to_datetime(value)
        return value

    def get_prep_value(self, value: Any) -> int | None:
        if isinstance(value, datetime):
            return datetime_to_micros(value)
        return super().get_prep_value(value)


class BigUnitsField(models.Field):
    """An integer of any size up to 39 digits (a product of price and quantity, or a sum of such).

    PostgreSQL holds it as ``numeric(39, 0)``; SQLite, whose integers end at 64 bits, as text. Not for sorting or summing in
    SQL: Python does the arithmetic.
    """

    MAX_DIGITS = 39

    def db_type(self, connection: Any) -> str:
        return "varchar(40)" if connection.vendor == "sqlite" else f"numeric({self.MAX_DIGITS}, 0)"

    def get_internal_type(self) -> str:
        return "BigUnitsField"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> int | None:
        if value is None or isinstance(value, int):
            return value
        try:
            return int(str(value))
        except ValueError:
            raise ValidationError(f"{value!r} is not an integer") from None

    def get_prep_value(self, value: Any) -> int | None:
        return None if value is None else int(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        value = self.get_prep_value(value)
        return str(value) if value is not None and connection.vendor == "sqlite" else value

    def formfield(self, **kwargs: Any) -> Any:
        from django import forms

        return super().formfield(**{"form_class": forms.DecimalField, **kwargs})
