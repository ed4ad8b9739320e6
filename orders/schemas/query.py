"""Parameters after the question mark: text that says a number, in ASCII digits only.

Python and Pydantic would also take " 10 ", "1_0" and other scripts' digits.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

# Rows of one page, unless asked otherwise and at most: bounds the work of one request to some milliseconds.
DEFAULT_PAGE = 100
MAX_PAGE = 500

_WHOLE_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


def _whole_number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if _WHOLE_NUMBER.fullmatch(value) is None:
        raise PydanticCustomError("whole_number", "must be a whole number")
    return int(value)


# Says "more, from here": what a page gave as ``next``.
Cursor = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{1,19}$")]
Limit = Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=MAX_PAGE)]
WholeNumber = Annotated[int, BeforeValidator(_whole_number), Field(ge=0)]


class Query(BaseModel):
    """The parameters of one operation; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(Query):
    """For operations that take none."""


class PageQuery(Query):
    cursor: Cursor | None = None
    limit: Limit = DEFAULT_PAGE
