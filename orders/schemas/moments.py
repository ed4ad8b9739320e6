"""Moments as clients say them: RFC 3339 in UTC, to microseconds; inside they are microseconds since 1970.

Strictly: a capital T and Z (or +00:00), two digits each, a day that exists. A leap second does not: no clock here knows it.
"""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from orders.fields import EPOCH, datetime_to_micros

MOMENT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|\+00:00)$"
_MOMENT = re.compile(MOMENT_PATTERN.strip("^$"))


def _to_micros(value: Any) -> int:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("no_such_moment", "there is no such day or time") from None
        if moment > EPOCH:
            return datetime_to_micros(moment)
    raise PydanticCustomError("moment", 'must be a time in UTC like "2026-11-22T17:30:00Z", with at most six decimals')


# Microseconds since 1970, read from text.
Moment = Annotated[
    int,
    BeforeValidator(_to_micros),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": MOMENT_PATTERN}),
]
