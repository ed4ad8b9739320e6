"""Orders as text, a whole engine as text, and its hash.

A saved book is lines of JSON, one order a line, in order of priority, so that a million orders can be streamed. The state
of an engine is such lines too: every instrument with its open orders and holdings, then the accounts. Whatever decides what the
next command does is in them and nothing else, so ``load_state`` makes an engine that goes on exactly as the first would, and
``state_hash`` is just their hash: equal commands give equal hashes on every machine and every version of Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from matching.order import Conditions, Order
from matching.state import Account, Holding, Instrument
from matching.stops import best_of
from matching.values import ACTIVE, BUY, DEFAULT_MAX_OPEN_ORDERS, TRAILING_STOP, UNTRIGGERED

if TYPE_CHECKING:
    from matching.engine import Engine

# Raise it with every change of what a line holds: a saved book of another version is not read.
SCHEMA_VERSION = 2
# An account that nobody limited is made on first use: with or without it, the state is the same.
DEFAULT_LIMITS: list[object] = [ACTIVE, DEFAULT_MAX_OPEN_ORDERS, 0, 0, 0, 0, 0, 0, []]
# Fields of a line: those of every order, and those of an order with conditions after them.
PLAIN_FIELDS = 17
ALL_FIELDS = 25


def encode_order(order: Order) -> str:
    """One line: a JSON array of every field an open order has, integers in units."""
    return json.dumps(_fields(order), separators=(",", ":"))


def _fields(order: Order) -> list[object]:
    fields: list[object] = [
        order.order_id,
        order.account_id,
        order.side,
        order.price,
        order.quantity,
        order.remaining,
        order.canceled,
        order.notional,
        order.type,
        order.time_in_force,
        order.self_trade_prevention,
        int(order.post_only),
        order.status,
        order.priority,
        order.version,
        order.created_at,
        order.client_order_id,
    ]
    conditions = order.conditions
    if conditions is not None:
        # Where a waiting trailing stop stands is its instrument's to say: it moves with every new extreme of the price.
        moves = order.type == TRAILING_STOP and order.status == UNTRIGGERED
        fields += [
            order.hidden,
            0 if moves else conditions.stop_price,
            conditions.trail,
            conditions.trail_bps,
            conditions.display_quantity,
            conditions.expires_at,
            conditions.group_id,
            conditions.role,
        ]
    return fields


def decode_order(line: str, instrument_id: int) -> Order:
    """The order of a line. Raises ``ValueError`` where the line is not one."""
    fields = json.loads(line)
    if not isinstance(fields, list) or len(fields) not in (PLAIN_FIELDS, ALL_FIELDS):
        raise ValueError("not an order of this schema version")
    return build_order(instrument_id, *fields)


def build_order(
    instrument_id: int,
    order_id: int,
    account_id: int,
    side: int,
    price: int,
    quantity: int,
    remaining: int,
    canceled: int,
    notional: int,
    type: int,
    time_in_force: int,
    self_trade_prevention: int,
    post_only: int,
    status: int,
    priority: int,
    version: int,
    created_at: int,
    client_order_id: str,
    hidden: int = 0,
    stop_price: int = 0,
    trail: int = 0,
    trail_bps: int = 0,
    display_quantity: int = 0,
    expires_at: int = 0,
    group_id: int = 0,
    role: int = 0,
) -> Order:
    """An order as it stood, from its stored fields (the order of ``encode_order``)."""
    conditions = None
    if stop_price or trail or trail_bps or display_quantity or expires_at or group_id:
        conditions = Conditions(stop_price, trail, trail_bps, display_quantity, expires_at, group_id, role)
    order = Order(
        order_id,
        account_id,
        instrument_id,
        side,
        price,
        quantity,
        type,
        time_in_force,
        self_trade_prevention,
        bool(post_only),
        client_order_id,
        0,
        conditions,
    )
    order.remaining = remaining
    order.hidden = hidden
    order.canceled = canceled
    order.notional = notional
    order.status = status
    order.priority = priority
    order.version = version
    order.created_at = created_at
    return order


# Books


def book_lines(instrument: Instrument) -> Iterator[str]:
    """The resting orders of an instrument, a line each, in order of priority (first come first)."""
    return map(encode_order, _resting(instrument))


def book_hash(instrument: Instrument) -> str:
    """Hash of one instrument's resting orders alone: 32 hexadecimal digits."""
    return _hash(book_lines(instrument))


def _resting(instrument: Instrument) -> list[Order]:
    orders: list[Order] = []
    for side in (instrument.book.bids, instrument.book.asks):
        for level in side.levels.values():
            order = level.head
            while order is not None:
                orders.append(order)
                order = order.newer
    orders.sort(key=_priority)
    return orders


def _priority(order: Order) -> int:
    return order.priority


# Whole engines


def state_hash(engine: Engine) -> str:
    """Hash of the whole state: 32 hexadecimal digits."""
    return _hash(state_lines(engine))


