"""Configuration is a command: rules of instruments and limits of accounts change in sequence with orders.

Each function takes the engine and a command, validates it fully, then changes the rules and numbers one event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.commands import DefineAccount, DefineInstrument
from matching.events import ACCOUNT_DEFINED, INSTRUMENT_DEFINED
from matching.state import Instrument
from matching.values import (
    ACCOUNT_HALTED,
    ACTIVE,
    CLOSED,
    MAX_UNITS,
    NO_CANCEL,
    R_INVALID_COMMAND,
    SECOND_US,
)

if TYPE_CHECKING:
    from matching.executor import Executor


def define_instrument(engine: Executor, command: DefineInstrument) -> None:
    """Create an instrument, or change the rules of one. Symbol, decimals and currencies of an existing one are fixed."""
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
            base=command.base,
            quote=command.quote,
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
    instrument.breaker_us = command.breaker_us
    instrument.settle()
    engine.configured(INSTRUMENT_DEFINED, 0, command.instrument_id)


def define_account(engine: Executor, command: DefineAccount) -> None:
    """Set state and limits of an account. Open orders stay as they are."""
    limits = (command.max_open_orders, command.max_order_quantity, command.max_position, command.max_rate)
    if not ACTIVE <= command.state <= ACCOUNT_HALTED or min(limits) < 0 or command.account_id < 1:
        return engine.refuse(R_INVALID_COMMAND)
    # More than one message a microsecond cannot be counted.
    if command.max_rate > SECOND_US:
        return engine.refuse(R_INVALID_COMMAND)
    account = engine.account(command.account_id)
    if 0 < command.definition <= account.definition:
        return  # it came too late to have an effect
    account.definition = max(account.definition, command.definition)
    account.state = command.state
    account.max_open_orders = command.max_open_orders
    account.max_order_quantity = command.max_order_quantity
    account.max_position = command.max_position
    account.max_rate = command.max_rate
    account.funded = command.funded
    if not command.max_rate:
        account.rate_at = 0
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
        and CLOSED <= command.phase <= NO_CANCEL
        and command.breaker_us >= 0
    )


def _is_same_instrument(instrument: Instrument, command: DefineInstrument) -> bool:
    return (
        command.symbol == instrument.symbol
        and command.base == instrument.base
        and command.quote == instrument.quote
        and command.price_decimals == instrument.price_decimals
        and command.quantity_decimals == instrument.quantity_decimals
    )
