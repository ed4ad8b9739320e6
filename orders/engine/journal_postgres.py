"""How the journal's rows get into PostgreSQL: ``COPY`` for new ones, one array a column (``unnest``) for changed ones.

Theory of operation
-------------------
* A small group's time is round trips. So each ``COPY`` is one, and everything that changes rows goes as one more, at the end:
  several statements in one message, which Django's client-side binding allows. No statement needs what another has done.
* Everything goes as text and is read by the column's own type, so numbers of any size stay exact.
* Arrays are cast to the column's type without its length: an explicit cast to ``varchar(16)`` would cut a value short in
  silence, where the assignment that follows refuses it.
* The planner does not know how few rows an array has, and on tables without statistics it reads all of ``orders_order`` to
  update a handful. An index is always right here, so the other ways are switched off. ``SET LOCAL`` goes along with the
  statements and ends with the transaction: nothing to restore, nothing to set again after a reconnect.
* Errors leave as Django's, like those of any statement: the loop tells a poison command from a lost connection by them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from django.db import connection

from orders.engine.statements import Shape

_BY_INDEX = ("SET LOCAL enable_seqscan = off", "SET LOCAL enable_hashjoin = off", "SET LOCAL enable_mergejoin = off")


class Rows:
    """Writes by ``cursor``; what is not new waits for the end of the block: ``with Rows(cursor) as rows``."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._statements: list[str] = [*_BY_INDEX]
        self._parameters: list[Any] = []

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, error: type[BaseException] | None, *exc: object) -> None:
        if error is None and len(self._statements) > len(_BY_INDEX):
            self._cursor.execute("; ".join(self._statements), self._parameters)

    def execute(self, statement: str, parameters: Sequence[Any]) -> None:
        """One statement of any kind, among the others."""
        self._statements.append(statement)
        self._parameters += parameters

    def insert(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """New rows."""
        if rows:
            with connection.wrap_database_errors, self._cursor.copy(copy_sql(shape)) as copy:
                for row in rows:
                    copy.write_row(row)

    def update(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows that are there."""
        if rows:
            self.execute(update_sql(shape), arrays(shape, rows))

    def upsert(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows that may be there."""
        if rows:
            self.execute(upsert_sql(shape), arrays(shape, rows))

    def claim(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """New rows where their key is free, at once; the cursor then has the keys that were."""
        self._cursor.execute(claim_sql(shape), arrays(shape, rows))


@cache
def claim_sql(shape: Shape) -> str:
    return (
        f"INSERT INTO {shape.table} ({', '.join(shape.columns)}) SELECT * FROM unnest({_casts(shape)}) "
        f"ON CONFLICT DO NOTHING RETURNING {', '.join(shape.key)}"
    )


@cache
def copy_sql(shape: Shape) -> str:
    return f"COPY {shape.table} ({', '.join(shape.columns)}) FROM STDIN"


@cache
def update_sql(shape: Shape) -> str:
    changes = ", ".join(f"{column} = told.{column}" for column in shape.changing)
    found = " AND ".join(f"{shape.table}.{column} = told.{column}" for column in shape.key)
    return (
        f"UPDATE {shape.table} SET {changes} FROM unnest({_casts(shape)}) AS told ({', '.join(shape.columns)}) "
        f"WHERE {found}"
    )


@cache
def upsert_sql(shape: Shape) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in shape.changing)
    return (
        f"INSERT INTO {shape.table} ({', '.join(shape.columns)}) SELECT * FROM unnest({_casts(shape)}) "
        f"ON CONFLICT ({', '.join(shape.key)}) DO UPDATE SET {changes}"
    )


@cache
def _types(shape: Shape) -> tuple[str, ...]:
    """The columns' types as the tables were made with, without lengths."""
    fields = {field.column: field for field in shape.model._meta.local_concrete_fields}
    return tuple(fields[column].db_type(connection).partition("(")[0] for column in shape.columns)


def _casts(shape: Shape) -> str:
    return ", ".join(f"%s::{name}[]" for name in _types(shape))


def arrays(shape: Shape, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The rows turned into one parameter a column."""
    columns = zip(*rows, strict=True)
    return [_WRITERS.get(name, list)(column) for name, column in zip(_types(shape), columns, strict=True)]


def _number_array(values: Iterable[Any]) -> str:
    """An array as PostgreSQL writes it: several times faster than to have the driver look at every number."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _text_array(values: Iterable[str | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bytes_array(values: Iterable[bytes]) -> str:
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


# By a column's type, how an array of its values is written; others are left to the driver.
_WRITERS: dict[str, Callable[[Iterable[Any]], Any]] = {
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric"), _number_array),
    **dict.fromkeys(("varchar", "text"), _text_array),
    "bytea": _bytes_array,
}
