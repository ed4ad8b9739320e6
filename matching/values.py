"""The words of the core, as small integers: sides, types, times in force, phases, states and reasons.

Plain module constants instead of ``enum.IntEnum``: an enum member costs an attribute look-up on every use, and these
are compared several times for every order. Each family has a tuple of its wire names, indexed by the constant; the
names are those of the public API (FIX vocabulary in lower snake case).
"""

from typing import Final

# Sides (FIX 54).
BUY: Final = 0
SELL: Final = 1
SIDE_NAMES: Final = ("buy", "sell")

# Order types (FIX 40). From FIRST_STOP on an order waits outside the book until the last price reaches its stop price.
LIMIT: Final = 0
MARKET: Final = 1
STOP: Final = 2
STOP_LIMIT: Final = 3
TRAILING_STOP: Final = 4
FIRST_STOP: Final = STOP
TYPE_NAMES: Final = ("limit", "market", "stop", "stop_limit", "trailing_stop")

# Time in force (FIX 59).
GTC: Final = 0
IOC: Final = 1
FOK: Final = 2
DAY: Final = 3
GTD: Final = 4
TIME_IN_FORCE_NAMES: Final = ("gtc", "ioc", "fok", "day", "gtd")

# Self-trade prevention (FIX 7928 SelfMatchPreventionID's instruction); the incoming order's mode decides.
STP_NONE: Final = 0
STP_CANCEL_NEWEST: Final = 1
STP_CANCEL_OLDEST: Final = 2
STP_CANCEL_BOTH: Final = 3
STP_DECREMENT: Final = 4
STP_NAMES: Final = (
    "none",
    "cancel_newest",
    "cancel_oldest",
    "cancel_both",
    "decrement",
)

# Order status (FIX 39). Everything up to LAST_OPEN_STATUS is alive; UNTRIGGERED waits outside the book.
NEW: Final = 0
PARTIALLY_FILLED: Final = 1
UNTRIGGERED: Final = 2
FILLED: Final = 3
CANCELED: Final = 4
REJECTED: Final = 5
EXPIRED: Final = 6
LAST_OPEN_STATUS: Final = UNTRIGGERED
STATUS_NAMES: Final = (
    "new",
    "partially_filled",
    "untriggered",
    "filled",
    "canceled",
    "rejected",
    "expired",
)

# Phases of an instrument (FIX 340 TradSesStatus). HALTED and CLOSED take cancels only. In PRE_OPEN, AUCTION and NO_CANCEL
# orders rest and nothing trades; in AUCTION and NO_CANCEL the indicative price is published; NO_CANCEL takes no cancels.
CLOSED: Final = 0
PRE_OPEN: Final = 1
AUCTION: Final = 2
CONTINUOUS: Final = 3
HALTED: Final = 4
NO_CANCEL: Final = 5
PHASE_NAMES: Final = (
    "closed",
    "pre_open",
    "auction",
    "continuous",
    "halted",
    "no_cancel",
)
# The roles of orders that belong together (FIX 1385 ContingencyType): see ``matching.groups``.
NO_ROLE: Final = 0
OCO_LIMIT: Final = 1
OCO_STOP: Final = 2
ENTRY: Final = 3
TAKE_PROFIT: Final = 4
STOP_LOSS: Final = 5
ROLE_NAMES: Final = ("", "oco_limit", "oco_stop", "entry", "take_profit", "stop_loss")

# State of an account.
ACTIVE: Final = 0
REDUCING: Final = 1
ACCOUNT_HALTED: Final = 2
ACCOUNT_STATE_NAMES: Final = ("active", "reducing_only", "halted")

