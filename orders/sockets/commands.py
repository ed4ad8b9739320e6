"""Order entry between a socket's messages and the write door: what to submit, and how the answer reads.

Each half says beforehand whether it asks the tables; if so it belongs into a thread.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any

from pydantic import ValidationError

from orders import gateway, selectors, shards
from orders.actors import Actor
from orders.bodies import outcome_body, stored_body
from orders.bus.envelope import REPLAYED, Outcome
from orders.outcomes import needs_tables
from orders.schemas.orders import PlaceOrder
from orders.schemas.problems import ProblemError, from_validation
from orders.schemas.render import wire_time
from orders.schemas.socket import Amend, ArmCancelAfter, Cancel, CancelAll, OrderEntry, Place, PlaceMany
from orders.submission import Submission

# The largest id a table can hold.
MAX_ID = 2**63 - 1

Body = dict[str, object]


def asks_tables(message: OrderEntry) -> bool:
    """Whether ``submit`` has to look anything up."""
    if isinstance(message, Place):
        return not selectors.remembered_symbol(message.symbol)
    if isinstance(message, Cancel):
        return message.order_id is None or shards.remembered_count() != 1
    if isinstance(message, CancelAll) and message.symbol is not None:
        return not selectors.remembered_symbol(message.symbol)
    return not (isinstance(message, CancelAll | ArmCancelAfter) and shards.are_remembered())


def named_order(message: OrderEntry) -> int | None:
    """The order that a message names by its id."""
    if isinstance(message, Amend | Cancel) and message.order_id is not None:
        return int(message.order_id)
    return None


@singledispatch
def submit(message: OrderEntry, actor: Actor) -> Submission[Any]:
    """Hand it to the engine. Raises ``ProblemError``."""
    raise TypeError(f"{type(message).__name__} is no order entry")


@submit.register
def _(message: Place, actor: Actor) -> Submission[Any]:
    return gateway.submit_order(actor=actor, request=message)


@submit.register
def _(message: PlaceMany, actor: Actor) -> Submission[Any]:
    requests = [_order_of_batch(place, item) for place, item in enumerate(message.orders)]
    return gateway.submit_batch(actor=actor, requests=requests)


@submit.register
def _(message: Amend, actor: Actor) -> Submission[Any]:
    order_id, version = _order_id(message.order_id), message.version or 0
    return gateway.submit_amend(actor=actor, order_id=order_id, request=message, expected_version=version)


@submit.register
def _(message: Cancel, actor: Actor) -> Submission[Any]:
    if message.client_order_id is None:
        assert message.order_id is not None
        return gateway.submit_cancel(actor=actor, order_id=_order_id(message.order_id))
    row = selectors.order_by_client_id(account_id=actor.account_id, client_order_id=message.client_order_id)
    return gateway.submit_cancel(actor=actor, order_id=row.id)


@submit.register
def _(message: CancelAll, actor: Actor) -> Submission[Any]:
    return gateway.submit_cancel_matching(actor=actor, symbol=message.symbol, side=message.side)


@submit.register
def _(message: ArmCancelAfter, actor: Actor) -> Submission[Any]:
    return gateway.submit_cancel_after(actor=actor, seconds=message.seconds)


def _order_of_batch(place: int, item: Any) -> PlaceOrder | ProblemError:
    try:
        return PlaceOrder.model_validate(item)
    except ValidationError as error:
        return from_validation(error, prefix=f"orders.{place}.")


def _order_id(text: str) -> int:
    if int(text) > MAX_ID:
        raise ProblemError("order_not_found")
    return int(text)


# Answers


def answer_asks_tables(outcomes: list[Outcome]) -> bool:
    """Whether ``body`` has to look anything up."""
    return any(needs_tables(outcome) for outcome in outcomes)


def body(
    message: OrderEntry, finish: Callable[[list[Outcome]], Any], outcomes: list[Outcome], actor: Actor, request_id: str
) -> Body:
    """What a result says beside its head. Raises ``ProblemError``."""
    done = finish(outcomes)
    if isinstance(message, PlaceMany):
        return {"results": [_placed(result, actor, request_id) for result in done]}
    if isinstance(message, CancelAll):
        return {"canceled": [str(order_id) for order_id in done.canceled], "count": len(done.canceled)}
    if isinstance(message, ArmCancelAfter):
        return {"seconds": message.seconds, "expires_at": wire_time(done.due_at) if done.due_at else None}
    if isinstance(message, Place):
        return _placed(done, actor, request_id)
    order = outcome_body(done, actor)
    if isinstance(message, Amend):
        return {"order": {**order, "priority_kept": done.priority_kept}}
    del order["fills"]
    return {"order": order}


def _placed(result: Outcome | ProblemError, actor: Actor, request_id: str) -> Body:
    if isinstance(result, ProblemError):
        return {"problem": result.body(request_id)}
    if result.kind == REPLAYED:
        return {"order": stored_body(selectors.order_by_id(result.order_id), actor), "replayed": True}
    return {"order": outcome_body(result, actor)}
