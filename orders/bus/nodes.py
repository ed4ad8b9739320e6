"""Which of the 1,024 numbers for order ids is this process's own: a lease in Redis, taken by whoever comes and finds it free.

Rules
-----
* A number may be used for ``USABLE_SECONDS`` after its lease was last renewed, by this process's own clock that only goes
  forward. The lease itself lasts ``LEASE_SECONDS``: whoever has it next makes ids of a later time, also where clocks differ by
  the rest of it.
* Who cannot renew in time has no number and makes no ids: ``number`` returns None.
* Numbers are tried in random order. A Redis that lost its leases may give away one that is in use, until its owner renews it
  within a second, and finds out. An order whose id another has is answered "failed" by the engine: ids are primary keys.
"""

import logging
import random
from threading import Event
from time import monotonic

from orders.bus.link import Link, checked
from orders.ids import NODES

log = logging.getLogger(__name__)

NODE_KEY = "oms:node:{}"
LEASE_SECONDS = 60
USABLE_SECONDS = 10.0


class NodeLease:
    """``renew`` it in one thread every second or so, ask for its ``number`` in any."""

    def __init__(self, owner: str) -> None:
        self._owner = owner.encode()
        # The number and until when it may be used. Replaced as one.
        self._held: tuple[int, float] | None = None
        self._has_number = Event()

    def number(self, timeout_seconds: float = 0.0) -> int | None:
        """The number, None where there is none. Waits for the very first one."""
        if self._held is None and not self._has_number.wait(timeout_seconds):
            return None
        held = self._held
        return held[0] if held is not None and monotonic() < held[1] else None

    def renew(self, link: Link) -> None:
        """Keep the number, or take another where it is lost. Raises ``RedisError``."""
        begun = monotonic()
        held = self._held
        if held is None or begun >= held[1] or not self._keep(link, held[0]):
            self._take(link)
        else:
            self._held = held[0], begun + USABLE_SECONDS

    def _keep(self, link: Link, number: int) -> bool:
        """Whether the lease of a number is still this owner's, and lasts longer now."""
        key = NODE_KEY.format(number)
        # Taken again where Redis has lost it; and while its owner is right, it does not run out in between.
        _, owner, _ = checked(
            link.call(
                ("SET", key, self._owner, "NX", "EX", LEASE_SECONDS), ("GET", key), ("EXPIRE", key, LEASE_SECONDS)
            )
        )
        return owner == self._owner

    def _take(self, link: Link) -> None:
        self._held = None
        self._has_number.clear()
        for number in random.sample(range(NODES), NODES):
            begun = monotonic()
            (taken,) = checked(link.call(("SET", NODE_KEY.format(number), self._owner, "NX", "EX", LEASE_SECONDS)))
            if taken is not None:
                self._held = number, begun + USABLE_SECONDS
                self._has_number.set()
                return
        log.error("all %d numbers for order ids are taken: this process places no orders", NODES)
