"""Text as we say it: decimals and times in answers and in the feed. What clients may say is in ``decimals`` and ``moments``.

Decimals have no sign unless it says something, no exponent, and the instrument's fixed decimals.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

DecimalText = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]*)(\.[0-9]+)?$")]
SignedText = Annotated[str, StringConstraints(pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$")]
TimeText = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"),
    Field(json_schema_extra={"format": "date-time"}),
]
