"""What the feed says, as JSON: every message is encoded once per process, however many sockets get it.

Shapes are those of ``docs/websocket.md`` (models in ``orders.schemas.socket``). Prices and quantities come in as units
and leave as decimal strings with the instrument's fixed decimals; times are microseconds since 1970 on the way in.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from matching.levels import LevelRow
from orders.candles import INTERVALS, Candle
from orders.feed.publisher import Execution, TradeTold
from orders.schemas.render import (
    candle_out,
    event_out,
    level_out,
    session_out,
    shard_out,
    ticker_out,
    trade_out,
    wire_time,
)

BOOK = "book"
TRADES = "trades"
TICKER = "ticker"
CANDLES = "candles"
INSTRUMENTS = "instruments"
STATUS = "status"
EXECUTIONS = "executions"
POSITIONS = "positions"


class Frame:
    """A message, encoded. ``wire`` is the same as it goes over a WebSocket, made by whoever sends it first.

    ``span`` says of an update of trades which ones it holds, for a reader who must be told that it missed them: the number
    of the trade before, that of the last, how many.
    """

    __slots__ = ("data", "span", "wire")

    def __init__(self, data: bytes, span: tuple[int, int, int] | None = None) -> None:
        self.data = data
        self.span = span
        self.wire: bytes | None = None

    @property
    def text(self) -> str:
        return self.data.decode()


def encode(message: dict[str, Any], span: tuple[int, int, int] | None = None) -> Frame:
    """A message as JSON in UTF-8."""
    return Frame(orjson.dumps(message), span)


def book_snapshot(
    info: Any,
    *,
    epoch: int,
    sequence: int,
    depth: int,
    bids: list[LevelRow],
    asks: list[LevelRow],
    checksum: int,
    at: int,
) -> Frame:
    """The top of a book as it stands."""
    return encode(
        {
            "channel": BOOK,
            "symbol": info.symbol,
            "type": "snapshot",
            "depth": depth,
            "epoch": epoch,
            "sequence": sequence,
            "previous": None,
            "bids": [level_out(row, info) for row in bids],
            "asks": [level_out(row, info) for row in asks],
            "checksum": checksum,
            "time": wire_time(at),
        }
    )


def book_update(
    info: Any,
    *,
    epoch: int,
    sequence: int,
    previous: int,
    bids: list[LevelRow],
    asks: list[LevelRow],
    checksum: int,
    at: int,
) -> Frame:
    """The levels of a window that changed."""
    return encode(
        {
            "channel": BOOK,
            "symbol": info.symbol,
            "type": "update",
            "epoch": epoch,
            "sequence": sequence,
            "previous": previous,
            "bids": [level_out(row, info) for row in bids],
            "asks": [level_out(row, info) for row in asks],
            "checksum": checksum,
            "time": wire_time(at),
        }
    )


def trades(
    info: Any, kind: str, *, epoch: int, sequence: int, previous: int | None, told: list[dict[str, Any]]
) -> Frame:
    """Trades in the order they happened; ``kind`` is snapshot or update."""
    message = {
        "channel": TRADES,
        "symbol": info.symbol,
        "type": kind,
        "epoch": epoch,
        "sequence": sequence,
        "previous": previous,
        "trades": told,
    }
    return encode(message, None if previous is None else (previous, sequence, len(told)))


def trade(info: Any, told: TradeTold) -> dict[str, Any]:
    """One public trade, as REST says it."""
    return trade_out(
        shard_id=info.shard_id,
        sequence=told.sequence,
        price=told.price,
        quantity=told.quantity,
        taker_side=told.taker_side,
        at=told.at,
        instrument=info,
    )


def session(info: Any, kind: str, *, epoch: int, sequence: int, session: Any, at: int) -> Frame:
    """Where an instrument's session stands; ``kind`` is snapshot or update. ``session`` as ``session_out`` wants it."""
    head = {"channel": INSTRUMENTS, "symbol": info.symbol, "type": kind, "epoch": epoch, "sequence": sequence}
    return encode(head | session_out(session, info) | {"time": wire_time(at)})


