"""API keys and who stands behind a key or a session: the one place where credentials become an ``Actor``.

A key is ``oms_`` and 43 url-safe characters (256 random bits). Only its SHA-256 is kept: so many bits cannot be guessed,
and a slow password hash would cost every request a third of a second. It is shown once, when it is made.

A key that was found is remembered for a second, so a busy client costs one look-up a second and a revocation made in
another process takes effect within one. Unknown keys are not remembered: they cost the same each time, one hash and one
look-up by index, and cannot push known ones out.
"""

import logging
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from threading import Lock
from time import monotonic, time_ns
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import F

from orders.actors import CANCEL, OPERATE, READ, SCOPES, TRADE, Actor
from orders.addresses import Network, is_inside, parse_networks
from orders.fields import datetime_to_micros
from orders.models import Account, ApiKey

log = logging.getLogger(__name__)

KEY_LABEL = "oms_"  # lets a key be recognised where it does not belong, in a log or a repository
_RANDOM_BYTES = 32
# The label and eight characters: enough to tell keys apart in a list, 208 bits remain unknown.
_PREFIX_LENGTH = 12
_KEY = re.compile(r"oms_[A-Za-z0-9_-]{43}", re.ASCII)
# How long a found key is believed without looking again, and of how many keys that is remembered.
_CACHE_SECONDS = 1.0
_CACHE_KEYS = 10_000
# Values one question to the tables may name: databases bound that.
_MAX_NAMED = 500


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as it was found: whom it stands for, until when (microseconds), from where, and when to look again."""

    actor: Actor
    expires_at: int | None
    networks: tuple[Network, ...] | None
    look_again: float


_known: dict[str, _Known] = {}
_lock = Lock()
# Counts what was forgotten: whoever believes in a credential for long compares.
_generation = 0


def create_key(
    *,
    user: Any,
    account: Account,
    scopes: list[str],
    name: str = "",
    expires_at: datetime | None = None,
    addresses: str = "",
) -> tuple[ApiKey, str]:
    """A new key of a member of the account: its row, and the key itself, which exists nowhere else.

    ``addresses`` is a comma-separated list of networks or addresses, empty for anywhere. Raises ``ValueError``.
    """
    chosen = [scope for scope in SCOPES if scope in scopes]
    if not chosen or len(chosen) != len(set(scopes)):
        raise ValueError(f"scopes must be some of {', '.join(SCOPES)}, not {', '.join(scopes) or 'none'}")
    if not account.members.filter(pk=user.pk).exists():
        raise ValueError(f"{user.get_username()} is not a member of the account {account.name}")
    networks = ",".join(str(network) for network in parse_networks(addresses))
    key = KEY_LABEL + secrets.token_urlsafe(_RANDOM_BYTES)
    row = ApiKey.objects.create(
        user=user,
        account=account,
        name=name,
        prefix=key[:_PREFIX_LENGTH],
        digest=digest_of(key),
        scopes=",".join(chosen),
        addresses=networks,
        expires_at=expires_at,
        created_at=time_ns() // 1000,
    )
    return row, key


def digest_of(key: str) -> str:
    """What is stored of a key: the SHA-256 in hexadecimal."""
    return sha256(key.encode()).hexdigest()


def authenticate_key(key: str, address: str | None) -> Actor | None:
    """Who sends this key from this address (None: unknown), or None where it is not valid there and now."""
    if _KEY.fullmatch(key) is None:
        return None
    digest = digest_of(key)
    known = _known.get(digest)
    if known is None or known.look_again < monotonic():
        known = _look_up(digest)
        if known is None:
            return None
    if known.expires_at is not None and known.expires_at <= time_ns() // 1000:
        return None
    if known.networks is not None and not is_inside(address, known.networks):
        return None
    return known.actor


def generation() -> int:
    """Another number whenever keys, users or memberships may have lost something in this process."""
    return _generation


def valid_digests(digests: Collection[str]) -> set[str]:
    """Which of these keys may still be used: for whoever found them good before, from the same address."""
    now, found = time_ns() // 1000, set()
    for some in batched(digests):
        rows = ApiKey.objects.filter(
            digest__in=some, revoked_at=None, user__is_active=True, account__members=F("user")
        ).values_list("digest", "expires_at")
        found.update(digest for digest, until in rows if until is None or datetime_to_micros(until) > now)
    return found


def batched(values: Collection[str]) -> Iterator[list[str]]:
    """In pieces that one question can name."""
    left = list(values)
    for start in range(0, len(left), _MAX_NAMED):
        yield left[start : start + _MAX_NAMED]


def forget_key(digest: str) -> None:
    """The next use of the key looks at its row again."""
    global _generation
    with _lock:
        _known.pop(digest, None)
        _generation += 1


def forget_keys() -> None:
    """The same for every key: when users, accounts or memberships changed."""
    global _generation
    with _lock:
        _known.clear()
        _generation += 1


def revoke_key(row: ApiKey) -> None:
    """Make a key useless for ever: in this process at once, in others within a second."""
    if row.revoked_at is None:
        ApiKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=time_ns() // 1000)
        row.refresh_from_db(fields=["revoked_at"])
    forget_key(row.digest)


def primary_account(user: Any) -> Account | None:
    """The account a user's pages act for: the oldest of those they are a member of."""
    return user.trading_accounts.order_by("id").first()


