"""How the service is: for clients (time, status) and for whoever runs it (healthz, readyz)."""

from time import time_ns

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from rest_framework.response import Response

from orders import status
from orders.api.base import ApiRequest, ApiView
from orders.api.permissions import ANYONE
from orders.api.problems import problem_response
from orders.api.schema import documented
from orders.codes import RETRY_AFTER_SECONDS
from orders.schemas.market import StatusOut, TimeOut
from orders.schemas.problems import ProblemError
from orders.schemas.render import shard_out, wire_time


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
        shards = status.shard_list()
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
    """Orders are taken: the engine is open and the database answers. 503 with the reason otherwise."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    reason = _not_ready()
    if reason is None:
        return JsonResponse({"status": "ready"})
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return problem_response(request, ProblemError("engine_unavailable", reason, headers=headers))


def _not_ready() -> str | None:
    shards = status.shard_list()
    if not shards:
        return "No engine runs in this process."
    for shard in shards:
        if shard.state != status.OPEN:
            return f"Shard {shard.shard_id} is {shard.state}. {shard.detail}".rstrip()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        return "The database does not answer."
    return None
