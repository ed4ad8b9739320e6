"""Request bodies: JSON, strictly, and not without end."""

from typing import Any

from django.conf import settings
from django.http import UnreadablePostError
from rest_framework.parsers import BaseParser

from orders.schemas import strict_json
from orders.schemas.problems import ProblemError


class StrictJSONParser(BaseParser):
    """UTF-8 JSON of at most ``DATA_UPLOAD_MAX_MEMORY_SIZE`` bytes.

    A body that says it is longer is refused before it is read, any other as soon as it has passed the limit.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        meta = getattr(stream, "META", {})
        length = meta.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length[:20]) > limit:
            raise _too_large(limit)
        try:
            body = stream.read(limit + 1)
        except UnreadablePostError:
            raise ProblemError("invalid_request", "The request body broke off.") from None
        if len(body) > limit:
            raise _too_large(limit)
        try:
            return strict_json.loads(body)
        except strict_json.JSONError as error:
            detail = f"The body is not acceptable: {error}."
            raise ProblemError(
                "invalid_request", detail, errors=[{"field": "", "code": "json", "message": str(error)}]
            ) from None


def _too_large(limit: int) -> ProblemError:
    return ProblemError("request_too_large", f"A request body may have {limit} bytes.")
