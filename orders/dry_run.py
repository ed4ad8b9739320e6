"""What placing an order would do, without placing it.

A scratch engine gets what the order could meet (``orders.scratch``) and is asked with the very code of the real one:
``matching.checks.explain`` for the checks, ``Engine.apply`` for what would happen. Nothing is written, no client order id is
claimed; by the time the order is placed the book may be another.
"""

from itertools import count
from time import time_ns
from typing import Any

from matching.checks import proposal
from matching.events import (
    CANCELED,
    COMMAND_REFUSED,
    DECREMENTED,
    FILL_MAKER,
    FILL_TAKER,
    KIND,
    ORDER,
    PRICE,
    QUANTITY,
    REASON,
    TRIGGERED,
)
from matching.explaining import Check, explain
from matching.order import Order
from matching.state import Account
from matching.values import (
    ACCOUNT_STATE_NAMES,
    CONTINUOUS,
    LAST_OPEN_STATUS,
    PHASE_NAMES,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    R_POST_ONLY,
    R_RATE_LIMITED,
    R_SELF_TRADE,
    REASON_NAMES,
    REJECTED,
    ROLE_NAMES,
    SECOND_US,
    STATUS_NAMES,
    UNTRIGGERED,
)
from orders import selectors
from orders.actors import Actor
from orders.requests import Placing, fingerprint_of, placing_of
from orders.schemas.decimals import from_units, money_text, ratio_from_units, to_units
from orders.schemas.orders import PlaceOrder
from orders.schemas.problems import ProblemError
from orders.schemas.render import wire_time
from orders.scratch import Scratch, scratch_for

# How the numbers of a check are told: as a price, a quantity, the product of both, money, a word, or (all others) a count.
_PRICES = ("price_not_on_tick", "price_collar", "post_only_would_cross")
_QUANTITIES = (
    *("quantity_not_on_step", "quantity_below_minimum", "risk_max_quantity", "display_quantity_too_small"),
    *("risk_max_position", "account_reducing_only"),
)
_NOTIONALS = ("risk_max_notional",)
_MONEY = ("insufficient_funds",)
_PHASES = ("market_closed", "market_halted", "market_not_continuous")
_STATES = ("account_halted",)


def order_try(*, actor: Actor, request: PlaceOrder) -> dict[str, Any]:
    """The body of ``schemas.trials.TrialOut``. Raises what placing would raise before it reaches the engine."""
    now = time_ns() // 1000
    replayed = _replayed(actor, request, now) if request.client_order_id else None
    if replayed is not None:
        return replayed
    # Ids no order has: the gateway's are made from the time, and that is far from the last 63-bit number.
    ids = count(2**63 - 1, -1)
    placing = placing_of(account_id=actor.account_id, request=request, new_id=lambda: next(ids))
    scratch = scratch_for(placing.orders, now)
    checks = _all_checks(scratch, placing)
    events = scratch.engine.apply(scratch.sequence + 1, scratch.at, placing.command)
    if events[-1][KIND] == COMMAND_REFUSED and events[-1][REASON] == R_RATE_LIMITED:
        # What is not even kept is told as refused.
        for order in placing.orders:
            scratch.engine.reject(order, R_RATE_LIMITED)
    elif events[-1][KIND] == COMMAND_REFUSED:
        raise ProblemError("invalid_request", "The terms of this order make no sense together.")
    return _told(scratch, placing, request, checks, events)


