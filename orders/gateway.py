"""The only write door: turns a validated request into a command, submits it, waits for the committed outcome.

Every function takes keyword arguments. Those that ``submit`` return at once: a ``Submission``, whose outcome may be waited
for in any way. The others return once the outcome is durable. All raise ``ProblemError`` otherwise, whose ``outcome`` says
whether the command can have had an effect. Nothing here touches a book or a table.
"""

import logging
from concurrent.futures import Future

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
from matching.transit import AdoptInstrument, ReleaseInstrument
from matching.values import PHASE_NAMES, R_OPERATOR_REQUEST, R_USER_REQUEST, SECOND_US
from orders import selectors
from orders.actors import OPERATE, Actor
from orders.bus.envelope import Envelope, Outcome, SetShardMode
from orders.ids import OrderIds
from orders.outcomes import expect_done, expect_done_everywhere, expect_order_done, expect_placed
from orders.requests import SIDES, Placing, amend_of, placing_of, rules_of
from orders.schemas.orders import AmendOrder, PlaceOrder
from orders.schemas.problems import ProblemError, invalid
from orders.shards import forget as forget_shards
from orders.shards import shard_ids, shards_of_order
from orders.submission import Submission, enqueue, node, now_us, submit, wait
from orders.transit import obstacle

log = logging.getLogger(__name__)

_PHASES = {name: value for value, name in enumerate(PHASE_NAMES)}

order_ids = OrderIds(node)


# Orders


def order_place(*, actor: Actor, request: PlaceOrder) -> Outcome:
    """Place one order, or with its ``order_class`` a group of them: whole or not at all.

    The outcome is DONE (accepted; see its record, and ``legs`` for the others) or REPLAYED; a refusal is a problem.
    """
    return wait(submit_order(actor=actor, request=request))


def submit_order(*, actor: Actor, request: PlaceOrder) -> Submission[Outcome]:
    """The first half of ``order_place``. Does not ask the tables where the symbol is remembered."""
    placing = _placing(actor, request)
    orders = placing.orders
    return submit(
        [placing.command],
        lambda outcomes: expect_placed(outcomes[0], actor),
        shards=[placing.shard_id],
        actor=actor,
        fingerprints=[placing.fingerprint],
        details=[placing.detail],
        order_ids=tuple([order.order_id for order in orders]),
        order_id=orders[0].order_id,
    )


def order_place_batch(*, actor: Actor, requests: list[PlaceOrder | ProblemError]) -> list[Outcome | ProblemError]:
    """Place up to 500 orders in one go, in order, each on its own. What is a problem already stays in its place."""
    return wait(submit_batch(actor=actor, requests=requests))


def submit_batch(
    *, actor: Actor, requests: list[PlaceOrder | ProblemError]
) -> Submission[list[Outcome | ProblemError]]:
    """The first half of ``order_place_batch``."""
    prepared: list[Placing | ProblemError] = []
    for request in requests:
        try:
            prepared.append(request if isinstance(request, ProblemError) else _placing(actor, request))
        except ProblemError as problem:
            prepared.append(problem)
    good = [item for item in prepared if not isinstance(item, ProblemError)]

    def finish(outcomes: list[Outcome]) -> list[Outcome | ProblemError]:
        coming = iter(outcomes)
        return [item if isinstance(item, ProblemError) else _placed(item, next(coming), actor) for item in prepared]

    if not good:
        nothing: Future[list[Outcome]] = Future()
        nothing.set_result([])
        return Submission(nothing, finish)
    return submit(
        [item.command for item in good],
        finish,
        shards=[item.shard_id for item in good],
        actor=actor,
        fingerprints=[item.fingerprint for item in good],
        details=[item.detail for item in good],
        order_ids=tuple(order.order_id for item in good for order in item.orders),
    )


def _placed(placing: Placing, outcome: Outcome, actor: Actor) -> Outcome | ProblemError:
    try:
        return expect_placed(outcome, actor, unknown_id=placing.orders[0].order_id)
    except ProblemError as problem:
        return problem


def order_amend(*, actor: Actor, order_id: int, request: AmendOrder, expected_version: int = 0) -> Outcome:
    """Give an open order new terms. ``expected_version`` 0 means any."""
    return wait(submit_amend(actor=actor, order_id=order_id, request=request, expected_version=expected_version))


def submit_amend(*, actor: Actor, order_id: int, request: AmendOrder, expected_version: int = 0) -> Submission[Outcome]:
    """The first half of ``order_amend``. Reads the order's row."""
    row = selectors.order_get(account_id=actor.account_id, order_id=order_id)
    command = amend_of(row=row, request=request, expected_version=expected_version, now_us=now_us())
    return submit(
        [command],
        lambda outcomes: expect_order_done(
            outcomes, actor, order_id=order_id, account_id=actor.account_id, too_late="too_late_to_amend"
        ),
        shards=[row.shard_id],
        actor=actor,
        order_ids=(order_id,),
        order_id=order_id,
    )


