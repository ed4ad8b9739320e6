"""A line of the log for every command, with what became of it (``OMS_LOG_COMMANDS``): a request's way through the service.

Written where the command came in, by whoever brings the answer. What costs little for one command costs something for
thousands a second: so it is off unless somebody looks for something.
"""

import logging
from concurrent.futures import Future
from time import monotonic

from orders.bus.envelope import Envelope, Outcome

log = logging.getLogger(__name__)


def follow(envelope: Envelope) -> None:
    """Have what becomes of these commands told, once it is known."""
    began = monotonic()
    envelope.future.add_done_callback(lambda future: _tell(envelope, future, (monotonic() - began) * 1000))


def _tell(envelope: Envelope, future: Future[list[Outcome]], milliseconds: float) -> None:
    if future.cancelled() or future.exception() is not None:
        known = [Outcome("unknown")] * len(envelope.commands)
    else:
        known = future.result()
    for command, outcome in zip(envelope.commands, known, strict=True):
        kind = type(command).__name__
        order_id = outcome.order_id or getattr(command, "order_id", 0)
        orders = getattr(command, "orders", None)
        if not order_id and orders:
            order_id = orders[0].order_id
        log.info(
            "%s %s: %s after %.1f ms",
            kind,
            order_id or "-",
            outcome.kind,
            milliseconds,
            extra={"request_id": envelope.request_id, "command": kind, "order_id": order_id or None},
        )
