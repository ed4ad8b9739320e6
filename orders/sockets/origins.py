"""Who may open a WebSocket, and who a browser's session says it is.

A browser tells the Origin of the page and sends the cookie whatever that is, so a foreign page could listen in the
user's name: the rule is Django's for unsafe requests. The Origin must be this service's own (scheme, host and port, the
host one of ALLOWED_HOSTS) or one of CSRF_TRUSTED_ORIGINS; anything else is refused. Without an Origin it is a program:
it has keys, and a cookie it may send is ignored.
"""

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user
from django.http import HttpRequest
from django.http.request import is_same_domain, split_domain_port, validate_host
from django.utils import timezone

from orders import keys
from orders.actors import Actor
from orders.addresses import client_address

# A cookie header longer than any browser sends is not worth reading.
MAX_COOKIE_BYTES = 16 * 1024


def header(scope: dict[str, Any], name: bytes) -> str | None:
    """A header of the handshake, the last one where it is repeated."""
    found = None
    for key, value in scope.get("headers", ()):
        if key.lower() == name:
            found = value.decode("latin1")
    return found


def client_of(scope: dict[str, Any]) -> str | None:
    """The address of whoever opened the socket, also behind proxies of ours; None where it is not known."""
    peer = scope.get("client")
    told = [value.decode("latin1") for key, value in scope.get("headers", ()) if key.lower() == b"x-forwarded-for"]
    return client_address(peer and peer[0], ",".join(told), settings.OMS_TRUSTED_PROXIES)


def is_allowed(scope: dict[str, Any], origin: str) -> bool:
    """Whether pages of ``origin`` may open a socket here."""
    if origin in settings.CSRF_TRUSTED_ORIGINS or _is_trusted_subdomain(origin):
        return True
    host = header(scope, b"host") or ""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS) and origin == f"{_scheme(scope)}://{host}"


def session_key(scope: dict[str, Any]) -> str | None:
    """The session of the cookie."""
    text = header(scope, b"cookie") or ""
    if len(text) > MAX_COOKIE_BYTES:
        return None
    try:
        cookie = SimpleCookie(text).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    return None if cookie is None else cookie.value


def actor_of_session(key: str) -> Actor | None:
    """Who is signed in with this session, if anybody. Reads the database."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return keys.actor_of_user(get_user(request))


def valid_sessions(held: Collection[tuple[str, Actor]]) -> set[tuple[str, Actor]]:
    """Which of these sessions (kept in the database) are still signed in as the actor they were found to be."""
    model = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()
    found: dict[str, dict[str, Any]] = {}
    for some in keys.batched({session_key for session_key, _ in held}):
        rows = model.objects.filter(session_key__in=some, expire_date__gt=timezone.now())
        found.update((row.session_key, row.get_decoded()) for row in rows)
    hashes = keys.auth_hashes({(actor.user_id, actor.account_id) for key, actor in held if key in found})
    good = set()
    for session_key, actor in held:
        session, expected = found.get(session_key, {}), hashes.get((actor.user_id, actor.account_id))
        if session.get(SESSION_KEY) == str(actor.user_id) and session.get(HASH_SESSION_KEY) == expected:
            good.add((session_key, actor))
    return good


def _scheme(scope: dict[str, Any]) -> str:
    if settings.SECURE_PROXY_SSL_HEADER:
        name, value = settings.SECURE_PROXY_SSL_HEADER
        told = header(scope, name.removeprefix("HTTP_").replace("_", "-").lower().encode())
        return "https" if told is not None and told.split(",")[0].strip() == value else "http"
    return "https" if scope.get("scheme") == "wss" else "http"


def _is_trusted_subdomain(origin: str) -> bool:
    """Whether a trusted origin such as ``https://*.example.com`` covers it."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        scheme, _, pattern = trusted.partition("://")
        if pattern.startswith("*") and scheme == parts.scheme and is_same_domain(parts.netloc, pattern.lstrip("*")):
            return True
    return False
