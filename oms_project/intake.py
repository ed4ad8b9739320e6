"""How many requests may be in flight in a process: the same rule under ASGI and WSGI.

Nearly all of its time a request waits for the engine, holding a thread but no database connection. Whoever comes past the
bound is told so at once. Cancels have room of their own: they get through when orders no longer do.
"""

from threading import Lock

import orjson

from orders import meters
from orders.codes import RETRY_AFTER_SECONDS
from orders.schemas.problems import ProblemError

MAX_REQUESTS = 256
# What cancels may use beyond that.
RESERVED_FOR_CANCELS = 64

BUSY_HEADERS = [("Content-Type", "application/problem+json"), ("Retry-After", str(RETRY_AFTER_SECONDS))]
BUSY = orjson.dumps(ProblemError("engine_unavailable", "Too many requests are in flight.").document("-"))


class Intake:
    """Counts requests in flight. Any thread."""

    def __init__(self, bound: int = MAX_REQUESTS, reserved: int = RESERVED_FOR_CANCELS) -> None:
        self._bound = bound
        self._bound_of_cancels = bound + reserved
        self._in_flight = 0
        self._lock = Lock()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def admit(self, method: str) -> bool:
        """Whether a request may come in: then ``leave`` must follow. Else the answer is 503 with ``BUSY``, and is counted."""
        bound = self._bound_of_cancels if method == "DELETE" else self._bound
        with self._lock:
            if self._in_flight < bound:
                self._in_flight += 1
                return True
        meters.requests_turned_away.inc()
        meters.problems["engine_unavailable",].inc()
        return False

    def leave(self) -> None:
        with self._lock:
            self._in_flight -= 1