# Reasons: why an order ended, or why a command was refused. The wire name is the error code of the public registry.
NO_REASON: Final = 0
R_IOC: Final = 1
R_FOK: Final = 2
R_NO_LIQUIDITY: Final = 3
R_SELF_TRADE: Final = 4
R_AMENDED_TO_FILLED: Final = 5
R_USER_REQUEST: Final = 6
R_OPERATOR_REQUEST: Final = 7
R_UNKNOWN_SYMBOL: Final = 8
R_MARKET_HALTED: Final = 9
R_MARKET_CLOSED: Final = 10
R_ACCOUNT_HALTED: Final = 11
R_ACCOUNT_REDUCING: Final = 12
R_PRICE_NOT_ON_TICK: Final = 13
R_QUANTITY_NOT_ON_STEP: Final = 14
R_QUANTITY_BELOW_MINIMUM: Final = 15
R_MAX_QUANTITY: Final = 16
R_PRICE_COLLAR: Final = 17
R_MAX_NOTIONAL: Final = 18
R_MAX_OPEN_ORDERS: Final = 19
R_MAX_POSITION: Final = 20
R_POST_ONLY: Final = 21
R_ORDER_NOT_FOUND: Final = 22
R_NOT_AMENDABLE: Final = 23
R_VERSION_CONFLICT: Final = 24
R_DUPLICATE_ORDER_ID: Final = 25
R_INVALID_COMMAND: Final = 26
R_DAY: Final = 27
R_GTD: Final = 28
R_LINKED_ORDER: Final = 29
R_LINKED_ORDER_REFUSED: Final = 30
R_CANCEL_AFTER: Final = 31
R_NOT_CONTINUOUS: Final = 32
R_TOO_LATE_TO_CANCEL: Final = 33
R_TOO_LATE_TO_AMEND: Final = 34
R_DISPLAY_QUANTITY: Final = 35
R_TRAILING_STOPS: Final = 36
R_RATE_LIMITED: Final = 37
R_SCHEDULE: Final = 38
R_CIRCUIT_BREAKER: Final = 39
R_INSUFFICIENT_FUNDS: Final = 40
REASON_NAMES: Final = (
    "",
    "ioc",
    "fok",
    "no_liquidity",
    "self_trade",
    "amended_to_filled",
    "user_request",
    "operator_request",
    "unknown_symbol",
    "market_halted",
    "market_closed",
    "account_halted",
    "account_reducing_only",
    "price_not_on_tick",
    "quantity_not_on_step",
    "quantity_below_minimum",
    "risk_max_quantity",
    "price_collar",
    "risk_max_notional",
    "risk_max_open_orders",
    "risk_max_position",
    "post_only_would_cross",
    "order_not_found",
    "not_amendable",
    "version_conflict",
    "duplicate_order_id",
    "invalid_request",
    "day",
    "gtd",
    "linked_order",
    "linked_order_refused",
    "cancel_after",
    "market_not_continuous",
    "too_late_to_cancel",
    "too_late_to_amend",
    "display_quantity_too_small",
    "too_many_trailing_stops",
    "rate_limited",
    "schedule",
    "circuit_breaker",
    "insufficient_funds",
)

# Bits of ``Order.off_grid``: the door saw more decimals than the instrument's unit can hold. (Stop prices and trailing
# offsets count as prices, a displayed quantity as a quantity.)
PRICE_OFF_GRID: Final = 1
QUANTITY_OFF_GRID: Final = 2

# Every price and quantity stays below 2**53 units, so that a JavaScript number and a double hold it exactly too.
MAX_UNITS: Final = 2**53 - 1
# Collars are told in ten-thousandths of the reference price.
BASIS_POINTS: Final = 10_000
# Open orders one account may have unless its limits say otherwise: bounds the memory one client can take.
DEFAULT_MAX_OPEN_ORDERS: Final = 200_000
# The bound of an order without a limit: below every key a level can have.
NO_BOUND: Final = -(2**62)
# A moment that never comes, later than every other (microseconds since 1970).
NEVER: Final = 2**62
SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
# Money has as many decimals as a price and a quantity have together at most, and at most so much of it.
MONEY_DECIMALS: Final = 24
MAX_MONEY: Final = 10**39 - 1
# Tips an iceberg may have: bounds the trades that one order can make of another.
MAX_TIPS: Final = 1_000
# Trailing stops that may wait in one book: each new extreme of the price moves all of a side.
MAX_TRAILING_STOPS: Final = 10_000
# Phase changes an instrument's schedule may hold: weeks of sessions with every phase.
MAX_TRANSITIONS: Final = 500