def state_lines(engine: Engine) -> Iterator[str]:
    """The whole state, a JSON array a line; the first item says of what."""
    untriggered: dict[int, list[Order]] = {}
    for order in engine.orders.values():
        if order.status == UNTRIGGERED:
            untriggered.setdefault(order.instrument_id, []).append(order)
    for instrument_id in sorted(engine.instruments):
        instrument = engine.instruments[instrument_id]
        yield _line("instrument", *_instrument_fields(instrument))
        for account_id in sorted(instrument.holdings):
            yield from _holding_line(instrument.holdings[account_id])
        orders = _resting(instrument) + untriggered.get(instrument_id, [])
        orders.sort(key=_priority)
        for order in orders:
            yield _line("order", instrument_id, *_fields(order))
    for account_id in sorted(engine.accounts):
        account = engine.accounts[account_id]
        limits = _account_fields(account)
        if limits != DEFAULT_LIMITS:
            yield _line("account", account_id, *limits)


def load_state(engine: Engine, lines: Iterable[str]) -> None:
    """Make an engine what ``state_lines`` told of another. It must be a new one."""
    orders: dict[int, list[Order]] = {}
    marks: dict[int, tuple[list[list[int]], list[list[int]]]] = {}
    for line in lines:
        kind, *fields = json.loads(line)
        if kind == "instrument":
            marks[fields[0]] = (fields.pop(), fields.pop())
            _load_instrument(engine, *fields)
        elif kind == "holding":
            holding = engine.holding(fields[0], engine.instruments[fields[1]])
            holding.bought, holding.bought_notional, holding.sold, holding.sold_notional = fields[2:]
        elif kind == "order":
            orders.setdefault(fields[0], []).append(build_order(*fields))
        else:
            _load_account(engine, *fields)
    for instrument_id, open_orders in orders.items():
        give_best(open_orders, *marks[instrument_id])
        engine.restore(open_orders)
    engine.rearm()


def give_best(orders: list[Order], sells: Sequence[Sequence[int]], buys: Sequence[Sequence[int]]) -> None:
    """Tell waiting trailing stops the best price each has seen, from the marks of their side."""
    for order in orders:
        if order.type == TRAILING_STOP and order.status == UNTRIGGERED:
            assert order.conditions is not None
            order.conditions.best = best_of(buys if order.side == BUY else sells, order.priority)


def _instrument_fields(instrument: Instrument) -> list[object]:
    return [
        instrument.instrument_id,
        instrument.symbol,
        instrument.base,
        instrument.quote,
        instrument.price_decimals,
        instrument.quantity_decimals,
        instrument.price_tick,
        instrument.quantity_step,
        instrument.min_quantity,
        instrument.max_quantity,
        instrument.max_notional,
        instrument.collar_bps,
        instrument.reference_price,
        instrument.phase,
        instrument.breaker_us,
        instrument.phase_until,
        instrument.schedule,
        instrument.last_price,
        instrument.stops.trailing_buys.marks(),
        instrument.stops.trailing_sells.marks(),
    ]


def _load_instrument(
    engine: Engine,
    instrument_id: int,
    symbol: str,
    base: str,
    quote: str,
    price_decimals: int,
    quantity_decimals: int,
    price_tick: int,
    quantity_step: int,
    min_quantity: int,
    max_quantity: int,
    max_notional: int,
    collar_bps: int,
    reference_price: int,
    phase: int,
    breaker_us: int,
    phase_until: int,
    schedule: list[list[int]],
    last_price: int,
) -> None:
    instrument = Instrument(
        instrument_id,
        symbol,
        price_decimals,
        quantity_decimals,
        price_tick,
        quantity_step,
        min_quantity,
        max_quantity,
        max_notional,
        collar_bps,
        reference_price,
        phase,
        engine.orders,
        breaker_us,
        base,
        quote,
    )
    instrument.phase_until = phase_until
    instrument.schedule = [(at, coming) for at, coming in schedule]
    instrument.last_price = last_price
    engine.instruments[instrument_id] = instrument


def _account_fields(account: Account) -> list[object]:
    return [
        account.state,
        account.max_open_orders,
        account.max_order_quantity,
        account.max_position,
        account.max_rate,
        account.rate_at,
        account.cancel_after_at,
        int(account.funded),
        sorted(item for item in account.deposits.items() if item[1]),
    ]


def _load_account(
    engine: Engine,
    account_id: int,
    state: int,
    max_open_orders: int,
    max_order_quantity: int,
    max_position: int,
    max_rate: int,
    rate_at: int,
    cancel_after_at: int,
    funded: int,
    deposits: list[tuple[str, int]],
) -> None:
    account = engine.account(account_id)
    account.state = state
    account.max_open_orders = max_open_orders
    account.max_order_quantity = max_order_quantity
    account.max_position = max_position
    account.max_rate = max_rate
    account.rate_at = rate_at
    account.cancel_after_at = cancel_after_at
    account.funded = bool(funded)
    account.deposits = dict(deposits)
    account.settle()


def _holding_line(holding: Holding) -> Iterator[str]:
    traded = (holding.bought, holding.bought_notional, holding.sold, holding.sold_notional)
    if any(traded):
        yield _line("holding", holding.account.account_id, holding.instrument.instrument_id, *traded)


def _line(*fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _hash(lines: Iterable[str]) -> str:
    digest = blake2b(digest_size=16)
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()
