"""A service that only exists on paper: random books, trades and executions, told as ``docs/websocket.md`` says.

It knows the whole truth: what each book was at each sequence, every trade, every execution. ``Wire`` is the network between
it and a client, with faults.
"""

import json
import random
from collections.abc import Callable
from typing import Any
from zlib import crc32

SIDES = ("bids", "asks")
Levels = dict[int, tuple[int, int]]


def checksum(bids: list[list[Any]], asks: list[list[Any]]) -> int:
    digits = [text.replace(".", "").lstrip("0") for level in asks[:10] + bids[:10] for text in level[:2]]
    return crc32("".join(digits).encode("ascii"))


def shown(price: int, level: tuple[int, int]) -> list[Any]:
    return [f"{price // 100}.{price % 100:02d}", f"{level[0] // 1000}.{level[0] % 1000:03d}", level[1]]


class Venue:
    """One shard. ``step`` makes something happen; what subscribers hear of it waits in ``outgoing``."""

    def __init__(self, rng: random.Random, symbols: list[str]) -> None:
        self.rng = rng
        self.epoch = 1
        self.sequence = 0
        self.books: dict[str, dict[str, Levels]] = {symbol: {"bids": {}, "asks": {}} for symbol in symbols}
        self.book_sequences = dict.fromkeys(symbols, 0)
        self.trades: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in symbols}
        self.executions: list[dict[str, Any]] = []
        # The best levels of each book at each sequence, without counts of orders; what a client may believe.
        self.history: dict[tuple[str, int], Any] = {(symbol, 0): ([], []) for symbol in symbols}
        self.outgoing: list[dict[str, Any]] = []
        self.subscribed: dict[tuple[str, str], int] = {}
        self.resume_limit = 10_000

    # What happens

    def step(self) -> None:
        symbol = self.rng.choice(list(self.books))
        if self.rng.random() < 0.2:
            self._trade(symbol)
        if self.rng.random() < 0.3:
            self._execute(symbol)
        before = {side: dict(levels) for side, levels in self.books[symbol].items()}
        for _ in range(self.rng.randint(1, 4)):
            self._change(symbol)
        self._tell_book(symbol, before)

    def restart(self) -> None:
        """Another engine begins; no connection survives."""
        self.epoch += 1
        self.hang_up()

    def hang_up(self) -> None:
        self.subscribed.clear()
        self.outgoing.clear()

    def _change(self, symbol: str) -> None:
        side = self.rng.choice(SIDES)
        price = self.rng.randint(9_980, 10_000) if side == "bids" else self.rng.randint(10_001, 10_021)
        levels = self.books[symbol][side]
        if price in levels and self.rng.random() < 0.5:
            del levels[price]
        else:
            levels[price] = (self.rng.randint(1, 99_999), self.rng.randint(1, 9))

    def _trade(self, symbol: str) -> None:
        trades = self.trades[symbol]
        previous = trades[-1]["sequence"] if trades else 0
        told = []
        for _ in range(self.rng.randint(1, 3)):
            self.sequence += 2
            trade = {"id": f"0-{self.sequence}", "sequence": self.sequence, "price": "99.99", "quantity": "1.000"}
            told.append(trade | {"taker_side": "buy", "time": "2026-11-24T09:00:00.000000Z"})
        trades += told
        self._tell("trades", symbol, type="update", sequence=self.sequence, previous=previous, trades=told)

    def _execute(self, symbol: str) -> None:
        previous = self.executions[-1]["sequence"] if self.executions else 0
        self.sequence += 1
        event = {
            **{"shard": 0, "sequence": self.sequence, "event": "accepted", "order_id": str(self.sequence)},
            **{"client_order_id": None, "symbol": symbol, "side": "buy", "price": "99.98", "quantity": "1.000"},
            **{"filled_quantity": "0.000", "remaining_quantity": "1.000", "status": "new", "reason": None},
            **{"liquidity": None, "trade_id": None, "time": "2026-11-24T09:00:00.000000Z"},
        }
        self.executions.append(event)
        if ("executions", "") in self.subscribed:
            head = {"channel": "executions", "type": "update", "epoch": self.epoch, "previous": previous}
            self.outgoing.append(head | event)

    # What is told

    def _tell(self, channel: str, symbol: str, **body: Any) -> None:
        if (channel, symbol) in self.subscribed:
            self.outgoing.append({"channel": channel, "symbol": symbol, "epoch": self.epoch, **body})

    def window(self, symbol: str, side: str, depth: int | None = None) -> list[int]:
        return sorted(self.books[symbol][side], reverse=side == "bids")[:depth]

    def rows(self, symbol: str, depth: int | None = None) -> tuple[list[Any], list[Any]]:
        book = self.books[symbol]
        bids, asks = ([shown(price, book[side][price]) for price in self.window(symbol, side, depth)] for side in SIDES)
        return bids, asks

    def _tell_book(self, symbol: str, before: dict[str, Levels]) -> None:
        if before == self.books[symbol]:
            return
        self.sequence += 1
        previous, self.book_sequences[symbol] = self.book_sequences[symbol], self.sequence
        self.history[symbol, self.sequence] = without_counts(self.rows(symbol))
        depth = self.subscribed.get(("book", symbol), 0)
        changes = {side: self._changes(symbol, side, before[side], depth) for side in SIDES}
        total = checksum(*self.rows(symbol, depth))
        self._tell(
            "book", symbol, type="update", sequence=self.sequence, previous=previous, checksum=total, time="", **changes
        )

    def _changes(self, symbol: str, side: str, before: Levels, depth: int) -> list[Any]:
        """Levels of the window that changed, or came into it; and those removed that were in it."""
        now = self.books[symbol][side]
        shown_before = sorted(before, reverse=side == "bids")[:depth]
        window = self.window(symbol, side, depth)
        rows = [shown(price, (0, 0)) for price in shown_before if price not in now]
        return rows + [
            shown(price, now[price]) for price in window if price not in shown_before or before[price] != now[price]
        ]

    def snapshot(self, symbol: str) -> None:
        """Of a book; also unasked."""
        depth = self.subscribed.get(("book", symbol), 0)
        bids, asks = self.rows(symbol, depth)
        self._tell(
            "book",
            symbol,
            type="snapshot",
            depth=depth,
            sequence=self.book_sequences[symbol],
            previous=None,
            bids=bids,
            asks=asks,
            checksum=checksum(bids, asks),
            time="",
        )

    def heartbeat(self) -> None:
        self.outgoing.append({"op": "heartbeat", "shards": {"0": {"epoch": self.epoch, "sequence": self.sequence}}})

    # What clients say

    def hear(self, message: dict[str, Any]) -> None:
        if message["op"] == "auth":
            self._answer(message)
        elif message["op"] == "subscribe" and message["channel"] == "executions":
            self._resume(message)
        elif message["op"] == "subscribe":
            self._answer(message)
            for symbol in message["symbols"]:
                self.subscribed[message["channel"], symbol] = message.get("depth", 0)
                if message["channel"] == "book":
                    self.snapshot(symbol)
                else:
                    latest = self.trades[symbol][-50:]
                    last = latest[-1]["sequence"] if latest else 0
                    self._tell("trades", symbol, type="snapshot", sequence=last, previous=None, trades=latest)

    def _answer(self, message: dict[str, Any], **more: Any) -> None:
        self.outgoing.append({"op": "ack", "id": message["id"], "ok": True, **more})

    def _resume(self, message: dict[str, Any]) -> None:
        after = message.get("after", {"0": self.sequence})["0"]
        missed = [event for event in self.executions if event["sequence"] > after]
        if len(missed) > self.resume_limit:
            problem = {"code": "resume_too_old", "status": 410, "title": "", "detail": "", "retryable": False}
            refusal = {"op": "ack", "id": message["id"], "ok": False, "problem": problem | {"outcome": "not_accepted"}}
            self.outgoing.append(refusal)
            return
        self._answer(message)
        self.subscribed["executions", ""] = 0
        start = max((event["sequence"] for event in self.executions if event["sequence"] <= after), default=0)
        head = {"channel": "executions", "epoch": self.epoch}
        self.outgoing.append(head | {"type": "snapshot", "shard": 0, "sequence": start, "previous": None})
        for event in missed:
            self.outgoing.append(head | {"type": "update", "previous": start} | event)
            start = event["sequence"]

    def events(self, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """A page of ``GET events``: executions and, between them, an event that is of no order."""
        found = [event for event in self.executions if event["sequence"] > after]
        page = found[:limit]
        more = page[-1]["sequence"] if len(found) > limit else None
        return [{"order_id": None, "sequence": 0}, *page], more


def without_counts(rows: tuple[list[Any], list[Any]]) -> Any:
    return tuple([level[:2] for level in side] for side in rows)


class Wire:
    """Carries messages one by one, and by chance drops, doubles, swaps or spoils one; ``faults`` counts what it did."""

    def __init__(
        self, rng: random.Random, chance: float, spoil: Callable[[random.Random, dict[str, Any]], Any]
    ) -> None:
        self.rng, self.chance, self.spoil = rng, chance, spoil
        self.faults = {"drop": 0, "double": 0, "swap": 0, "spoil": 0}
        self._held: str | None = None

    def carry(self, message: dict[str, Any]) -> list[str]:
        """What arrives, in this order."""
        arriving = [json.dumps(message)]
        if self.rng.random() < self.chance:
            fault = self.rng.choice(list(self.faults))
            self.faults[fault] += 1
            if fault == "drop":
                arriving = []
            elif fault == "double":
                arriving *= 2
            elif fault == "spoil":
                arriving = [self.spoil(self.rng, message)]
            elif self._held is None:
                self._held = arriving.pop()
                return []
        if self._held is not None:
            arriving.append(self._held)
            self._held = None
        return arriving

    def cut(self) -> None:
        """What was under way is gone."""
        self._held = None
