"""Answers are JSON, whatever the client would rather have; requests with a body must be JSON."""

from typing import Any

import orjson
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer

JSON = "application/json"


class JSONRenderer(BaseRenderer):
    """Dicts and lists of text, whole numbers, true, false and null to JSON."""

    media_type = JSON
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else orjson.dumps(data)


class JSONOnly(BaseContentNegotiation):
    """No negotiation: one format in, one out."""

    def select_parser(self, request: Any, parsers: list[Any]) -> Any:
        content_type = request.content_type
        if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
            return None
        return parsers[0]

    def select_renderer(self, request: Any, renderers: list[Any], format_suffix: str | None = None) -> tuple[Any, str]:
        return renderers[0], JSON
