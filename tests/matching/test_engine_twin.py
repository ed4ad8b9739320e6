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
from tests.matching.driver import ACCOUNTS, INSTRUMENTS, PRICES, Dice, Pair

STEPS = int(os.environ.get("OMS_DRIVER_STEPS", "20000"))
# An order that no command names.
NOBODY = 10**6


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


class EngineAgainstTwin(RuleBasedStateMachine):
    """Few prices, few accounts, every mode: most orders meet another one."""

    accounts = st.sampled_from(ACCOUNTS)
    instruments = st.sampled_from(INSTRUMENTS)
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

    @rule(
        account=accounts,
        instrument=st.sampled_from((1, 1, 1, 2)),
        side=st.sampled_from(SIDE_NAMES),
        price=st.sampled_from(PRICES),
        quantity=st.integers(1, 12),
        time_in_force=st.sampled_from(TIME_IN_FORCE_NAMES),
        stp=st.sampled_from(STP_NAMES),
        post_only=st.sampled_from((False, False, False, True)),
        off_grid=st.sampled_from(("", "", "", "", "price", "quantity")),
    )
    def place_limit(self, **order: Any) -> None:
        self.place(**order)

    @rule(account=accounts, instrument=instruments, side=st.sampled_from(SIDE_NAMES), price=st.sampled_from(PRICES))
    def place_plain(self, **order: Any) -> None:
        self.place(quantity=5, stp="none", **order)

    @rule(
        account=accounts,
        instrument=instruments,
        side=st.sampled_from(SIDE_NAMES),
        quantity=st.integers(1, 30),
        time_in_force=st.sampled_from(("ioc", "fok")),
        stp=st.sampled_from(STP_NAMES),
    )
    def place_market(self, **order: Any) -> None:
        self.place(type="market", price=0, **order)

    def place(self, **order: Any) -> None:
        self.pair.do("place", order_id=self.next_id, **order)
        self.next_id += 1

    @rule(
        pick=picks,
        price=st.sampled_from((0, *PRICES)),
        quantity=st.integers(0, 14),
        basis=st.sampled_from(("total", "open", "reduction")),
        expected_version=st.sampled_from((0, 0, 1)),
    )
    def amend(self, pick: int, **change: Any) -> None:
        self.pair.do("amend", **self.choose(pick), **change)

    @rule(pick=picks, by=st.sampled_from(("owner", "operator", "stranger")))
    def cancel(self, pick: int, by: str) -> None:
        target = self.choose(pick)
        account = {"owner": target["account"], "operator": 0, "stranger": 9}[by]
        self.pair.do("cancel", order_id=target["order_id"], account=account)

    @rule(
        account=st.sampled_from((0, *ACCOUNTS)),
        instrument=st.sampled_from((0, *INSTRUMENTS)),
        side=st.sampled_from(("", *SIDE_NAMES)),
    )
    def cancel_all(self, **which: Any) -> None:
        self.pair.do("cancel_all", **which)

    @rule(instrument=instruments, phase=st.sampled_from(("continuous", "continuous", "halted", "closed")))
    def set_phase(self, **phase: Any) -> None:
        self.pair.do("set_phase", **phase)

    @rule(
        instrument=instruments,
        price_tick=st.sampled_from((1, 1, 2)),
        quantity_step=st.sampled_from((1, 1, 3)),
        min_quantity=st.sampled_from((1, 3)),
        max_quantity=st.sampled_from((10, 1000)),
        max_notional=st.sampled_from((0, 900)),
        collar_bps=st.sampled_from((0, 0, 50, 200)),
        reference_price=st.sampled_from((0, 102)),
    )
    def define_instrument(self, **rules: Any) -> None:
        self.pair.do("define_instrument", **rules)

    @rule(
        account=accounts,
        state=st.sampled_from(("active", *ACCOUNT_STATE_NAMES)),
        max_open_orders=st.sampled_from((2, 100)),
        max_order_quantity=st.sampled_from((0, 8)),
        max_position=st.sampled_from((0, 15)),
    )
    def define_account(self, **limits: Any) -> None:
        self.pair.do("define_account", **limits)


TestEngineAgainstTwin = EngineAgainstTwin.TestCase
TestEngineAgainstTwin.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, print_blob=True)
