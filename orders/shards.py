"""The shards there are, remembered: which of them a command has to go to."""

from math import inf
from time import monotonic

from orders.models import Order, Shard

# A command for every shard must not miss one that was added a moment ago by another process.
FRESH_SECONDS = 2.0

# Ascending, and when they were read; until then none.
_ids: tuple[int, ...] = ()
_read_at = 0.0


def shard_ids(*, max_age_seconds: float = FRESH_SECONDS) -> tuple[int, ...]:
    """All of them, ascending; before any engine has ever run, the first alone."""
    if not are_remembered(max_age_seconds=max_age_seconds):
        remember()
    return _ids


def are_remembered(*, max_age_seconds: float = FRESH_SECONDS) -> bool:
    """Whether ``shard_ids`` would answer without reading the table: for those who must not wait."""
    return bool(_ids) and monotonic() - _read_at < max_age_seconds


def remembered_count() -> int:
    """How many there are as far as this process knows without reading the table; 0: it does not."""
    return len(_ids)


def remember() -> None:
    """Read them now."""
    global _ids, _read_at
    now = monotonic()
    _ids = tuple(Shard.objects.order_by("id").values_list("id", flat=True)) or (0,)
    _read_at = now


def forget() -> None:
    """The next question reads the table."""
    global _ids
    _ids = ()


def shards_of_order(order_id: int) -> tuple[int, ...]:
    """The shard whose engine knows an order; all of them where it has no row yet: a cancel may come while it is committed.

    Asks no table where there is one shard. (An order on a shard that was added since is then not found by the engine, and
    looked for.)
    """
    known = shard_ids(max_age_seconds=inf)
    if len(known) == 1:
        return known
    shard_id = order_shard(order_id)
    return shard_ids() if shard_id is None else (shard_id,)


def order_shard(order_id: int) -> int | None:
    """By its row."""
    return Order.objects.filter(id=order_id).values_list("shard_id", flat=True).first()
