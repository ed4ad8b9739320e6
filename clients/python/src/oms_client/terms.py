"""What callers say about orders, and how it goes over the wire."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict

from oms_client.models import Side

# Never a float: 0.1 is not what it says.
Number = Decimal | str | int


class StopLoss(TypedDict, total=False):
    """The stop of a pair: one of ``stop_price``, ``trail_price`` and ``trail_percent``."""

    stop_price: Number
    price: Number
    trail_price: Number
    trail_percent: Number


class TakeProfit(TypedDict):
    price: Number


class OrderTerms(TypedDict, total=False):
    """Everything about an order but what is traded; left out: the service's default. ``docs/orders.md`` says what each does."""

    type: Literal["limit", "market", "stop", "stop_limit", "trailing_stop"]
    price: Number
    stop_price: Number
    trail_price: Number
    trail_percent: Number
    display_quantity: Number
    time_in_force: Literal["gtc", "ioc", "fok", "day", "gtd"]
    expires_at: datetime
    post_only: bool
    self_trade_prevention: Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
    client_order_id: str
    order_class: Literal["simple", "oco", "bracket"]
    take_profit: TakeProfit
    stop_loss: StopLoss


class NewOrder(OrderTerms):
    """One order of a batch."""

    symbol: str
    side: Side
    quantity: Number


class AmendTerms(TypedDict, total=False):
    """New terms of an order; ``quantity`` is the new total. What is left out stays."""

    price: Number
    quantity: Number
    stop_price: Number
    trail_price: Number
    trail_percent: Number
    display_quantity: Number
    expires_at: datetime


def on_the_wire(terms: Mapping[str, object]) -> dict[str, Any]:
    """A body of a request: numbers as decimal strings, times in UTC."""
    return {name: _value(value) for name, value in terms.items() if value is not None}


def _value(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, Mapping):
        return on_the_wire(value)
    return value
