"""What a command names, what its event tells beside numbers, and how it came out where it names no order."""

import json

from matching.commands import Amend, Cancel, CancelAfter, CancelAll, Command, OrderGroup, Transfer
from matching.events import CANCELED, KIND, ORDER, QUANTITY, REASON, Event
from matching.order import Order
from matching.values import R_LINKED_ORDER
from orders.bus.envelope import DONE, Outcome


def outcome_of(command: Command, events: list[Event]) -> Outcome:
    """How a command came out that names no order."""
    if isinstance(command, CancelAll):
        reasons = (command.reason, R_LINKED_ORDER)
        return Outcome(
            DONE,
            canceled=tuple(
                event[ORDER].order_id
                for event in events
                if event[KIND] == CANCELED and event[REASON] in reasons and event[ORDER] is not None
            ),
        )
    if isinstance(command, CancelAfter):
        return Outcome(DONE, due_at=events[-1][QUANTITY] if events else 0)
    return Outcome(DONE)


def told_in_detail(command: Transfer | Amend) -> str | None:
    """What an event has no number for: an amount of money, the quantity an amend gave an iceberg to display."""
    if isinstance(command, Transfer):
        return json.dumps({"currency": command.currency, "amount": command.amount})
    return displays(command.display_quantity) if command.display_quantity else None


def displays(quantity: int) -> str:
    """An iceberg's displayed quantity in units: an order's row only has the latest (see ``orders.displayed``)."""
    return json.dumps({"display_quantity": quantity})


def subjects_of(command: Command) -> tuple[int, ...]:
    """The orders a command names."""
    if isinstance(command, Order | Amend | Cancel):
        return (command.order_id,)
    if isinstance(command, OrderGroup):
        return tuple(order.order_id for order in command.orders)
    return ()
