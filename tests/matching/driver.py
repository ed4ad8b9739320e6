"""Drives the engine and its twin side by side and compares everything that can be seen.

A step is a word and keyword arguments in the public vocabulary (``do("place", order_id=1, side="buy", ...)``), and how
many microseconds after the one before it comes; both sides get it in their own form. After each: events, next sequence,
queues with tips and hidden quantity, waiting stops, holdings, open orders, last prices, phases, schedules, rates, leases
and what is due next must be equal, every change of status must be in the lifecycle table, and the engine's invariants must
hold.
"""

from __future__ import annotations

from typing import Any

from matching.commands import (
    OPEN,
    REDUCTION,
    TOTAL,
    AdvanceTime,
    Amend,
    Cancel,
    CancelAfter,
    CancelAll,
    Command,
    DefineAccount,
    DefineInstrument,
    OrderGroup,
    SetPhase,
    SetSchedule,
    Transfer,
)
from matching.engine import Engine
from matching.events import KIND_NAMES, ORDER, Event
from matching.funds import available
from matching.lifecycle import UNBORN, is_step
from matching.order import Conditions, Order
from matching.state import Account, Instrument
from matching.values import (
    ACCOUNT_STATE_NAMES,
    LAST_OPEN_STATUS,
    PHASE_NAMES,
    PRICE_OFF_GRID,
    QUANTITY_OFF_GRID,
    REASON_NAMES,
    ROLE_NAMES,
    SIDE_NAMES,
    STATUS_NAMES,
    STP_NAMES,
    TIME_IN_FORCE_NAMES,
    TYPE_NAMES,
)
from tests.twin import state as twin_state
from tests.twin.engine import TwinEngine

BASES = {"total": TOTAL, "open": OPEN, "reduction": REDUCTION}
OFF_GRID = {"": 0, "price": PRICE_OFF_GRID, "quantity": QUANTITY_OFF_GRID}
INSTRUMENTS = (1, 2)
# What each trades, and for what: the second is paid in what the first trades.
CURRENCIES = {1: ("ACME", "USD"), 2: ("BOND", "ACME"), 3: ("NONE", "USD")}
MONIES = ("USD", "ACME", "BOND")
# The first moment of a run: in the middle of a day, so that midnight is not near.
START_US = 20_000 * twin_state.DAY_US + twin_state.DAY_US // 2


# Commands in the engine's form


def to_command(op: str, a: dict[str, Any]) -> Command:
    """The engine's command for a step."""
    return COMMANDS[op](a)


def to_order(a: dict[str, Any], group_id: int = 0) -> Order:
    numbers = ("stop_price", "trail", "trail_bps", "display_quantity", "expires_at")
    conditions = None
    if group_id or a.get("time_in_force") == "day" or any(a.get(key) for key in numbers):
        given = {key: a[key] for key in numbers if key in a}
        conditions = Conditions(**given, group_id=group_id, role=ROLE_NAMES.index(a.get("role", "")))
    return Order(
        a["order_id"],
        a["account"],
        a["instrument"],
        SIDE_NAMES.index(a["side"]),
        a["price"],
        a["quantity"],
        TYPE_NAMES.index(a.get("type", "limit")),
        TIME_IN_FORCE_NAMES.index(a.get("time_in_force", "gtc")),
        STP_NAMES.index(a.get("stp", "cancel_newest")),
        a.get("post_only", False),
        off_grid=OFF_GRID[a.get("off_grid", "")],
        conditions=conditions,
    )


def to_group(a: dict[str, Any]) -> OrderGroup:
    return OrderGroup([to_order(one, a["orders"][0]["order_id"]) for one in a["orders"]])


def to_amend(a: dict[str, Any]) -> Amend:
    given = {key: value for key, value in a.items() if key not in ("account", "basis", "off_grid", "order_id")}
    basis, off_grid = BASES[a.get("basis", "total")], OFF_GRID[a.get("off_grid", "")]
    return Amend(a["order_id"], a.get("account", 0), basis=basis, off_grid=off_grid, **given)


def to_cancel_all(a: dict[str, Any]) -> CancelAll:
    side = SIDE_NAMES.index(a["side"]) if a.get("side") else -1
    return CancelAll(a.get("account", 0), a.get("instrument", 0), side)


def to_schedule(a: dict[str, Any]) -> SetSchedule:
    transitions = [(when, PHASE_NAMES.index(phase)) for when, phase in a["transitions"]]
    return SetSchedule(a["instrument"], transitions, a.get("enter_current", False))


