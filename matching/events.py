"""Events: past tense, numbered per shard without gaps, plain tuples.

``(kind, sequence, order, price, quantity, remaining, filled, status, reason, other)``: a tuple costs a tenth of an object,
and the numbers in it are those right after the event, whatever happens to the order later in the same group of commands.

==================== ======================== ================================ =============================================
kind                 price                    quantity                         other
==================== ======================== ================================ =============================================
ACCEPTED             limit, 0 without         total                            stop price, 0 without
REJECTED             limit                    total                            0; ``reason`` says why
FILL_MAKER           of the trade             traded                           0; the trade's id is this sequence
FILL_TAKER           of the trade             traded                           the maker's order id
AMENDED              new limit                new total                        old limit; the place is kept
REPLACED             new limit                new total                        old limit; a new place is taken
DECREMENTED          limit                    lost without a trade             1 where the order rested in the book, else 0
CANCELED             limit                    canceled now                     1 where the order rested in the book, else 0
EXPIRED              limit                    canceled now                     1 where the order rested in the book, else 0
TRIGGERED            limit, 0 without         open                             the last price that did it
REPLENISHED          limit                    the new tip                      0; an iceberg's, with a new place
RELEASED             limit, 0 without         new total                        0; a bracket's child goes live
INSTRUMENT_DEFINED   0                        0                                instrument id (no order)
PHASE_CHANGED        0                        the new phase                    instrument id (no order)
UNCROSSED            of all its trades        units traded                     instrument id (no order)
SCHEDULE_SET         0                        phase changes to come            instrument id (no order)
ACCOUNT_DEFINED      0                        0                                account id (no order)
CANCEL_AFTER_SET     0                        when it fires, 0: disarmed       account id (no order)
CANCEL_AFTER_FIRED   0                        when it fires again, 0: done     account id (no order)
TRANSFERRED          0                        0 (the record tells the amount)  account id (no order)
INSTRUMENT_DEPARTED  0                        the shard it goes to             instrument id (no order)
INSTRUMENT_ARRIVED   0                        open orders that come with it    instrument id (no order)
MOVED                limit, 0 without         total                            units an iceberg does not display
COMMAND_REFUSED      0                        0                                0; sequence 0: nothing happened
==================== ======================== ================================ =============================================

``remaining``, ``filled`` and ``status`` are the order's, after the event. A trade is two events, the maker's first; it
carries the maker's number. ``COMMAND_REFUSED`` is the one without a number: a command without effect takes none and is
not stored.
"""

from __future__ import annotations

from typing import Final

from matching.order import Order

Event = tuple[int, int, Order | None, int, int, int, int, int, int, int]

# Places in the tuple.
KIND: Final = 0
SEQUENCE: Final = 1
ORDER: Final = 2
PRICE: Final = 3
QUANTITY: Final = 4
REMAINING: Final = 5
FILLED_QUANTITY: Final = 6
STATUS: Final = 7
REASON: Final = 8
OTHER: Final = 9

COMMAND_REFUSED: Final = 0
ACCEPTED: Final = 1
REJECTED: Final = 2
FILL_MAKER: Final = 3
FILL_TAKER: Final = 4
AMENDED: Final = 5
REPLACED: Final = 6
DECREMENTED: Final = 7
CANCELED: Final = 8
INSTRUMENT_DEFINED: Final = 9
PHASE_CHANGED: Final = 10
ACCOUNT_DEFINED: Final = 11
EXPIRED: Final = 12
TRIGGERED: Final = 13
REPLENISHED: Final = 14
RELEASED: Final = 15
UNCROSSED: Final = 16
SCHEDULE_SET: Final = 17
CANCEL_AFTER_SET: Final = 18
CANCEL_AFTER_FIRED: Final = 19
TRANSFERRED: Final = 20
INSTRUMENT_DEPARTED: Final = 21
INSTRUMENT_ARRIVED: Final = 22
MOVED: Final = 23

KIND_NAMES: Final = (
    "command_refused",
    "accepted",
    "rejected",
    "fill_maker",
    "fill_taker",
    "amended",
    "replaced",
    "decremented",
    "canceled",
    "instrument_defined",
    "phase_changed",
    "account_defined",
    "expired",
    "triggered",
    "replenished",
    "released",
    "uncrossed",
    "schedule_set",
    "cancel_after_set",
    "cancel_after_fired",
    "transferred",
    "instrument_departed",
    "instrument_arrived",
    "moved",
)
# Those whose ``other`` is an account's id, and those whose ``other`` is an instrument's.
ACCOUNT_KINDS: Final = (ACCOUNT_DEFINED, CANCEL_AFTER_SET, CANCEL_AFTER_FIRED, TRANSFERRED)
INSTRUMENT_KINDS: Final = (
    *(INSTRUMENT_DEFINED, PHASE_CHANGED, UNCROSSED, SCHEDULE_SET),
    *(INSTRUMENT_DEPARTED, INSTRUMENT_ARRIVED),
)
