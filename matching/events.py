"""Events: past tense, numbered per shard without gaps, plain tuples.

``(kind, sequence, order, price, quantity, remaining, filled, reason, other)``: a tuple costs a tenth of an object, and
the numbers in it are those right after the event, whatever happens to the order later in the same group of commands.

=================== ========================== ================================== =====================================
kind                price                      quantity                           other
=================== ========================== ================================== =====================================
ACCEPTED            limit, 0 for market        total                              0
REJECTED            limit                      total                              0; ``reason`` says why
FILL_MAKER          of the trade               traded                             0; the trade's id is this sequence
FILL_TAKER          of the trade               traded                             the maker's order id
AMENDED             new limit                  new total                          old limit; the place is kept
REPLACED            new limit                  new total                          old limit; a new place is taken
DECREMENTED         limit                      lost to self-trade prevention      0
CANCELED            limit                      canceled now                       0; ``reason`` says why
INSTRUMENT_DEFINED  0                          0                                  instrument id (no order)
PHASE_CHANGED       0                          the new phase                      instrument id (no order)
ACCOUNT_DEFINED     0                          0                                  account id (no order)
COMMAND_REFUSED     0                          0                                  0; sequence 0: nothing happened
=================== ========================== ================================== =====================================

``remaining`` and ``filled`` are the order's, after the event. A trade is two events, the maker's first; it carries the
maker's number. ``COMMAND_REFUSED`` is the one without a number: a command without effect takes none and is not stored.
"""

from __future__ import annotations

from typing import Final

from matching.order import Order

Event = tuple[int, int, Order | None, int, int, int, int, int, int]

# Places in the tuple.
KIND: Final = 0
SEQUENCE: Final = 1
ORDER: Final = 2
PRICE: Final = 3
QUANTITY: Final = 4
REMAINING: Final = 5
FILLED_QUANTITY: Final = 6
REASON: Final = 7
OTHER: Final = 8

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
)
