"""Configuration as operators say it: instruments in decimals, accounts and their limits, keys of programs.

``to_command`` turns a validated request into the core's command in units, or raises ``ProblemError`` naming every field
that the instrument's decimals cannot express.
"""

import re
from ipaddress import ip_network
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from matching.commands import DefineAccount, DefineInstrument
from matching.values import (
    ACCOUNT_STATE_NAMES,
    BASIS_POINTS,
    DEFAULT_MAX_OPEN_ORDERS,
    MAX_UNITS,
    MONEY_DECIMALS,
    PHASE_NAMES,
    SECOND_US,
)
from orders.schemas.decimals import PositiveDecimal, UnitsOverflow, from_units, to_units
from orders.schemas.orders import Request
from orders.schemas.problems import ProblemError

# Decimals a price or quantity may have: as many as the wire takes.
MAX_DECIMALS = 12
# What the column of open orders holds on every database.
MAX_COUNT = 2**31 - 1
# Messages a second the engine can count: one a microsecond.
MAX_RATE = SECOND_US
# A circuit breaker's auction, or a phase that is to end by itself, longer than a day would be a mistake.
MAX_PHASE_SECONDS = 86_400
# Characters the column of an address list holds.
MAX_ADDRESSES = 400

Phase = Literal["continuous", "halted", "closed"]
AccountState = Literal["active", "reducing_only", "halted"]
Scope = Literal["read", "trade", "cancel", "operate"]

Decimals = Annotated[int, Field(ge=0, le=MAX_DECIMALS)]
Currency = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z0-9][A-Z0-9._-]{0,15}$")]
Units = Annotated[int, Field(ge=0, le=MAX_UNITS)]
PhaseSeconds = Annotated[int, Field(ge=1, le=MAX_PHASE_SECONDS)]


def _collar(text: str) -> str:
    if not re.fullmatch(r"[0-9](\.[0-9]{1,4}0*)?", text) or not text.strip("0."):
        raise PydanticCustomError("collar", "must be a fraction such as 0.05, with at most four decimals and below 10")
    return text


def _networks(text: str) -> str:
    try:
        networks = ",".join(str(ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip())
    except ValueError:
        raise PydanticCustomError("network", "must be networks such as 192.0.2.0/24, comma separated") from None
    if len(networks) > MAX_ADDRESSES:
        raise PydanticCustomError("networks", "names too many networks")
    return networks


class InstrumentDefinition(Request):
    """An instrument and its rules; decimals as strings. What is None has no limit (the minimum: one step).

    ``circuit_breaker_seconds`` is how long the auction lasts that begins when a market order meets the collar.
    """

    symbol: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z0-9][A-Z0-9._-]{0,31}$")]
    base: Currency
    quote: Currency
    price_decimals: Decimals
    quantity_decimals: Decimals
    price_tick: PositiveDecimal
    quantity_step: PositiveDecimal
    min_quantity: PositiveDecimal | None = None
    max_quantity: PositiveDecimal | None = None
    max_notional: PositiveDecimal | None = None
    price_collar: Annotated[str, AfterValidator(_collar)] | None = None
    reference_price: PositiveDecimal | None = None
    circuit_breaker_seconds: PhaseSeconds | None = None
    phase: Phase = "continuous"

    def to_command(self, instrument_id: int = 0) -> DefineInstrument:
        """The command in units; id 0 asks for a new instrument. Raises ``ProblemError`` with every field at fault."""
        errors: list[dict[str, str]] = []

        def units(field: str, decimals: int, default: int, most: int = MAX_UNITS) -> int:
            text = getattr(self, field)
            return default if text is None else _exact(field, text, decimals, most, errors)

        step = units("quantity_step", self.quantity_decimals, 1)
        command = DefineInstrument(
            instrument_id,
            self.symbol,
            self.base,
            self.quote,
            self.price_decimals,
            self.quantity_decimals,
            units("price_tick", self.price_decimals, 1),
            step,
            units("min_quantity", self.quantity_decimals, step),
            units("max_quantity", self.quantity_decimals, MAX_UNITS),
            units("max_notional", self.price_decimals + self.quantity_decimals, 0, MAX_UNITS**2),
            0 if self.price_collar is None else to_units(self.price_collar, _COLLAR_DECIMALS)[0],
            units("reference_price", self.price_decimals, 0),
            PHASE_NAMES.index(self.phase),
            (self.circuit_breaker_seconds or 0) * SECOND_US,
        )
        if not errors:
            errors = _contradictions(command)
        if errors:
            raise ProblemError("invalid_request", f"{errors[0]['field']}: {errors[0]['message']}", errors=errors)
        return command


