"""A whole engine as text, and its hash.

Every instrument with its open orders and holdings, then the accounts, a line each. Whatever decides what the next command
does is in them and nothing else, so ``load_state`` makes an engine that goes on exactly as the first would, and
``state_hash`` is just their hash: equal commands give equal hashes on every machine and every version of Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from matching.codec import build_order, fields_of, hash_of, resting
from matching.order import Order, priority_of
from matching.state import Account, Holding, Instrument
from matching.stops import best_of
from matching.values import ACTIVE, BUY, DEFAULT_MAX_OPEN_ORDERS, TRAILING_STOP, UNTRIGGERED

if TYPE_CHECKING:
    from matching.engine import Engine

# An account that nobody limited is made on first use: with or without it, the state is the same.
DEFAULT_LIMITS: list[object] = [ACTIVE, DEFAULT_MAX_OPEN_ORDERS, 0, 0, 0, 0, 0, 0, [], 0]


def state_hash(engine: Engine) -> str:
    """Hash of the whole state: 32 hexadecimal digits."""
    return hash_of(state_lines(engine))


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
        orders = resting(instrument) + untriggered.get(instrument_id, [])
        orders.sort(key=priority_of)
        for order in orders:
            yield _line("order", instrument_id, *fields_of(order))
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
            orders.setdefault(fields[0], []).append(build_order(fields[0], fields[1:]))
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
        account.definition,
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
    definition: int,
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
    account.definition = definition
    account.settle()


def _holding_line(holding: Holding) -> Iterator[str]:
    traded = (holding.bought, holding.bought_notional, holding.sold, holding.sold_notional)
    if any(traded):
        yield _line("holding", holding.account.account_id, holding.instrument.instrument_id, *traded)


def _line(*fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"))
