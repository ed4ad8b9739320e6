"""Who sends a request: an API key in the Authorization header, or else the session of a browser.

``request.auth`` becomes the ``Actor``, or None for a signed-in user without an account. A key anywhere else, such as in
the address, is never looked at. The client's address is that of the connection, or what a proxy of ours says it is
(``OMS_TRUSTED_PROXIES``); anybody else's forwarded-for header is only a claim.
"""

from typing import Any

from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, UnsupportedMediaType

from orders.actors import Actor
from orders.keys import actor_of_user, authenticate_key

# Reading a form would consume the body before anybody has said that forms are not taken.
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class KeyHolder:
    """``request.user`` of a program: what Django asks of a user, without the row, which no request needs."""

    is_active = True
    is_authenticated = True
    is_anonymous = False
    is_staff = False
    is_superuser = False

    def __init__(self, actor: Actor) -> None:
        self.pk = self.id = actor.user_id
        self.username = actor.username

    def get_username(self) -> str:
        return self.username

    def __str__(self) -> str:
        return self.username


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer <key>``. A key that is not valid is refused even where a session would do."""

    def authenticate(self, request: Any) -> tuple[KeyHolder, Actor] | None:
        meta = request._request.META
        header = meta.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("The Authorization header must be: Bearer <key>.")
        actor = authenticate_key(key.strip(), meta.get("REMOTE_ADDR") or None)
        if actor is None:
            raise AuthenticationFailed("The key is unknown, expired, revoked or not for this address.")
        return KeyHolder(actor), actor

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="api"'


class _CsrfCheck(CSRFCheck):
    async_capable = False


class SessionAuthentication(BaseAuthentication):
    """The session cookie; whatever may change something also needs the CSRF token, in the header ``X-CSRFToken``."""

    def authenticate(self, request: Any) -> tuple[Any, Actor | None] | None:
        django_request = request._request
        user = getattr(django_request, "user", None)
        if user is None or not user.is_authenticated:
            return None
        content_type = request.content_type.partition(";")[0].strip().lower()
        if content_type in _FORMS:
            raise UnsupportedMediaType(content_type)
        check = _CsrfCheck(lambda _: None)
        check.process_request(django_request)
        reason = check.process_view(django_request, None, (), {})
        if reason:
            raise PermissionDenied(f"The session needs a CSRF token: {reason}")
        return user, actor_of_user(user)