# Basis points are a fraction with four decimals.
_COLLAR_DECIMALS = len(str(BASIS_POINTS)) - 1


def _exact(field: str, text: str, decimals: int, most: int, errors: list[dict[str, str]]) -> int:
    """Units of a decimal; what is not exact or too large goes to ``errors`` (and counts as 1)."""
    try:
        if most <= MAX_UNITS:
            units, exact = to_units(text, decimals)
        else:
            # A value has the decimals of price and quantity together, and may pass what either of them may.
            whole, _, fraction = text.partition(".")
            fraction = fraction.rstrip("0")
            units, exact = int(whole + fraction[:decimals].ljust(decimals, "0")), len(fraction) <= decimals
            if units > most:
                raise UnitsOverflow(text)
    except UnitsOverflow:
        errors.append(_error(field, "too_large", f"is too large: at most {from_units(most, decimals)}"))
        return 1
    if not exact:
        errors.append(_error(field, "too_many_decimals", f"has more than {decimals} decimals"))
        return 1
    return units


def _contradictions(command: DefineInstrument) -> list[dict[str, str]]:
    """Rules under which nothing could ever be ordered, or that could never come into play."""
    if command.max_quantity < command.min_quantity:
        return [_error("max_quantity", "below_minimum", "is below the minimum quantity")]
    steps = -(-command.min_quantity // command.quantity_step)
    if steps * command.quantity_step > command.max_quantity:
        return [_error("quantity_step", "no_quantity", "has no multiple between minimum and maximum quantity")]
    if command.breaker_us and not command.collar_bps:
        return [_error("circuit_breaker_seconds", "without_collar", "needs a price collar: that is what breaks it")]
    return []


def _error(field: str, code: str, message: str) -> dict[str, str]:
    return {"field": field, "code": code, "message": message}


class AccountLimits(Request):
    """State and limits of an account. Quantities are raw units of whatever is traded; 0 = no limit, but for open orders.

    ``max_rate`` is messages a second; cancels are not counted. A ``funded`` account trades only what it can pay for.
    """

    state: AccountState = "active"
    max_open_orders: Annotated[int, Field(ge=0, le=MAX_COUNT)] = DEFAULT_MAX_OPEN_ORDERS
    max_order_quantity: Units = 0
    max_position: Units = 0
    max_rate: Annotated[int, Field(ge=0, le=MAX_RATE)] = 0
    funded: bool = False

    def to_command(self, account_id: int) -> DefineAccount:
        return DefineAccount(
            account_id,
            ACCOUNT_STATE_NAMES.index(self.state),
            self.max_open_orders,
            self.max_order_quantity,
            self.max_position,
            self.max_rate,
            self.funded,
        )


class KeyRequest(Request):
    """A key to be made: what it may do, and from where (``addresses``: comma-separated networks, empty = anywhere)."""

    name: Annotated[str, StringConstraints(max_length=64)] = ""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(get_args(Scope)))]
    addresses: Annotated[str, StringConstraints(max_length=MAX_ADDRESSES), AfterValidator(_networks)] = ""


class TransferRequest(Request):
    """Money paid into an account, or out of it."""

    direction: Literal["in", "out"]
    amount: PositiveDecimal
    currency: Currency

    @property
    def units(self) -> int:
        """The amount in units of money, exactly; negative where it is paid out."""
        whole, _, fraction = self.amount.partition(".")
        units = int(whole + fraction.ljust(MONEY_DECIMALS, "0"))
        return units if self.direction == "in" else -units


class PhaseRequest(Request):
    """A phase to be entered now. ``lasts_seconds``: then it opens by itself; not for the phase that is open already."""

    phase: Literal["closed", "pre_open", "auction", "no_cancel", "continuous", "halted"]
    lasts_seconds: PhaseSeconds | None = None

    @model_validator(mode="after")
    def _ends_in_trading(self) -> Self:
        if self.lasts_seconds is not None and self.phase == "continuous":
            raise PydanticCustomError("no_end", "an open market does not open by itself: leave the seconds out")
        return self
