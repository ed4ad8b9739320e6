"""The middleware chain, synchronous on purpose.

Django's ``MiddlewareMixin`` is "async capable" by sending each hook to a thread: under ASGI ten middlewares cost twenty
hops and half the throughput. A class that says ``async_capable = False`` is called directly by its neighbour, so the
whole chain costs one hop, which a synchronous view needs anyway.
"""

import re
import secrets
from collections.abc import Callable
from time import perf_counter

from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest, HttpResponse
from django.middleware import clickjacking, common, csrf, security
from whitenoise import middleware as whitenoise

from oms_project.logs import current_request_id
from orders import meters
from orders.addresses import client_address

GetResponse = Callable[[HttpRequest], HttpResponse]

# Short and plain enough to be put into a log line and a header as it is.
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# Methods that are counted by name: a client may send any word for one.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

# Below this there are no pages.
API = "/api/"

# Nothing inline, nothing from elsewhere. 'self' covers WebSockets of the same origin.
POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self'"
)
# Swagger UI draws its icons from data: addresses and sets styles from script.
DOCS_POLICY = f"{POLICY} data:; style-src 'self' 'unsafe-inline'"
DOCS_PATH = "/api/v1/docs"


class MetricsMiddleware:
    """Counts and times every answer by route, method and status: the outermost, so that all of it is in the time.

    What no route has taken (static files, refusals before there is a view) counts as the route ``none``.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        method = request.method if request.method in METHODS else "other"
        series = meters.requests["none" if match is None else match.route, method, str(response.status_code)]
        series.observe(perf_counter() - started)
        return response


class RequestIdMiddleware:
    """``request.request_id``, the same in ``X-Request-ID`` of the answer and in every log line in between.

    A caller's ``X-Request-ID`` is kept where it matches ``REQUEST_ID``, else a new one is made.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get("X-Request-ID", "")
        request_id = offered if REQUEST_ID.fullmatch(offered) else secrets.token_hex(8)
        request.request_id = request_id
        token = current_request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            current_request_id.reset(token)
        response.headers["X-Request-ID"] = request_id
        return response


class ClientAddressMiddleware:
    """``REMOTE_ADDR`` is who asks, also behind proxies of ours (``OMS_TRUSTED_PROXIES``), empty where that cannot be told.

    Address lists of keys, and logs, are about clients. Whether a request came over a proxy its headers go on saying.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.OMS_TRUSTED_PROXIES:
            meta = request.META
            told = meta.get("HTTP_X_FORWARDED_FOR", "")
            meta["REMOTE_ADDR"] = client_address(meta.get("REMOTE_ADDR"), told, settings.OMS_TRUSTED_PROXIES) or ""
        return self.get_response(request)


class ContentSecurityPolicyMiddleware:
    """The policy on every answer that has none of its own; a looser one for the documentation of the API."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = DOCS_POLICY if request.path == DOCS_PATH else POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class WhiteNoiseMiddleware(whitenoise.WhiteNoiseMiddleware):
    """Static files as plain responses: a streamed one is read through the thread pool with a warning under ASGI."""

    sync_capable = True
    async_capable = False

    @staticmethod
    def serve(static_file, request: HttpRequest) -> HttpResponse:
        answer = static_file.get_response(request.method, request.META)
        body = b""
        if answer.file is not None:
            with answer.file as file:
                body = file.read()
        response = HttpResponse(body, status=int(answer.status))
        del response["Content-Type"]
        for name, value in answer.headers:
            response[name] = value
        return response


class SecurityMiddleware(security.SecurityMiddleware):
    async_capable = False


class SessionMiddleware(sessions.SessionMiddleware):
    async_capable = False


class CommonMiddleware(common.CommonMiddleware):
    async_capable = False


class CsrfViewMiddleware(csrf.CsrfViewMiddleware):
    async_capable = False


class AuthenticationMiddleware(auth.AuthenticationMiddleware):
    async_capable = False

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """What finds the user refers back to the request: without it the request goes by itself, not by garbage collection."""
        for name in ("user", "auser"):
            request.__dict__.pop(name, None)
        return response


class MessageMiddleware(messages.MessageMiddleware):
    """Messages are for pages; making their storage costs an API request more than finding its view."""

    async_capable = False

    def process_request(self, request: HttpRequest) -> None:
        if not request.path.startswith(API):
            super().process_request(request)


class XFrameOptionsMiddleware(clickjacking.XFrameOptionsMiddleware):
    async_capable = False
