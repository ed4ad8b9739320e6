"""The loops that the core's benchmarks time. Typed, so that they are compiled together with the core: then a call from the
loop into the core is a call in C, as it is between the core's own modules. Plain, the same source runs interpreted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.book import Fill, OrderBook
from matching.commands import Command
from matching.engine import Engine
from matching.order import Order
from matching.side import reduce
from matching.values import NO_BOUND

if TYPE_CHECKING:
    from mypy_extensions import i64

# What to do, with which order, at which price, how much; the order itself for the new ones.
Step = tuple[str, int, int, int, Order]


def book_loop(book: OrderBook, steps: list[Step], fills: list[Fill]) -> None:
    """Carry out steps on a book alone: matching, resting, canceling, without checks and events."""
    orders = book.orders
    for op, order_id, price, quantity, order in steps:
        if op == "limit":
            book.match(order, price if order.side else -price, fills)
            if order.remaining:
                book.add(order)
        elif op == "cancel":
            book.remove(orders[order_id])
        elif op == "market":
            book.match(order, NO_BOUND, fills)
        else:
            amend(book, orders[order_id], price, quantity, fills)


def amend(book: OrderBook, order: Order, price: i64, total: i64, fills: list[Fill]) -> None:
    """Give a resting order a new price and total; smaller at the same price keeps its place."""
    filled = order.quantity - order.remaining
    if price == order.price and filled < total <= order.quantity:
        if total < order.quantity:
            reduce(order, order.quantity - total)
        order.quantity = total
        return
    book.remove(order)
    if total > filled:
        order.price = price
        order.quantity = total
        order.remaining = total - filled
        book.match(order, price if order.side else -price, fills)
        if order.remaining:
            book.add(order)


def engine_loop(engine: Engine, commands: list[Command]) -> int:
    """Apply commands and return how many events they made: every check, every event."""
    events = 0
    sequence: i64 = engine.next_sequence
    for command in commands:
        events += len(engine.apply(sequence, sequence, command))
        sequence = engine.next_sequence
    return events


def dict_loop(table: dict[object, object], popped: list[object], put: list[object]) -> None:
    """Pop ids from a dict and put others: what no index of orders by id can be cheaper than."""
    for key in popped:
        table.pop(key)
    for key in put:
        table[key] = None
