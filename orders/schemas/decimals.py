"""Decimal strings and integers in units: the only place where one becomes the other.

On the wire a price or quantity is ASCII digits with at most 15 before and 12 after the point; JSON numbers, exponents,
signs, NaN and other scripts' digits are refused by pattern, before anything becomes a number (``int(Decimal("1e999999"))``
takes half a minute).
"""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from matching.values import MAX_UNITS, MONEY_DECIMALS

DECIMAL_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,12})?$"


def _positive(text: str) -> str:
    if not text.strip("0."):
        raise PydanticCustomError("not_positive", "must be greater than zero")
    return text


# A positive decimal as the wire says it, for example "100.250".
PositiveDecimal = Annotated[
    str,
    StringConstraints(strict=True, pattern=DECIMAL_PATTERN),
    AfterValidator(_positive),
]

# A percentage in basis points: above 0, below 100, with at most two decimals that say something.
PERCENT_PATTERN = r"^[0-9]{1,2}(\.[0-9]{1,2}0{0,10})?$"
PERCENT_DECIMALS = 2
PercentText = Annotated[
    str,
    StringConstraints(strict=True, pattern=PERCENT_PATTERN),
    AfterValidator(_positive),
]


class UnitsOverflow(ValueError):
    """The number passes what the core holds (2**53 - 1 units)."""


def to_units(text: str, decimals: int) -> tuple[int, bool]:
    """Units of a decimal string that matches the pattern, and whether that is exact.

    >>> to_units("100.25", 2), to_units("100.255", 2)
    ((10025, True), (10025, False))

    Raises ``UnitsOverflow`` beyond ``MAX_UNITS``.
    """
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    units = int(whole + fraction[:decimals].ljust(decimals, "0"))
    if units > MAX_UNITS:
        raise UnitsOverflow(text)
    return units, len(fraction) <= decimals


def plain(text: str | None) -> str:
    """A decimal by value, for comparing requests: "100.50" and "0100.5" are the same."""
    if text is None:
        return ""
    whole, _, fraction = text.partition(".")
    return f"{whole.lstrip('0')}.{fraction.rstrip('0')}"


def from_units(units: int, decimals: int) -> str:
    """A decimal string with exactly ``decimals`` decimals: ``from_units(10025, 3) == "10.025"``."""
    if not decimals:
        return str(units)
    sign = "-" if units < 0 else ""
    digits = str(abs(units)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def money_text(units: int) -> str:
    """Units of money without the zeros that say nothing: a currency has no decimals of its own."""
    return from_units(units, MONEY_DECIMALS).rstrip("0").rstrip(".")


def ratio_from_units(numerator: int, denominator: int, decimals: int) -> str:
    """``numerator / denominator`` units as a decimal string, rounded half up to ``decimals`` (both non-negative)."""
    return from_units((2 * numerator + denominator) // (2 * denominator), decimals)
