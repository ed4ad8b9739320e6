"""Taking a command again as it came. The core carries out an order by changing it: what a client asked for must be kept.

Price and quantity of a plain order are in the event that accepted it. What else an order may have (a stop price that trails,
a day's end that was looked up, a bracket child's quantity) is copied before the core sees it: only such orders pay for it.
"""

from matching.commands import Command, OrderGroup
from matching.order import Conditions, Order
from orders.bus.envelope import Envelope, SetShardMode

# Price, quantity and conditions by order id.
Terms = dict[int, tuple[int, int, Conditions | None]]


def remember(command: Command, terms: Terms) -> None:
    """Keep what the core may change of a command it has not seen yet."""
    if isinstance(command, Order):
        if command.conditions is not None:
            terms[command.order_id] = _terms(command)
    elif isinstance(command, OrderGroup):
        terms.update((order.order_id, _terms(order)) for order in command.orders)


def single(envelope: Envelope, index: int, terms: Terms) -> Envelope:
    """One command of an envelope as an envelope of its own, untouched."""
    alone = Envelope(
        [as_it_came(envelope.commands[index], terms)],
        actor_id=envelope.actor_id,
        received_at=envelope.received_at,
        deadline=envelope.deadline,
        fingerprints=[envelope.fingerprints[index]] if envelope.fingerprints else None,
        details=[envelope.details[index]] if envelope.details else None,
        request_id=envelope.request_id,
    )
    alone.future.set_running_or_notify_cancel()
    return alone


def as_it_came(command: Command | SetShardMode, terms: Terms) -> Command | SetShardMode:
    """A copy of a command that the core has not seen, or has thrown away (``terms``: what ``remember`` kept of it)."""
    if isinstance(command, Order):
        return _order_as_it_came(command, terms)
    if isinstance(command, OrderGroup):
        return OrderGroup([_order_as_it_came(order, terms) for order in command.orders])
    return command


def _order_as_it_came(order: Order, terms: Terms) -> Order:
    """An untouched copy. Without terms the order was not begun, or is plain and was not accepted: it is as it came."""
    price, quantity, conditions = terms.get(order.order_id) or _terms(order)
    return Order(
        order.order_id,
        order.account_id,
        order.instrument_id,
        order.side,
        price,
        quantity,
        order.type,
        order.time_in_force,
        order.self_trade_prevention,
        order.post_only,
        order.client_order_id,
        order.off_grid,
        conditions,
    )


def _terms(order: Order) -> tuple[int, int, Conditions | None]:
    conditions = order.conditions
    if conditions is None:
        return order.price, order.quantity, None
    copy = Conditions(
        conditions.stop_price,
        conditions.trail,
        conditions.trail_bps,
        conditions.display_quantity,
        conditions.expires_at,
        conditions.group_id,
        conditions.role,
    )
    return order.price, order.quantity, copy
