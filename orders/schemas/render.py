"""From rows and records in units to what goes over the wire. Used by every door, so that they say the same."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from matching.events import ACCEPTED, FILL_MAKER, FILL_TAKER, KIND_NAMES, TRIGGERED, UNCROSSED
from matching.values import (
    NO_ROLE,
    OCO_LIMIT,
    OCO_STOP,
    PHASE_NAMES,
    REASON_NAMES,
    ROLE_NAMES,
    SIDE_NAMES,
    STATUS_NAMES,
    STP_NAMES,
    TIME_IN_FORCE_NAMES,
    TYPE_NAMES,
)
from orders.candles import Candle
from orders.fields import micros_to_datetime
from orders.schemas.decimals import PERCENT_DECIMALS, from_units, ratio_from_units

# Decimals of an average price beyond those of a price: so that many averages of a long position still differ.
AVERAGE_DECIMALS = 4


@lru_cache(maxsize=1024)
def wire_time(moment: int | datetime) -> str:
    """RFC 3339 UTC with microseconds: ``2026-11-22T17:30:52.000000Z``. Takes microseconds since 1970 or a datetime.

    Remembered, because everything of one group of commands happened at the same moment.
    """
    value = micros_to_datetime(moment) if isinstance(moment, int) else moment
    # Always UTC: the offset of six characters becomes a Z. Several times as fast as strftime.
    return value.isoformat(timespec="microseconds")[:-6] + "Z"


def order_out(order: Any, instrument: Any, account_name: str, stop_price: int | None = None) -> dict[str, Any]:
    """``schemas.answers.OrderOut`` of an ``Order`` row or an ``OrderRecord``; ``instrument`` needs symbol and decimals.

    ``stop_price`` is that of a trailing stop that waits, which its row does not have.
    """
    price_decimals = instrument.price_decimals
    quantity_decimals = instrument.quantity_decimals
    filled = order.filled
    group_id = order.group_id

    def price(units: int | None) -> str | None:
        return None if units is None else from_units(units, price_decimals)

    shown = order.display_quantity
    return {
        "id": str(order.id),
        "client_order_id": order.client_order_id,
        "account": account_name,
        "symbol": instrument.symbol,
        "side": SIDE_NAMES[order.side],
        "type": TYPE_NAMES[order.type],
        "time_in_force": TIME_IN_FORCE_NAMES[order.time_in_force],
        "post_only": order.post_only,
        "price": price(order.price),
        "stop_price": price(order.stop_price or stop_price),
        "trail_price": price(order.trail),
        "trail_percent": None if order.trail_bps is None else from_units(order.trail_bps, PERCENT_DECIMALS),
        "quantity": from_units(order.quantity, quantity_decimals),
        "display_quantity": None if shown is None else from_units(shown, quantity_decimals),
        "expires_at": None if order.expires_at is None else wire_time(order.expires_at),
        "self_trade_prevention": STP_NAMES[order.self_trade_prevention],
        "order_class": order_class(order.role),
        "group_id": None if group_id is None else str(group_id),
        "role": ROLE_NAMES[order.role] or None,
        "filled_quantity": from_units(filled, quantity_decimals),
        "remaining_quantity": from_units(order.remaining, quantity_decimals),
        "canceled_quantity": from_units(order.canceled, quantity_decimals),
        "average_price": ratio_from_units(order.notional, filled, price_decimals) if filled else None,
        "status": STATUS_NAMES[order.status],
        "reason": REASON_NAMES[order.reason] or None,
        "version": order.version,
        "sequence": order.sequence,
        "created_at": wire_time(order.created_at),
        "updated_at": wire_time(order.updated_at),
    }


def order_class(role: int) -> str:
    """What an order was placed as, from its role among those it was placed with."""
    if role == NO_ROLE:
        return "simple"
    return "oco" if role in (OCO_LIMIT, OCO_STOP) else "bracket"


def fill_out(
    *,
    shard_id: int,
    sequence: int,
    trade_sequence: int,
    order_id: int,
    side: int,
    price: int,
    quantity: int,
    is_maker: bool,
    at: int | datetime,
    instrument: Any,
) -> dict[str, Any]:
    """``schemas.orders.FillOut``. The trade's id is its shard and its maker's sequence."""
    return {
        "trade_id": trade_id(shard_id, trade_sequence),
        "order_id": str(order_id),
        "symbol": instrument.symbol,
        "side": SIDE_NAMES[side],
        "price": from_units(price, instrument.price_decimals),
        "quantity": from_units(quantity, instrument.quantity_decimals),
        "liquidity": "maker" if is_maker else "taker",
        "shard": shard_id,
        "sequence": sequence,
        "time": wire_time(at),
    }


def trade_id(shard_id: int, sequence: int) -> str:
    """The public id of a trade: its shard and the number of its maker's event, ``0-1042``."""
    return f"{shard_id}-{sequence}"


