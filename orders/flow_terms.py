"""Order flow with orders of every type: the columns that may follow those of ``orders.flow``, in any choice and order.

============= ============================================================================================================
type          of new orders: limit (where empty), market, stop, stop_limit, trailing_stop
stop_price    triggers a stop; in an M line the new one
trail         a trailing stop's offset in price units, or
trail_bps     in ten-thousandths of the price
display_qty   what an iceberg shows
expires_ns    when a GTD order ends
stp           self-trade prevention: none (where empty), cancel_newest, cancel_oldest, cancel_both, decrement
post_only     1 or nothing
role          oco_limit, then oco_stop in the next line; or entry, take_profit, stop_loss in three: one linked group
phase         of the op P: the instrument's new phase
============= ============================================================================================================

In such a file ``tif`` may be FOK, DAY and GTD too, an M line names what it changes and leaves the rest empty, and ``ts_ns``
is the time of the line (never before the line ahead of it): orders expire by it.
"""

from typing import TYPE_CHECKING, NamedTuple

from matching.values import (
    BUY,
    DAY,
    ENTRY,
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    MARKET,
    MAX_UNITS,
    NO_ROLE,
    OCO_LIMIT,
    OCO_STOP,
    PHASE_NAMES,
    ROLE_NAMES,
    SELL,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    STP_NAMES,
    STP_NONE,
    TAKE_PROFIT,
    TIME_IN_FORCE_NAMES,
    TRAILING_STOP,
    TYPE_NAMES,
)

if TYPE_CHECKING:
    from orders.flow import FlowLine

COLUMNS = ("seq", "ts_ns", "op", "order_id", "side", "price", "qty", "tif", "src")
OPTIONAL = (
    *("type", "stop_price", "trail", "trail_bps", "display_qty", "expires_ns", "stp", "post_only", "role", "phase"),
)
NANOS_A_MICRO = 1_000
# Times up to the year 2200.
MAX_NANOS = 7_258_118_400 * 10**9
NO_PHASE = -1

_OPS = ("N", "C", "R", "M", "P")
_SIDES = {"B": BUY, "S": SELL}
_TIMES_IN_FORCE = {name.upper(): number for number, name in enumerate(TIME_IN_FORCE_NAMES)}
_TYPES = {"": LIMIT, **{name: number for number, name in enumerate(TYPE_NAMES)}}
_STP = {"": STP_NONE, **{name: number for number, name in enumerate(STP_NAMES)}}
_ROLES = {name: number for number, name in enumerate(ROLE_NAMES)}
_PHASES = {name: number for number, name in enumerate(PHASE_NAMES)}
_YES = {"": False, "0": False, "1": True}
# The role that must come in the next line.
_NEXT_ROLE = {OCO_LIMIT: OCO_STOP, ENTRY: TAKE_PROFIT, TAKE_PROFIT: STOP_LOSS}
_FOLLOWING = frozenset(_NEXT_ROLE.values())
# Columns of numbers that an order's terms and an amend have.
_NUMBERS = ("price", "qty", "stop_price", "trail", "trail_bps", "display_qty")


class FlowError(ValueError):
    """A file is not order flow; the message has the line's number and what is wrong with it."""


class Terms(NamedTuple):
    """What the optional columns of a line say, in the core's words; 0 where they say nothing. Times in microseconds."""

    at: int
    type: int = LIMIT
    stop_price: int = 0
    trail: int = 0
    trail_bps: int = 0
    display_quantity: int = 0
    expires_at: int = 0
    self_trade_prevention: int = STP_NONE
    post_only: bool = False
    role: int = NO_ROLE
    phase: int = NO_PHASE


def read_line(columns: tuple[str, ...], row: list[str]) -> tuple[int, str, int, int, int, int, int, Terms]:
    """A row as the fields of a ``FlowLine``. Raises ``FlowError`` saying what is wrong with it."""
    if len(row) != len(columns):
        raise FlowError(f"{len(row)} columns, {len(columns)} are due")
    cells = {**dict.fromkeys(OPTIONAL, ""), **dict(zip(columns, row, strict=True))}
    op = cells["op"]
    if op not in _OPS:
        raise FlowError(f"op is {op[:20]!r}, not {_listed(_OPS)}")
    seq = _number(cells, "seq", 0, 2**63)
    at = _number(cells, "ts_ns", 0, MAX_NANOS) // NANOS_A_MICRO
    if op == "P":
        return seq, op, 0, BUY, 0, 0, GTC, Terms(at, phase=_word(cells, "phase", _PHASES))
    order_id = _number(cells, "order_id", -(2**63), 2**63)
    side = _word(cells, "side", _SIDES)
    if op == "C":
        return seq, op, order_id, side, 0, 0, GTC, Terms(at)
    if op == "R":
        return seq, op, order_id, side, 0, _number(cells, "qty", 1, MAX_UNITS), GTC, Terms(at)
    numbers = {name: _number(cells, name, 1, MAX_UNITS) if cells[name] else 0 for name in _NUMBERS}
    expires_at = _number(cells, "expires_ns", 1, MAX_NANOS) // NANOS_A_MICRO if cells["expires_ns"] else 0
    conditions = (*(numbers[name] for name in ("stop_price", "trail", "trail_bps", "display_qty")), expires_at)
    if op == "M":
        if not any(numbers.values()) and not expires_at:
            raise FlowError("an M line that changes nothing")
        return seq, op, order_id, side, numbers["price"], numbers["qty"], GTC, Terms(at, LIMIT, *conditions)
    time_in_force = _word(cells, "tif", _TIMES_IN_FORCE)
    terms = Terms(
        at,
        _word(cells, "type", _TYPES),
        *conditions,
        _word(cells, "stp", _STP),
        _word(cells, "post_only", _YES),
        _word(cells, "role", _ROLES),
    )
    _check_terms(terms, numbers, time_in_force)
    return seq, op, order_id, side, numbers["price"], numbers["qty"], time_in_force, terms


