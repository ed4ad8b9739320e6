"""Whose order a client order id is: the first one's that came with it, for life.

A group of orders is known by its first order's id; the others have none of their own.
"""

from matching.commands import Command, OrderGroup
from matching.order import Order
from orders.bus.envelope import CONFLICT, REPLAYED, UNAVAILABLE, Envelope, Outcome, SetShardMode

# (account, client order id) -> (order id, fingerprint of the request)
Claimed = dict[tuple[int, str], tuple[int, bytes]]


def claimant(command: Command | SetShardMode) -> Order | None:
    """The order that has the client order id of a command; None for commands that place nothing."""
    if isinstance(command, OrderGroup):
        return command.orders[0]
    return command if isinstance(command, Order) else None


def wanted_ids(group: list[Envelope]) -> Claimed:
    """What the new orders of a group of envelopes want to claim; the first of equals counts."""
    wanted: Claimed = {}
    for envelope in group:
        if envelope.fingerprints is None:
            continue
        for command, fingerprint in zip(envelope.commands, envelope.fingerprints, strict=True):
            order = None if fingerprint is None else claimant(command)
            if order is not None and fingerprint is not None:
                wanted.setdefault((order.account_id, order.client_order_id), (order.order_id, fingerprint))
    return wanted


def replay(
    command: Command | SetShardMode, envelope: Envelope, index: int, wanted: Claimed, known: Claimed
) -> Outcome | None:
    """The outcome of an order whose client order id belongs to another already (in the tables or in this group).

    Where that other of the group was not placed after all, and hence is no longer in ``wanted``, this one was neither.
    """
    fingerprint = envelope.fingerprints[index] if envelope.fingerprints else None
    order = None if fingerprint is None else claimant(command)
    if order is None:
        return None
    key = (order.account_id, order.client_order_id)
    first = known.get(key) or wanted.get(key)
    if first is None:
        return Outcome(UNAVAILABLE)
    order_id, theirs = first
    # In the tables it is known under its own number only if it has been carried out before.
    if order_id == order.order_id and key not in known:
        return None
    return Outcome(REPLAYED if theirs == fingerprint else CONFLICT, order_id=order_id)
