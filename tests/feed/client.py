"""A small client of the feed, written from ``docs/websocket.md`` alone: it shares no code with the service."""

import json
from decimal import Decimal
from typing import Any
from zlib import crc32


class Broken(AssertionError):
    """The feed broke its own rules."""


def digits(text: str) -> str:
    """A price or quantity as the checksum wants it."""
    return text.replace(".", "").lstrip("0")


def checksum(bids: list[list[Any]], asks: list[list[Any]]) -> int:
    """Of levels best first."""
    text = "".join(digits(price) + digits(quantity) for price, quantity, _ in asks[:10] + bids[:10])
    return crc32(text.encode("ascii"))


class BookClient:
    """Keeps one book. Every message is checked; what breaks the rules raises ``Broken``."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[str, list[Any]]] = {"bids": {}, "asks": {}}
        self.epoch = 0
        self.sequence: int | None = None
        self.waiting = True
        self.resyncs: list[str] = []
        self.snapshots = 0
        self.reminders = 0
        self.sequences: list[int] = []

    @property
    def bids(self) -> list[list[Any]]:
        return sorted(self.sides["bids"].values(), key=lambda level: -Decimal(level[0]))

    @property
    def asks(self) -> list[list[Any]]:
        return sorted(self.sides["asks"].values(), key=lambda level: Decimal(level[0]))

    def take(self, message: dict[str, Any] | bytes) -> None:
        message = json.loads(message) if isinstance(message, bytes) else message
        if message["type"] == "resync":
            self.waiting = True
            self.resyncs.append(message["reason"])
            return
        if message["type"] == "snapshot":
            self._snapshot(message)
        else:
            self._update(message)
        if message["checksum"] != checksum(self.bids, self.asks):
            raise Broken(f"checksum of {message}")

    def _snapshot(self, message: dict[str, Any]) -> None:
        if message["epoch"] < self.epoch or message["previous"] is not None:
            raise Broken(f"no snapshot to begin with: {message}")
        known = (self.bids, self.asks)
        for side in ("bids", "asks"):
            self.sides[side] = {level[0]: level for level in message[side]}
            if len(message[side]) > self.depth:
                raise Broken("more levels than asked for")
        if (message["bids"], message["asks"]) != (self.bids, self.asks):
            raise Broken("a snapshot is best first")
        if not self.waiting and (self.epoch, self.sequence) == (message["epoch"], message["sequence"]):
            self.reminders += 1
            if known != (message["bids"], message["asks"]):
                raise Broken(f"a snapshot of what is known that says otherwise: {message}")
            return
        self.epoch, self.sequence = message["epoch"], message["sequence"]
        self.waiting = False
        self.snapshots += 1
        self.sequences.append(message["sequence"])

    def _update(self, message: dict[str, Any]) -> None:
        if self.waiting:
            raise Broken("an update where a snapshot is due")
        if message["epoch"] != self.epoch or message["previous"] != self.sequence:
            raise Broken(f"{message} after {self.epoch}/{self.sequence}")
        for side in ("bids", "asks"):
            for price, quantity, orders in message[side]:
                if Decimal(quantity):
                    self.sides[side][price] = [price, quantity, orders]
                elif self.sides[side].pop(price, None) is None:
                    raise Broken(f"{price} is removed and was not there")
        for side, levels in (("bids", self.bids), ("asks", self.asks)):
            self.sides[side] = {level[0]: level for level in levels[: self.depth]}
        self.sequence = message["sequence"]
        self.sequences.append(message["sequence"])
