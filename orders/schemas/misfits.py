"""What does not fit together in a request: collected by field, raised as one ``ValidationError``.

A model's own validator can only speak of the whole; clients want to know which field to change.
"""

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError


class Misfits:
    """Call ``add`` for every contradiction, then ``check``."""

    def __init__(self) -> None:
        self._found: list[InitErrorDetails] = []

    def add(self, field: str, code: str, message: str) -> None:
        """``field`` is empty for the whole; ``message`` is a whole clause: "a limit order needs a price"."""
        # Braces would be taken for places to fill in.
        error = PydanticCustomError(code, message.replace("{", "{{").replace("}", "}}"))  # type: ignore[arg-type]
        self._found.append(InitErrorDetails(type=error, loc=(field,) if field else (), input=None))

    def check(self, model: Any) -> None:
        """Raises ``ValidationError`` where anything was added; inside a model's validator Pydantic takes it over."""
        if self._found:
            raise ValidationError.from_exception_data(type(model).__name__, self._found)
