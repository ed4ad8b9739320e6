"""An engine driven by hand, and a journal that fails on demand."""

from contextlib import suppress
from typing import Any

import pytest
from django.db import OperationalError

from matching.commands import DefineInstrument, OrderGroup
from matching.order import Conditions, Order
from matching.values import ENTRY, GTC, OCO_LIMIT, OCO_STOP, STOP, STOP_LOSS, TAKE_PROFIT
from orders import gateway, selectors
from orders.bus.envelope import Envelope, Outcome
from orders.bus.memory import MemoryBus
from orders.engine.claims import claimant
from orders.engine.journal import Journal
from orders.engine.loop import EngineLoop
from orders.engine.recovery import take_over
from tests.support.market import make_account


class Desk:
    """An engine driven by hand, one group at a time, in the test's own thread."""

    def __init__(self) -> None:
        self.clock = 1_000_000
        self.start()
        self.do(DefineInstrument(1, "ACME-USD", "ACME", "USD", 2, 3))
        self.instrument = selectors.instrument_by_symbol("ACME-USD")
        self.alice = make_account("alice")
        self.bob = make_account("bob")

    def start(self) -> None:
        take_over(0)
        self.loop = EngineLoop(0, MemoryBus(), clock=lambda: self.clock)
        self.loop.recover()
        self.loop.bus.open()

    def order(self, account: Any, side: int, price: int, quantity: int, client_order_id: str = "") -> Order:
        return Order(
            gateway.order_ids.next(),
            account.id,
            self.instrument.id,
            side,
            price,
            quantity,
            client_order_id=client_order_id,
        )

    def stop(self, account: Any, side: int, stop_price: int, quantity: int, **fields: Any) -> Order:
        """A stop order that waits for ``stop_price``; ``fields`` of ``Order`` and ``Conditions``."""
        terms = {name: fields.pop(name) for name in list(fields) if hasattr(Conditions, name)}
        order = self.order(account, side, fields.pop("price", 0), quantity)
        order.type = fields.pop("type", STOP)
        order.time_in_force = fields.pop("time_in_force", GTC)
        order.conditions = Conditions(stop_price, **terms)
        assert not fields, fields
        return order

    def oco(self, account: Any, side: int, price: int, stop_price: int, quantity: int, cid: str = "") -> OrderGroup:
        """A limit order and a stop, of which one cancels the other."""
        first = self.order(account, side, price, quantity, cid)
        second = self.stop(account, side, stop_price, quantity, group_id=first.order_id, role=OCO_STOP)
        first.conditions = Conditions(group_id=first.order_id, role=OCO_LIMIT)
        return OrderGroup([first, second])

    def bracket(self, account: Any, side: int, price: int, profit: int, stop_price: int, quantity: int) -> OrderGroup:
        """An entry, and what closes it with a gain or a loss."""
        entry = self.order(account, side, price, quantity)
        gain = self.order(account, 1 - side, profit, quantity)
        loss = self.stop(account, 1 - side, stop_price, quantity, group_id=entry.order_id, role=STOP_LOSS)
        entry.conditions = Conditions(group_id=entry.order_id, role=ENTRY)
        gain.conditions = Conditions(group_id=entry.order_id, role=TAKE_PROFIT)
        return OrderGroup([entry, gain, loss])

    def envelope(
        self, *commands: Any, deadline: int = 0, fingerprint: bytes = b"same", actor_id: int | None = None
    ) -> Envelope:
        orders = [claimant(command) for command in commands]
        prints = [fingerprint if order is not None and order.client_order_id else None for order in orders]
        envelope = Envelope(
            list(commands), actor_id=actor_id, received_at=self.clock, deadline=deadline, fingerprints=prints
        )
        return envelope

    def group(self, *envelopes: Envelope) -> list[list[Outcome]]:
        """Carry out envelopes as one group and return their outcomes."""
        for envelope in envelopes:
            self.loop.bus.submit(envelope)
        assert self.loop.run_once()
        return [envelope.future.result(0) for envelope in envelopes]

    def do(self, *commands: Any, actor_id: int | None = None) -> list[Outcome]:
        """Carry out commands as one group of one envelope each."""
        outcomes = self.group(*(self.envelope(command, actor_id=actor_id) for command in commands))
        return [outcome for (outcome,) in outcomes]

    def kinds(self, *envelopes: Envelope) -> list[str]:
        return [outcome.kind for outcomes in self.group(*envelopes) for outcome in outcomes]


def fail_once(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Make the next batch fail: "before" its writes, "at" the commit (it does not happen), or "after" it (it does)."""
    original = Journal.transaction
    left = [1]

    def transaction(self: Journal, *place: Any) -> Any:
        real = original(self, *place)

        class Context:
            def __enter__(self) -> None:
                real.__enter__()
                if left and when == "before":
                    left.clear()
                    error = OperationalError("disk I/O error")
                    real.__exit__(OperationalError, error, None)
                    raise error

            def __exit__(self, *exc: Any) -> Any:
                if exc[0] is None and left and when == "at":
                    left.clear()
                    error = OperationalError("database or disk is full")
                    with suppress(OperationalError):
                        real.__exit__(OperationalError, error, None)
                    raise error
                result = real.__exit__(*exc)
                if exc[0] is None and left and when == "after":
                    left.clear()
                    raise OperationalError("connection lost while committing")
                return result

        return Context()

    monkeypatch.setattr(Journal, "transaction", transaction)
