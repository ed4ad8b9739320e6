"""How the service is: for clients (time, status) and for whoever runs it (healthz, readyz)."""

from time import time_ns

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from rest_framework.response import Response

from orders import status, watching
from orders.api.base import ApiRequest, ApiView
from orders.api.permissions import ANYONE
from orders.api.problems import problem_response
from orders.api.schema import documented
from orders.codes import RETRY_AFTER_SECONDS
from orders.schemas.market import StatusOut, TimeOut
from orders.schemas.problems import ProblemError
from orders.schemas.render import shard_out, wire_time

NOTHING_KNOWN = "No shard is known: there is none yet, or the database does not answer."
READY_STATES = (status.OPEN, status.CANCEL_ONLY)


def _now() -> str:
    return wire_time(time_ns() // 1000)


class TimeView(ApiView):
    authentication_classes = ()

    @documented("time_get", "The server's time", TimeOut, tag="operations", need=ANYONE)
    def get(self, request: ApiRequest) -> Response:
        return Response({"time": _now()})


class StatusView(ApiView):
    authentication_classes = ()

    @documented("status_get", "The state of every shard", StatusOut, tag="operations", need=ANYONE)
    def get(self, request: ApiRequest) -> Response:
        shards = watching.shards()
        is_open = bool(shards) and all(shard.state == status.OPEN for shard in shards)
        return Response(
            {"status": "open" if is_open else "unavailable", "time": _now(), "shards": [shard_out(s) for s in shards]}
        )


def healthz(request: HttpRequest) -> HttpResponse:
    """The process is alive and answers."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """This process does its work: the database answers, and some shard takes commands. 503 with the reasons otherwise.

    One shard that does not is no reason to send its readers, and everybody who trades on others, away from every process at
    once: ``shards`` tells of each.
    """
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    shards = watching.shards()
    reason = _not_ready(shards)
    if reason is None:
        told = [{"shard": shard.shard_id, "state": shard.state, "detail": shard.detail or None} for shard in shards]
        return JsonResponse({"status": "ready", "shards": told})
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    response = problem_response(request, ProblemError("engine_unavailable", reason, headers=headers))
    response._has_been_logged = True  # whoever asks, asks every second; the change of state is in the log
    return response


def _not_ready(shards: list[status.ShardStatus]) -> str | None:
    if not shards:
        return NOTHING_KNOWN if settings.OMS_ENGINE == "remote" else "No engine runs in this process."
    if not any(shard.state in READY_STATES for shard in shards):
        return " ".join(f"Shard {shard.shard_id} is {shard.state}. {shard.detail}".rstrip() for shard in shards)
    if settings.OMS_ENGINE == "remote":
        # Shards count as stalled where the database does not answer: asking it here could hang.
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        return "The database does not answer."
    return None
