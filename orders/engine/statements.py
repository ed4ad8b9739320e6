"""What the journal writes: the columns of every kind of row, once for both databases, and the SQL both understand.

A ``Shape`` is the order of the values in a row. How rows of a shape get into a table in bulk is each database's own
business (``journal_sqlite``, ``journal_postgres``); both make their SQL of it, so that neither can have a column the other
has not. What is rare and small is one statement here that runs on both.
"""

from typing import NamedTuple

from django.db.models import Model

from matching.values import LAST_OPEN_STATUS
from orders.models import Candle, ClientOrderId, Deposit, Event, Lease, MessageRate, Order, Position, Trade
from orders.models.market import IN_TRANSIT


class Shape(NamedTuple):
    """Rows of a table: their columns in order, the key that finds a row again, and what is never changed of one."""

    model: type[Model]
    columns: tuple[str, ...]
    key: tuple[str, ...] = ("id",)
    constant: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def changing(self) -> tuple[str, ...]:
        """The columns that an update sets."""
        return tuple(column for column in self.columns if column not in self.key and column not in self.constant)


_STANDING = (
    *("price", "quantity", "filled", "remaining", "canceled", "notional", "status", "reason", "version", "priority"),
    *("sequence", "updated_at"),
)
_TERMS = ("stop_price", "trail", "trail_bps", "display_quantity", "expires_at")
_BIRTH = (
    *("id", "account_id", "instrument_id", "shard_id", "client_order_id", "side", "type", "time_in_force"),
    *("self_trade_prevention", "post_only", "created_at"),
)
# Two shapes each: most orders are plain, now and for good, and need not be told again and again what they do not have.
NEW_ORDER = Shape(Order, (*_BIRTH, *_STANDING, "hidden", "role"))
NEW_CONDITIONAL_ORDER = Shape(Order, (*_BIRTH, *_STANDING, "hidden", "role", *_TERMS, "group_id"))
CHANGED_ORDER = Shape(Order, (*_STANDING, "id"))
CHANGED_CONDITIONAL_ORDER = Shape(Order, (*_STANDING, "hidden", *_TERMS, "id"))
EVENT = Shape(
    Event,
    (
        *("id", "order_id", "account_id", "instrument_id", "kind", "price", "quantity", "remaining", "filled"),
        *("status", "reason", "other", "at", "actor_id", "received_at", "detail"),
    ),
)
TRADE = Shape(
    Trade,
    (
        *("id", "instrument_id", "price", "quantity", "taker_side", "maker_order_id", "taker_order_id"),
        *("maker_account_id", "taker_account_id", "at"),
    ),
)
POSITION = Shape(
    Position,
    ("account_id", "instrument_id", "bought", "bought_notional", "sold", "sold_notional", "cost"),
    key=("account_id", "instrument_id"),
)
CANDLE = Shape(
    Candle,
    (
        *("instrument_id", "resolution", "start", "open", "high", "low", "close", "volume", "notional", "trades"),
        "last_sequence",
    ),
    key=("instrument_id", "resolution", "start"),
    constant=("open",),
)
CLAIM = Shape(
    ClientOrderId,
    ("account_id", "client_order_id", "order_id", "fingerprint"),
    key=("account_id", "client_order_id"),
)
RATE = Shape(MessageRate, ("account_id", "shard_id", "rate_at"), key=("account_id", "shard_id"))
LEASE = Shape(Lease, ("account_id", "shard_id", "due_at"), key=("account_id", "shard_id"))
DEPOSIT = Shape(Deposit, ("account_id", "shard_id", "currency", "amount"), key=("account_id", "shard_id", "currency"))

UPSERT_INSTRUMENT = (
    "INSERT INTO orders_instrument (id, symbol, base, quote, shard_id, price_decimals, quantity_decimals, price_tick, "
    "quantity_step, min_quantity, max_quantity, max_notional, collar_bps, reference_price, breaker_us, phase, "
    "created_at, phase_until, schedule, trails, last_price, book_sequence, last_trade_sequence) VALUES "
    "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, '[]', %s, 0, 0, 0) "
    "ON CONFLICT (id) DO UPDATE SET "
    "base = excluded.base, quote = excluded.quote, price_tick = excluded.price_tick, "
    "quantity_step = excluded.quantity_step, min_quantity = excluded.min_quantity, "
    "max_quantity = excluded.max_quantity, max_notional = excluded.max_notional, collar_bps = excluded.collar_bps, "
    "reference_price = excluded.reference_price, breaker_us = excluded.breaker_us "
    "WHERE orders_instrument.shard_id = excluded.shard_id AND orders_instrument.moving_to IS NULL"
)
UPDATE_INSTRUMENT = (
    "UPDATE orders_instrument SET phase = %s, phase_until = %s, last_price = %s, "
    "book_sequence = COALESCE(%s, book_sequence), last_trade_sequence = COALESCE(%s, last_trade_sequence), "
    "schedule = COALESCE(%s, schedule), trails = COALESCE(%s, trails) WHERE id = %s"
)
# Another shard's engine may have been told of a newer one.
UPDATE_ACCOUNT = (
    "UPDATE orders_account SET state = %s, max_open_orders = %s, max_order_quantity = %s, max_position = %s, "
    "max_rate = %s, funded = %s, definition = %s WHERE id = %s AND definition <= %s"
)
# An instrument that has left, and its open orders; one that has come, and its orders.
SEND_INSTRUMENT = "UPDATE orders_instrument SET moving_to = %s, moved_at = %s WHERE id = %s"
SEND_ORDERS = (
    f"UPDATE orders_order SET shard_id = {IN_TRANSIT} WHERE instrument_id = %s AND shard_id = %s "
    f"AND status <= {LAST_OPEN_STATUS}"
)
RECEIVE_INSTRUMENT = (
    "UPDATE orders_instrument SET shard_id = %s, moving_to = NULL, since_sequence = %s, last_trade_sequence = %s "
    "WHERE id = %s"
)
RECEIVE_ORDERS = f"UPDATE orders_order SET shard_id = %s WHERE instrument_id = %s AND shard_id = {IN_TRANSIT}"
DELETE_LEASE = "DELETE FROM orders_lease WHERE account_id = %s AND shard_id = %s"
