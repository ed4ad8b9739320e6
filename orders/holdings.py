"""Positions of an account, from the tables."""

from typing import NamedTuple

from django.db.models import QuerySet

from orders.models import Position, Shard
from orders.selectors import account_order_events, consistent_read, instrument_by_symbol


class Holdings(NamedTuple):
    """All positions of an account on a shard as of an epoch and the account's last order event there (0: none yet)."""

    epoch: int
    sequence: int
    positions: list[Position]


def position_page(
    *, account_id: int, symbol: str | None, cursor: str | None, limit: int
) -> tuple[list[Position], str | None]:
    """A page of the account's positions with their instruments, and the cursor of the next (None at the end)."""
    rows = _positions(account_id)
    if symbol is not None:
        rows = rows.filter(instrument_id=instrument_by_symbol(symbol).id)
    if cursor is not None:
        rows = rows.filter(instrument_id__gt=min(int(cursor), 2**63 - 1))
    page = list(rows[: limit + 1])
    return page[:limit], str(page[limit - 1].instrument_id) if len(page) > limit else None


def position_list(account_id: int, shard_id: int) -> Holdings:
    """All of them on a shard, in one consistent read."""
    with consistent_read():
        epoch = Shard.objects.values_list("epoch", flat=True).get(id=shard_id)
        sequence, _ = account_order_events(account_id=account_id, shard_id=shard_id, after_sequence=None, limit=0)
        return Holdings(epoch, sequence, list(_positions(account_id).filter(instrument__shard_id=shard_id)))


def _positions(account_id: int) -> QuerySet[Position]:
    return Position.objects.filter(account_id=account_id).select_related("instrument").order_by("instrument_id")
