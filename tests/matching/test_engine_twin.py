"""The engine against its slow twin: a seeded long driver, and Hypothesis looking for the shortest disagreement.

``OMS_DRIVER_STEPS`` makes the driver longer, ``OMS_SEED`` repeats one of its runs.
"""

from __future__ import annotations

import os
import random
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule

from matching.values import ACCOUNT_STATE_NAMES, SIDE_NAMES, STP_NAMES, TIME_IN_FORCE_NAMES
from tests.matching.dice import ACCOUNTS, PRICES, STOP_TYPES, STOPS, Dice
from tests.matching.driver import INSTRUMENTS, Pair
from tests.twin.funds import MONEY
from tests.twin.state import DAY_US, PHASES, SECOND_US

STEPS = int(os.environ.get("OMS_DRIVER_STEPS", "200000"))
# An order that no command names.
NOBODY = 10**6

sides = st.sampled_from(SIDE_NAMES)
prices = st.sampled_from(PRICES)
stop_prices = st.sampled_from(STOPS)
modes = st.sampled_from(STP_NAMES)
waits = st.sampled_from((0, 1, 1, 100, SECOND_US))
trails = st.sampled_from(({"trail": 1}, {"trail": 3}, {"trail_bps": 100}, {"trail_bps": 250}))
stops = st.fixed_dictionaries({"type": st.sampled_from(("stop", "stop_limit")), "stop_price": stop_prices})
any_stop = stops | trails.map(lambda trail: {"type": "trailing_stop", **trail})


