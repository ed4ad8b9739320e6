"""Clients and readers of a fault run: threads that trade over REST and read over the socket, and write down all of it.

On as many shards as the topology has: one instrument each, a ledger each; and a list of what was asked of all at once.
"""

import json
import random
import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.faults.ledger import (
    AMEND,
    CANCEL,
    CANCEL_ALL,
    DONE,
    NOT_ACCEPTED,
    PLACE,
    READ,
    REFUSED,
    SYMBOLS,
    UNKNOWN,
    Call,
    Ledger,
    Terms,
    Units,
    shard_of,
)
from tests.faults.listener import Listener
from tests.support.server import ask
from tests.support.topology import Topology, Web, wait_for

UNITS = Units()
# A client's patience: what was not answered by then is unknown to it, whatever becomes of it.
ANSWER_SECONDS = 1.5
# Between two tries of a client whose server is away or takes nothing.
BACKOFF_SECONDS = 0.05
BATCH_ORDERS = 8
# New orders of unknown outcome with which a client sends no more of them.
MAX_OPEN_QUESTIONS = 10
# Orders of its own a client knows at a time, for amends and cancels.
KNOWN_ORDERS = 30
LIVES = ("gtc", "gtc", "gtc", "ioc", "fok")


class Trader(threading.Thread):
    """Trades at random over one connection, to one of the web processes after the other as they go away."""

    def __init__(
        self,
        web: list[Web],
        key: str,
        account: int,
        name: str,
        rng: random.Random,
        ledgers: list[Ledger],
        everywhere: list[Call],
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.web, self.key, self.account, self.rng = web, key, account, rng
        self.ledgers, self.everywhere = ledgers, everywhere
        self.halt = threading.Event()
        self.go = threading.Event()
        self.idle = threading.Event()
        # New orders whose outcome is not known: sent again until it is.
        self.open_questions: dict[str, tuple[dict[str, Any], Terms]] = {}
        self.error: BaseException | None = None
        # Shard and id.
        self._orders: list[tuple[int, int]] = []
        self._last_placed: dict[str, Any] = {}
        self._count = 0
        self._connection: HTTPConnection | None = None

    def run(self) -> None:
        try:
            while not self.halt.is_set():
                if self.go.is_set():
                    self.idle.clear()
                    self._step()
                else:
                    self.idle.set()
                    self.go.wait(0.05)
        except BaseException as error:
            self.error = error
        finally:
            self.idle.set()

    def _step(self) -> None:
        choice = self.rng.random()
        if len(self.open_questions) > MAX_OPEN_QUESTIONS or (self.open_questions and choice < 0.5):
            self.ask_again()
        elif choice < 0.62 or not self._orders:
            self._place()
        elif choice < 0.72:
            self._batch()
        elif choice < 0.85:
            self._amend()
        elif choice < 0.95:
            self._cancel()
        elif choice < 0.98:
            self._read()
        elif choice < 0.985 or len(self.ledgers) == 1:
            self._cancel_all()
        elif choice < 0.993:
            self._cancel_everywhere()
        else:
            self._place_again_elsewhere()

    def ask_again(self) -> None:
        """Send an order again that was not answered."""
        cid = next(iter(self.open_questions))
        self._send(*self.open_questions[cid])

    # The calls

    def _new(self) -> tuple[dict[str, Any], Terms]:
        self._count += 1
        rng = self.rng
        is_market = rng.random() < 0.05
        # Most orders rest: a buyer's prices are mostly below a seller's.
        side, middle = rng.choice((("buy", 9_994), ("sell", 10_006)))
        terms = Terms(
            side,
            "market" if is_market else "limit",
            "ioc" if is_market else rng.choice(LIVES),
            not is_market and rng.random() < 0.1,
            0 if is_market else rng.randint(middle - 10, middle + 10),
            rng.randint(6, 5_000),
        )
        if terms.post_only:
            terms = terms._replace(time_in_force="gtc")
        body = {
            "symbol": SYMBOLS[rng.randrange(len(self.ledgers))],
            "side": terms.side,
            "type": terms.type,
            "time_in_force": terms.time_in_force,
            "quantity": f"{terms.quantity / 1000:.3f}",
            "client_order_id": f"{self.name}-{self._count}",
            "self_trade_prevention": "none",
        }
        if terms.price:
            body["price"] = f"{terms.price / 100:.2f}"
        if terms.post_only:
            body["post_only"] = True
        return body, terms

    def _place(self) -> None:
        body, terms = self._new()
        self.open_questions[body["client_order_id"]] = (body, terms)
        self._send(body, terms)

    def _send(self, body: dict[str, Any], terms: Terms) -> None:
        call = Call(PLACE, self.account, 0, client_order_id=body["client_order_id"], terms=terms)
        self._begin(call, shard_of(body))
        status, answer = self._request("POST", "/api/v1/orders", body)
        self._end(call, status, answer)
        if call.outcome == DONE:
            self._last_placed = body

    def _place_again_elsewhere(self) -> None:
        """Use the id of an order that is known to be there for one on another shard: it must not be taken."""
        if self._last_placed:
            shard = (shard_of(self._last_placed) + 1) % len(self.ledgers)
            status, answer = self._request("POST", "/api/v1/orders", self._last_placed | {"symbol": SYMBOLS[shard]})
            assert status not in (200, 201), f"a client order id was taken on two shards: {answer}"

    def _batch(self) -> None:
        new = [self._new() for _ in range(BATCH_ORDERS)]
        number = self._count * 1_000_003 + self.account * 7 + hash(self.name) % 1_000
        calls = []
        for body, terms in new:
            cid = body["client_order_id"]
            self.open_questions[cid] = (body, terms)
            call = Call(PLACE, self.account, 0, client_order_id=cid, terms=terms, batch=number)
            calls.append(self._begin(call, shard_of(body)))
        status, answer = self._request("POST", "/api/v1/orders/batch", {"orders": [body for body, _ in new]})
        if status == 200:
            for call, result in zip(calls, answer["results"], strict=True):
                if result.get("order") is not None:
                    self._end(call, 201, result["order"])
                else:
                    self._end(call, result["problem"]["status"], result["problem"])
        else:
            for call in calls:
                self._end(call, status, answer)

    def _amend(self) -> None:
        shard, order_id = self.rng.choice(self._orders)
        call = Call(AMEND, self.account, 0, order_id=order_id)
        body = {}
        if self.rng.random() < 0.7:
            call.price = self.rng.randint(9_990, 10_010)
            body["price"] = f"{call.price / 100:.2f}"
        else:
            call.quantity = self.rng.randint(6, 5_000)
            body["quantity"] = f"{call.quantity / 1000:.3f}"
        self._begin(call, shard)
        self._end(call, *self._request("PATCH", f"/api/v1/orders/{order_id}", body))

    def _cancel(self) -> None:
        shard, order_id = self.rng.choice(self._orders)
        call = self._begin(Call(CANCEL, self.account, 0, order_id=order_id), shard)
        self._end(call, *self._request("DELETE", f"/api/v1/orders/{order_id}"))

    def _read(self) -> None:
        shard, order_id = self.rng.choice(self._orders)
        call = self._begin(Call(READ, self.account, 0, order_id=order_id), shard)
        self._end(call, *self._request("GET", f"/api/v1/orders/{order_id}"))

    def _cancel_all(self) -> None:
        shard = self.rng.randrange(len(self.ledgers))
        call = self._begin(Call(CANCEL_ALL, self.account, 0), shard)
        self._end(call, *self._request("DELETE", f"/api/v1/orders?symbol={SYMBOLS[shard]}"))

    def _cancel_everywhere(self) -> None:
        call = Call(CANCEL_ALL, self.account, time.monotonic())
        self.everywhere.append(call)
        self._end(call, *self._request("DELETE", "/api/v1/orders"))

    # Writing down

    def _begin(self, call: Call, shard: int) -> Call:
        call.sent_at = time.monotonic()
        self.ledgers[shard].calls.append(call)
        return call

    def _end(self, call: Call, status: int, answer: Any) -> None:
        if status == 0:
            return
        now = time.monotonic()
        if status in (200, 201):
            call.outcome = DONE
            if call.kind == CANCEL_ALL:
                call.canceled = tuple(map(int, answer["canceled"]))
            else:
                call.told = UNITS.told(answer)
            if call.kind == PLACE:
                call.code = "replayed" if status == 200 else ""
                self._orders = [*self._orders, (shard_of(answer), call.told.order_id)][-KNOWN_ORDERS:]
            elif call.kind == CANCEL:
                self._forget(call.order_id)
        else:
            self._problem(call, status, answer)
        call.answered_at = now
        if call.kind == PLACE and call.outcome in (DONE, REFUSED):
            self.open_questions.pop(call.client_order_id, None)

    def _problem(self, call: Call, status: int, answer: Any) -> None:
        call.code = answer["code"] if isinstance(answer, dict) and "code" in answer else str(status)
        said = answer.get("outcome") if isinstance(answer, dict) else "unknown"
        if said == "unknown" or said is None:
            call.outcome = UNKNOWN
        elif status < 500:
            call.outcome = REFUSED
            if call.kind in (AMEND, CANCEL):
                self._forget(call.order_id)
        else:
            call.outcome = NOT_ACCEPTED
        if status >= 500:
            self.halt.wait(BACKOFF_SECONDS)

    def _forget(self, order_id: int) -> None:
        self._orders = [order for order in self._orders if order[1] != order_id]

    def _request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status 0: no answer, nor will there be one."""
        try:
            if self._connection is None:
                web = self.rng.choice(self.web)
                self._connection = HTTPConnection("127.0.0.1", web.port, timeout=ANSWER_SECONDS)
            return ask(self._connection, method, path, body, key=self.key)
        except (OSError, HTTPException, json.JSONDecodeError):
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self.halt.wait(BACKOFF_SECONDS)
            return 0, None


class Crew:
    """All of them on one topology: ``with Crew(topology, rng) as crew``; they trade between ``go`` and ``pause``."""

    def __init__(self, topology: Topology, rng: random.Random, traders_an_account: int = 3) -> None:
        self.topology = topology
        self.ledgers = [Ledger() for _ in topology.engines]
        # What was asked of all shards at once.
        self.everywhere: list[Call] = []
        self.traders = [
            Trader(
                topology.rest,
                key,
                topology.accounts[user],
                f"{user}{number}",
                random.Random(rng.random()),
                self.ledgers,
                self.everywhere,
            )
            for user, key in topology.keys.items()
            for number in range(traders_an_account)
        ]
        self.heard_account, key = next((topology.accounts[user], key) for user, key in topology.keys.items())
        self.listener = Listener(topology.sockets[0], key, self.ledgers) if topology.sockets else None

    def __enter__(self) -> "Crew":
        for thread in self._threads():
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for thread in self._threads():
            thread.halt.set()
        for thread in self._threads():
            thread.join(10)

    def _threads(self) -> list[Any]:
        return [*self.traders, *([self.listener] if self.listener else [])]

    def go(self) -> None:
        for trader in self.traders:
            trader.go.set()

    def pause(self) -> None:
        """Nobody sends anything any more; what is under way has been answered or given up."""
        for trader in self.traders:
            trader.go.clear()
        for trader in self.traders:
            trader.idle.clear()
            assert trader.idle.wait(ANSWER_SECONDS * 10), f"{trader.name} does not come to rest"
        self.raise_errors()

    def trade(self, seconds: float) -> None:
        self.go()
        time.sleep(seconds)
        self.raise_errors()

    def raise_errors(self) -> None:
        for thread in self._threads():
            if thread.error is not None:
                raise thread.error

    def resolve(self, seconds: float = 30) -> None:
        """Paused: send again what was not answered, until it is; each must come out as one order."""
        for trader in self.traders:
            wait_for(lambda trader=trader: self._resolved(trader), f"{trader.name} is not answered", seconds)

    def _resolved(self, trader: Trader) -> bool:
        if trader.open_questions:
            trader.ask_again()
        return not trader.open_questions
