"""What the feed says, as JSON text: every message is encoded once per process, however many sockets get it.

Shapes are those of ``docs/websocket.md`` (models in ``orders.schemas.socket``). Prices and quantities come in as units
and leave as decimal strings with the instrument's fixed decimals; times are microseconds since 1970 on the way in.
"""

from typing import Any

import orjson

from matching.levels import LevelRow
from orders.feed.publisher import Execution, TradeTold
from orders.schemas.render import event_out, level_out, session_out, trade_out, wire_time

BOOK = "book"
TRADES = "trades"
INSTRUMENTS = "instruments"
EXECUTIONS = "executions"


def encode(message: dict[str, Any]) -> str:
    """JSON text of a message."""
    return orjson.dumps(message).decode()


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
) -> str:
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
) -> str:
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


def trades(info: Any, kind: str, *, epoch: int, sequence: int, previous: int | None, told: list[dict[str, Any]]) -> str:
    """Trades in the order they happened; ``kind`` is snapshot or update."""
    return encode(
        {
            "channel": TRADES,
            "symbol": info.symbol,
            "type": kind,
            "epoch": epoch,
            "sequence": sequence,
            "previous": previous,
            "trades": told,
        }
    )


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


def session(info: Any, kind: str, *, epoch: int, sequence: int, session: Any, at: int) -> str:
    """Where an instrument's session stands; ``kind`` is snapshot or update. ``session`` as ``session_out`` wants it."""
    head = {"channel": INSTRUMENTS, "symbol": info.symbol, "type": kind, "epoch": epoch, "sequence": sequence}
    return encode(head | session_out(session, info) | {"time": wire_time(at)})


def resync(channel: str, symbol: str, reason: str) -> str:
    """What was told before is not to be built upon: a snapshot follows."""
    return encode({"channel": channel, "symbol": symbol, "type": "resync", "reason": reason})


def executions_snapshot(*, account: str, shard_id: int, epoch: int, sequence: int) -> str:
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


def execution(info: Any, *, shard_id: int, epoch: int, told: Execution) -> str:
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
        actor=None,
        at=told.at,
        instrument=info,
    )
    del body["actor"]
    head = {"channel": EXECUTIONS, "type": "update", "epoch": epoch, "previous": told.previous}
    return encode(head | body)


def heartbeat(shards: dict[int, tuple[int, int]], at: int) -> str:
    """Sent while nothing else happens; ``shards`` maps a shard to its epoch and last sequence."""
    told = {str(shard): {"epoch": epoch, "sequence": sequence} for shard, (epoch, sequence) in shards.items()}
    return encode({"op": "heartbeat", "time": wire_time(at), "shards": told})


def server_shutdown() -> str:
    """The last message before the socket is closed with 1001: connect again in a moment."""
    return encode({"op": "server_shutdown", "reason": "The server is stopping."})