def trade_out(
    *, shard_id: int, sequence: int, price: int, quantity: int, taker_side: int, at: int | datetime, instrument: Any
) -> dict[str, Any]:
    """A public trade."""
    return {
        "id": trade_id(shard_id, sequence),
        "sequence": sequence,
        "price": from_units(price, instrument.price_decimals),
        "quantity": from_units(quantity, instrument.quantity_decimals),
        "taker_side": SIDE_NAMES[taker_side],
        "time": wire_time(at),
    }


def level_out(level: tuple[int, int, int], instrument: Any) -> list[Any]:
    """A level as ``[price, quantity, orders]``."""
    price, quantity, orders = level
    return [
        from_units(price, instrument.price_decimals),
        from_units(quantity, instrument.quantity_decimals),
        orders,
    ]


def shard_out(shard: Any) -> dict[str, Any]:
    """``schemas.market.ShardOut`` of a ``ShardStatus``."""
    return {
        "shard": shard.shard_id,
        "state": shard.state,
        "epoch": shard.epoch,
        "sequence": shard.sequence,
        "detail": shard.detail or None,
    }


def candle_out(candle: Candle, instrument: Any) -> dict[str, Any]:
    """``schemas.charts.CandleOut``: times and prices of a bucket, its volume, its number of trades."""
    decimals = instrument.price_decimals
    return {
        "time": wire_time(candle.start),
        "open": from_units(candle.open, decimals),
        "high": from_units(candle.high, decimals),
        "low": from_units(candle.low, decimals),
        "close": from_units(candle.close, decimals),
        "volume": from_units(candle.volume, instrument.quantity_decimals),
        "trades": candle.trades,
    }


def ticker_out(view: Any, instrument: Any) -> dict[str, Any]:
    """``schemas.market.TickerOut`` without the symbol; ``view`` is a ``TickerView``, in units, None where there is nothing.

    The average price is rounded half up, the change in percent half away from zero.
    """
    decimals = instrument.price_decimals

    def price(units: int | None) -> str | None:
        return None if units is None else from_units(units, decimals)

    bid, ask = (level_out(level, instrument) if level else (None, None) for level in (view.bid, view.ask))
    change = None if view.open is None else view.last - view.open
    return {
        "epoch": view.epoch,
        "sequence": view.sequence,
        "last": price(view.last),
        "bid": bid[0],
        "bid_quantity": bid[1],
        "ask": ask[0],
        "ask_quantity": ask[1],
        "open": price(view.open),
        "high": price(view.high),
        "low": price(view.low),
        "volume": from_units(view.volume, instrument.quantity_decimals),
        "vwap": ratio_from_units(view.notional, view.volume, decimals) if view.volume else None,
        "change": price(change),
        "change_percent": None if change is None else _percent_out(change, view.open),
        "trades": view.trades,
        "time": wire_time(view.at),
    }


def _percent_out(part: int, whole: int) -> str:
    percent = ratio_from_units(abs(part) * 100 * 10**PERCENT_DECIMALS, whole, PERCENT_DECIMALS)
    return f"-{percent}" if part < 0 and percent.strip("0.") else percent


