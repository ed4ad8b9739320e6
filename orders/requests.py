"""From validated requests to commands in integer units: what the write door submits and what a dry run tries.

Units hold exactly the decimals of the instrument. A price or quantity with more of them is refused by the engine, in its
place of the ladder of checks, so that the refusal is kept like any other: the command only says that it is off the grid, and
the event's detail keeps the text.
"""

import inspect
import json
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from matching.commands import Amend, DefineAccount, DefineInstrument, OrderGroup
from matching.order import Conditions, Order
from matching.values import (
    DAY,
    ENTRY,
    FIRST_STOP,
    GTC,
    GTD,
    LIMIT,
    NO_ROLE,
    OCO_LIMIT,
    OCO_STOP,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    SIDE_NAMES,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    STP_NAMES,
    TAKE_PROFIT,
    TIME_IN_FORCE_NAMES,
    TRAILING_STOP,
    TYPE_NAMES,
)
from orders import selectors
from orders.schemas.decimals import PERCENT_DECIMALS, UnitsOverflow, plain, to_units
from orders.schemas.orders import AmendOrder, PlaceOrder
from orders.schemas.problems import ProblemError, invalid

SIDES = {name: value for value, name in enumerate(SIDE_NAMES)}
_TYPES = {name: value for value, name in enumerate(TYPE_NAMES)}
_TIMES_IN_FORCE = {name: value for value, name in enumerate(TIME_IN_FORCE_NAMES)}
_STP = {name: value for value, name in enumerate(STP_NAMES)}
_PRICES = ("price", "stop_price", "trail_price")
_QUANTITIES = ("quantity", "display_quantity")


class Placing(NamedTuple):
    """A new order, or orders that belong together: the command, and what travels with it in the envelope.

    ``fingerprint`` is None where there is no client order id to retry with; ``detail`` is JSON of what was asked for where
    units could not hold it. ``shard_id`` is its instrument's.
    """

    command: Order | OrderGroup
    fingerprint: bytes | None
    detail: str | None
    shard_id: int

    @property
    def orders(self) -> list[Order]:
        """All of them; the first is what the client is answered about."""
        return self.command.orders if isinstance(self.command, OrderGroup) else [self.command]


class Units:
    """Decimals of one request in units of its instrument; notes what units cannot hold.

    ``where`` is the path of the part of the request that is being read, for naming a field that is too large.
    """

    def __init__(self, instrument: selectors.InstrumentInfo) -> None:
        self._instrument = instrument
        self.where = ""
        self.off_grid = 0

    def price(self, part: Any, field: str) -> int:
        """Units of a price; 0 where there is none, and where units cannot hold it."""
        return self._read(part, field, self._instrument.price_decimals, PRICE_OFF_GRID)

    def quantity(self, part: Any, field: str) -> int:
        return self._read(part, field, self._instrument.quantity_decimals, QUANTITY_OFF_GRID)

    def _read(self, part: Any, field: str, decimals: int, bit: int) -> int:
        text = getattr(part, field)
        if text is None:
            return 0
        try:
            units, exact = to_units(text, decimals)
        except UnitsOverflow:
            raise invalid(self.where + field, "too large for this instrument", "too_large") from None
        if exact:
            return units
        self.off_grid |= bit
        return 0


# New orders


def placing_of(*, account_id: int, request: PlaceOrder, new_id: Callable[[], int]) -> Placing:
    """The command of a request. Raises ``unknown_symbol``, and ``invalid_request`` where a number is too large."""
    instrument = selectors.instrument_by_symbol(request.symbol)
    group_id = new_id()
    role = {"simple": NO_ROLE, "oco": OCO_LIMIT, "bracket": ENTRY}[request.order_class]
    orders = [_first(account_id, instrument, request, group_id, role)]
    if request.stop_loss is not None:
        orders += _others(instrument, request, orders[0], new_id)
    fingerprint = fingerprint_of(request) if request.client_order_id else None
    detail = _as_asked(request) if any(order.off_grid for order in orders) else None
    command = OrderGroup(orders) if len(orders) > 1 else orders[0]
    return Placing(command, fingerprint, detail, instrument.shard_id)


def _first(
    account_id: int, instrument: selectors.InstrumentInfo, request: PlaceOrder, order_id: int, role: int
) -> Order:
    """The order of a request, or the first of its group."""
    units = Units(instrument)
    quantity = units.quantity(request, "quantity")
    # Without a quantity to be a part of, there is no displayed part either.
    shown = units.quantity(request, "display_quantity") if quantity else 0
    order = Order(
        order_id,
        account_id,
        instrument.id,
        SIDES[request.side],
        units.price(request, "price"),
        quantity,
        _TYPES[request.type],
        _TIMES_IN_FORCE[request.life],
        _STP[request.self_trade_prevention],
        request.post_only,
        request.client_order_id or "",
    )
    order.conditions = _conditions(
        units, request, order, group_id=order_id, role=role, shown=shown, expires_at=request.expires_at or 0
    )
    order.off_grid = units.off_grid
    return order


def _conditions(
    units: Units, part: Any, order: Order, *, group_id: int, role: int, shown: int = 0, expires_at: int = 0
) -> Conditions | None:
    """What the order has beyond price and quantity; None where that is nothing. ``part`` is what the request says of it."""
    if order.type < FIRST_STOP and not shown and order.time_in_force not in (DAY, GTD) and not role:
        return None
    trails = order.type == TRAILING_STOP
    return Conditions(
        units.price(part, "stop_price") if order.type in (STOP, STOP_LIMIT) else 0,
        units.price(part, "trail_price") if trails else 0,
        basis_points(part.trail_percent) if trails else 0,
        shown,
        expires_at,
        group_id if role else 0,
        role,
    )


