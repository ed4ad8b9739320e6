"""The lifecycle of an order as one table: (status, event kind) -> statuses it may have afterwards.

Absent pairs cannot happen. The engine's own states, the fold of events that checks the database, the tests and the
diagram of docs/lifecycle.md all answer to this table.
"""

from __future__ import annotations

from typing import Final

from matching.events import (
    ACCEPTED,
    AMENDED,
    DECREMENTED,
    FILL_MAKER,
    FILL_TAKER,
    MOVED,
    REJECTED,
    RELEASED,
    REPLACED,
    REPLENISHED,
    TRIGGERED,
)
from matching.events import CANCELED as ORDER_CANCELED
from matching.events import EXPIRED as ORDER_EXPIRED
from matching.values import CANCELED, EXPIRED, FILLED, NEW, PARTIALLY_FILLED, UNTRIGGERED
from matching.values import REJECTED as ORDER_REJECTED

# Status of an order that no event has told of yet.
UNBORN: Final = -1

TRANSITIONS: Final[dict[tuple[int, int], tuple[int, ...]]] = {
    (UNBORN, ACCEPTED): (NEW, UNTRIGGERED),
    (UNBORN, REJECTED): (ORDER_REJECTED,),
    (NEW, FILL_MAKER): (PARTIALLY_FILLED, FILLED),
    (NEW, FILL_TAKER): (PARTIALLY_FILLED, FILLED),
    (NEW, AMENDED): (NEW,),
    (NEW, REPLACED): (NEW,),
    (NEW, DECREMENTED): (NEW,),
    (NEW, ORDER_CANCELED): (CANCELED,),
    (NEW, ORDER_EXPIRED): (EXPIRED,),
    (NEW, MOVED): (NEW,),
    (PARTIALLY_FILLED, FILL_MAKER): (PARTIALLY_FILLED, FILLED),
    (PARTIALLY_FILLED, FILL_TAKER): (PARTIALLY_FILLED, FILLED),
    (PARTIALLY_FILLED, AMENDED): (PARTIALLY_FILLED,),
    (PARTIALLY_FILLED, REPLACED): (PARTIALLY_FILLED,),
    (PARTIALLY_FILLED, REPLENISHED): (PARTIALLY_FILLED,),
    (PARTIALLY_FILLED, DECREMENTED): (PARTIALLY_FILLED,),
    (PARTIALLY_FILLED, ORDER_CANCELED): (CANCELED,),
    (PARTIALLY_FILLED, ORDER_EXPIRED): (EXPIRED,),
    (PARTIALLY_FILLED, MOVED): (PARTIALLY_FILLED,),
    (UNTRIGGERED, AMENDED): (UNTRIGGERED,),
    (UNTRIGGERED, REPLACED): (UNTRIGGERED,),
    (UNTRIGGERED, DECREMENTED): (UNTRIGGERED,),
    (UNTRIGGERED, RELEASED): (NEW, UNTRIGGERED),
    (UNTRIGGERED, TRIGGERED): (NEW,),
    (UNTRIGGERED, ORDER_CANCELED): (CANCELED,),
    (UNTRIGGERED, ORDER_EXPIRED): (EXPIRED,),
    (UNTRIGGERED, MOVED): (UNTRIGGERED,),
}


def is_step(before: int, kind: int, after: int) -> bool:
    """Whether an event of ``kind`` may take an order from one status to the other."""
    return after in TRANSITIONS.get((before, kind), ())
