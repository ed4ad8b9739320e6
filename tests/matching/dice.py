"""Seeded steps for the driver: every type, group, phase and timer, at a density at which most of it meets.

Few prices and few accounts, so that most orders meet another and many their own; few open orders, so that the twin is
quick: the more there are, the more are canceled. Rules that refuse are soon taken back.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from matching.values import ACCOUNT_STATE_NAMES, SIDE_NAMES, STP_NAMES
from tests.matching.driver import INSTRUMENTS, Pair
from tests.twin.funds import MAX_MONEY, MONEY
from tests.twin.state import DAY_US, PHASES, SECOND_US, TwinOrder

PRICES = range(100, 106)
STOPS = range(98, 108)
ACCOUNTS = (1, 2, 3)
STOP_TYPES = ("stop", "stop_limit", "trailing_stop")
# More open orders than this are soon canceled.
CROWD = 26

Step = tuple[str, dict[str, Any]]


class Dice:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.next_id = 1
        # Set where the next step must come while everything is still open that is open now.
        self.in_time = False

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def step(self, pair: Pair) -> Step:
        self.in_time = False
        op, arguments = self.command(pair)
        return op, {"wait": 0 if self.in_time else self.wait(), **arguments}

    def wait(self) -> int:
        """Mostly less than a second; a day goes by now and then."""
        roll = self.random.random()
        if roll < 0.9:
            return self.random.choice((0, 1, 1, 1000, 20_000, 90_000))
        if roll < 0.9985:
            return self.random.choice((SECOND_US // 2, SECOND_US, 3 * SECOND_US))
        return self.random.choice((60 * SECOND_US, DAY_US // 3, DAY_US))

    def command(self, pair: Pair) -> Step:
        if len(pair.twin.open) > CROWD and self.chance(0.4):
            return "cancel", self.target(pair)
        roll = self.random.random()
        if roll < 0.57:
            return "place", self.order(pair)
        if roll < 0.65:
            return "place_group", self.group(pair)
        if roll < 0.80:
            return "amend", self.amend(pair)
        if roll < 0.89:
            return "cancel", self.target(pair)
        if roll < 0.893:
            return "cancel_all", self.filter()
        if roll < 0.91:
            return "advance_time", {"wait": self.random.randint(0, 2 * SECOND_US)}
        if roll < 0.92:
            delay = self.random.choice((0, 0, 1, 500_000, 3_000_000, -1))
            return "cancel_after", {"account": self.random.choice(ACCOUNTS), "delay_us": delay}
        if roll < 0.93:
            return "transfer", self.transfer()
        return self.rules(pair)

    # Orders

    def order(self, pair: Pair) -> dict[str, Any]:
        pick = self.random.choice
        type = pick(("limit",) * 13 + ("market",) * 3 + ("stop", "stop_limit", "stop_limit", "trailing_stop"))
        instrument = 3 if self.chance(0.005) else pick((1, 1, 1, 2))
        order = {**self.identity(pair), "account": pick(ACCOUNTS), "instrument": instrument, "side": pick(SIDE_NAMES)}
        order |= self.terms(type, order["side"]) | self.times(pair, type)
        if order["price"] and self.is_call(pair, instrument) and self.chance(0.6):
            order["price"] = pick(PRICES)
        return order

    def is_call(self, pair: Pair, instrument: int) -> bool:
        """Where nothing trades now, orders may cross: something for the uncross to do."""
        known = pair.twin.instruments.get(instrument)
        return known is not None and known.phase in ("pre_open", "auction", "no_cancel")

    def identity(self, pair: Pair) -> dict[str, Any]:
        """A new id; once in a while one that is taken."""
        order_id, self.next_id = self.next_id, self.next_id + 1
        if pair.twin.open and self.chance(0.005):
            order_id = self.random.choice(pair.twin.open).order_id
            self.in_time = True
        off_grid = self.random.choice(("price", "quantity")) if self.chance(0.005) else ""
        return {"order_id": order_id, "off_grid": off_grid, "stp": self.random.choice((*STP_NAMES, "none", "none"))}

    def terms(self, type: str, side: str) -> dict[str, Any]:
        """Type, prices and quantities."""
        terms: dict[str, Any] = {"type": type, "price": 0, "quantity": self.random.randint(1, 12)}
        if type in ("limit", "stop_limit"):
            terms["price"] = self.limit_price(side)
            terms["post_only"] = type == "limit" and self.chance(0.08)
            if self.chance(0.2):
                terms["display_quantity"] = self.random.randint(1, 5)
        if type in ("stop", "stop_limit"):
            terms["stop_price"] = self.stop_price(side)
        if type == "trailing_stop":
            terms |= self.pick_trail()
        if self.chance(0.003):
            terms |= {"quantity": self.random.randint(900, 3000), "display_quantity": self.random.randint(1, 3)}
        return terms

    def limit_price(self, side: str) -> int:
        """Buyers mostly bid low and sellers mostly ask high, or nothing would rest."""
        any_price = self.chance(0.35)
        return self.random.choice(PRICES if any_price else PRICES[:3] if side == "buy" else PRICES[3:])

    def stop_price(self, side: str) -> int:
        any_price = self.chance(0.1)
        return self.random.choice(STOPS if any_price else STOPS[5:] if side == "buy" else STOPS[:5])

    def pick_trail(self) -> dict[str, int]:
        if self.chance(0.5):
            return {"trail": self.random.choice((1, 2, 2, 3, 200))}
        return {"trail_bps": self.random.choice((50, 100, 150, 300))}

    def times(self, pair: Pair, type: str) -> dict[str, Any]:
        times: Sequence[str] = ("gtc", "gtc", "gtc", "gtc", "gtc", "gtc", "day", "gtd", "gtd")
        if type == "market":
            times = ("ioc", "ioc", "gtc", "day", "fok")
        elif type in ("limit", "stop_limit"):
            times = (*times, "ioc", "ioc", "fok", "fok")
        time = self.random.choice(times)
        return {"time_in_force": time} | ({"expires_at": self.deadline(pair)} if time == "gtd" else {})

    def deadline(self, pair: Pair) -> int:
        return pair.now + self.random.choice((1, 300_000, 2_000_000, 5_000_000, 20_000_000, 0, -5))

    def group(self, pair: Pair) -> dict[str, Any]:
        """An OCO, or a bracket: all of one account, instrument and quantity."""
        pick = self.random.choice
        shared = {"account": pick(ACCOUNTS), "instrument": pick((1, 1, 2)), "quantity": self.random.randint(1, 12)}
        side = pick(SIDE_NAMES)
        stop = pick(STOP_TYPES)
        if self.chance(0.5):
            legs = [("oco_limit", "limit", side), ("oco_stop", stop, side)]
        else:
            entry = pick(("limit",) * 6 + ("market",) * 3 + STOP_TYPES)
            other = "sell" if side == "buy" else "buy"
            legs = [("entry", entry, side), ("take_profit", "limit", other), ("stop_loss", stop, other)]
        orders = []
        for role, type, leg_side in legs:
            leg = {**self.identity(pair), "side": leg_side, **self.terms(type, leg_side), **self.times(pair, type)}
            if role != "entry" and leg["time_in_force"] in ("ioc", "fok") and self.chance(0.8):
                leg["time_in_force"] = "gtc"
            orders.append(leg | shared | {"role": role})
        return {"orders": orders}

    def target(self, pair: Pair) -> dict[str, Any]:
        """Somebody's order: mostly an open one, by its owner or an operator; sometimes gone or another's."""
        pick = self.random.choice
        if not pair.twin.open or self.chance(0.04):
            return {"order_id": self.random.randint(1, self.next_id), "account": pick(ACCOUNTS)}
        order = pick(pair.twin.open)
        return {"order_id": order.order_id, "account": pick((0, *[order.account] * 5, pick(ACCOUNTS)))}

    # Amends

    def amend(self, pair: Pair) -> dict[str, Any]:
        pick = self.random.choice
        target = self.target(pair)
        order = pair.twin.find(target["order_id"])
        wanted = {
            "basis": pick(("total", "total", "open", "reduction")) if self.chance(0.5) else "total",
            "expected_version": pick((0,) * 8 + (1, 2)),
            "off_grid": pick(("price", "quantity")) if self.chance(0.01) else "",
        }
        for field in self.fields(order):
            wanted[field] = self.new_value(pair, field, order)
        return target | wanted

    def fields(self, order: TwinOrder | None) -> list[str]:
        """One or two of what the order has, now and then of what it has not."""
        every = ["price", "quantity", "stop_price", "trail", "trail_bps", "display_quantity", "expires_at"]
        if order is None or self.chance(0.08):
            return self.random.sample(every, self.random.choice((0, 1, 2)))
        mine = [key for key in ("price", "stop_price", "display_quantity") if getattr(order, key)]
        mine += ["expires_at"] if order.time_in_force == "gtd" else []
        mine += [self.random.choice(("trail", "trail_bps"))] if order.type == "trailing_stop" else []
        mine += [] if order.group and order.group.stage != "over" else ["quantity", "quantity"]
        return self.random.sample(mine, min(len(mine), self.random.choice((1, 1, 1, 2))))

    def new_value(self, pair: Pair, field: str, order: TwinOrder | None) -> int:
        side = order.side if order else "buy"
        if self.chance(0.005):
            return -1
        values = {
            "price": lambda: self.limit_price(side),
            "stop_price": lambda: self.stop_price(side),
            "quantity": lambda: self.random.randint(0, 14),
            "trail": lambda: self.random.randint(1, 4),
            "trail_bps": lambda: self.random.choice((50, 100, 200)),
            "display_quantity": lambda: self.random.randint(1, 6),
            "expires_at": lambda: self.deadline(pair),
        }
        return values[field]()

    def filter(self) -> dict[str, Any]:
        pick = self.random.choice
        return {
            "account": pick((0, *ACCOUNTS, 9)),
            "instrument": pick((0, *INSTRUMENTS)),
            "side": pick(("", *SIDE_NAMES)),
        }

    # Rules

    def rules(self, pair: Pair) -> Step:
        """A phase, a schedule, an instrument's rules or an account's limits: mostly the plain ones."""
        pick = self.random.choice
        roll = self.random.random()
        if roll < 0.45:
            return "set_phase", self.phase(pair)
        if roll < 0.52:
            return "set_schedule", self.schedule(pair)
        plain = self.chance(0.75)
        if roll < 0.75:
            return "define_instrument", {"instrument": pick(INSTRUMENTS)} | ({} if plain else self.instrument_rules())
        limits = {"funded": self.chance(0.2)} if plain else self.account_limits()
        return "define_account", {"account": pick(ACCOUNTS)} | limits

    def phase(self, pair: Pair) -> dict[str, Any]:
        """Where trading goes on, now and then an end to it; where it does not, mostly trading again."""
        pick = self.random.choice
        closed = [number for number, one in pair.twin.instruments.items() if one.phase != "continuous"]
        if closed and self.chance(0.7):
            return {"instrument": pick(closed), "phase": "closed" if self.chance(0.1) else "continuous"}
        phase = pick((*PHASES, *["auction"] * 6, "pre_open", "no_cancel"))
        lasts_us = pick((0, 0, 200_000, 2_000_000, -1)) if self.chance(0.7) else 0
        return {"instrument": 3 if self.chance(0.02) else pick(INSTRUMENTS), "phase": phase, "lasts_us": lasts_us}

    def schedule(self, pair: Pair) -> dict[str, Any]:
        """A few phase changes, some of them past; the last opens the market."""
        at, transitions = pair.now + self.random.choice((-3_000_000, 0, 100_000)), []
        for _ in range(self.random.randint(0, 4)):
            transitions.append((at, self.random.choice(PHASES)))
            at += self.random.choice((1, 200_000, 1_000_000))
        transitions.append((at, "continuous"))
        if self.chance(0.05):
            transitions.append((at, "closed"))
        instrument = 3 if self.chance(0.02) else self.random.choice(INSTRUMENTS)
        return {"instrument": instrument, "transitions": transitions, "enter_current": self.chance(0.5)}

    def instrument_rules(self) -> dict[str, int]:
        pick = self.random.choice
        return {
            "price_tick": pick((1, 1, 1, 2)),
            "quantity_step": pick((1, 1, 1, 3)),
            "min_quantity": pick((1, 1, 3)),
            "max_quantity": pick((10, 1000, 5000)),
            "max_notional": pick((0, 0, 900)),
            "collar_bps": pick((0, 50, 100, 200)),
            "reference_price": pick((0, 102)),
            "breaker_us": pick((0, 300_000, 1_000_000)),
        }

    def account_limits(self) -> dict[str, Any]:
        pick = self.random.choice
        return {
            "state": pick((*ACCOUNT_STATE_NAMES, "active", "active")),
            "max_open_orders": pick((1, 4, 100, 100)),
            "max_order_quantity": pick((0, 0, 8)),
            "max_position": pick((0, 0, 15)),
            "max_rate": pick((0, 1, 3, 20)),
            "funded": pick((False, True)),
        }

    def transfer(self) -> dict[str, Any]:
        currency = self.random.choice(("USD", "ACME", "BOND", ""))
        # As much goes out as comes in, or everybody would be rich soon.
        amount = self.random.choice((3, 20, 500, 1500, -3, -20, -500, -1500, 0, MAX_MONEY + 1)) * MONEY
        return {"account": self.random.choice(ACCOUNTS), "currency": currency, "amount": amount}
