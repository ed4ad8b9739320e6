"""What a client that sends too fast is told: when to come again, in the fields of HTTP.

``RateLimit-Policy`` and ``RateLimit`` are those of the IETF's draft-ietf-httpapi-ratelimit-headers: the policy's quota ``q``
in a window of ``w`` seconds, what remains of it ``r``, and in how many seconds more is there ``t``.
"""

from matching.values import SECOND_US
from orders import selectors

_POLICY = '"messages"'
_WINDOW_SECONDS = 1


def rate_headers(account_id: int, now_us: int) -> dict[str, str]:
    """The headers of an account whose message was refused for its rate, as of the shard that has heard most of it."""
    account = selectors.account_get(account_id=account_id)
    if not account.max_rate:
        # The limit was lifted since.
        return {"Retry-After": str(_WINDOW_SECONDS)}
    # A message fits when what came before it is paid off to a second less its own share (``checks.spend_message``).
    rate_at = selectors.message_rate(account_id=account_id)
    wait_us = rate_at + SECOND_US // account.max_rate - SECOND_US - now_us
    seconds = max(1, -(-wait_us // SECOND_US))
    return {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f"{_POLICY};q={account.max_rate};w={_WINDOW_SECONDS}",
        "RateLimit": f"{_POLICY};r=0;t={seconds}",
    }
