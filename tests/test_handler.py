"""HTTP in one hop: bodies of every kind, bounds, cookies, errors."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from oms_project.handler import OneHopHandler
from oms_project.urls import handler500
from oms_project.urls import urlpatterns as service
from orders import meters
from tests.api.conftest import Api, api, order

__all__ = ["api", "handler500"]  # a fixture of the REST tests; what Django looks for in this URL configuration

pytestmark = [pytest.mark.urls("tests.test_handler"), pytest.mark.django_db(transaction=True)]

gate = threading.Event()


def threads(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    response = HttpResponse(threading.current_thread().name)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@csrf_exempt
def waits(request: HttpRequest) -> HttpResponse:
    gate.wait(10)
    return HttpResponse("waited")


def breaks(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


def streams(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"one", b"two"]))


urlpatterns = [
    path("threads", threads),
    path("waits", waits),
    path("api/v1/breaks", breaks),
    path("streams", streams),
    *service,
]


@pytest.fixture(autouse=True)
def open_gate() -> Iterator[None]:
    gate.clear()
    yield
    gate.set()


class Exchange:
    """One request over ASGI, and what was answered."""

    def __init__(self, method: str, path: str, parts: list[bytes] = [b""], **headers: str) -> None:  # noqa: B006
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "client": ("127.0.0.1", 5),
            "server": ("localhost", 80),
            "headers": [(b"host", b"localhost")]
            + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        self.parts = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return self.parts.pop(0) if self.parts else {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    def headers(self, name: str) -> list[str]:
        return [value.decode() for key, value in self.sent[0]["headers"] if key.decode().lower() == name.lower()]


def exchange(
    *exchanges: Exchange, between: Callable[[], None] = lambda: None, served: OneHopHandler | None = None
) -> None:
    """Carry them out at the same time; ``between`` runs once all have been started."""
    served = served or OneHopHandler()

    async def run() -> None:
        tasks = [asyncio.create_task(served(item.scope, item.receive, item.send)) for item in exchanges]
        await asyncio.sleep(0.2)
        between()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_a_request_runs_in_a_thread_of_the_pool():
    one = Exchange("GET", "/threads")
    exchange(one)
    assert (one.status, one.body[:5]) == (200, b"http_")
    assert [value.split(";")[0] for value in one.headers("Set-Cookie")] == ["a=1", "b=2"]
    assert one.headers("X-Request-ID") and one.headers("Content-Security-Policy")


def test_a_body_in_pieces_that_does_not_say_its_length(api: Api):
    raw = json.dumps(order("buy", "2", "99")).encode()
    pieces = [raw[at : at + 7] for at in range(0, len(raw), 7)]
    placed = Exchange(
        "POST", "/api/v1/orders", pieces, authorization=f"Bearer {api.keys['alice']}", content_type="application/json"
    )
    exchange(placed)
    assert placed.status == 201
    assert json.loads(placed.body)["quantity"] == "2.000"


def test_a_body_in_pieces_without_end_is_too_large(api: Api):
    huge = Exchange(
        "POST",
        "/api/v1/orders",
        [b" " * 65_536] * 40,
        authorization=f"Bearer {api.keys['alice']}",
        content_type="application/json",
    )
    exchange(huge)
    assert (huge.status, json.loads(huge.body)["code"]) == (413, "request_too_large")


def test_who_hangs_up_while_sending_is_not_answered():
    gone = Exchange("POST", "/waits", [b"half"])
    gone.parts[0]["more_body"] = True
    exchange(gone)
    assert gone.sent == []


def turned_away() -> list[float]:
    """What operators are told of it."""
    read = meters.REGISTRY.get_sample_value
    return [read("oms_http_turned_away_total"), read("oms_problems_total", {"code": "engine_unavailable"})]


def test_past_the_bound_one_is_told_at_once_but_cancels_get_in():
    held = [Exchange("POST", "/waits") for _ in range(2)]
    refused = Exchange("POST", "/waits")
    cancel = Exchange("DELETE", "/waits")
    one_more = Exchange("DELETE", "/waits")

    def look_and_open() -> None:
        assert [item.sent for item in (*held, cancel)] == [[]] * 3
        assert (refused.status, one_more.status) == (503, 503)
        gate.set()

    counted = turned_away()
    exchange(*held, refused, cancel, one_more, between=look_and_open, served=OneHopHandler(2, 1))
    assert turned_away() == [before + 2 for before in counted]
    assert [item.status for item in (*held, cancel)] == [200] * 3
    problem = json.loads(refused.body)
    assert (problem["code"], problem["retryable"], refused.headers("Retry-After")) == (
        "engine_unavailable",
        True,
        ["1"],
    )


def test_what_was_in_flight_is_free_again():
    served = OneHopHandler()

    async def run() -> None:
        for _ in range(5):
            item = Exchange("GET", "/threads")
            await served(item.scope, item.receive, item.send)
            assert item.status == 200
        assert served._intake.in_flight == 0

    asyncio.run(run())


def test_an_error_outside_of_the_rest_views_is_a_problem_too():
    broken = Exchange("GET", "/api/v1/breaks")
    exchange(broken)
    assert (broken.status, broken.headers("Content-Type")) == (500, ["application/problem+json"])
    assert json.loads(broken.body)["code"] == "internal_error"
    assert b"on purpose" not in broken.body


def test_a_stream_is_collected():
    stream = Exchange("GET", "/streams")
    exchange(stream)
    assert stream.body == b"onetwo"


def test_bytes_that_are_no_text_in_the_address():
    odd = Exchange("GET", "/api/v1/orders/\ufffd\ud800")
    exchange(odd)
    assert odd.status in (400, 401, 404)


def test_websockets_are_not_its_business():
    item = Exchange("GET", "/threads")
    item.scope["type"] = "websocket"
    with pytest.raises(ValueError, match="HTTP only"):
        exchange(item)
