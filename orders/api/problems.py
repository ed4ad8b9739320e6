"""Every error of the API as ``application/problem+json``, whoever raised it: we, Pydantic, DRF, Django or the database."""

import logging
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.views import defaults
from pydantic import ValidationError
from rest_framework import exceptions
from rest_framework.response import Response

from orders.codes import RETRY_AFTER_SECONDS
from orders.schemas.problems import ProblemError, from_validation

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
API_PATH = "/api/v1"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

# DRF's exceptions as codes of our registry; their details are ours or DRF's own short sentences.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NotAuthenticated, "not_authenticated"),
    (exceptions.AuthenticationFailed, "not_authenticated"),
    (exceptions.PermissionDenied, "permission_denied"),
    (exceptions.NotFound, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.NotAcceptable, "not_acceptable"),
    (exceptions.UnsupportedMediaType, "unsupported_media_type"),
    (exceptions.Throttled, "rate_limited"),
    (exceptions.APIException, "invalid_request"),
    (Http404, "not_found"),
    (PermissionDenied, "permission_denied"),
    (RequestDataTooBig, "request_too_large"),
    (SuspiciousOperation, "invalid_request"),
    (UnreadablePostError, "invalid_request"),
)


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response:
    """The answer to anything raised in a view. Never None: nothing may turn into a page of HTML."""
    request = context["request"]._request
    problem = _as_problem(exc, request)
    headers = dict(problem.headers)
    if problem.code.status == 401:
        headers["WWW-Authenticate"] = getattr(exc, "auth_header", None) or 'Bearer realm="api"'
    status = problem.code.status
    response = Response(problem.body(request_id_of(request)), status=status, headers=headers, content_type=MEDIA_TYPE)
    # Django would warn of every answer from 400 up. A refused order is a client's everyday; a refused key is not.
    response._has_been_logged = status < 500 and status not in (401, 403)
    return response


def request_id_of(request: HttpRequest) -> str:
    return getattr(request, "request_id", "-")


def _as_problem(exc: Exception, request: HttpRequest) -> ProblemError:
    if isinstance(exc, ProblemError):
        return exc
    if isinstance(exc, ValidationError):
        return from_validation(exc)
    for kind, code in _CODES:
        if isinstance(exc, kind):
            detail = getattr(exc, "detail", "")
            return ProblemError(code, detail if isinstance(detail, str) else "")
    # Where we stumbled over a command after it was sent, nobody knows here what became of it.
    outcome = "not_accepted" if request.method in _SAFE_METHODS else "unknown"
    log.error("%s %s failed: %s", request.method, request.path, exc, exc_info=exc)
    if isinstance(exc, DatabaseError):
        return ProblemError(
            "engine_unavailable",
            "The database does not answer.",
            outcome=outcome,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    return ProblemError("internal_error", outcome=outcome)


def problem_response(request: HttpRequest, problem: ProblemError) -> HttpResponse:
    """The same outside of DRF."""
    body = orjson.dumps(problem.body(request_id_of(request)))
    return HttpResponse(body, status=problem.code.status, headers=problem.headers, content_type=MEDIA_TYPE)


# Django's own handlers (see oms_project.urls): problems below the API's path, Django's pages elsewhere.


def _is_api(request: HttpRequest) -> bool:
    return request.path == API_PATH or request.path.startswith(f"{API_PATH}/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        code = "request_too_large" if isinstance(exception, RequestDataTooBig) else "invalid_request"
        return problem_response(request, ProblemError(code))
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return problem_response(request, ProblemError("permission_denied"))
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return problem_response(request, ProblemError("not_found"))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_api(request):
        return problem_response(request, ProblemError("internal_error", outcome="unknown"))
    return defaults.server_error(request)
