"""The only write door: turns a validated request into a command, submits it, waits for the committed outcome.

Every function takes keyword arguments, returns once the outcome is durable, and raises ``ProblemError`` otherwise, whose
``outcome`` says whether the command can have had an effect. Nothing here touches a book or a table.
"""

from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from time import time_ns
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from matching.commands import (
    ANY,
    ANY_SIDE,
    Cancel,
    CancelAfter,
    CancelAll,
    Command,
    DefineAccount,
    DefineInstrument,
    SetPhase,
    SetSchedule,
    Transfer,
)
from matching.values import (
    OCO_STOP,
    PHASE_NAMES,
    R_LINKED_ORDER_REFUSED,
    R_OPERATOR_REQUEST,
    R_ORDER_NOT_FOUND,
    R_RATE_LIMITED,
    R_TOO_LATE_TO_AMEND,
    R_TOO_LATE_TO_CANCEL,
    R_USER_REQUEST,
    REASON_NAMES,
    REJECTED,
    ROLE_NAMES,
    SECOND_US,
)
from orders import selectors
from orders.actors import OPERATE, Actor
from orders.bus import bus
from orders.bus.envelope import CONFLICT, DONE, EXPIRED, FAILED, REFUSED, REPLAYED, UNAVAILABLE, Envelope, Outcome
from orders.bus.memory import BusClosed, BusFull
from orders.codes import CODES, RETRY_AFTER_SECONDS
from orders.ids import OrderIds
from orders.rates import rate_headers
from orders.requests import SIDES, Placing, amend_of, placing_of, rules_of
from orders.schemas.orders import AmendOrder, PlaceOrder
from orders.schemas.problems import ProblemError, invalid

# A command not begun after this long is not carried out at all: prices would be stale.
COMMAND_TTL_SECONDS = 5
# A caller waits longer than a command may: what has begun by then nearly always ends in time.
ANSWER_TIMEOUT_SECONDS = 10

_PHASES = {name: value for value, name in enumerate(PHASE_NAMES)}

order_ids = OrderIds(getattr(settings, "OMS_NODE", 0))


# Orders


def order_place(*, actor: Actor, request: PlaceOrder) -> Outcome:
    """Place one order, or with its ``order_class`` a group of them: whole or not at all.

    The outcome is DONE (accepted; see its record, and ``legs`` for the others) or REPLAYED; a refusal is a problem.
    """
    placing = _placing(actor, request)
    (outcome,) = _carry_out(
        [placing.command],
        actor=actor,
        fingerprints=[placing.fingerprint],
        details=[placing.detail],
        order_id=placing.orders[0].order_id,
    )
    return _expect_placed(outcome, actor)


def order_place_batch(*, actor: Actor, requests: list[PlaceOrder | ProblemError]) -> list[Outcome | ProblemError]:
    """Place up to 500 orders in one go, in order, each on its own. What is a problem already stays in its place."""
    prepared: list[Placing | ProblemError] = []
    for request in requests:
        try:
            prepared.append(request if isinstance(request, ProblemError) else _placing(actor, request))
        except ProblemError as problem:
            prepared.append(problem)
    good = [item for item in prepared if not isinstance(item, ProblemError)]
    outcomes = iter(
        _carry_out(
            [item.command for item in good],
            actor=actor,
            fingerprints=[item.fingerprint for item in good],
            details=[item.detail for item in good],
        )
        if good
        else ()
    )
    results: list[Outcome | ProblemError] = []
    for item in prepared:
        if isinstance(item, ProblemError):
            results.append(item)
            continue
        try:
            results.append(_expect_placed(next(outcomes), actor))
        except ProblemError as problem:
            results.append(problem)
    return results


def order_amend(*, actor: Actor, order_id: int, request: AmendOrder, expected_version: int = 0) -> Outcome:
    """Give an open order new terms. ``expected_version`` 0 means any."""
    row = selectors.order_get(account_id=actor.account_id, order_id=order_id)
    command = amend_of(row=row, request=request, expected_version=expected_version, now_us=_now_us())
    (outcome,) = _carry_out([command], actor=actor, order_id=order_id)
    return _expect_done(outcome, order_id, "too_late_to_amend", row_exists=True, actor=actor)


