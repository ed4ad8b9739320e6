"""The only write door: turns a validated request into a command, submits it, waits for the committed outcome.

Every function takes keyword arguments, returns once the outcome is durable, and raises ``ProblemError`` otherwise, whose
``outcome`` says whether the command can have had an effect. Nothing here touches a book or a table.
"""

import json
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from hashlib import blake2b
from time import time_ns

import orjson
from django.conf import settings
from django.db import close_old_connections

from matching.commands import ANY_SIDE, Amend, Cancel, CancelAll, Command, DefineAccount, DefineInstrument, SetPhase
from matching.order import Order
from matching.values import (
    MARKET,
    PHASE_NAMES,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    R_OPERATOR_REQUEST,
    R_ORDER_NOT_FOUND,
    R_USER_REQUEST,
    REASON_NAMES,
    REJECTED,
    SIDE_NAMES,
    STP_NAMES,
    TIME_IN_FORCE_NAMES,
    TYPE_NAMES,
)
from orders import selectors
from orders.actors import Actor
from orders.bus import bus
from orders.bus.envelope import CONFLICT, DONE, EXPIRED, FAILED, REFUSED, REPLAYED, UNAVAILABLE, Envelope, Outcome
from orders.bus.memory import BusClosed, BusFull
from orders.codes import RETRY_AFTER_SECONDS
from orders.ids import OrderIds
from orders.schemas.decimals import UnitsOverflow, to_units
from orders.schemas.orders import AmendOrder, PlaceOrder
from orders.schemas.problems import ProblemError, invalid

# A command not begun after this long is not carried out at all: prices would be stale.
COMMAND_TTL_SECONDS = 5
# A caller waits longer than a command may: what has begun by then nearly always ends in time.
ANSWER_TIMEOUT_SECONDS = 10

_SIDES = {name: value for value, name in enumerate(SIDE_NAMES)}
_TYPES = {name: value for value, name in enumerate(TYPE_NAMES)}
_TIMES_IN_FORCE = {name: value for value, name in enumerate(TIME_IN_FORCE_NAMES)}
_STP = {name: value for value, name in enumerate(STP_NAMES)}
_PHASES = {name: value for value, name in enumerate(PHASE_NAMES)}

order_ids = OrderIds(getattr(settings, "OMS_NODE", 0))


# Orders


def order_place(*, actor: Actor, request: PlaceOrder) -> Outcome:
    """Place one order. The outcome is DONE (accepted; see its record) or REPLAYED; a refused order is a problem."""
    command, fingerprint, detail = _new_order(actor, request)
    (outcome,) = _carry_out(
        [command], actor=actor, fingerprints=[fingerprint], details=[detail], order_id=command.order_id
    )
    return _expect_placed(outcome, command)


