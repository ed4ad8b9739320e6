"""What became of commands: their outcomes as answers, or as problems."""

from collections.abc import Sequence
from typing import Any

from matching.values import (
    LAST_OPEN_STATUS,
    OCO_STOP,
    R_LINKED_ORDER_REFUSED,
    R_ORDER_NOT_FOUND,
    R_RATE_LIMITED,
    R_TOO_LATE_TO_AMEND,
    R_TOO_LATE_TO_CANCEL,
    R_UNKNOWN_SYMBOL,
    REASON_NAMES,
    REJECTED,
    ROLE_NAMES,
)
from orders import selectors, status
from orders.actors import Actor
from orders.bus.envelope import CONFLICT, DONE, EXPIRED, FAILED, REFUSED, REPLAYED, UNAVAILABLE, UNKNOWN, Outcome
from orders.codes import CODES, RETRY_AFTER_SECONDS
from orders.rates import rate_headers
from orders.schemas.problems import ProblemError
from orders.submission import now_us, timed_out, unavailable


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


def expect_placed(outcome: Outcome, actor: Actor, *, unknown_id: int | None = None) -> Outcome:
    """DONE and REPLAYED pass, unless the order was refused: then its reason is the problem, now and on every retry.

    ``unknown_id`` is the order to name where its shard has not answered.
    """
    if outcome.kind == UNKNOWN:
        raise timed_out(unknown_id)
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


def expect_done(outcome: Outcome, actor: Actor) -> Outcome:
    """DONE passes."""
    if outcome.kind == DONE:
        return outcome
    raise _problem_of(outcome, None, actor)


def expect_order_done(
    outcomes: list[Outcome], actor: Actor, *, order_id: int, account_id: int | None, too_late: str
) -> Outcome:
    """DONE, of any of the shards that were asked, passes. ``too_late`` is the problem of an order that has ended.

    ``account_id`` is whose order it has to be, None for anybody's.
    """
    telling = [outcome for outcome in outcomes if outcome.kind == DONE] or [
        outcome for outcome in outcomes if not _knows_no_order(outcome)
    ]
    if telling:
        if telling[0].kind == DONE:
            return telling[0]
        raise _problem_of(telling[0], order_id, actor)
    order_status = selectors.order_status(order_id=order_id, account_id=account_id)
    if order_status is None:
        raise _problem_of(outcomes[0], order_id, actor)
    if order_status <= LAST_OPEN_STATUS:
        raise _moving(order_id)
    raise ProblemError(too_late, "The order has ended.", order_id=order_id)


def _knows_no_order(outcome: Outcome) -> bool:
    return outcome.kind == REFUSED and outcome.reason == R_ORDER_NOT_FOUND


def expect_done_everywhere(outcomes: list[Outcome], shards: Sequence[int], actor: Actor) -> Outcome:
    """All shards' outcomes of one command in one. Where only some have carried it out, the problem says which did what."""
    done = [outcome for outcome in outcomes if outcome.kind == DONE]
    canceled = tuple(order_id for outcome in done for order_id in outcome.canceled)
    due = [outcome.due_at for outcome in done if outcome.due_at]
    if len(done) == len(outcomes):
        return Outcome(DONE, canceled=canceled, due_at=min(due, default=0))
    # What is not known is the worst to be told.
    failed = sorted((outcome for outcome in outcomes if outcome.kind != DONE), key=lambda one: one.kind != UNKNOWN)
    problem = _problem_of(failed[0], None, actor)
    if done:
        told = ", ".join(_told(shard_id, outcome) for shard_id, outcome in zip(shards, outcomes, strict=True))
        problem.detail = f"Carried out in part: {told}."
        problem.outcome = "unknown" if failed[0].kind == UNKNOWN else "accepted"
        problem.canceled = canceled
    raise problem


def _told(shard_id: int, outcome: Outcome) -> str:
    """How a command came out on a shard, in words."""
    if outcome.kind == DONE:
        return f"shard {shard_id} did" + (f" ({len(outcome.canceled)} orders canceled)" if outcome.canceled else "")
    if outcome.kind == UNKNOWN:
        return f"shard {shard_id} has not answered"
    return f"shard {shard_id} did not"


def _moving(order_id: int | None) -> ProblemError:
    """The problem of a command that came to a shard its instrument has left, or has not come to yet."""
    # Whoever tries again must look where it is now.
    selectors.forget_instruments()
    return unavailable("The instrument is on its way to another shard.", order_id)


# The same codes as for an order that has ended, for orders that have not.
_NOT_NOW = {
    R_TOO_LATE_TO_CANCEL: "The auction is about to end: no order can be canceled before it has.",
    R_TOO_LATE_TO_AMEND: "The auction is about to end: no order can be amended before it has.",
}


def _problem_of(outcome: Outcome, order_id: int | None, actor: Actor) -> ProblemError:
    """The problem of an outcome without effect."""
    if outcome.kind == UNKNOWN:
        return timed_out(order_id)
    if outcome.kind == REFUSED and outcome.reason == R_UNKNOWN_SYMBOL:
        # The doors know every symbol they let through.
        return _moving(order_id)
    if outcome.kind == REFUSED:
        headers = rate_headers(actor.account_id, now_us()) if outcome.reason == R_RATE_LIMITED else None
        detail = _NOT_NOW.get(outcome.reason, "")
        return ProblemError(REASON_NAMES[outcome.reason], detail, order_id=order_id, headers=headers)
    if outcome.kind == EXPIRED:
        return ProblemError("command_expired", order_id=order_id, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    if outcome.kind == UNAVAILABLE:
        is_mode = any(shard.state == status.CANCEL_ONLY for shard in status.shard_list())
        why = "Only cancels are taken now." if is_mode else "The engine could not write; nothing was carried out."
        return unavailable(why, order_id)
    assert outcome.kind == FAILED, outcome.kind
    return ProblemError("internal_error", order_id=order_id)