def order_cancel(*, actor: Actor, order_id: int) -> Outcome:
    """Cancel one open order of the actor's account."""
    command = Cancel(order_id, actor.account_id, R_USER_REQUEST)
    (outcome,) = _carry_out([command], actor=actor, order_id=order_id, expires=False)
    exists = outcome.kind == REFUSED and selectors.order_exists(account_id=actor.account_id, order_id=order_id)
    return _expect_done(outcome, order_id, "too_late_to_cancel", row_exists=exists, actor=actor)


def order_cancel_matching(
    *, actor: Actor, symbol: str | None = None, side: str | None = None, account: str | None = None
) -> Outcome:
    """Cancel all open orders of an account that match; ``outcome.canceled`` has their ids.

    ``account`` is the name of another account than the actor's: for actors with the scope ``operate``.
    """
    if account is not None and account != actor.account_name:
        return order_cancel_matching_on_behalf(actor=actor, symbol=symbol, side=side, account=account)
    if not actor.account_id:
        # 0 would stand for everybody.
        raise invalid("account", "must be given: you act for no account of your own", "required")
    return _cancel_matching(actor, actor.account_id, symbol, side, R_USER_REQUEST)


def order_cancel_matching_on_behalf(
    *, actor: Actor, symbol: str | None = None, side: str | None = None, account: str | None = None
) -> Outcome:
    """An operator's cancel of all open orders that match, of one account or (``account`` None) of everybody."""
    if OPERATE not in actor.scopes:
        raise ProblemError("permission_denied", "Another account's orders need the scope operate.")
    account_id = ANY if account is None else selectors.account_by_name(account).id
    return _cancel_matching(actor, account_id, symbol, side, R_OPERATOR_REQUEST)


def _cancel_matching(actor: Actor, account_id: int, symbol: str | None, side: str | None, reason: int) -> Outcome:
    instrument_id = selectors.instrument_by_symbol(symbol).id if symbol else ANY
    command = CancelAll(account_id, instrument_id, SIDES[side] if side else ANY_SIDE, reason)
    (outcome,) = _carry_out([command], actor=actor, expires=False)
    return _expect_done(outcome, None, "too_late_to_cancel", row_exists=False, actor=actor)


def order_cancel_on_behalf(*, actor: Actor, order_id: int) -> Outcome:
    """An operator's cancel of anybody's order."""
    (outcome,) = _carry_out(
        [Cancel(order_id, reason=R_OPERATOR_REQUEST)], actor=actor, order_id=order_id, expires=False
    )
    return _expect_done(outcome, order_id, "too_late_to_cancel", row_exists=outcome.kind == REFUSED, actor=actor)


def cancel_after(*, actor: Actor, seconds: int) -> Outcome:
    """Arm, renew or (0 seconds) end the lease on the account's open orders; ``outcome.due_at`` is when it runs out."""
    command = CancelAfter(actor.account_id, seconds * SECOND_US)
    (outcome,) = _carry_out([command], actor=actor, expires=False)
    return _expect_done(outcome, None, "invalid_request", row_exists=False, actor=actor)


def commands_submit(*, actor: Actor, commands: list[Command]) -> Future[list[Outcome]]:
    """Submit ready-made commands, to be answered together, without waiting: for tools that keep several groups under way."""
    envelope = Envelope(commands, actor_id=actor.user_id or None, received_at=_now_us())
    _submit(envelope, reserved=False)
    return envelope.future


# Configuration


def instrument_define(*, actor: Actor, definition: DefineInstrument) -> Outcome:
    """Create an instrument or change its rules; id 0 asks for a new one."""
    if not definition.instrument_id:
        definition.instrument_id = selectors.next_instrument_id()
    (outcome,) = _carry_out([definition], actor=actor, details=[rules_of(definition)], expires=False)
    selectors.forget_instruments()
    return _expect_done(outcome, None, "invalid_request", row_exists=False, actor=actor)


