"""An instrument's row as the core's instrument: for the engine that recovers, and for a dry run's scratch engine."""

import json

from matching.engine import Engine
from matching.state import Instrument
from orders.models import Instrument as InstrumentRow


def instrument_of_row(row: InstrumentRow, engine: Engine, at: int) -> Instrument:
    """The instrument as it stood at ``at``, the shard's last moment, put into ``engine``; its book is empty yet."""
    instrument = engine.instruments[row.id] = unplaced_instrument(row, engine, at)
    return instrument


def unplaced_instrument(row: InstrumentRow, engine: Engine, at: int) -> Instrument:
    """The same, made for ``engine`` but not yet in it."""
    instrument = Instrument(
        row.id,
        row.symbol,
        row.price_decimals,
        row.quantity_decimals,
        row.price_tick,
        row.quantity_step,
        row.min_quantity,
        row.max_quantity,
        row.max_notional,
        row.collar_bps,
        row.reference_price,
        row.phase,
        engine.orders,
        row.breaker_us,
        row.base,
        row.quote,
    )
    instrument.phase_until = row.phase_until
    # The row keeps the schedule as it was set: what was due by the last commit has happened.
    instrument.schedule = [(due, phase) for due, phase in json.loads(row.schedule) if due > at]
    instrument.last_price = row.last_price
    return instrument