def order_place_batch(*, actor: Actor, requests: list[PlaceOrder | ProblemError]) -> list[Outcome | ProblemError]:
    """Place up to 500 orders in one go, in order, each on its own. What is a problem already stays in its place."""
    prepared: list[tuple[Order, bytes | None, str | None] | ProblemError] = []
    for request in requests:
        try:
            prepared.append(request if isinstance(request, ProblemError) else _new_order(actor, request))
        except ProblemError as problem:
            prepared.append(problem)
    good = [item for item in prepared if not isinstance(item, ProblemError)]
    outcomes = iter(
        _carry_out(
            [item[0] for item in good],
            actor=actor,
            fingerprints=[item[1] for item in good],
            details=[item[2] for item in good],
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
            results.append(_expect_placed(next(outcomes), item[0]))
        except ProblemError as problem:
            results.append(problem)
    return results


def order_amend(*, actor: Actor, order_id: int, request: AmendOrder, expected_version: int = 0) -> Outcome:
    """Give an open order new terms. ``expected_version`` 0 means any."""
    row = selectors.order_get(account_id=actor.account_id, order_id=order_id)
    instrument = selectors.instrument_by_id(row.instrument_id)
    off_grid = 0
    price = quantity = 0
    if request.price is not None:
        price, exact = _units("price", request.price, instrument.price_decimals)
        off_grid |= 0 if exact else PRICE_OFF_GRID
    if request.quantity is not None:
        quantity, exact = _units("quantity", request.quantity, instrument.quantity_decimals)
        off_grid |= 0 if exact else QUANTITY_OFF_GRID
    if row.type == MARKET and price:
        raise ProblemError("not_amendable", "A market order has no price.", order_id=order_id)
    command = Amend(order_id, actor.account_id, price, quantity, expected_version=expected_version, off_grid=off_grid)
    (outcome,) = _carry_out([command], actor=actor, order_id=order_id)
    return _expect_done(outcome, order_id, "too_late_to_amend", row_exists=True)


def order_cancel(*, actor: Actor, order_id: int) -> Outcome:
    """Cancel one open order of the actor's account."""
    command = Cancel(order_id, actor.account_id, R_USER_REQUEST)
    (outcome,) = _carry_out([command], actor=actor, order_id=order_id, expires=False)
    exists = outcome.kind == REFUSED and selectors.order_exists(account_id=actor.account_id, order_id=order_id)
    return _expect_done(outcome, order_id, "too_late_to_cancel", row_exists=exists)


def order_cancel_matching(*, actor: Actor, symbol: str | None, side: str | None) -> Outcome:
    """Cancel all open orders of the actor's account that match; ``outcome.canceled`` has their ids."""
    instrument_id = selectors.instrument_by_symbol(symbol).id if symbol else 0
    command = CancelAll(actor.account_id, instrument_id, _SIDES[side] if side else ANY_SIDE, R_USER_REQUEST)
    (outcome,) = _carry_out([command], actor=actor, expires=False)
    return _expect_done(outcome, None, "too_late_to_cancel", row_exists=False)


def order_cancel_on_behalf(*, actor: Actor, order_id: int) -> Outcome:
    """An operator's cancel of anybody's order."""
    (outcome,) = _carry_out(
        [Cancel(order_id, reason=R_OPERATOR_REQUEST)], actor=actor, order_id=order_id, expires=False
    )
    return _expect_done(outcome, order_id, "too_late_to_cancel", row_exists=outcome.kind == REFUSED)


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
    (outcome,) = _carry_out([definition], actor=actor, details=[_rules(definition)], expires=False)
    selectors.forget_instruments()
    return _expect_done(outcome, None, "invalid_request", row_exists=False)


def instrument_set_phase(*, actor: Actor, instrument_id: int, phase: str) -> Outcome:
    """Halt, resume or close an instrument."""
    (outcome,) = _carry_out([SetPhase(instrument_id, _PHASES[phase])], actor=actor, expires=False)
    selectors.forget_instruments()
    return _expect_done(outcome, None, "invalid_request", row_exists=False)


def account_define(*, actor: Actor, definition: DefineAccount) -> Outcome:
    """Set state and limits of an account."""
    (outcome,) = _carry_out([definition], actor=actor, details=[_rules(definition)], expires=False)
    return _expect_done(outcome, None, "invalid_request", row_exists=False)


# From requests to commands


def _rules(definition: DefineInstrument | DefineAccount) -> str:
    """What a definition says, in units, for the log. (Not by orjson: a maximum value may pass 64 bits.)"""
    return json.dumps({name: getattr(definition, name) for name in definition.__slots__})


def _units(field: str, text: str, decimals: int) -> tuple[int, bool]:
    try:
        return to_units(text, decimals)
    except UnitsOverflow:
        raise invalid(field, "too large for this instrument", "too_large") from None


def _new_order(actor: Actor, request: PlaceOrder) -> tuple[Order, bytes | None, str | None]:
    """The command of a request, its fingerprint where it can be retried, and what could not be said in units."""
    instrument = selectors.instrument_by_symbol(request.symbol)
    price, price_exact = (
        (0, True) if request.price is None else _units("price", request.price, instrument.price_decimals)
    )
    quantity, quantity_exact = _units("quantity", request.quantity, instrument.quantity_decimals)
    off_grid = (0 if price_exact else PRICE_OFF_GRID) | (0 if quantity_exact else QUANTITY_OFF_GRID)
    time_in_force = request.time_in_force or ("gtc" if request.type == "limit" else "ioc")
    detail = None
    if off_grid:
        # Units cannot hold what was asked for: the order will be refused, and the record keeps the text.
        detail = orjson.dumps({"price": request.price, "quantity": request.quantity}).decode()
        price = price if price_exact else 0
        quantity = quantity if quantity_exact else 0
    order = Order(
        order_ids.next(),
        actor.account_id,
        instrument.id,
        _SIDES[request.side],
        price,
        quantity,
        _TYPES[request.type],
        _TIMES_IN_FORCE[time_in_force],
        _STP[request.self_trade_prevention],
        request.post_only,
        request.client_order_id or "",
        off_grid,
    )
    return order, _fingerprint(request, time_in_force) if request.client_order_id else None, detail


def _plain(text: str | None) -> str:
    """A decimal by value: "100.50" and "0100.5" are the same request."""
    if text is None:
        return ""
    whole, _, fraction = text.partition(".")
    return f"{whole.lstrip('0')}.{fraction.rstrip('0')}"


def _fingerprint(request: PlaceOrder, time_in_force: str) -> bytes:
    """16 bytes that are equal exactly for requests that mean the same, with defaults filled in."""
    meaning = (
        request.symbol,
        request.side,
        request.type,
        time_in_force,
        _plain(request.quantity),
        _plain(request.price),
        request.post_only,
        request.self_trade_prevention,
    )
    return blake2b(repr(meaning).encode(), digest_size=16).digest()


# Submitting and waiting


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


def _expect_placed(outcome: Outcome, command: Order) -> Outcome:
    """DONE and REPLAYED pass, unless the order was refused: then its reason is the problem, now and on every retry."""
    if outcome.kind == DONE:
        assert outcome.order is not None
        if outcome.order.status == REJECTED:
            raise ProblemError(REASON_NAMES[outcome.order.reason], order_id=outcome.order.id)
        return outcome
    if outcome.kind == REPLAYED:
        row = selectors.order_by_id(outcome.order_id)
        if row.status == REJECTED:
            raise ProblemError(REASON_NAMES[row.reason], order_id=row.id, headers={"Idempotency-Replayed": "true"})
        return outcome
    if outcome.kind == CONFLICT:
        raise ProblemError("duplicate_client_order_id", order_id=outcome.order_id)
    raise _problem_of(outcome, None)


def _expect_done(outcome: Outcome, order_id: int | None, too_late: str, *, row_exists: bool) -> Outcome:
    if outcome.kind == DONE:
        return outcome
    if outcome.kind == REFUSED and outcome.reason == R_ORDER_NOT_FOUND and row_exists:
        raise ProblemError(too_late, order_id=order_id)
    raise _problem_of(outcome, order_id)


def _problem_of(outcome: Outcome, order_id: int | None) -> ProblemError:
    """The problem of an outcome without effect."""
    if outcome.kind == REFUSED:
        return ProblemError(REASON_NAMES[outcome.reason], order_id=order_id)
    if outcome.kind == EXPIRED:
        return ProblemError("command_expired", order_id=order_id, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    if outcome.kind == UNAVAILABLE:
        return _unavailable("The engine could not write; nothing was carried out.", order_id)
    assert outcome.kind == FAILED, outcome.kind
    return ProblemError("internal_error", order_id=order_id)
