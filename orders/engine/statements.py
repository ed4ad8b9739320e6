"""The journal's SQL: every statement here runs on SQLite and PostgreSQL alike, prepared once for many rows."""

from matching.values import NO_ROLE

_ORDER_COLUMNS = (
    "id, account_id, instrument_id, shard_id, client_order_id, side, type, time_in_force, self_trade_prevention, "
    "post_only, price, created_at, quantity, filled, remaining, canceled, notional, status, reason, version, priority, "
    "sequence, updated_at, hidden, role"
)
_ORDER_VALUES = "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s"
# Two shapes each: most orders are plain, now and for good, and need not be told again and again what they do not have.
INSERT_ORDER = f"INSERT INTO orders_order ({_ORDER_COLUMNS}) VALUES ({_ORDER_VALUES}, 0, {NO_ROLE})"
INSERT_CONDITIONAL_ORDER = (
    f"INSERT INTO orders_order ({_ORDER_COLUMNS}, stop_price, trail, trail_bps, display_quantity, expires_at, group_id) "
    f"VALUES ({_ORDER_VALUES}, %s, %s, %s, %s, %s, %s, %s, %s)"
)
UPDATE_ORDER = (
    "UPDATE orders_order SET price = %s, quantity = %s, filled = %s, remaining = %s, canceled = %s, notional = %s, "
    "status = %s, reason = %s, version = %s, priority = %s, sequence = %s, updated_at = %s WHERE id = %s"
)
UPDATE_CONDITIONAL_ORDER = (
    "UPDATE orders_order SET price = %s, quantity = %s, filled = %s, remaining = %s, canceled = %s, notional = %s, "
    "status = %s, reason = %s, version = %s, priority = %s, sequence = %s, updated_at = %s, hidden = %s, "
    "stop_price = %s, trail = %s, trail_bps = %s, display_quantity = %s, expires_at = %s WHERE id = %s"
)
INSERT_EVENT = (
    "INSERT INTO orders_event (id, order_id, account_id, instrument_id, kind, price, quantity, remaining, filled, "
    "status, reason, other, at, actor_id, received_at, detail) VALUES "
    "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
INSERT_TRADE = (
    "INSERT INTO orders_trade (id, instrument_id, price, quantity, taker_side, maker_order_id, taker_order_id, "
    "maker_account_id, taker_account_id, at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
UPSERT_POSITION = (
    "INSERT INTO orders_position (account_id, instrument_id, bought, bought_notional, sold, sold_notional, cost) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (account_id, instrument_id) DO UPDATE SET "
    "bought = excluded.bought, bought_notional = excluded.bought_notional, sold = excluded.sold, "
    "sold_notional = excluded.sold_notional, cost = excluded.cost"
)
# The open of a bucket never changes.
UPSERT_CANDLE = (
    "INSERT INTO orders_candle (instrument_id, resolution, start, open, high, low, close, volume, notional, trades, "
    "last_sequence) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (instrument_id, resolution, start) DO UPDATE SET high = excluded.high, low = excluded.low, "
    "close = excluded.close, volume = excluded.volume, notional = excluded.notional, trades = excluded.trades, "
    "last_sequence = excluded.last_sequence"
)
UPSERT_INSTRUMENT = (
    "INSERT INTO orders_instrument (id, symbol, base, quote, shard_id, price_decimals, quantity_decimals, price_tick, "
    "quantity_step, min_quantity, max_quantity, max_notional, collar_bps, reference_price, breaker_us, phase, "
    "created_at, phase_until, schedule, trails, last_price, book_sequence, last_trade_sequence) VALUES "
    "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, '[]', %s, 0, 0, 0) "
    "ON CONFLICT (id) DO UPDATE SET "
    "base = excluded.base, quote = excluded.quote, price_tick = excluded.price_tick, "
    "quantity_step = excluded.quantity_step, min_quantity = excluded.min_quantity, "
    "max_quantity = excluded.max_quantity, max_notional = excluded.max_notional, collar_bps = excluded.collar_bps, "
    "reference_price = excluded.reference_price, breaker_us = excluded.breaker_us"
)
UPSERT_LEASE = (
    "INSERT INTO orders_lease (account_id, shard_id, due_at) VALUES (%s, %s, %s) "
    "ON CONFLICT (account_id, shard_id) DO UPDATE SET due_at = excluded.due_at"
)
UPSERT_DEPOSIT = (
    "INSERT INTO orders_deposit (account_id, shard_id, currency, amount) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (account_id, shard_id, currency) DO UPDATE SET amount = excluded.amount"
)
UPDATE_INSTRUMENT = (
    "UPDATE orders_instrument SET phase = %s, phase_until = %s, last_price = %s, "
    "book_sequence = COALESCE(%s, book_sequence), last_trade_sequence = COALESCE(%s, last_trade_sequence), "
    "schedule = COALESCE(%s, schedule), trails = COALESCE(%s, trails) WHERE id = %s"
)
UPDATE_ACCOUNT = (
    "UPDATE orders_account SET state = %s, max_open_orders = %s, max_order_quantity = %s, max_position = %s, "
    "max_rate = %s, funded = %s WHERE id = %s"
)
UPDATE_RATE = "UPDATE orders_account SET rate_at = %s WHERE id = %s"
DELETE_LEASE = "DELETE FROM orders_lease WHERE account_id = %s AND shard_id = %s"