def order_cancel(*, actor: Actor, order_id: int) -> Outcome:
    """Cancel one open order of the actor's account."""
    return wait(submit_cancel(actor=actor, order_id=order_id))


def submit_cancel(*, actor: Actor, order_id: int) -> Submission[Outcome]:
    """The first half of ``order_cancel``. Asks no table where there is one shard."""
    return _cancel(actor, Cancel(order_id, actor.account_id, R_USER_REQUEST), actor.account_id)


def _cancel(actor: Actor, command: Cancel, account_id: int | None) -> Submission[Outcome]:
    """Cancel an order of the account, or (None) of anybody's."""
    order_id: int = command.order_id
    shards = shards_of_order(order_id)
    return submit(
        [command for _ in shards],
        lambda outcomes: expect_order_done(
            outcomes, actor, order_id=order_id, account_id=account_id, too_late="too_late_to_cancel"
        ),
        shards=shards,
        actor=actor,
        order_ids=(order_id,),
        order_id=order_id,
        expires=False,
    )


def order_cancel_matching(
    *, actor: Actor, symbol: str | None = None, side: str | None = None, account: str | None = None
) -> Outcome:
    """Cancel all open orders of an account that match; ``outcome.canceled`` has their ids.

    ``account`` is the name of another account than the actor's: for actors with the scope ``operate``.
    """
    if account is not None and account != actor.account_name:
        return order_cancel_matching_on_behalf(actor=actor, symbol=symbol, side=side, account=account)
    return wait(submit_cancel_matching(actor=actor, symbol=symbol, side=side))


def submit_cancel_matching(*, actor: Actor, symbol: str | None, side: str | None) -> Submission[Outcome]:
    """The first half of ``order_cancel_matching``, of the actor's own account.

    Asks no table where the symbol is remembered, or without one the shards.
    """
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
    return wait(_cancel_matching(actor, account_id, symbol, side, R_OPERATOR_REQUEST))


def _cancel_matching(
    actor: Actor, account_id: int, symbol: str | None, side: str | None, reason: int
) -> Submission[Outcome]:
    wanted_side = SIDES[side] if side else ANY_SIDE
    if not symbol:
        return _submit_everywhere(actor, CancelAll(account_id, ANY, wanted_side, reason))
    info = selectors.instrument_by_symbol(symbol)
    return _submit_plain(actor, CancelAll(account_id, info.id, wanted_side, reason), info.shard_id)


def order_cancel_on_behalf(*, actor: Actor, order_id: int) -> Outcome:
    """An operator's cancel of anybody's order."""
    return wait(_cancel(actor, Cancel(order_id, reason=R_OPERATOR_REQUEST), None))


def cancel_after(*, actor: Actor, seconds: int) -> Outcome:
    """Arm, renew or (0 seconds) end the lease on the account's open orders; ``outcome.due_at`` is when it runs out."""
    return wait(submit_cancel_after(actor=actor, seconds=seconds))


def submit_cancel_after(*, actor: Actor, seconds: int) -> Submission[Outcome]:
    """The first half of ``cancel_after``. Every shard keeps a lease of its own."""
    return _submit_everywhere(actor, CancelAfter(actor.account_id, seconds * SECOND_US))


def _submit_plain(actor: Actor, command: Command, shard_id: int, detail: str | None = None) -> Submission[Outcome]:
    """A command that is about no one order, has reserved room and does not expire. ``detail`` is kept with its event."""
    return submit(
        [command],
        lambda outcomes: expect_done(outcomes[0], actor),
        shards=[shard_id],
        actor=actor,
        details=None if detail is None else [detail],
        expires=False,
    )


def _submit_everywhere(actor: Actor, command: Command, detail: str | None = None) -> Submission[Outcome]:
    """The same command for every shard; the outcome is all of theirs in one."""
    shards = shard_ids()
    return submit(
        [command for _ in shards],
        lambda outcomes: expect_done_everywhere(outcomes, shards, actor),
        shards=shards,
        actor=actor,
        details=None if detail is None else [detail for _ in shards],
        expires=False,
    )


def commands_submit(*, actor: Actor, commands: list[Command], shard_id: int = 0) -> Future[list[Outcome]]:
    """Submit ready-made commands to be answered together, without waiting: for tools that keep several groups under way."""
    envelope = Envelope(commands, actor_id=actor.user_id or None, received_at=now_us())
    enqueue(envelope, shard_id=shard_id, reserved=False)
    return envelope.future