def actor_of_user(user: Any) -> Actor | None:
    """Who a signed-in user acts as; None for nobody, and for a user who has no account.

    Staff without an account may read what is public and operate, nothing else: their ``account_id`` is 0.
    """
    if not user.is_authenticated or not user.is_active:
        return None
    account = primary_account(user)
    if account is None:
        return Actor(user.pk, user.get_username(), 0, "", frozenset((READ, OPERATE))) if user.is_staff else None
    scopes = (READ, TRADE, CANCEL, OPERATE) if user.is_staff else (READ, TRADE, CANCEL)
    return Actor(user.pk, user.get_username(), account.pk, account.name, frozenset(scopes))


def auth_hashes(pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Of users who may still act for an account (0: none, as staff): what a session of theirs must hold."""
    users: dict[int, Any] = {}
    members: set[tuple[int, int]] = set()
    for some in batched({user_id for user_id, _ in pairs}):
        users.update((user.pk, user) for user in get_user_model().objects.filter(pk__in=some, is_active=True))
        through = Account.members.through.objects.filter(user_id__in=some)
        members.update(through.values_list("user_id", "account_id"))
    return {
        (user_id, account_id): user.get_session_auth_hash()
        for user_id, account_id in pairs
        if (user := users.get(user_id)) and ((user_id, account_id) in members if account_id else user.is_staff)
    }


def _look_up(digest: str) -> _Known | None:
    """The valid key of a digest from its row: not revoked, its user active and still a member of the account."""
    rows = ApiKey.objects.filter(digest=digest, revoked_at=None, user__is_active=True, account__members=F("user"))
    row = rows.select_related("user", "account").first()
    if row is None:
        with _lock:
            _known.pop(digest, None)
        return None
    actor = Actor(
        row.user_id,
        row.user.get_username(),
        row.account_id,
        row.account.name,
        frozenset(row.scopes.split(",")) & frozenset(SCOPES),
        row.pk,
    )
    expires_at = None if row.expires_at is None else datetime_to_micros(row.expires_at)
    known = _Known(actor, expires_at, _networks_of(row), monotonic() + _CACHE_SECONDS)
    with _lock:
        if len(_known) >= _CACHE_KEYS:
            _known.clear()
        _known[digest] = known
    return known


def _networks_of(row: ApiKey) -> tuple[Network, ...] | None:
    """None for anywhere. A list that cannot be read lets nobody in."""
    if not row.addresses.strip():
        return None
    try:
        return parse_networks(row.addresses)
    except ValueError:
        log.error("key %s: its address list cannot be read, so it is refused everywhere", row.prefix)
        return ()
