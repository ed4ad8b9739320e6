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

# Order types (FIX 40).
LIMIT: Final = 0
MARKET: Final = 1
TYPE_NAMES: Final = ("limit", "market")

# Time in force (FIX 59).
GTC: Final = 0
IOC: Final = 1
FOK: Final = 2
TIME_IN_FORCE_NAMES: Final = ("gtc", "ioc", "fok")

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

# Order status (FIX 39). Everything up to LAST_OPEN_STATUS is alive.
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

# Phases of an instrument (FIX 340 TradSesStatus). In HALTED only cancels are taken; in CLOSED the same.
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
# The phases this engine trades in so far: an instrument may be put into these and no other.
SUPPORTED_PHASES: Final = (CLOSED, CONTINUOUS, HALTED)

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
)

# Bits of ``Order.off_grid``: the door saw more decimals than the instrument's unit can hold.
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
