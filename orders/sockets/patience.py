"""How long the server bears with a client: one that says nothing, does not read, says too much, or nothing sensible.

No clock: times are microseconds and come in with each call. The close codes are those of ``orders.schemas.closing``.
"""

from orders.schemas.closing import BAD_MESSAGE, FORBIDDEN, NOT_AUTHENTICATED, SLOW_CONSUMER, TIMEOUT

SECOND = 1_000_000

# Messages in a row that could not be carried out: a client that does not learn costs more than it is worth.
MAX_STRIKES = 20
# Messages about the connection (auth, subscriptions, pings): so many at once, then so many a second. Order entry has bounds
# of its own.
CONTROL_BURST = 100
CONTROL_PER_SECOND = 50
# A client that has said nothing for so long is gone. Any message will do; the heartbeat reminds it every 5 s.
SILENCE_SECONDS = 30
# A transport that has taken nothing for so long: the client does not read any more.
STANDSTILL_SECONDS = 30
# What waits when a connection ends has so long to be sent.
GOODBYE_SECONDS = 3


class Patience:
    """With one client, since ``at``."""

    def __init__(self, at: int) -> None:
        self._heard_at = at
        # Until when the allowance of control messages is used up.
        self._control_at = at
        self._blocked_at: int | None = None
        self._ending_at: int | None = None
        self._strikes = 0

    def heard(self, at: int) -> None:
        self._heard_at = at

    def allows(self, at: int) -> bool:
        """Take one control message off the allowance."""
        cost = SECOND // CONTROL_PER_SECOND
        self._control_at = max(self._control_at, at) + cost
        return self._control_at - at <= CONTROL_BURST * cost

    def restore(self) -> None:
        """A message made sense."""
        self._strikes = 0

    def strike(self, status: int) -> int | None:
        """A message was answered with a problem of this status. The code to close with, if it is one too many."""
        self._strikes += 1
        if self._strikes < MAX_STRIKES:
            return None
        return {401: NOT_AUTHENTICATED, 403: FORBIDDEN}.get(status, BAD_MESSAGE)

    def spent(self, at: int, *, reads: bool, writes: bool) -> int | None:
        """The code to close with, if it is time. Where the shell does not read, silence is not the client's fault."""
        if not reads:
            self._heard_at = at
        elif at - self._heard_at >= SILENCE_SECONDS * SECOND:
            return TIMEOUT
        if writes:
            self._blocked_at = None
        elif self._blocked_at is None:
            self._blocked_at = at
        elif at - self._blocked_at >= STANDSTILL_SECONDS * SECOND:
            return SLOW_CONSUMER
        return None

    def goodbye_is_over(self, at: int) -> bool:
        """Whether what still waits has had its time; asked first when the connection is ending."""
        if self._ending_at is None:
            self._ending_at = at
        return at - self._ending_at >= GOODBYE_SECONDS * SECOND
