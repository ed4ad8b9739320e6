"""What the service says, as frozen values: decimals are ``Decimal`` (trailing zeros kept), times are aware, lists tuples.

``build`` makes them from decoded JSON, led by the annotations, which thereby are the one description of each shape. Fields
it does not know are left out, so that a newer service can say more; a field that is missing or of another type is
``Malformed``.
"""

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

Side = Literal["buy", "sell"]
Json = Mapping[str, Any]
Made = TypeVar("Made")

# The service's decimals. Anything else ("1e999999") must not even become a number.
_DECIMAL = re.compile(r"-?\d{1,40}(\.\d{1,30})?", re.ASCII)


class Malformed(ValueError):
    """A message does not have the shape it should have."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request."""

    field: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something was not done (RFC 9457). ``outcome``: not_accepted, accepted or unknown."""

    code: str
    status: int
    title: str
    detail: str
    retryable: bool
    outcome: str
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()
    order_id: str | None = None


class Level(NamedTuple):
    """One price of a book: what is displayed there, and of how many orders."""

    price: Decimal
    quantity: Decimal
    orders: int


@dataclass(frozen=True, slots=True)
class BookView:
    """A book at one moment, best levels first. ``sequence`` is that of its last displayed change."""

    symbol: str
    epoch: int
    sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @property
    def best_bid(self) -> Level | None:
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> Level | None:
        return self.asks[0] if self.asks else None


@dataclass(frozen=True, slots=True)
class Trade:
    id: str
    sequence: int
    price: Decimal
    quantity: Decimal
    taker_side: Side
    time: datetime


@dataclass(frozen=True, slots=True)
class Candle:
    """A bar of trades; ``time`` is its start. The newest may still change."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """In place of items that were missed: those after ``previous`` up to ``sequence``, ``count`` of them, as far as known."""

    symbol: str
    previous: int | None = None
    sequence: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Ticker:
    """The last 24 hours of an instrument, to the minute."""

    symbol: str
    epoch: int
    sequence: int
    last: Decimal | None
    bid: Decimal | None
    bid_quantity: Decimal | None
    ask: Decimal | None
    ask_quantity: Decimal | None
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    volume: Decimal
    vwap: Decimal | None
    change: Decimal | None
    change_percent: Decimal | None
    trades: int
    time: datetime


@dataclass(frozen=True, slots=True)
class SessionState:
    """Where an instrument's session stands, and what its auction would come to."""

    symbol: str
    epoch: int
    sequence: int
    state: str
    phase_ends_at: datetime | None
    indicative_price: Decimal | None
    indicative_volume: Decimal | None
    indicative_surplus: Decimal | None
    time: datetime


@dataclass(frozen=True, slots=True)
class ShardStatus:
    shard: int
    state: str
    epoch: int
    sequence: int
    detail: str | None


@dataclass(frozen=True, slots=True)
class ShardPlace:
    """How far a shard has come, as heartbeats say."""

    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Status:
    """The engines of the service; ``open`` where all take commands."""

    shards: tuple[ShardStatus, ...]
    time: datetime

    @property
    def open(self) -> bool:
        return all(shard.state == "open" for shard in self.shards)


@dataclass(frozen=True, slots=True)
class Position:
    """What an account holds of an instrument; below zero: sold short. Money has the decimals of price and quantity together."""

    symbol: str
    quantity: Decimal
    bought: Decimal
    sold: Decimal
    bought_notional: Decimal
    sold_notional: Decimal
    average_price: Decimal | None
    realized_pnl: Decimal
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade, seen from one of its orders."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    liquidity: str
    shard: int
    sequence: int
    time: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stood when the service answered; ``sequence`` is its last event's."""

    id: str
    client_order_id: str | None
    account: str
    symbol: str
    side: Side
    type: str
    time_in_force: str
    post_only: bool
    price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    quantity: Decimal
    display_quantity: Decimal | None
    expires_at: datetime | None
    self_trade_prevention: str
    order_class: str
    group_id: str | None
    role: str | None
    filled_quantity: Decimal
    remaining_quantity: Decimal
    canceled_quantity: Decimal
    average_price: Decimal | None
    status: str
    reason: str | None
    version: int
    sequence: int
    created_at: datetime
    updated_at: datetime
    fills: tuple[Fill, ...] = ()
    legs: tuple["Order", ...] = ()
    priority_kept: bool | None = None

    @property
    def is_open(self) -> bool:
        return self.status in ("new", "partially_filled", "untriggered")