def position_out(position: Any, instrument: Any, last_price: int) -> dict[str, Any]:
    """``schemas.holdings.PositionOut`` of a ``Position`` or anything with its sums; ``last_price`` 0: nothing has traded.

    Money has the decimals of price and quantity together, so that nothing is rounded. Only the average price is: to
    ``AVERAGE_DECIMALS`` more than a price has, a half up.
    """
    price_decimals, quantity_decimals = instrument.price_decimals, instrument.quantity_decimals
    money_decimals = price_decimals + quantity_decimals
    net = position.bought - position.sold
    cost = position.cost
    average = (
        ratio_from_units(abs(cost) * 10**AVERAGE_DECIMALS, abs(net), price_decimals + AVERAGE_DECIMALS) if net else None
    )
    return {
        "symbol": instrument.symbol,
        "quantity": from_units(net, quantity_decimals),
        "bought": from_units(position.bought, quantity_decimals),
        "sold": from_units(position.sold, quantity_decimals),
        "bought_notional": from_units(position.bought_notional, money_decimals),
        "sold_notional": from_units(position.sold_notional, money_decimals),
        "average_price": average,
        "realized_pnl": from_units(position.sold_notional - position.bought_notional + cost, money_decimals),
        "mark_price": from_units(last_price, price_decimals) if last_price else None,
        "unrealized_pnl": from_units(net * last_price - cost, money_decimals) if last_price else None,
    }


def session_out(session: Any, instrument: Any) -> dict[str, Any]:
    """Where an instrument's session stands: ``session`` has phase, its end (0: none) and the indicative uncross or None.

    The surplus is signed: what stays unfilled on the sell side is below zero.
    """
    found = session.indicative
    return {
        "state": PHASE_NAMES[session.phase],
        "phase_ends_at": wire_time(session.phase_until) if session.phase_until else None,
        "indicative_price": None if found is None else from_units(found.price, instrument.price_decimals),
        "indicative_volume": None if found is None else from_units(found.volume, instrument.quantity_decimals),
        "indicative_surplus": None if found is None else from_units(found.surplus, instrument.quantity_decimals),
    }


def event_out(
    *,
    shard_id: int,
    sequence: int,
    kind: int,
    order_id: int | None,
    client_order_id: str | None,
    side: int | None,
    price: int,
    quantity: int,
    remaining: int,
    filled: int,
    status: int | None,
    reason: int,
    other: int,
    actor: str | None,
    at: int | datetime,
    instrument: Any | None,
) -> dict[str, Any]:
    """``schemas.orders.EventOut``: one event, of an order or of the configuration."""
    of_order = order_id is not None and instrument is not None
    # An uncross is an instrument's: its price and its volume.
    has_numbers = of_order or (kind == UNCROSSED and instrument is not None)
    has_trigger = of_order and other and kind in (ACCEPTED, TRIGGERED)
    trade = sequence if kind == FILL_MAKER else sequence - 1 if kind == FILL_TAKER else None
    return {
        "shard": shard_id,
        "sequence": sequence,
        "event": KIND_NAMES[kind],
        "order_id": None if order_id is None else str(order_id),
        "client_order_id": client_order_id or None,
        "symbol": None if instrument is None else instrument.symbol,
        "side": None if side is None else SIDE_NAMES[side],
        "price": from_units(price, instrument.price_decimals) if has_numbers and price else None,
        "trigger_price": from_units(other, instrument.price_decimals) if has_trigger else None,
        "quantity": from_units(quantity, instrument.quantity_decimals) if has_numbers else None,
        "filled_quantity": from_units(filled, instrument.quantity_decimals) if of_order else None,
        "remaining_quantity": from_units(remaining, instrument.quantity_decimals) if of_order else None,
        "status": None if status is None else STATUS_NAMES[status],
        "reason": REASON_NAMES[reason] or None,
        "liquidity": "maker" if kind == FILL_MAKER else "taker" if kind == FILL_TAKER else None,
        "trade_id": None if trade is None else trade_id(shard_id, trade),
        "actor": actor,
        "time": wire_time(at),
    }
