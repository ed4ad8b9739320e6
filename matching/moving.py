"""Moving an instrument from one shard's engine to another's.

The engine it leaves forgets it: rules, holdings and open orders go with it, and its log says so in one event. The engine it
comes to has all of it from the tables, and numbers the open orders anew, one event each, in their old order of priority: so
every queue stands as it stood, stops and linked orders wait for what they waited for. Nothing trades meanwhile: it is halted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from matching.events import INSTRUMENT_ARRIVED, INSTRUMENT_DEPARTED, MOVED
from matching.order import Order
from matching.restoring import restore
from matching.state import Holding, Instrument
from matching.timers import rearm
from matching.transit import AdoptInstrument, ReleaseInstrument
from matching.values import HALTED, NO_REASON, R_INVALID_COMMAND, R_UNKNOWN_SYMBOL

if TYPE_CHECKING:
    from matching.executor import Executor


@final
class Arrival:
    """What comes with an instrument (made for the engine it comes to): its open orders in their order of priority, and
    ``(account, bought, bought_notional, sold, sold_notional)`` of everybody who ever traded it."""

    __slots__ = ("holdings", "instrument", "orders")

    def __init__(
        self, instrument: Instrument, holdings: list[tuple[int, int, int, int, int]], orders: list[Order]
    ) -> None:
        self.instrument = instrument
        self.holdings = holdings
        self.orders = orders


def may_leave(instrument: Instrument) -> bool:
    """Whether nothing but the instrument itself would have to go along: money stays where it was paid in."""
    return instrument.phase == HALTED and not any(_has_money_in_it(holding) for holding in instrument.holdings.values())


def _has_money_in_it(holding: Holding) -> bool:
    account = holding.account
    uses = holding.bought or holding.sold or holding.open_buy or holding.open_sell
    return bool(uses) and (account.funded or any(account.deposits.values()))


def release_instrument(engine: Executor, command: ReleaseInstrument) -> None:
    """Forget an instrument. It stays in ``departed`` until the caller has written what this meant."""
    instrument = engine.instruments.get(command.instrument_id)
    if instrument is None:
        return engine.refuse(R_UNKNOWN_SYMBOL)
    if not may_leave(instrument):
        return engine.refuse(R_INVALID_COMMAND)
    for order in [order for order in engine.orders.values() if order.instrument_id == command.instrument_id]:
        del engine.orders[order.order_id]
        order.holding.account.open_orders -= 1
        if order.conditions is not None:
            engine.groups.pop(order.conditions.group_id, None)
    for holding in instrument.holdings.values():
        holding.account.holdings.remove(holding)
    del engine.instruments[command.instrument_id]
    engine.departed[command.instrument_id] = instrument
    rearm(engine)
    engine.configured(INSTRUMENT_DEPARTED, command.shard_id, command.instrument_id)


def adopt_instrument(engine: Executor, command: AdoptInstrument) -> None:
    """Take over an instrument with all that is open of it. Whose it is already: no effect."""
    if command.instrument_id in engine.instruments:
        return
    arrival: Arrival | None = command.arrival
    if arrival is None:
        return engine.refuse(R_UNKNOWN_SYMBOL)
    instrument = arrival.instrument
    engine.instruments[command.instrument_id] = instrument
    for account_id, bought, bought_notional, sold, sold_notional in arrival.holdings:
        holding = engine.holding(account_id, instrument)
        holding.bought, holding.bought_notional = bought, bought_notional
        holding.sold, holding.sold_notional = sold, sold_notional
    engine.configured(INSTRUMENT_ARRIVED, len(arrival.orders), command.instrument_id)
    for order in arrival.orders:
        order.priority = engine.next_sequence
        engine.happened(MOVED, order, order.quantity, NO_REASON, order.hidden)
    restore(engine, arrival.orders)
    # The marks of trailing stops name places in the queue, and those are new.
    instrument.stops.trails_moved = True
    rearm(engine)