def what_does_not_follow(before: "FlowLine | None", line: "FlowLine | None") -> None:
    """Raises ``FlowError`` where a line cannot come after the one before it (None: the file's beginning, its end)."""
    due = NO_ROLE if before is None or before.terms is None else _NEXT_ROLE.get(before.terms.role, NO_ROLE)
    role = NO_ROLE if line is None or line.terms is None else line.terms.role
    if due and role != due:
        raise FlowError(f"a line with the role {ROLE_NAMES[due]} must follow {ROLE_NAMES[before.terms.role]}")
    if line is None:
        return
    if role in _FOLLOWING and not due:
        raise FlowError(f"the role {ROLE_NAMES[role]} without the line that begins its group")
    if before is None:
        return
    if line.seq <= before.seq:
        raise FlowError(f"seq {line.seq} does not follow {before.seq}")
    if line.terms.at < before.terms.at:
        raise FlowError("ts_ns goes back")
    if due:
        is_opposite = line.side != before.side
        if line.quantity != before.quantity or is_opposite != (before.terms.role == ENTRY):
            raise FlowError(f"{ROLE_NAMES[role]} must have the quantity of its group, and its side")


def _check_terms(terms: Terms, numbers: dict[str, int], time_in_force: int) -> None:
    """Raises ``FlowError`` where a new order lacks what its type needs, or has what it cannot have."""
    kind, name = terms.type, TYPE_NAMES[terms.type]
    needed = {
        "qty": True,
        "price": kind in (LIMIT, STOP_LIMIT),
        "stop_price": kind in (STOP, STOP_LIMIT),
    }
    for column, is_needed in needed.items():
        if is_needed and not numbers[column]:
            raise FlowError(f"{column} must be from 1 to {MAX_UNITS}")
        if numbers[column] and not is_needed:
            raise FlowError(f"a {name} order has no {column}")
    if (bool(terms.trail) + bool(terms.trail_bps)) != (kind == TRAILING_STOP):
        raise FlowError("a trailing_stop has either trail or trail_bps, and no other order has one")
    if kind in (STOP, TRAILING_STOP) and time_in_force in (IOC, FOK):
        raise FlowError(f"a {name} order waits: GTC, DAY or GTD")
    if kind == MARKET and time_in_force in (DAY, GTD):
        raise FlowError("a market order never rests: GTC, IOC or FOK")
    rests = kind in (LIMIT, STOP_LIMIT) and time_in_force in (GTC, DAY, GTD)
    if (terms.display_quantity or terms.post_only) and not rests:
        raise FlowError("display_qty and post_only are for orders that can rest")
    if bool(terms.expires_at) != (time_in_force == GTD):
        raise FlowError("GTD needs expires_ns, and nothing else has it")
    if terms.role in (OCO_LIMIT, TAKE_PROFIT) and kind != LIMIT:
        raise FlowError(f"{ROLE_NAMES[terms.role]} is a limit order")
    if terms.role in (OCO_STOP, STOP_LOSS) and kind not in (STOP, STOP_LIMIT, TRAILING_STOP):
        raise FlowError(f"{ROLE_NAMES[terms.role]} is a stop")


def _number(cells: dict[str, str], name: str, least: int, most: int) -> int:
    text = cells[name]
    if not text.removeprefix("-").isdecimal() or len(text) > len(str(most)) + 1:
        raise FlowError(f"{name} is {text[:20]!r}, not an integer")
    if not least <= int(text) <= most:
        raise FlowError(f"{name} must be from {least} to {most}")
    return int(text)


def _word(cells: dict[str, str], name: str, words: dict[str, int]) -> int:
    found = words.get(cells[name])
    if found is None:
        raise FlowError(f"{name} is {cells[name][:20]!r}, not {_listed([word for word in words if word])}")
    return found


def _listed(words: "list[str] | tuple[str, ...]") -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
