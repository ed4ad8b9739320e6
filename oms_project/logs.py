"""Log lines: UTC time, level, logger, request id, message; as text, or as one JSON object each.

Kept apart from the middleware because logging is configured before the app registry is ready.
"""

import json
import logging
import time
from contextvars import ContextVar

# The id of the request being served in this context; "-" outside of one (the engine, commands, sockets).
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")


class RequestIdFilter(logging.Filter):
    """Put ``request_id`` on every record that does not bring its own; never drops one."""

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "request_id"):
            return True
        request_id = current_request_id.get()
        if request_id == "-":
            # Django logs some refusals after the middleware has returned; their records carry the request.
            request_id = getattr(getattr(record, "request", None), "request_id", "-")
        record.request_id = request_id
        return True


class UtcFormatter(logging.Formatter):
    """``asctime`` in UTC whatever the machine's zone: ``2026-01-31T09:30:00.123Z``."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class JsonFormatter(UtcFormatter):
    """One object a line: what a line of text says, ``order_id`` and ``command`` where known, a traceback as ``exception``.

    Line breaks and everything else that is no ASCII are escaped, so whatever a client makes us log stays one line.
    """

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", "-"),
        }
        for name in ("command", "order_id"):
            value = getattr(record, name, None)
            if value is not None:
                told[name] = str(value)
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)
