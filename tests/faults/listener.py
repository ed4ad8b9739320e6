"""A reader of a fault run: one socket on all shards, whose every message is checked and written down."""

import json
import threading
import time
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.faults.ledger import SYMBOLS, BookTold, Execution, Ledger, TradeTold, Units, shard_of
from tests.feed.client import BookClient
from tests.support.topology import Web

UNITS = Units()
# Between two tries to connect.
BACKOFF_SECONDS = 0.05
# Every so many updates of a book all of it is written down.
BOOK_EVERY = 10


class Listener(threading.Thread):
    """Reads books, trades and one account's executions over the socket, resuming where it was cut."""

    def __init__(self, web: Web, key: str, ledgers: list[Ledger]) -> None:
        super().__init__(name="listener", daemon=True)
        self.web, self.key, self.ledgers = web, key, ledgers
        self.halt = threading.Event()
        self.error: BaseException | None = None
        self.connections = 0
        # The account's last event that was heard, by shard.
        self.last: dict[int, int] = {}
        self._books: list[BookClient] = []
        self._updates = 0

    def run(self) -> None:
        while not self.halt.is_set():
            try:
                with connect(f"ws://127.0.0.1:{self.web.port}/ws/v1", open_timeout=5, max_size=None) as socket:
                    self.connections += 1
                    self._listen(socket)
            except (OSError, WebSocketException, TimeoutError):
                self.halt.wait(BACKOFF_SECONDS)
            except BaseException as error:
                self.error = error
                return

    def _listen(self, socket: ClientConnection) -> None:
        symbols = list(SYMBOLS[: len(self.ledgers)])
        self._books = [BookClient(1000) for _ in symbols]
        executions: dict[str, Any] = {"op": "subscribe", "id": 2, "channel": "executions"}
        if self.last:
            executions["after"] = {str(shard): last for shard, last in self.last.items()}
        for message in (
            {"op": "auth", "id": 1, "key": self.key},
            executions,
            {"op": "subscribe", "id": 3, "channel": "trades", "symbols": symbols},
            {"op": "subscribe", "id": 4, "channel": "book", "symbols": symbols, "depth": 1000},
        ):
            socket.send(json.dumps(message))
        while not self.halt.is_set():
            try:
                text = socket.recv(timeout=0.2)
            except TimeoutError:
                continue
            self._take(json.loads(text), time.monotonic())
            if self._updates % 500 == 499:
                socket.send('{"op":"ping"}')

    def _take(self, message: dict[str, Any], now: float) -> None:
        channel = message.get("channel")
        if channel == "executions":
            self._execution(message, now)
        elif channel == "trades" and "trades" in message:
            for trade in message["trades"]:
                price, quantity = UNITS.price(trade["price"]), UNITS.quantity(trade["quantity"])
                told = TradeTold(now, message["epoch"], trade["sequence"], price, quantity, trade["taker_side"])
                self.ledgers[shard_of(message)].trades.append(told)
        elif channel == "book":
            self._books[shard_of(message)].take(message)
            self._updates += 1
            if message["type"] != "resync" and (message["type"] == "snapshot" or self._updates % BOOK_EVERY == 0):
                self._write_book(message, now)
        elif message.get("ok") is False:
            # While PostgreSQL is away a subscription may be refused: connect again.
            raise OSError(str(message))

    def _execution(self, message: dict[str, Any], now: float) -> None:
        shard = message["shard"]
        if message["type"] == "snapshot":
            self.last[shard] = message["sequence"]
            return
        last = self.last.get(shard)
        assert last in (None, message["previous"]), f"an execution after {last} is missing: {message}"
        self.last[shard] = message["sequence"]
        told = (message["event"], int(message["order_id"]))
        sums = (UNITS.quantity(message["filled_quantity"]), UNITS.quantity(message["remaining_quantity"]))
        heard = Execution(
            now, message["epoch"], message["sequence"], message["previous"], *told, *sums, message["status"]
        )
        self.ledgers[shard].executions.append(heard)

    def _write_book(self, message: dict[str, Any], now: float) -> None:
        shard = shard_of(message)
        bids, asks = (
            tuple((UNITS.price(price), UNITS.quantity(quantity), count) for price, quantity, count in side)
            for side in (self._books[shard].bids, self._books[shard].asks)
        )
        self.ledgers[shard].books.append(BookTold(now, message["epoch"], message["sequence"], bids, asks))