def _others(
    instrument: selectors.InstrumentInfo, request: PlaceOrder, first: Order, new_id: Callable[[], int]
) -> list[Order]:
    """The other orders of a group: the stop of an oco; the take-profit and the stop of a bracket."""
    if request.order_class == "oco":
        return [_leg(instrument, request.stop_loss, "stop_loss", first, OCO_STOP, new_id(), request.expires_at or 0)]
    return [
        _leg(instrument, request.take_profit, "take_profit", first, TAKE_PROFIT, new_id()),
        _leg(instrument, request.stop_loss, "stop_loss", first, STOP_LOSS, new_id()),
    ]


def _leg(
    instrument: selectors.InstrumentInfo,
    part: Any,
    name: str,
    first: Order,
    role: int,
    order_id: int,
    expires_at: int = 0,
) -> Order:
    units = Units(instrument)
    units.where = f"{name}."
    type = LIMIT if role == TAKE_PROFIT else _TYPES[part.type]
    # A bracket's children close what the entry opened, and go on protecting it when the entry's own time is over.
    is_child = role != OCO_STOP
    order = Order(
        order_id,
        first.account_id,
        instrument.id,
        1 - first.side if is_child else first.side,
        units.price(part, "price") if type in (LIMIT, STOP_LIMIT) else 0,
        first.quantity,
        type,
        GTC if is_child else first.time_in_force,
        first.self_trade_prevention,
    )
    order.conditions = _conditions(units, part, order, group_id=first.order_id, role=role, expires_at=expires_at)
    order.off_grid = units.off_grid | first.off_grid & QUANTITY_OFF_GRID
    return order


def basis_points(percent: str | None) -> int:
    """Ten-thousandths of a percentage: "1.5" is 150."""
    return 0 if percent is None else to_units(percent, PERCENT_DECIMALS)[0]


def _as_asked(request: PlaceOrder) -> str:
    """The decimals of a request as its sender wrote them."""
    asked = {name: getattr(request, name) for name in (*_PRICES, *_QUANTITIES)}
    told: dict[str, Any] = {name: text for name, text in asked.items() if text is not None}
    for name in ("take_profit", "stop_loss"):
        part = getattr(request, name)
        if part is not None:
            told[name] = part.model_dump(exclude_none=True)
    return orjson.dumps(told).decode()


def fingerprint_of(request: PlaceOrder) -> bytes:
    """16 bytes that are equal exactly for requests that mean the same, with defaults filled in."""
    meaning: tuple[Any, ...] = (
        request.symbol,
        request.side,
        request.type,
        request.life,
        plain(request.quantity),
        plain(request.price),
        request.post_only,
        request.self_trade_prevention,
    )
    # A request without any of these has the fingerprint it had before they existed: a retry may come across an upgrade.
    more = _meaning(request, ("stop_price", "trail_price", "trail_percent", "display_quantity"))
    if request.expires_at is not None:
        more["expires_at"] = request.expires_at
    if request.order_class != "simple":
        more["order_class"] = request.order_class
    for name in ("take_profit", "stop_loss"):
        part = getattr(request, name)
        if part is not None:
            more[name] = _meaning(part, tuple(type(part).model_fields))
    if more:
        meaning = (*meaning, more)
    return blake2b(repr(meaning).encode(), digest_size=16).digest()


def _meaning(part: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The decimals that were given, by value."""
    return {name: plain(getattr(part, name)) for name in names if getattr(part, name) is not None}


# Amends

# What an order must be for a term to be changed. (Whether it still can be, of a stop say, the engine knows.)
_OF_TYPES = {
    "price": (LIMIT, STOP_LIMIT),
    "stop_price": (STOP, STOP_LIMIT),
    "trail_price": (TRAILING_STOP,),
    "trail_percent": (TRAILING_STOP,),
}


def amend_of(*, row: Any, request: AmendOrder, expected_version: int, now_us: int) -> Amend:
    """The command that gives the order of ``row`` new terms; ``expected_version`` 0 means any.

    Raises ``not_amendable`` for what such an order does not have, ``invalid_request`` for what no order can.
    """
    for name, types in _OF_TYPES.items():
        if getattr(request, name) is not None and row.type not in types:
            raise _not_amendable(row, f"A {TYPE_NAMES[row.type].replace('_', ' ')} order has no {name}.")
    if request.display_quantity is not None and not row.display_quantity:
        raise _not_amendable(row, "The order is no iceberg: it shows all of its quantity.")
    if request.expires_at is not None:
        if row.time_in_force != GTD:
            raise _not_amendable(row, "Only a gtd order has a time at which it expires.")
        if request.expires_at <= now_us:
            raise invalid("expires_at", "must be in the future", "in_the_past")
    units = Units(selectors.instrument_by_id(row.instrument_id))
    return Amend(
        row.id,
        row.account_id,
        units.price(request, "price"),
        units.quantity(request, "quantity"),
        expected_version=expected_version,
        stop_price=units.price(request, "stop_price"),
        trail=units.price(request, "trail_price"),
        trail_bps=basis_points(request.trail_percent),
        display_quantity=units.quantity(request, "display_quantity"),
        expires_at=request.expires_at or 0,
        off_grid=units.off_grid,
    )


def _not_amendable(row: Any, detail: str) -> ProblemError:
    return ProblemError("not_amendable", detail, order_id=row.id)


# Configuration


def rules_of(definition: DefineInstrument | DefineAccount) -> str:
    """What a definition says, in units, for the log. (Not by orjson: a maximum value may pass 64 bits.)"""
    names = inspect.signature(type(definition)).parameters  # compiled classes have no __slots__ to read
    return json.dumps({name: getattr(definition, name) for name in names if name != "definition"})
