"""What a verification finds, and how it reads the tables: streamed, row by row."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from orders.models import Shard
from orders.models.trading import event_id
from orders.open_orders import FETCH_ROWS

# Differences told of each kind: the first ones name the cause, a million would bury it.
MAX_TOLD = 10


@dataclass(slots=True)
class Verification:
    """What was counted, and every difference found; good when there are none."""

    shard_id: int
    sequence: int
    events: int = 0
    orders: int = 0
    trades: int = 0
    snapshots: int = 0
    open_orders: int = 0
    hashes: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    _told: dict[str, int] = field(default_factory=dict)

    def differ(self, what: str, text: str) -> None:
        told = self._told[what] = self._told.get(what, 0) + 1
        if told <= MAX_TOLD:
            self.differences.append(f"{what}: {text}")
        elif told == MAX_TOLD + 1:
            self.differences.append(f"{what}: and more")


def same(found: Verification, what: str, in_rows: dict[Any, int], by_events: dict[Any, int]) -> None:
    for key in in_rows.keys() | by_events.keys():
        if in_rows.get(key) != by_events.get(key):
            found.differ(what, f"{key}: {in_rows.get(key)} in its row, {by_events.get(key)} by its events")


def read_row(sql: str, *parameters: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


def read_rows(sql: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        while rows := cursor.fetchmany(FETCH_ROWS):
            yield from rows


def event_range(shard: Shard) -> tuple[int, int]:
    """Ids of the shard's events: above the first, at or below the second."""
    return event_id(shard.id, 0), event_id(shard.id, shard.last_sequence)
