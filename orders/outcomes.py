"""What became of commands: their outcomes as answers, or as problems."""

from typing import Any

from matching.values import (
    OCO_STOP,
    R_LINKED_ORDER_REFUSED,
    R_ORDER_NOT_FOUND,
    R_RATE_LIMITED,
    R_TOO_LATE_TO_AMEND,
    R_TOO_LATE_TO_CANCEL,
    REASON_NAMES,
    REJECTED,
    ROLE_NAMES,
)
from orders import selectors
from orders.actors import Actor
from orders.bus.envelope import CONFLICT, DONE, EXPIRED, FAILED, REFUSED, REPLAYED, UNAVAILABLE, Outcome
from orders.codes import CODES, RETRY_AFTER_SECONDS
from orders.rates import rate_headers
from orders.schemas.problems import ProblemError
from orders.submission import now_us, unavailable


def needs_tables(outcome: Outcome) -> bool:
    """Whether the answer to a command with this outcome can only be told with a look at the tables."""
    if outcome.kind in (REPLAYED, REFUSED):
        return True
    order = outcome.order
    if order is None:
        return False
    # Legs of a group that was placed before are in the tables alone.
    is_grown = order.group_id == order.id and not outcome.legs
    return is_grown or not selectors.remembered_instrument(order.instrument_id)


def expect_placed(outcome: Outcome, actor: Actor) -> Outcome:
    """DONE and REPLAYED pass, unless the order was refused: then its reason is the problem, now and on every retry."""
    if outcome.kind == DONE:
        assert outcome.order is not None
        if outcome.order.status == REJECTED:
            raise _refused(outcome.order, list(outcome.legs))
        return outcome
    if outcome.kind == REPLAYED:
        row = selectors.order_by_id(outcome.order_id)
        if row.status == REJECTED:
            problem = _refused(row, selectors.order_legs(order_id=row.id) if row.group_id else [])
            problem.headers["Idempotency-Replayed"] = "true"
            raise problem
        return outcome
    if outcome.kind == CONFLICT:
        raise ProblemError("duplicate_client_order_id", order_id=outcome.order_id)
    raise _problem_of(outcome, None, actor)


def _refused(order: Any, legs: list[Any]) -> ProblemError:
    """The problem of a refused order, a record or a row; where it was refused for another of its group, which and why."""
    errors = []
    for leg in legs:
        if leg.reason != R_LINKED_ORDER_REFUSED:
            field = "stop_loss" if leg.role == OCO_STOP else ROLE_NAMES[leg.role]
            code = CODES[REASON_NAMES[leg.reason]]
            errors.append({"field": field, "code": code.name, "message": f"{code.title}."})
    detail = ""
    if order.reason == R_LINKED_ORDER_REFUSED and errors:
        detail = f"{errors[0]['field']}: {errors[0]['message']}"
    return ProblemError(REASON_NAMES[order.reason], detail, errors=errors, order_id=order.id)


def expect_done(
    outcome: Outcome, actor: Actor, *, order_id: int | None = None, too_late: str = "", row_exists: bool = False
) -> Outcome:
    """DONE passes. ``too_late`` is the problem of an order that is in the tables (``row_exists``) but not open any more."""
    if outcome.kind == DONE:
        return outcome
    if outcome.kind == REFUSED and outcome.reason == R_ORDER_NOT_FOUND and row_exists:
        raise ProblemError(too_late, "The order has ended.", order_id=order_id)
    raise _problem_of(outcome, order_id, actor)


# The same codes as for an order that has ended, for orders that have not.
_NOT_NOW = {
    R_TOO_LATE_TO_CANCEL: "The auction is about to end: no order can be canceled before it has.",
    R_TOO_LATE_TO_AMEND: "The auction is about to end: no order can be amended before it has.",
}


def _problem_of(outcome: Outcome, order_id: int | None, actor: Actor) -> ProblemError:
    """The problem of an outcome without effect."""
    if outcome.kind == REFUSED:
        headers = rate_headers(actor.account_id, now_us()) if outcome.reason == R_RATE_LIMITED else None
        detail = _NOT_NOW.get(outcome.reason, "")
        return ProblemError(REASON_NAMES[outcome.reason], detail, order_id=order_id, headers=headers)
    if outcome.kind == EXPIRED:
        return ProblemError("command_expired", order_id=order_id, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    if outcome.kind == UNAVAILABLE:
        return unavailable("The engine could not write; nothing was carried out.", order_id)
    assert outcome.kind == FAILED, outcome.kind
    return ProblemError("internal_error", order_id=order_id)