def to_instrument(a: dict[str, Any]) -> DefineInstrument:
    rules = {key: value for key, value in a.items() if key != "instrument"}
    return DefineInstrument(a["instrument"], f"SYM-{a['instrument']}", **rules)


def with_currencies(a: dict[str, Any]) -> dict[str, Any]:
    base, quote = CURRENCIES[a["instrument"]]
    return {**a, "base": base, "quote": quote}


def to_account(a: dict[str, Any]) -> DefineAccount:
    limits = {**a, "state": ACCOUNT_STATE_NAMES.index(a.get("state", "active"))}
    return DefineAccount(limits.pop("account"), **limits)


COMMANDS: dict[str, Any] = {
    "place": to_order,
    "place_group": to_group,
    "amend": to_amend,
    "cancel": lambda a: Cancel(a["order_id"], a.get("account", 0)),
    "cancel_all": to_cancel_all,
    "cancel_after": lambda a: CancelAfter(a["account"], a["delay_us"]),
    "advance_time": lambda a: AdvanceTime(),
    "set_phase": lambda a: SetPhase(a["instrument"], PHASE_NAMES.index(a["phase"]), a.get("lasts_us", 0)),
    "set_schedule": to_schedule,
    "define_instrument": to_instrument,
    "define_account": to_account,
    "transfer": lambda a: Transfer(a["account"], a["currency"], a["amount"]),
}


def in_words(event: Event) -> twin_state.Event:
    """An engine's event as the twin tells it."""
    kind, sequence, order, price, quantity, remaining, filled, status, reason, other = event
    order_id, name = (order.order_id, STATUS_NAMES[status]) if order else (0, "")
    numbers = (order_id, price, quantity, remaining, filled, name, REASON_NAMES[reason], other)
    return (sequence, KIND_NAMES[kind], *numbers)


# Both sides


