"""How the journal's rows get into SQLite: one prepared statement for many rows (``executemany``)."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from orders.engine.statements import Shape


class Rows:
    """Writes by ``cursor``, at once: ``with Rows(cursor) as rows``."""

    def __init__(self, cursor: Any) -> None:
        self.execute = cursor.execute
        self._executemany = cursor.executemany

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def insert(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """New rows."""
        if rows:
            self._executemany(insert_sql(shape), rows)

    def update(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows that are there; a row ends with its key."""
        if rows:
            self._executemany(update_sql(shape), rows)

    def upsert(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows that may be there."""
        if rows:
            self._executemany(upsert_sql(shape), rows)

    def claim(self, shape: Shape, rows: Sequence[tuple[Any, ...]]) -> None:
        """New rows where their key is free; the cursor then has the keys that were."""
        values = ", ".join([f"({', '.join(['%s'] * len(shape.columns))})"] * len(rows))
        self.execute(claim_sql(shape, f"VALUES {values}"), [value for row in rows for value in row])


def claim_sql(shape: Shape, rows: str) -> str:
    columns = ", ".join(shape.columns)
    return f"INSERT INTO {shape.table} ({columns}) {rows} ON CONFLICT DO NOTHING RETURNING {', '.join(shape.key)}"


@cache
def insert_sql(shape: Shape) -> str:
    values = ", ".join(["%s"] * len(shape.columns))
    return f"INSERT INTO {shape.table} ({', '.join(shape.columns)}) VALUES ({values})"


@cache
def update_sql(shape: Shape) -> str:
    assert shape.columns == shape.changing + shape.key, "values are bound in the order of the statement"
    changes = ", ".join(f"{column} = %s" for column in shape.changing)
    return f"UPDATE {shape.table} SET {changes} WHERE {' AND '.join(f'{column} = %s' for column in shape.key)}"


@cache
def upsert_sql(shape: Shape) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in shape.changing)
    return f"{insert_sql(shape)} ON CONFLICT ({', '.join(shape.key)}) DO UPDATE SET {changes}"