def candles(
    info: Any, interval: str, kind: str, *, epoch: int, sequence: int, previous: int | None, told: Iterable[Candle]
) -> Frame:
    """Candles, oldest first; ``kind`` is snapshot or update, ``sequence`` that of the last trade in them."""
    return encode(
        {
            "channel": CANDLES,
            "symbol": info.symbol,
            "interval": interval,
            "type": kind,
            "epoch": epoch,
            "sequence": sequence,
            "previous": previous,
            "candles": [candle_out(candle, info) for candle in told],
        }
    )


def ticker(info: Any, kind: str, view: Any) -> Frame:
    """An instrument at a glance: ``view`` as ``ticker_out`` wants it."""
    return encode({"channel": TICKER, "symbol": info.symbol, "type": kind, **ticker_out(view, info)})


def status(kind: str, shards: Iterable[Any], at: int) -> Frame:
    """The state of every shard."""
    told = [shard_out(shard) for shard in shards]
    return encode({"channel": STATUS, "type": kind, "shards": told, "time": wire_time(at)})


def resync(channel: str, symbol: str, reason: str, detail: int = 0) -> Frame:
    """What was told before is not to be built upon: a snapshot follows. ``detail`` is the index of a candle's interval."""
    named = {"interval": INTERVALS[detail]} if channel == CANDLES else {}
    return encode({"channel": channel, "symbol": symbol, **named, "type": "resync", "reason": reason})


def executions_snapshot(*, account: str, shard_id: int, epoch: int, sequence: int) -> Frame:
    """Where a stream of executions begins: the ``previous`` of the first update."""
    return encode(
        {
            "channel": EXECUTIONS,
            "type": "snapshot",
            "account": account,
            "shard": shard_id,
            "epoch": epoch,
            "sequence": sequence,
            "previous": None,
        }
    )


def positions_snapshot(*, account: str, shard_id: int, epoch: int, sequence: int, told: list[dict[str, Any]]) -> Frame:
    """All positions of an account on a shard as of its event ``sequence``."""
    return encode(
        {
            "channel": POSITIONS,
            "type": "snapshot",
            "account": account,
            "shard": shard_id,
            "epoch": epoch,
            "sequence": sequence,
            "positions": told,
        }
    )


def position(*, account: str, shard_id: int, epoch: int, sequence: int, told: dict[str, Any]) -> Frame:
    """One position as it is since the account's event ``sequence``."""
    head = {"channel": POSITIONS, "type": "update", "account": account, "shard": shard_id, "epoch": epoch}
    return encode(head | {"sequence": sequence} | told)


def execution(info: Any, *, shard_id: int, epoch: int, told: Execution) -> Frame:
    """One step of an order of the account."""
    body = event_out(
        shard_id=shard_id,
        sequence=told.sequence,
        kind=told.kind,
        order_id=told.order_id,
        client_order_id=told.client_order_id,
        side=told.side,
        price=told.price,
        quantity=told.quantity,
        remaining=told.remaining,
        filled=told.filled,
        status=told.status,
        reason=told.reason,
        other=told.other,
        actor=None,
        at=told.at,
        instrument=info,
    )
    del body["actor"]
    head = {"channel": EXECUTIONS, "type": "update", "epoch": epoch, "previous": told.previous}
    return encode(head | body)


def heartbeat(shards: dict[int, tuple[int, int]], at: int) -> Frame:
    """Sent while nothing else happens; ``shards`` maps a shard to its epoch and last sequence."""
    told = {str(shard): {"epoch": epoch, "sequence": sequence} for shard, (epoch, sequence) in shards.items()}
    return encode({"op": "heartbeat", "time": wire_time(at), "shards": told})


def server_shutdown() -> Frame:
    """The last message before the socket is closed with 1001: connect again in a moment."""
    return encode({"op": "server_shutdown", "reason": "The server is stopping."})