def _placing(actor: Actor, request: PlaceOrder) -> Placing:
    return placing_of(account_id=actor.account_id, request=request, new_id=order_ids.next)


# Configuration


def instrument_define(*, actor: Actor, definition: DefineInstrument, shard_id: int | None = None) -> Outcome:
    """Create an instrument or change its rules; id 0 asks for a new one, on the shard (None: the first)."""
    if definition.instrument_id:
        shard_id = selectors.instrument_by_id(definition.instrument_id).shard_id
    else:
        definition.instrument_id = selectors.next_instrument_id()
        shards = shard_ids(max_age_seconds=0)
        shard_id = shards[0] if shard_id is None else shard_id
        if shard_id not in shards:
            raise invalid("shard", "there is no such shard", "unknown_shard")
    outcome = wait(_submit_plain(actor, definition, shard_id, rules_of(definition)))
    selectors.forget_instruments()
    return outcome


def instrument_set_phase(*, actor: Actor, instrument_id: int, phase: str, lasts_seconds: int = 0) -> Outcome:
    """Put an instrument into a phase: halt it, open it, call an auction.

    ``lasts_seconds``, for phases without trading: it opens by itself after that (0: it does not).
    """
    command = SetPhase(instrument_id, _PHASES[phase], lasts_seconds * SECOND_US)
    outcome = wait(_submit_plain(actor, command, selectors.instrument_by_id(instrument_id).shard_id))
    selectors.forget_instruments()
    return outcome


def instrument_set_schedule(
    *, actor: Actor, instrument_id: int, transitions: list[tuple[int, int]], enter_current: bool = False
) -> Outcome:
    """Replace an instrument's phase changes to come: ``(at, phase)`` in ascending time, microseconds since 1970.

    ``enter_current``: the last of those that are past already is entered now.
    """
    command = SetSchedule(instrument_id, transitions, enter_current)
    return wait(_submit_plain(actor, command, selectors.instrument_by_id(instrument_id).shard_id))


def instrument_move(*, actor: Actor, symbol: str, shard_id: int) -> None:
    """Move a halted instrument with its open orders to another shard; where that was begun before, go on with it.

    Two commands: its engine lets it go, that of the other shard takes it over. In between nobody has it, and whoever sends a
    command for it is told to try again. Raises the obstacle, or whatever keeps one of the engines from answering.
    """
    row = selectors.instrument_get(symbol=symbol)
    problem = obstacle(row, shard_id)
    if problem is not None:
        raise problem
    if row.moving_to is None:
        # Before one engine lets go, the other must have shown that it is there: it refuses what is not on its way.
        wait(submit([AdoptInstrument(row.id)], lambda outcomes: None, shards=[shard_id], actor=actor, expires=False))
        wait(_submit_plain(actor, ReleaseInstrument(row.id, shard_id), row.shard_id))
    wait(_submit_plain(actor, AdoptInstrument(row.id), shard_id))
    selectors.forget_instruments()


def account_define(*, actor: Actor, definition: DefineAccount) -> Outcome:
    """Set state and limits of an account, on every shard.

    Who defines it after another did has the greater number, by whatever clock; at the same time, one of them has.
    """
    known = selectors.account_get(account_id=definition.account_id).definition
    definition.definition = max(order_ids.next(), known + 1)
    forget_shards()
    return wait(_submit_everywhere(actor, definition, rules_of(definition)))


def account_transfer(
    *, actor: Actor, account_id: int, currency: str, amount: int, shard_id: int | None = None
) -> Outcome:
    """Pay money into an account or (a negative amount) out of it, in units of ``matching.values.MONEY_DECIMALS`` decimals.

    An order is paid with the money of its instrument's shard; ``shard_id`` may be left out where there is one.
    """
    shards = shard_ids(max_age_seconds=0)
    if shard_id is None and len(shards) == 1:
        shard_id = shards[0]
    if shard_id not in shards:
        raise invalid("shard", "must name one of the shards there are", "unknown_shard")
    return wait(_submit_plain(actor, Transfer(account_id, currency, amount), shard_id))


def shard_set_mode(*, actor: Actor, shard_id: int, cancel_only: bool) -> None:
    """Have a shard's engine take cancels and configuration only, or orders again. Outlasts the engine."""
    if OPERATE not in actor.scopes:
        raise ProblemError("permission_denied", "This needs the scope operate.")
    wait(
        submit(
            [SetShardMode(cancel_only)],
            lambda outcomes: expect_done(outcomes[0], actor),
            shards=[shard_id],
            actor=actor,
            expires=False,
        )
    )
    log.warning(
        "shard %d takes %s, says %s", shard_id, "cancels only" if cancel_only else "orders again", actor.username
    )
