"""The lifecycle of an order as one table: (status, event kind) -> statuses it may have afterwards.

Absent pairs cannot happen. ``status_after`` picks the one status from what remains; the engine's own states, the fold of
events that checks the database, and the tests all answer to this table.
"""

from __future__ import annotations

from typing import Final

from matching.events import (
    ACCEPTED,
    AMENDED,
    DECREMENTED,
    FILL_MAKER,
    FILL_TAKER,
    REJECTED,
    REPLACED,
)
from matching.events import CANCELED as ORDER_CANCELED
from matching.values import CANCELED, FILLED, NEW, PARTIALLY_FILLED
from matching.values import REJECTED as ORDER_REJECTED

# Status of an order that no event has told of yet.
UNBORN: Final = -1

TRANSITIONS: Final[dict[tuple[int, int], tuple[int, ...]]] = {
    (UNBORN, ACCEPTED): (NEW,),
    (UNBORN, REJECTED): (ORDER_REJECTED,),
    (NEW, FILL_MAKER): (PARTIALLY_FILLED, FILLED),
    (NEW, FILL_TAKER): (PARTIALLY_FILLED, FILLED),
    (NEW, AMENDED): (NEW,),
    (NEW, REPLACED): (NEW,),
    (NEW, DECREMENTED): (NEW,),
    (NEW, ORDER_CANCELED): (CANCELED,),
    (PARTIALLY_FILLED, FILL_MAKER): (PARTIALLY_FILLED, FILLED),
    (PARTIALLY_FILLED, FILL_TAKER): (PARTIALLY_FILLED, FILLED),
    (PARTIALLY_FILLED, AMENDED): (PARTIALLY_FILLED,),
    (PARTIALLY_FILLED, REPLACED): (PARTIALLY_FILLED,),
    (PARTIALLY_FILLED, DECREMENTED): (PARTIALLY_FILLED,),
    (PARTIALLY_FILLED, ORDER_CANCELED): (CANCELED,),
}


def status_after(status: int, kind: int, remaining: int) -> int:
    """The status after an event of ``kind`` that left ``remaining`` units open.

    Raises ``ValueError`` where the table has no such step.
    """
    allowed = TRANSITIONS.get((status, kind))
    if allowed is None:
        raise ValueError(f"no event of kind {kind} can follow status {status}")
    return allowed[-1] if not remaining else allowed[0]