def test_seeded_driver() -> None:
    seed = int(os.environ.get("OMS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"repeat with OMS_SEED={seed} OMS_DRIVER_STEPS={STEPS}")
    dice, pair = Dice(seed), Pair()
    for number in range(STEPS):
        op, arguments = dice.step(pair)
        try:
            pair.do(op, **arguments)
        except Exception as error:
            raise AssertionError(f"OMS_SEED={seed}: step {number}, {op} {arguments}: {error}") from error
        # Only a run's own memory would grow with its length.
        pair.steps.clear()


# Prices and quantities a million million times as large: no product of two fits a machine word.
LARGE = 10**12
LARGE_ONCE = frozenset(
    (
        *("price", "stop_price", "trail", "price_tick", "reference_price", "quantity", "display_quantity"),
        *("quantity_step", "min_quantity", "max_quantity", "max_order_quantity", "max_position"),
    )
)


def enlarged(arguments: dict[str, Any]) -> dict[str, Any]:
    """A step with every price and quantity of it made large."""
    told: dict[str, Any] = {}
    for key, value in arguments.items():
        if key == "orders":
            value = [enlarged(order) for order in value]
        elif key in LARGE_ONCE:
            value *= LARGE
        elif key in ("max_notional", "amount"):
            value *= LARGE**2
        told[key] = value
    return told


def test_large_numbers_are_exact() -> None:
    """Compiled, what belongs to one order is a machine word, and a sum or product in the wrong place would wrap."""
    seed = int(os.environ.get("OMS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"repeat with OMS_SEED={seed}")
    dice, pair = Dice(seed), Pair()
    for instrument in INSTRUMENTS:
        pair.do("define_instrument", instrument=instrument, price_tick=LARGE)
    for number in range(6_000):
        op, arguments = dice.step(pair)
        large = enlarged({"price_tick": 1, **arguments} if op == "define_instrument" else arguments)
        try:
            pair.do(op, **large)
        except Exception as error:
            raise AssertionError(f"OMS_SEED={seed}: step {number}, {op} {large}: {error}") from error


class EngineAgainstTwin(RuleBasedStateMachine):
    """Few prices, few accounts, every type, mode and phase: most orders meet another one."""

    accounts = st.sampled_from(ACCOUNTS)
    instruments = st.sampled_from((1, 1, 1, 2))
    picks = st.integers(0, 30)

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.next_id = 1

    def choose(self, pick: int) -> dict[str, Any]:
        """An open order and its owner; where there is none, an id nobody gave."""
        open_orders = self.pair.twin.open
        if not open_orders:
            return {"order_id": NOBODY, "account": 1}
        order = open_orders[pick % len(open_orders)]
        return {"order_id": order.order_id, "account": order.account}

    def place(self, wait: int = 1, **order: Any) -> None:
        self.pair.do("place", wait=wait, **self.complete(order))

    def complete(self, order: dict[str, Any]) -> dict[str, Any]:
        """An order with an id; a price only where its type has one, an expiry only where its time in force does."""
        order_id, self.next_id = self.next_id, self.next_id + 1
        lasts_us = order.pop("lasts_us", 0)
        if order.get("time_in_force") == "gtd":
            order["expires_at"] = self.pair.now + lasts_us
        if order.get("type", "limit") not in ("limit", "stop_limit"):
            order["price"] = order["display_quantity"] = 0
        return {"order_id": order_id, **order}

    @rule(
        account=accounts,
        instrument=instruments,
        side=sides,
        price=prices,
        quantity=st.integers(1, 12),
        time_in_force=st.sampled_from(TIME_IN_FORCE_NAMES),
        lasts_us=st.sampled_from((-1, 1, 100, SECOND_US)),
        stp=modes,
        post_only=st.sampled_from((False, False, False, True)),
        off_grid=st.sampled_from(("", "", "", "", "price", "quantity")),
        display_quantity=st.sampled_from((0, 0, 1, 3)),
        wait=waits,
    )
    def place_limit(self, **order: Any) -> None:
        self.place(**order)

    @rule(account=accounts, instrument=instruments, side=sides, price=prices)
    def place_plain(self, **order: Any) -> None:
        self.place(quantity=5, stp="none", **order)

    @rule(
        account=accounts,
        instrument=instruments,
        side=sides,
        quantity=st.integers(1, 30),
        time_in_force=st.sampled_from(("ioc", "fok")),
        stp=modes,
    )
    def place_market(self, **order: Any) -> None:
        self.place(type="market", price=0, **order)

    @rule(
        account=accounts,
        instrument=instruments,
        side=sides,
        price=prices,
        quantity=st.integers(1, 12),
        time_in_force=st.sampled_from(("gtc", "gtc", "day", "gtd")),
        lasts_us=st.sampled_from((0, 100, SECOND_US)),
        display_quantity=st.sampled_from((0, 2)),
        stop=any_stop,
    )
    def place_stop(self, stop: dict[str, Any], **order: Any) -> None:
        self.place(stp="none", **order, **stop)

    @rule(
        account=accounts,
        instrument=instruments,
        side=sides,
        quantity=st.integers(1, 9),
        limit=prices,
        stop=any_stop,
        stop_limit=prices,
        entry=st.sampled_from(("", "limit", "market", *STOP_TYPES)),
        entry_price=prices,
        entry_stop=stop_prices,
        late=st.sampled_from((False, False, False, False, True)),
    )
    def place_group(
        self,
        side: str,
        limit: int,
        stop: dict[str, Any],
        stop_limit: int,
        entry: str,
        entry_price: int,
        entry_stop: int,
        late: bool,
        **shared: Any,
    ) -> None:
        """An OCO where there is no entry, else a bracket, whose children are on the other side."""
        exit_side = side if not entry else "sell" if side == "buy" else "buy"
        roles = ("take_profit", "stop_loss") if entry else ("oco_limit", "oco_stop")
        legs = [{"side": exit_side, "price": limit, "role": roles[0]}]
        legs += [{"side": exit_side, "price": stop_limit, "role": roles[1], **stop}]
        if late:
            legs[0] |= {"time_in_force": "gtd", "lasts_us": 0}
        if entry:
            first = {"side": side, "price": entry_price, "type": entry, "role": "entry"}
            first |= {"time_in_force": "ioc"} if entry == "market" else {}
            first |= {"trail": 2} if entry == "trailing_stop" else {}
            first |= {"stop_price": entry_stop} if entry in ("stop", "stop_limit") else {}
            legs.insert(0, first)
        self.pair.do("place_group", orders=[self.complete(leg | shared) for leg in legs])

    @rule(
        pick=picks,
        field=st.sampled_from(("", "price", "stop_price", "trail", "trail_bps", "display_quantity", "expires_at")),
        to=prices,
        quantity=st.integers(0, 14),
        basis=st.sampled_from(("total", "open", "reduction")),
        expected_version=st.sampled_from((0, 0, 1)),
        wait=waits,
    )
    def amend(self, pick: int, field: str, to: int, wait: int, **change: Any) -> None:
        target = self.choose(pick)
        if field:
            values = {"trail": to - 99, "display_quantity": to - 98, "expires_at": self.pair.now + to - 98}
            change[field] = values.get(field, to)
        order = self.pair.twin.find(target["order_id"])
        if order and order.group and order.group.stage != "over":
            change |= {"quantity": 0, "basis": "total"}
        self.pair.do("amend", wait=wait, **target, **change)

    @rule(pick=picks, quantity=st.integers(1, 9))
    def amend_a_linked_quantity(self, pick: int, quantity: int) -> None:
        self.pair.do("amend", **self.choose(pick), quantity=quantity)

    @rule(pick=picks, by=st.sampled_from(("owner", "operator", "stranger")), wait=waits)
    def cancel(self, pick: int, by: str, wait: int) -> None:
        target = self.choose(pick)
        account = {"owner": target["account"], "operator": 0, "stranger": 9}[by]
        self.pair.do("cancel", wait=wait, order_id=target["order_id"], account=account)

    @rule(
        account=st.sampled_from((0, *ACCOUNTS)),
        instrument=st.sampled_from((0, *INSTRUMENTS)),
        side=st.sampled_from(("", *SIDE_NAMES)),
    )
    def cancel_all(self, **which: Any) -> None:
        self.pair.do("cancel_all", **which)

    @rule(account=accounts, delay_us=st.sampled_from((-1, 0, 1, 100, SECOND_US)))
    def cancel_after(self, **lease: Any) -> None:
        self.pair.do("cancel_after", **lease)

    @rule(
        account=accounts, currency=st.sampled_from(("USD", "ACME", "BOND")), amount=st.sampled_from((-5, 3, 500, 3000))
    )
    def transfer(self, amount: int, **to: Any) -> None:
        self.pair.do("transfer", amount=amount * MONEY, **to)

    @rule(wait=st.sampled_from((0, 1, 100, SECOND_US, 5 * SECOND_US, DAY_US)))
    def advance_time(self, wait: int) -> None:
        self.pair.do("advance_time", wait=wait)

    @rule(
        instrument=instruments,
        phase=st.sampled_from(("continuous",) * 4 + PHASES),
        lasts_us=st.sampled_from((0, 0, 1, 100, SECOND_US)),
    )
    def set_phase(self, **phase: Any) -> None:
        self.pair.do("set_phase", **phase)

    @rule(
        instrument=instruments,
        since=st.sampled_from((-100, 0, 1)),
        steps=st.lists(st.tuples(st.integers(1, 100), st.sampled_from(PHASES)), max_size=4),
        enter_current=st.booleans(),
    )
    def set_schedule(self, instrument: int, since: int, steps: list[tuple[int, str]], enter_current: bool) -> None:
        at, transitions = self.pair.now + since, []
        for later, phase in steps:
            at += later
            transitions.append((at, phase))
        self.pair.do("set_schedule", instrument=instrument, transitions=transitions, enter_current=enter_current)

    @rule(
        instrument=instruments,
        price_tick=st.sampled_from((1, 1, 2)),
        quantity_step=st.sampled_from((1, 1, 3)),
        min_quantity=st.sampled_from((1, 3)),
        max_quantity=st.sampled_from((10, 1000)),
        max_notional=st.sampled_from((0, 900)),
        collar_bps=st.sampled_from((0, 0, 50, 200)),
        reference_price=st.sampled_from((0, 102)),
        breaker_us=st.sampled_from((0, 100)),
    )
    def define_instrument(self, **rules: Any) -> None:
        self.pair.do("define_instrument", **rules)

    @rule(
        account=accounts,
        state=st.sampled_from(("active", *ACCOUNT_STATE_NAMES)),
        max_open_orders=st.sampled_from((2, 100)),
        max_order_quantity=st.sampled_from((0, 8)),
        max_position=st.sampled_from((0, 15)),
        max_rate=st.sampled_from((0, 0, 1, 2)),
        funded=st.sampled_from((False, False, True)),
    )
    def define_account(self, **limits: Any) -> None:
        self.pair.do("define_account", **limits)


TestEngineAgainstTwin = EngineAgainstTwin.TestCase
TestEngineAgainstTwin.settings = settings(max_examples=60, stateful_step_count=50, deadline=None, print_blob=True)