def instrument_set_phase(*, actor: Actor, instrument_id: int, phase: str, lasts_seconds: int = 0) -> Outcome:
    """Put an instrument into a phase: halt it, open it, call an auction.

    ``lasts_seconds``, for phases without trading: it opens by itself after that (0: it does not).
    """
    command = SetPhase(instrument_id, _PHASES[phase], lasts_seconds * SECOND_US)
    (outcome,) = _carry_out([command], actor=actor, expires=False)
    selectors.forget_instruments()
    return _expect_done(outcome, None, "invalid_request", row_exists=False, actor=actor)


def instrument_set_schedule(
    *, actor: Actor, instrument_id: int, transitions: list[tuple[int, int]], enter_current: bool = False
) -> Outcome:
    """Replace an instrument's phase changes to come: ``(at, phase)`` in ascending time, microseconds since 1970.

    ``enter_current``: the last of those that are past already is entered now.
    """
    command = SetSchedule(instrument_id, transitions, enter_current)
    (outcome,) = _carry_out([command], actor=actor, expires=False)
    return _expect_done(outcome, None, "invalid_request", row_exists=False, actor=actor)


def account_define(*, actor: Actor, definition: DefineAccount) -> Outcome:
    """Set state and limits of an account."""
    (outcome,) = _carry_out([definition], actor=actor, details=[rules_of(definition)], expires=False)
    return _expect_done(outcome, None, "invalid_request", row_exists=False, actor=actor)


def account_transfer(*, actor: Actor, account_id: int, currency: str, amount: int) -> Outcome:
    """Pay money into an account or (a negative amount) out of it, in units of ``matching.values.MONEY_DECIMALS`` decimals."""
    (outcome,) = _carry_out([Transfer(account_id, currency, amount)], actor=actor, expires=False)
    return _expect_done(outcome, None, "invalid_request", row_exists=False, actor=actor)


# Submitting and waiting


def _placing(actor: Actor, request: PlaceOrder) -> Placing:
    return placing_of(account_id=actor.account_id, request=request, new_id=order_ids.next)


def _now_us() -> int:
    return time_ns() // 1000


def _carry_out(
    commands: list[Command],
    *,
    actor: Actor,
    fingerprints: list[bytes | None] | None = None,
    details: list[str | None] | None = None,
    order_id: int | None = None,
    expires: bool = True,
) -> list[Outcome]:
    """Submit and wait. Raises ``ProblemError`` 503 where nothing was submitted, 504 where the outcome is not known yet."""
    now = _now_us()
    envelope = Envelope(
        commands,
        actor_id=actor.user_id or None,
        received_at=now,
        deadline=now + COMMAND_TTL_SECONDS * 1_000_000 if expires else 0,
        fingerprints=fingerprints,
        details=details,
    )
    _submit(envelope, reserved=not expires)
    # The wait may be long and there may be many: none of them may hold a database connection meanwhile.
    close_old_connections()
    try:
        return envelope.future.result(ANSWER_TIMEOUT_SECONDS)
    except (FutureTimeout, CancelledError):
        raise ProblemError("engine_timeout", outcome="unknown", order_id=order_id) from None


def _submit(envelope: Envelope, *, reserved: bool) -> None:
    try:
        bus().submit(envelope, reserved=reserved)
    except BusFull:
        raise _unavailable("The engine is busy.") from None
    except BusClosed:
        raise _unavailable("The engine is not running.") from None


def _unavailable(detail: str, order_id: int | None = None) -> ProblemError:
    return ProblemError(
        "engine_unavailable", detail, order_id=order_id, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


# What became of it


def _expect_placed(outcome: Outcome, actor: Actor) -> Outcome:
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


def _expect_done(outcome: Outcome, order_id: int | None, too_late: str, *, row_exists: bool, actor: Actor) -> Outcome:
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
        headers = rate_headers(actor.account_id, _now_us()) if outcome.reason == R_RATE_LIMITED else None
        detail = _NOT_NOW.get(outcome.reason, "")
        return ProblemError(REASON_NAMES[outcome.reason], detail, order_id=order_id, headers=headers)
    if outcome.kind == EXPIRED:
        return ProblemError("command_expired", order_id=order_id, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    if outcome.kind == UNAVAILABLE:
        return _unavailable("The engine could not write; nothing was carried out.", order_id)
    assert outcome.kind == FAILED, outcome.kind
    return ProblemError("internal_error", order_id=order_id)
