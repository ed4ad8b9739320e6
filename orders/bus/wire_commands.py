"""Commands as rows: ``[tag, its fields in the order of its constructor]``. Tags are for life: a new command takes a new one."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from matching.commands import (
    AdvanceTime,
    Amend,
    Cancel,
    CancelAfter,
    CancelAll,
    Command,
    DefineAccount,
    DefineInstrument,
    OrderGroup,
    SetPhase,
    SetSchedule,
    Transfer,
)
from matching.order import Conditions, Order
from matching.transit import AdoptInstrument, ReleaseInstrument
from orders.bus.envelope import SetShardMode
from orders.bus.wire_values import WireError, list_of


class _Shape:
    """The fields of a class that travel, in the order its constructor takes them, and what type each must have."""

    def __init__(self, tag: int, kind: Callable[..., Any], **types: type) -> None:
        self.tag = tag
        self.kind = kind
        self.names = tuple(types)
        self.types = tuple(types.values())
        # ``attrgetter`` gives a tuple from two names on.
        many = attrgetter(*types) if len(types) > 1 else lambda command: tuple(getattr(command, name) for name in types)
        self.fields: Callable[[Any], tuple[Any, ...]] = many

    def build(self, fields: list[Any]) -> Any:
        """The object of these fields. Raises ``WireError``."""
        if tuple(map(type, fields)) != self.types:
            raise WireError(f"not the fields of {self.kind.__name__}: {fields!r:.200}")
        try:
            return self.kind(*fields)
        except (TypeError, OverflowError) as error:
            raise WireError(f"{self.kind.__name__}: {error}") from error


_ORDER = _Shape(
    0,
    Order,
    order_id=int,
    account_id=int,
    instrument_id=int,
    side=int,
    price=int,
    quantity=int,
    type=int,
    time_in_force=int,
    self_trade_prevention=int,
    post_only=bool,
    client_order_id=str,
    off_grid=int,
)
# The last of an order, for those that have any. Where a trailing stop stands is the engine's to say: ``best`` stays there.
_CONDITIONS = _Shape(
    0,
    Conditions,
    stop_price=int,
    trail=int,
    trail_bps=int,
    display_quantity=int,
    expires_at=int,
    group_id=int,
    role=int,
)
_GROUP_TAG = 1
_PLAIN = (
    _Shape(
        2,
        Amend,
        order_id=int,
        account_id=int,
        price=int,
        quantity=int,
        basis=int,
        expected_version=int,
        off_grid=int,
        stop_price=int,
        trail=int,
        trail_bps=int,
        display_quantity=int,
        expires_at=int,
    ),
    _Shape(3, Cancel, order_id=int, account_id=int, reason=int),
    _Shape(4, CancelAll, account_id=int, instrument_id=int, side=int, reason=int),
    _Shape(5, CancelAfter, account_id=int, delay_us=int),
    _Shape(6, AdvanceTime),
    _Shape(
        7,
        DefineInstrument,
        instrument_id=int,
        symbol=str,
        base=str,
        quote=str,
        price_decimals=int,
        quantity_decimals=int,
        price_tick=int,
        quantity_step=int,
        min_quantity=int,
        max_quantity=int,
        max_notional=int,
        collar_bps=int,
        reference_price=int,
        phase=int,
        breaker_us=int,
    ),
    _Shape(8, SetPhase, instrument_id=int, phase=int, lasts_us=int),
    _Shape(9, SetSchedule, instrument_id=int, transitions=list, enter_current=bool),
    _Shape(
        10,
        DefineAccount,
        account_id=int,
        state=int,
        max_open_orders=int,
        max_order_quantity=int,
        max_position=int,
        max_rate=int,
        funded=bool,
        definition=int,
    ),
    _Shape(11, Transfer, account_id=int, currency=str, amount=int),
    _Shape(12, SetShardMode, cancel_only=bool),
    _Shape(13, ReleaseInstrument, instrument_id=int, shard_id=int),
    # What comes along is read from the tables, by the engine that adopts.
    _Shape(14, AdoptInstrument, instrument_id=int),
)
_BY_CLASS = {shape.kind: shape for shape in _PLAIN}
_BY_TAG = {shape.tag: shape for shape in _PLAIN}
_ORDER_FIELDS = len(_ORDER.names)


def command_row(command: Command | SetShardMode) -> tuple[Any, ...]:
    if isinstance(command, Order):
        return (_ORDER.tag, *_order_row(command))
    if isinstance(command, OrderGroup):
        return (_GROUP_TAG, *map(_order_row, command.orders))
    shape = _BY_CLASS.get(type(command))
    if shape is None:
        raise TypeError(f"{type(command).__name__} does not travel")
    return (shape.tag, *shape.fields(command))


def _order_row(order: Order) -> tuple[Any, ...]:
    fields = _ORDER.fields(order)
    return fields if order.conditions is None else (*fields, _CONDITIONS.fields(order.conditions))


def command_of(row: Any) -> Command | SetShardMode:
    tag, *fields = list_of(row) or [None]
    if tag == _ORDER.tag:
        return _order_of(fields)
    if tag == _GROUP_TAG:
        return OrderGroup([_order_of(list_of(each)) for each in fields])
    shape = _BY_TAG.get(tag) if type(tag) is int else None
    if shape is None:
        raise WireError(f"no command has the tag {tag!r:.40}")
    if shape.kind is SetSchedule and len(fields) == len(shape.names):
        fields[1] = [_transition(each) for each in list_of(fields[1])]
    command: Command | SetShardMode = shape.build(fields)
    return command


def _order_of(fields: list[Any]) -> Order:
    conditions = fields.pop() if len(fields) == _ORDER_FIELDS + 1 else None
    order: Order = _ORDER.build(fields)
    if conditions is not None:
        order.conditions = _CONDITIONS.build(list_of(conditions))
    return order


def _transition(pair: Any) -> tuple[int, int]:
    if type(pair) is not list or tuple(map(type, pair)) != (int, int):
        raise WireError(f"not a transition: {pair!r:.40}")
    return tuple(pair)