def _told(
    scratch: Scratch, placing: Placing, request: PlaceOrder, checks: list[list[Check]], events: list[Any]
) -> dict[str, Any]:
    order = placing.orders[0]
    words = _Words(scratch)
    fills: dict[int, int] = {}
    for event in events:
        if event[KIND] == FILL_TAKER and event[ORDER] is order:
            fills[event[PRICE]] = fills.get(event[PRICE], 0) + event[QUANTITY]
    filled = sum(fills.values())
    notional = sum(price * quantity for price, quantity in fills.items())
    refused = order.status == REJECTED
    over = order.status > LAST_OPEN_STATUS and not refused
    rests = order.status < UNTRIGGERED and order.level is not None
    return {
        "accepted": not refused,
        "reason": REASON_NAMES[order.reason] if refused else None,
        "checks": [words.check(check, order, request, request) for check in checks[0]],
        "fills": [{"price": words.price(price), "quantity": words.quantity(units)} for price, units in fills.items()],
        "filled_quantity": words.quantity(filled),
        "average_price": ratio_from_units(notional, filled, scratch.instrument.price_decimals) if filled else None,
        "remaining_quantity": words.quantity(order.remaining),
        "status": STATUS_NAMES[order.status],
        "canceled_reason": REASON_NAMES[order.reason] or None if over else None,
        "self_trade": [str(order_id) for order_id in _met(scratch, placing, events)],
        "queue": words.queue(order) if rests else None,
        "triggered": any(event[KIND] == TRIGGERED and event[ORDER] is order for event in events),
        "legs": [
            {
                "role": ROLE_NAMES[leg.conditions.role],
                "accepted": leg.status != REJECTED,
                "reason": REASON_NAMES[leg.reason] if leg.status == REJECTED else None,
                "checks": [words.check(check, leg, _part_of(request, leg), request) for check in told],
            }
            for leg, told in zip(placing.orders[1:], checks[1:], strict=True)
            if leg.conditions is not None
        ],
        "replayed": False,
        "order_id": None,
        "sequence": scratch.sequence,
        "truncated": scratch.truncated,
        "time": wire_time(scratch.at),
    }


def _part_of(request: PlaceOrder, leg: Order) -> Any:
    """What the request says of a leg."""
    assert leg.conditions is not None
    return request.take_profit if ROLE_NAMES[leg.conditions.role] == "take_profit" else request.stop_loss


def _met(scratch: Scratch, placing: Placing, events: list[Any]) -> list[int]:
    """The account's own resting orders that the first order would meet, in that order."""
    first, ours = placing.orders[0], {order.order_id for order in placing.orders}
    met: dict[int, None] = {}
    for event in events:
        other = event[ORDER]
        if other is None or other.account_id != first.account_id or other.order_id in ours:
            continue
        if event[KIND] in (FILL_MAKER, CANCELED, DECREMENTED):
            met[other.order_id] = None
    if first.reason == R_SELF_TRADE and not met:
        # It stopped before the first of them, which nothing happened to.
        met.update((order_id, None) for order_id in _own_at_the_front(scratch, first, ours))
    return list(met)


def _own_at_the_front(scratch: Scratch, order: Order, ours: set[int]) -> list[int]:
    """The first of the account's own orders on the other side of the book, as it stands."""
    side = scratch.instrument.book.bids if order.side else scratch.instrument.book.asks
    for key in reversed(side.keys):
        resting = side.levels[key].head
        while resting is not None:
            if resting.account_id == order.account_id and resting.order_id not in ours:
                return [resting.order_id]
            resting = resting.newer
    return []


# Checks


def _all_checks(scratch: Scratch, placing: Placing) -> list[list[Check]]:
    """Every check that applies to each order of the request, in the order of the ladder."""
    told: list[list[Check]] = []
    for place, order in enumerate(placing.orders):
        checks = explain(scratch.instrument, scratch.holding, proposal(order, place))
        account = scratch.holding.account
        if account.max_rate and not place:
            # A group is one message.
            checks.append(_rate_check(account, scratch.at))
        if order.post_only and scratch.instrument.phase == CONTINUOUS:
            book = scratch.instrument.book
            best = book.bids.best if order.side else book.asks.best
            crosses = book.crosses(order.side, order.price)
            checks.append(Check(REASON_NAMES[R_POST_ONLY], best.price if best else 0, order.price, not crosses))
        told.append(checks)
    return told


