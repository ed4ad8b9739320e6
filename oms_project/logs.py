"""Log lines: UTC time, level, logger, request id, message.

Kept apart from the middleware because logging is configured before the app registry is ready.
"""

import logging
import time
from contextvars import ContextVar

# The id of the request being served in this context; "-" outside of one (the engine, commands, sockets).
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")


class RequestIdFilter(logging.Filter):
    """Put ``request_id`` on every record; never drops one."""

    def filter(self, record: logging.LogRecord) -> bool:
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