class Pair:
    """An engine and its twin, two instruments."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.twin = TwinEngine()
        self.now = START_US
        self.status: dict[int, int] = {}
        self.seen: set[tuple[int, int, int]] = set()
        self.reasons: set[str] = set()
        self.kinds: set[str] = set()
        self.available: dict[tuple[int, str], int] = {}
        self.steps: list[tuple[int, str, dict[str, Any]]] = []
        # Events of the last of them.
        self.latest: list[Event] = []
        for instrument in INSTRUMENTS:
            self.do("define_instrument", instrument=instrument)

    def do(self, op: str, wait: int = 1, **arguments: Any) -> list[Event]:
        """Run one step on both sides, ``wait`` microseconds after the one before it, and compare."""
        self.now += wait
        if op == "define_instrument":
            arguments = with_currencies(arguments)
        self.steps.append((self.now, op, arguments))
        before = self.engine.next_sequence
        events = self.latest = self.engine.apply(before, self.now, to_command(op, arguments))
        ours, theirs = [in_words(event) for event in events], self.twin.do(op, self.now, **arguments)
        assert ours == theirs, difference(ours, theirs)
        assert self.engine.next_sequence == self.twin.sequence
        self.check_numbers(before, events)
        self.follow(events)
        self.engine.check_invariants()
        self.compare()
        return events

    def check_numbers(self, before: int, events: list[Event]) -> None:
        """Numbers follow one another without a gap; only a refused command has none."""
        numbers = [event[1] for event in events if event[1]]
        assert numbers == list(range(before, before + len(numbers)))
        assert self.engine.next_sequence == before + len(numbers)

    def follow(self, events: list[Event]) -> None:
        """Walk the events through the lifecycle table; the engine's own statuses must be where it ends."""
        for kind, _, order, _, _, _, _, status, reason, _ in events:
            self.reasons.add(REASON_NAMES[reason])
            self.kinds.add(KIND_NAMES[kind])
            if order is None:
                continue
            old = self.status.get(order.order_id, UNBORN)
            assert is_step(old, kind, status), f"{STATUS_NAMES[status]} after {KIND_NAMES[kind]} from {old}"
            self.seen.add((old, kind, status))
            self.status[order.order_id] = status
        for order in {event[ORDER].order_id: event[ORDER] for event in events if event[ORDER]}.values():
            assert order.status == self.status[order.order_id]
            # An end is forgotten: nothing but an acceptance could follow it, and the id would have to be new.
            if order.status > LAST_OPEN_STATUS:
                del self.status[order.order_id]

    def compare(self) -> None:
        engine, twin = self.engine, self.twin
        assert engine.orders.keys() == {order.order_id for order in twin.open}
        for order in twin.open:
            ours, theirs = terms(engine.orders[order.order_id]), twin_terms(order)
            assert ours == theirs, f"order {order.order_id} is {ours}, expected {theirs}"
        for number, instrument in engine.instruments.items():
            self.compare_instrument(number, instrument)
        for number, account in engine.accounts.items():
            other = twin.accounts[number]
            ours = (account.max_rate, account.rate_at, account.cancel_after_at)
            theirs = (other.max_rate, other.rate_at, other.cancel_after_at)
            assert ours == theirs, f"account {number} is {ours}, expected {theirs}"
            self.compare_funds(number, account)
        # A reminder of what is no more may come early, never late.
        assert engine.next_due <= twin.next_due()[0]

    def compare_funds(self, number: int, account: Account) -> None:
        """Whoever is funded, and can pay for what he has, never comes to where he could not."""
        for currency in MONIES if account.funded else ():
            has = available(account, currency)
            assert has == self.twin.available(number, currency)
            assert has >= 0 or self.available.get((number, currency), -1) < 0, f"account {number} owes {currency}"
            self.available[number, currency] = has
        if not account.funded:
            self.available = {key: has for key, has in self.available.items() if key[0] != number}

    def compare_instrument(self, number: int, instrument: Instrument) -> None:
        expected = self.twin.instruments[number]
        assert instrument.last_price == expected.last
        assert (PHASE_NAMES[instrument.phase], instrument.phase_until) == (expected.phase, expected.phase_until)
        assert [(when, PHASE_NAMES[phase]) for when, phase in instrument.schedule] == expected.schedule
        for side, book in (("buy", instrument.book.bids), ("sell", instrument.book.asks)):
            best_first = [order for key in reversed(book.keys) for order in queue(book.levels[key])]
            queued = [(one.order_id, one.remaining - one.hidden, one.hidden) for one in best_first]
            assert queued == [(one.order_id, one.tip, one.hidden) for one in self.twin.resting(number, side)]
        waiting = [one for one in self.twin.open if one.where == "waiting" and one.instrument == number]
        if waiting or instrument.stops.waiting_count:
            by_place = sorted(waiting, key=lambda one: one.priority)
            assert [one.order_id for one in instrument.stops.waiting()] == [one.order_id for one in by_place]
        self.compare_holdings(number, instrument)

    def compare_holdings(self, number: int, instrument: Instrument) -> None:
        for account, holding in instrument.holdings.items():
            traded = self.twin.traded[account, number]
            assert [holding.bought, holding.bought_notional] == traded["buy"]
            assert [holding.sold, holding.sold_notional] == traded["sell"]
        traders = [account for account, traded in self.twin.traded if traded == number]
        assert all(account in instrument.holdings for account in traders)


def terms(order: Order) -> tuple[Any, ...]:
    """What an open order of the engine has, and is."""
    own = (order.price, order.quantity, order.remaining, order.hidden, order.canceled, order.priority, order.version)
    conditions = order.conditions
    if conditions is None:
        return (*own, STATUS_NAMES[order.status], 0, 0, 0, 0, 0, 0)
    return (
        *own,
        STATUS_NAMES[order.status],
        conditions.stop_price,
        conditions.trail,
        conditions.trail_bps,
        conditions.display_quantity,
        conditions.expires_at,
        conditions.best,
    )


def twin_terms(order: twin_state.TwinOrder) -> tuple[Any, ...]:
    return (
        order.price,
        order.quantity,
        order.remaining,
        order.hidden,
        order.canceled,
        order.priority,
        order.version,
        order.status,
        order.trigger,
        order.trail,
        order.trail_bps,
        order.display_quantity,
        order.expires_at,
        order.best if order.type == "trailing_stop" else 0,
    )


def queue(level: Any) -> list[Order]:
    """The orders of a level, oldest first."""
    found = []
    order = level.head
    while order is not None:
        found.append(order)
        order = order.newer
    return found


def difference(ours: list[twin_state.Event], theirs: list[twin_state.Event]) -> str:
    """Both lists up to where they part."""
    same = next((place for place, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None)
    same = min(len(ours), len(theirs)) if same is None else same
    told = [f"  both    {event}" for event in ours[:same]]
    told += [f"  engine  {event}" for event in ours[same : same + 3]] + ["  twin    ..."]
    return "\n".join(["events differ:", *told[:-1], *(f"  twin    {event}" for event in theirs[same : same + 3])])
