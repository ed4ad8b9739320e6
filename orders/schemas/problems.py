"""Problems (RFC 9457): the one shape of every error, on every door."""

from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from orders import meters
from orders.codes import CODES

Outcome = Literal["not_accepted", "accepted", "unknown"]
# How many wrong fields one answer tells of: a body of a million wrong fields must not become an answer of ten million.
MAX_ERRORS = 20

_CODE_OF_PYDANTIC_TYPE = {"missing": "required", "extra_forbidden": "unknown_field", "not_positive": "not_positive"}


class FieldError(BaseModel):
    """What is wrong with one field; ``field`` is a path like ``orders.3.price``, empty for the whole."""

    field: str
    code: str
    message: str


class Problem(BaseModel):
    """``application/problem+json``. ``outcome`` says what became of a command; ``order_id`` names the order it is about.

    ``canceled``: the orders that a cancel of several ended where it was carried out in part (``outcome`` is ``accepted``, or
    ``unknown``).
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] = []
    retryable: bool
    outcome: Outcome
    request_id: str
    order_id: str | None = None
    canceled: list[str] | None = None


class ProblemError(Exception):
    """Raised by any door or service; the door renders it. ``code`` is of the registry in ``orders.codes``."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: list[dict[str, str]] | None = None,
        outcome: Outcome = "not_accepted",
        order_id: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = CODES[code]
        self.detail = detail or self.code.title + "."
        self.errors = errors or []
        self.outcome: Outcome = outcome
        self.order_id = order_id
        self.canceled: tuple[int, ...] = ()
        self.headers = headers or {}

    def body(self, request_id: str) -> dict[str, Any]:
        """The problem document as it is told to somebody, which is counted."""
        meters.problems[self.code.name,].inc()
        return self.document(request_id)

    def document(self, request_id: str) -> dict[str, Any]:
        """The problem document as a dict ready for JSON."""
        body: dict[str, Any] = {
            "type": f"/api/v1/docs#{self.code.name}",
            "title": self.code.title,
            "status": self.code.status,
            "detail": self.detail,
            "code": self.code.name,
            "errors": self.errors,
            "retryable": self.code.retryable,
            "outcome": self.outcome,
            "request_id": request_id,
        }
        if self.order_id is not None:
            body["order_id"] = str(self.order_id)
        if self.canceled:
            body["canceled"] = [str(order_id) for order_id in self.canceled]
        return body


def invalid(field: str, message: str, code: str = "invalid") -> ProblemError:
    """A request that is wrong in one field."""
    return ProblemError(
        "invalid_request", f"{field}: {message}", errors=[{"field": field, "code": code, "message": message}]
    )


def from_validation(error: ValidationError, prefix: str = "") -> ProblemError:
    """The problem that tells what Pydantic found. The values themselves are not repeated: they may be huge or secret."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        {
            "field": (prefix + ".".join(str(part) for part in item["loc"])).rstrip(".")[:200],
            "code": _CODE_OF_PYDANTIC_TYPE.get(item["type"], item["type"]),
            "message": item["msg"],
        }
        for item in found[:MAX_ERRORS]
    ]
    first = errors[0]
    detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    return ProblemError("invalid_request", detail, errors=errors)
