"""A deterministic order flow for one instrument, and what it must come to.

60% limit orders, 30% cancels, 5% market orders, 5% amends. Buy prices are normal around ``mid - 10``, sell prices around
``mid + 10`` (deviation 10); ``mid`` starts at 10,000 and steps by one in 5% of the operations; quantities are uniform from
1 to 100. An amend is in thirds: smaller at the same price, larger at the same price, a new price as for a new order.
Cancels and amends name an order that is open, so the flow is made beside a book.

A row is ``(op, order id, side, price, quantity)``: prices in ticks, 0 where the op has none; the quantity of an amend is
the new total. The totals were computed by an independent matcher: another engine that gets them right matches by
price and time.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.core_loops import amend
from matching.book import Fill, OrderBook
from matching.order import Order
from matching.values import BUY, NO_BOUND, SELL

LINES = 200_000
SEED = 20261122

Row = tuple[str, int, str, int, int]


class Totals(NamedTuple):
    """What a whole run adds up to. Best levels are (price, quantity)."""

    traded: int
    trades: int
    notional: int
    live: int
    best_bid: tuple[int, int]
    best_ask: tuple[int, int]
    book_sha: str


# Of ``generate(LINES, SEED)``.
EXPECTED = Totals(1664073, 65184, 16609435606, 3936, (10037, 33), (10039, 299), "f76faab622cce1e9")


def levels(book: OrderBook) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Bids and asks as (price, quantity), best first."""
    bids, asks = (
        [(level.price, level.quantity) for level in (side.levels[key] for key in reversed(side.keys))]
        for side in (book.bids, book.asks)
    )
    return bids, asks


def totals(book: OrderBook, fills: list[tuple[int, int]]) -> Totals:
    """Totals of a run; ``fills`` are (price, quantity)."""
    bids, asks = levels(book)
    return Totals(
        sum(quantity for _, quantity in fills),
        len(fills),
        sum(price * quantity for price, quantity in fills),
        len(book.orders),
        bids[0],
        asks[0],
        hashlib.sha256(json.dumps([bids, asks]).encode()).hexdigest()[:16],
    )


def limit(book: OrderBook, order: Order, fills: list[Fill]) -> None:
    """Match a limit order and rest what remains."""
    book.match(order, order.price if order.side else -order.price, fills)
    if order.remaining:
        book.add(order)


class Flow:
    """Makes the rows. The calls to the random numbers come in one fixed order: another one is another flow."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.book = OrderBook()
        self.mid = 10_000
        self.last_id = 0
        # Ids that were open when last looked at, and where the chosen one stands.
        self.ids: list[int] = []
        self.chosen = 0

    def row(self) -> Row:
        """The next row."""
        chance: Callable[[], float] = self.random.random
        if chance() < 0.05:
            self.mid += 1 if chance() < 0.5 else -1
        roll = chance()
        if 0.60 <= roll < 0.90 or roll >= 0.95:
            order = self.choose()
            if order is not None:
                return self.cancel(order) if roll < 0.90 else self.amend(order)
            roll = 0.0
        return self.limit() if roll < 0.60 else self.market()

    def draw(self, side: int) -> int:
        """A price for a new order."""
        return max(1, round(self.random.gauss(self.mid - 10 if side == BUY else self.mid + 10, 10)))

    def choose(self) -> Order | None:
        """An open order, all with the same chance. Ids found dead on the way are forgotten."""
        while self.ids:
            self.chosen = self.random.randrange(len(self.ids))
            order = self.book.orders.get(self.ids[self.chosen])
            if order is not None:
                return order
            self.forget()
        return None

    def forget(self) -> None:
        self.ids[self.chosen] = self.ids[-1]
        self.ids.pop()

    def side(self) -> int:
        return BUY if self.random.random() < 0.5 else SELL

    def limit(self) -> Row:
        self.last_id += 1
        side = self.side()
        price = self.draw(side)
        quantity = self.random.randint(1, 100)
        order = Order(self.last_id, 1, 1, side, price, quantity, self_trade_prevention=0)
        limit(self.book, order, [])
        if order.remaining:
            self.ids.append(order.order_id)
        return ("limit", order.order_id, "BS"[side], price, quantity)

    def market(self) -> Row:
        self.last_id += 1
        side = self.side()
        quantity = self.random.randint(1, 100)
        self.book.match(Order(self.last_id, 1, 1, side, 0, quantity, self_trade_prevention=0), NO_BOUND, [])
        return ("market", self.last_id, "BS"[side], 0, quantity)

    def cancel(self, order: Order) -> Row:
        self.book.remove(order)
        self.forget()
        return ("cancel", order.order_id, "BS"[order.side], 0, 0)

    def amend(self, order: Order) -> Row:
        filled = order.quantity - order.remaining
        third = self.random.randrange(3)
        if third == 0 and order.remaining > 1:
            price, total = order.price, filled + self.random.randint(1, order.remaining - 1)
        elif third == 1:
            price, total = order.price, order.quantity + self.random.randint(1, 50)
        else:
            price, total = self.draw(order.side), filled + self.random.randint(1, 100)
        amend(self.book, order, price, total, [])
        return ("modify", order.order_id, "BS"[order.side], price, total)


def generate(lines: int = LINES, seed: int = SEED) -> Iterator[Row]:
    """The rows of a flow."""
    flow = Flow(seed)
    for _ in range(lines):
        yield flow.row()