@dataclass(frozen=True, slots=True)
class Execution:
    """One step of one order. ``price`` and ``quantity`` are those of the step, the rest is the order's after it."""

    shard: int
    sequence: int
    event: str
    order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    price: Decimal | None
    quantity: Decimal
    filled_quantity: Decimal
    remaining_quantity: Decimal
    status: str
    reason: str | None
    liquidity: str | None
    trade_id: str | None
    time: datetime

    @property
    def is_fill(self) -> bool:
        return self.trade_id is not None


@dataclass(frozen=True, slots=True)
class Canceled:
    """What one ``cancel_all`` ended. ``repeated``: an earlier attempt went unanswered and may have ended more."""

    canceled: tuple[str, ...]
    count: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """When the account's open orders are canceled unless ``cancel_after`` is called again; None: never."""

    seconds: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Instrument:
    """What can be traded, and its rules; None means no limit."""

    symbol: str
    base: str
    quote: str
    state: str
    price_decimals: int
    quantity_decimals: int
    price_tick: Decimal
    quantity_step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    max_notional: Decimal | None
    price_collar: Decimal | None
    last_price: Decimal | None


def build(cls: type[Made], message: object) -> Made:
    """A value of ``cls`` from a decoded JSON object. Raises ``Malformed``."""
    if not isinstance(message, Mapping):
        raise Malformed(f"{cls.__name__}: an object was expected")
    values = {}
    for name, convert, required in _shape(cls):
        if name in message:
            try:
                values[name] = convert(message[name])
            except Malformed as error:
                raise Malformed(f"{name}: {error}") from None
        elif required:
            raise Malformed(f"{cls.__name__}: {name} is missing")
    return cls(**values)


def whole(message: Json, name: str) -> int:
    """A field that is a number. Raises ``Malformed``."""
    try:
        return _whole(message.get(name))
    except Malformed as error:
        raise Malformed(f"{name}: {error}") from None


def decimal(value: object) -> Decimal:
    """The number that a decimal string says. Raises ``Malformed``."""
    if not isinstance(value, str) or _DECIMAL.fullmatch(value) is None:
        raise Malformed("a decimal string was expected")
    return Decimal(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed("a whole number was expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed("a text was expected")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Malformed("true or false was expected")
    return value


def _moment(value: object) -> datetime:
    try:
        return datetime.fromisoformat(_text(value))
    except ValueError:
        raise Malformed("a time was expected") from None


Convert = Callable[[object], Any]
_PLAIN: dict[Any, Convert] = {str: _text, int: _whole, bool: _truth, Decimal: decimal, datetime: _moment}


Shape = tuple[tuple[str, Convert, bool], ...]
# Worked out once for each class of this module.
_SHAPES: dict[type[Any], Shape] = {}


def _shape(cls: type[Any]) -> Shape:
    """Name, converter and whether it must be there, of each field."""
    if cls not in _SHAPES:
        hints = get_type_hints(cls)
        required = [(field.name, field.default is MISSING) for field in fields(cls)]
        _SHAPES[cls] = tuple((name, _converter(hints[name]), must_be) for name, must_be in required)
    return _SHAPES[cls]


def _converter(hint: Any) -> Convert:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = [_converter(argument) for argument in arguments if argument is not type(None)]
        return lambda value: None if value is None else inner(value)
    if origin is Literal:
        return _text
    if origin is tuple:
        return _items(_converter(arguments[0]))
    return lambda value: build(hint, value)


def _items(item: Convert) -> Convert:
    def convert(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Malformed("a list was expected")
        return tuple(item(element) for element in value)

    return convert
