"""Configuration is a command: instruments, phases and limits change in sequence with orders.

Each function takes the engine and a command, validates it fully, then changes the rules and numbers one event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.commands import DefineAccount, DefineInstrument, SetPhase
from matching.events import ACCOUNT_DEFINED, INSTRUMENT_DEFINED, PHASE_CHANGED
from matching.state import Instrument
from matching.values import (
    ACCOUNT_HALTED,
    ACTIVE,
    MAX_UNITS,
    R_INVALID_COMMAND,
    R_UNKNOWN_SYMBOL,
    SUPPORTED_PHASES,
)

if TYPE_CHECKING:
    from matching.engine import Engine


def set_phase(engine: Engine, command: SetPhase) -> None:
    """Put an instrument into a phase. Into the one it is in: no effect, no event."""
    instrument = engine.instruments.get(command.instrument_id)
    if instrument is None:
        return engine.refuse(R_UNKNOWN_SYMBOL)
    if command.phase not in SUPPORTED_PHASES:
        return engine.refuse(R_INVALID_COMMAND)
    if command.phase == instrument.phase:
        return
    instrument.phase = command.phase
    instrument.settle()
    engine.configured(PHASE_CHANGED, command.phase, command.instrument_id)


def define_instrument(engine: Engine, command: DefineInstrument) -> None:
    """Create an instrument, or change the rules of one. Symbol and decimals of an existing one are fixed."""
    if not _instrument_is_sane(command):
        return engine.refuse(R_INVALID_COMMAND)
    instrument = engine.instruments.get(command.instrument_id)
    if instrument is None:
        if any(other.symbol == command.symbol for other in engine.instruments.values()):
            return engine.refuse(R_INVALID_COMMAND)
        instrument = Instrument(
            command.instrument_id,
            command.symbol,
            command.price_decimals,
            command.quantity_decimals,
            phase=command.phase,
            orders=engine.orders,
        )
        engine.instruments[command.instrument_id] = instrument
    elif not _is_same_instrument(instrument, command):
        return engine.refuse(R_INVALID_COMMAND)
    instrument.price_tick = command.price_tick
    instrument.quantity_step = command.quantity_step
    instrument.min_quantity = command.min_quantity
    instrument.max_quantity = command.max_quantity
    instrument.max_notional = command.max_notional
    instrument.collar_bps = command.collar_bps
    instrument.reference_price = command.reference_price
    instrument.settle()
    engine.configured(INSTRUMENT_DEFINED, 0, command.instrument_id)


def define_account(engine: Engine, command: DefineAccount) -> None:
    """Set state and limits of an account. Open orders stay as they are."""
    limits = (command.max_open_orders, command.max_order_quantity, command.max_position)
    if not ACTIVE <= command.state <= ACCOUNT_HALTED or min(limits) < 0 or command.account_id < 1:
        return engine.refuse(R_INVALID_COMMAND)
    account = engine.account(command.account_id)
    account.state = command.state
    account.max_open_orders = command.max_open_orders
    account.max_order_quantity = command.max_order_quantity
    account.max_position = command.max_position
    account.settle()
    engine.configured(ACCOUNT_DEFINED, 0, command.account_id)


def _instrument_is_sane(command: DefineInstrument) -> bool:
    return (
        command.instrument_id > 0
        and command.symbol != ""
        and 0 < command.price_tick <= MAX_UNITS
        and 0 < command.quantity_step <= MAX_UNITS
        and 0 < command.min_quantity <= command.max_quantity <= MAX_UNITS
        and command.max_notional >= 0
        and command.collar_bps >= 0
        and 0 <= command.reference_price <= MAX_UNITS
        and command.phase in SUPPORTED_PHASES
    )


def _is_same_instrument(instrument: Instrument, command: DefineInstrument) -> bool:
    return (
        command.symbol == instrument.symbol
        and command.price_decimals == instrument.price_decimals
        and command.quantity_decimals == instrument.quantity_decimals
    )
