"""A session that is talked to by hand: what it puts out is sorted, its clock only moves when it is told to."""

import json
from collections import defaultdict
from typing import Any

from oms_client.commands import Command
from oms_client.following import Follower
from oms_client.line import (
    Connect,
    Dropped,
    Output,
    ReadEvents,
    ReadOrder,
    Reconnect,
    Send,
    Settled,
    Stopped,
    Told,
    Topic,
)
from oms_client.session import Session


class Talk:
    """``sent`` has the messages that nobody has looked at; ``settled`` maps a command to its result or error."""

    def __init__(self, key: str | None = "oms_key") -> None:
        self.session = Session(key=key, jitter=lambda: 0.5)
        self.at = 1000.0
        self.is_connected = False
        self.sent: list[dict[str, Any]] = []
        self.told: dict[Topic, list[Any]] = defaultdict(list)
        self.dropped: dict[Topic, Exception] = {}
        self.settled: dict[int, Any] = {}
        self.order_reads: list[ReadOrder] = []
        self.event_reads: list[ReadEvents] = []
        self.delays: list[float] = []
        self.reconnects: list[str] = []
        self.stopped: Exception | None = None

    def take(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self.sent.append(json.loads(output.text))
            elif isinstance(output, Told):
                self.told[output.topic] += output.items
            elif isinstance(output, Dropped):
                self.dropped[output.topic] = output.error
            elif isinstance(output, Settled):
                assert output.command_id not in self.settled, "settled twice"
                self.settled[output.command_id] = output.error or output.result
            elif isinstance(output, ReadOrder):
                self.order_reads.append(output)
            elif isinstance(output, ReadEvents):
                self.event_reads.append(output)
            elif isinstance(output, Connect):
                self.delays.append(output.delay_seconds)
            elif isinstance(output, Reconnect):
                self.reconnects.append(output.reason)
            else:
                assert isinstance(output, Stopped)
                self.stopped = output.error

    # What happens to it

    def connect(self) -> None:
        """A new connection, and the key accepted on it."""
        self.open()
        if self.sent and self.sent[-1]["op"] == "auth":
            self.answer(self.said("auth"), account="alice", scopes=["read", "trade"])

    def open(self) -> None:
        self.is_connected = True
        self.take(self.session.connected(self.at))

    def lose(self, close_code: int | None = None) -> None:
        """The connection ends; what was sent on it is gone."""
        self.is_connected = False
        self.sent.clear()
        self.take(self.session.disconnected(self.at, close_code))

    def hear(self, message: Any) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self.take(self.session.received(text, self.at))

    def wait(self, seconds: float) -> None:
        """Time passes, in steps as the shell makes them."""
        until = self.at + seconds
        while self.at < until:
            self.at = min(until, self.at + 0.05)
            self.take(self.session.tick(self.at))

    # What it is asked for

    def submit(self, command: Command, seconds: float = 30.0) -> int:
        number, outputs = self.session.submit(command, self.at, self.at + seconds)
        self.take(outputs)
        return number

    def subscribe(self, topic: Topic, follower: Follower, **terms: object) -> None:
        self.take(self.session.subscribe(topic, follower, terms, self.at))
        self.wait(0.05)

    # What it said, and answers to that

    def said(self, op: str) -> dict[str, Any]:
        """The one message that waits to be looked at; it must be of this kind."""
        (message,) = self.sent
        self.sent.clear()
        assert message["op"] == op, message
        return message

    def answer(self, to: dict[str, Any], **body: Any) -> None:
        kind = "ack" if to["op"] in ("auth", "subscribe", "unsubscribe") else "result"
        self.hear({"op": kind, "id": to["id"], "ok": "problem" not in body, **body})


def problem(
    code: str, status: int, *, retryable: bool = False, outcome: str = "not_accepted", **more: Any
) -> dict[str, Any]:
    """A problem document, as far as the client looks at it."""
    head = {"type": f"/api/v1/docs#{code}", "title": code, "status": status, "detail": f"{code}.", "code": code}
    return {**head, "errors": [], "retryable": retryable, "outcome": outcome, "request_id": "r-1", **more}


def order(**fields: Any) -> dict[str, Any]:
    """An open order as the service answers it."""
    return {
        **{
            "id": "7",
            "client_order_id": "a-1",
            "account": "alice",
            "symbol": "ACME-USD",
            "side": "buy",
            "type": "limit",
        },
        **{"time_in_force": "gtc", "post_only": False, "price": "99.98", "stop_price": None, "trail_price": None},
        **{"trail_percent": None, "quantity": "10.000", "display_quantity": None, "expires_at": None},
        **{"self_trade_prevention": "cancel_newest", "order_class": "simple", "group_id": None, "role": None},
        **{"filled_quantity": "0.000", "remaining_quantity": "10.000", "canceled_quantity": "0.000"},
        **{"average_price": None, "status": "new", "reason": None, "version": 1, "sequence": 12},
        **{"created_at": "2026-11-24T09:00:00.000000Z", "updated_at": "2026-11-24T09:00:00.000000Z"},
        **{"legs": [], "fills": []},
        **fields,
    }