def _rate_check(account: Account, at: int) -> Check:
    """Whether one message more may pass: the rule of ``matching.checks.spend_message``, without spending."""
    share = SECOND_US // account.max_rate
    owed = max(account.rate_at - at, 0)
    passed = owed + share <= SECOND_US
    value = -(-owed // share) + 1
    return Check(
        REASON_NAMES[R_RATE_LIMITED], account.max_rate, min(value, account.max_rate) if passed else value, passed
    )


# Words


class _Words:
    """Numbers of an instrument as they go over the wire."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._price_decimals = scratch.instrument.price_decimals
        self._quantity_decimals = scratch.instrument.quantity_decimals

    def price(self, units: int) -> str:
        return from_units(units, self._price_decimals)

    def quantity(self, units: int) -> str:
        return from_units(units, self._quantity_decimals)

    def queue(self, order: Order) -> dict[str, Any]:
        return {
            "price": self.price(order.price),
            "quantity_ahead": self.quantity(self._scratch.quantity_ahead),
            "orders_ahead": self._scratch.orders_ahead,
        }

    def check(self, check: Check, order: Order, part: Any, request: PlaceOrder) -> dict[str, Any]:
        """``part`` is what the request says of the order, ``request`` the whole (which has its quantity)."""
        value = self._number(check.name, check.value)
        if check.name == "price_not_on_tick" and order.off_grid & PRICE_OFF_GRID:
            value = _inexact(part, ("price", "stop_price", "trail_price"), self._price_decimals)
        if check.name == "quantity_not_on_step" and order.off_grid & QUANTITY_OFF_GRID:
            value = _inexact(request, ("quantity", "display_quantity"), self._quantity_decimals)
        limit = self._number(check.name, check.limit)
        return {"check": check.name, "limit": limit, "value": value, "passed": check.passed}

    def _number(self, name: str, units: int) -> str | None:
        if name in _PRICES:
            # An order without a limit has none to hold against anything; an empty side none to cross.
            return self.price(units) if units else None
        if name in _QUANTITIES:
            return self.quantity(units)
        if name in _NOTIONALS:
            return from_units(units, self._price_decimals + self._quantity_decimals)
        if name in _MONEY:
            return money_text(units)
        if name in _PHASES:
            return PHASE_NAMES[units]
        if name in _STATES:
            return ACCOUNT_STATE_NAMES[units]
        return str(units)


def _inexact(part: Any, names: tuple[str, ...], decimals: int) -> str | None:
    """What was asked for that has more decimals than there are."""
    texts = [text for text in (getattr(part, name, None) for name in names) if text is not None]
    return next((text for text in texts if not to_units(text, decimals)[1]), None)


# Known already


def _replayed(actor: Actor, request: PlaceOrder, now_us: int) -> dict[str, Any] | None:
    """The answer where the client order id is known; None where it is not. Raises what placing would: another request."""
    assert request.client_order_id is not None
    selectors.instrument_by_symbol(request.symbol)
    claim = selectors.claim_get(account_id=actor.account_id, client_order_id=request.client_order_id)
    if claim is None:
        return None
    if bytes(claim.fingerprint) != fingerprint_of(request):
        raise ProblemError("duplicate_client_order_id", order_id=claim.order_id)
    row = selectors.order_by_id(claim.order_id)
    instrument = selectors.instrument_by_id(row.instrument_id)
    refused, ended = row.status == REJECTED, row.status > LAST_OPEN_STATUS
    reason = REASON_NAMES[row.reason] or None
    decimals = instrument.quantity_decimals
    average = ratio_from_units(row.notional, row.filled, instrument.price_decimals) if row.filled else None
    return {
        "accepted": not refused,
        "reason": reason if refused else None,
        "checks": [],
        "fills": [],
        "filled_quantity": from_units(row.filled, decimals),
        "average_price": average,
        "remaining_quantity": from_units(row.remaining, decimals),
        "status": STATUS_NAMES[row.status],
        "canceled_reason": reason if ended and not refused else None,
        "self_trade": [],
        "queue": None,
        "triggered": False,
        "legs": [],
        "replayed": True,
        "order_id": str(row.id),
        "sequence": row.sequence,
        "truncated": False,
        "time": wire_time(now_us),
    }
