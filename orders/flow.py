"""Recorded order flow: reading a file, whole and checked, before anything of it is applied.

CSV with a header line, plain or gzip: ``seq, ts_ns, op, order_id, side, price, qty, tif, src``. ``op`` is N (new limit
order), C (cancel), R (reduce the open quantity by ``qty``) or M (replace: new price and new open quantity); side B or S;
``tif`` GTC or IOC, of new orders only. Prices and quantities are integers. ``ts_ns`` and ``src`` are ignored.

Columns of ``orders.flow_terms`` may follow: then the file may hold orders of every type, and its times mean something.
"""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

from matching.values import BUY, GTC, IOC, MAX_UNITS, SELL
from orders.flow_terms import COLUMNS, OPTIONAL, FlowError, Terms, read_line, what_does_not_follow

HEADER = ",".join(COLUMNS)
_GZIP_MAGIC = b"\x1f\x8b"
_SIDES = {"B": BUY, "S": SELL}
_TIMES_IN_FORCE = {"GTC": GTC, "IOC": IOC}


class FlowLine(NamedTuple):
    """One line: side, price, quantity and time in force in the core's words; ``terms`` in files that have such columns."""

    seq: int
    op: str
    order_id: int
    side: int
    price: int
    quantity: int
    time_in_force: int
    terms: Terms | None = None


_make = FlowLine._make


def read_flow(path: Path) -> list[FlowLine]:
    """All lines of a file. Raises ``FlowError`` at the first that is malformed, ``OSError`` where it cannot be read."""
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data).decode("ascii")
    except UnicodeDecodeError as error:
        raise FlowError(f"not ASCII at byte {error.start}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FlowError(f"a broken gzip file: {error}") from None
    rows = text.splitlines()
    if rows and rows[0] == HEADER:
        return _parse(rows)
    return _parse_with_terms(rows, _columns(rows))


def _columns(rows: list[str]) -> tuple[str, ...]:
    columns = tuple(rows[0].split(",")) if rows else ()
    more = columns[len(COLUMNS) :]
    if columns[: len(COLUMNS)] != COLUMNS or not set(more) <= set(OPTIONAL) or len(set(more)) < len(more):
        raise FlowError(f"line 1: the header must be {HEADER}, then any of {', '.join(OPTIONAL)}")
    return columns


def _parse(rows: list[str]) -> list[FlowLine]:
    # The format has no quoting: splitting is three times as fast as the csv module.
    lines: list[FlowLine] = []
    last = -1
    for number in range(1, len(rows)):
        row = rows[number].split(",")
        try:
            line = _line(row)
            if line.seq <= last:
                raise ValueError
        except (ValueError, KeyError):
            raise FlowError(f"line {number + 1}: {_what_is_wrong(row, last)}") from None
        last = line.seq
        lines.append(line)
    return lines


def _parse_with_terms(rows: list[str], columns: tuple[str, ...]) -> list[FlowLine]:
    lines: list[FlowLine] = []
    for number in range(1, len(rows)):
        try:
            line = FlowLine(*read_line(columns, rows[number].split(",")))
            what_does_not_follow(lines[-1] if lines else None, line)
        except FlowError as error:
            raise FlowError(f"line {number + 1}: {error}") from None
        lines.append(line)
    try:
        what_does_not_follow(lines[-1] if lines else None, None)
    except FlowError as error:
        raise FlowError(f"at the end: {error}") from None
    return lines


def _line(row: list[str]) -> FlowLine:
    """One row in the core's words. Raises ``ValueError`` or ``KeyError``; ``_what_is_wrong`` finds the words for it."""
    seq, _, op, order_id, side, price, quantity, tif, _ = row
    if op == "N":
        units = int(quantity)
        limit = int(price)
        if 0 < units <= MAX_UNITS and 0 < limit <= MAX_UNITS:
            return _make((int(seq), op, int(order_id), _SIDES[side], limit, units, _TIMES_IN_FORCE[tif], None))
    elif op == "C":
        return _make((int(seq), op, int(order_id), _SIDES[side], 0, 0, GTC, None))
    elif op in ("R", "M"):
        units = int(quantity)
        limit = int(price) if op == "M" else 1
        if 0 < units <= MAX_UNITS and 0 < limit <= MAX_UNITS:
            return _make((int(seq), op, int(order_id), _SIDES[side], limit, units, GTC, None))
    raise ValueError


def _what_is_wrong(row: list[str], last: int = -1) -> str:
    """The first thing that is wrong with a row, in words."""
    if len(row) != len(COLUMNS):
        return f"{len(row)} columns, {len(COLUMNS)} are due"
    seq, _, op, order_id, side, price, quantity, tif, _ = row
    if op not in ("N", "C", "R", "M"):
        return f"op is {op[:20]!r}, not N, C, R or M"
    for name, text, needed in (
        ("seq", seq, True),
        ("order_id", order_id, True),
        ("price", price, op in "NM"),
        ("qty", quantity, op != "C"),
    ):
        if (needed or text) and not text.lstrip("-").isdecimal():
            return f"{name} is {text[:20]!r}, not an integer"
    if int(seq) <= last:
        return f"seq {seq} does not follow {last}"
    if side not in _SIDES:
        return f"side is {side[:20]!r}, not B or S"
    if op == "N" and tif not in _TIMES_IN_FORCE:
        return f"tif is {tif[:20]!r}, not GTC or IOC"
    name = "qty" if not 0 < int(quantity) <= MAX_UNITS else "price"
    return f"{name} must be from 1 to {MAX_UNITS}"
