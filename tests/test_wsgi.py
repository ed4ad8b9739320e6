"""The WSGI application: Django's handler within the bound on requests in flight, bodies in pieces."""

import json
from io import BytesIO
from threading import Event, Thread

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from oms_project.intake import Intake
from oms_project.wsgi import BoundedHandler, intake_of, measure_body
from orders import meters
from tests.feed.support import wait_until

pytestmark = [pytest.mark.urls("tests.test_wsgi"), pytest.mark.django_db]

gate = Event()


@csrf_exempt
def waits(request: HttpRequest) -> HttpResponse:
    assert gate.wait(10)
    return HttpResponse("done")


@csrf_exempt
def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{len(request.body)} {request.META['REMOTE_ADDR']}")


def breaks(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


urlpatterns = [path("waits", waits), path("echo", echo), path("breaks", breaks)]


def error_page(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return HttpResponse(status=500)


handler500 = error_page


class Answer:
    status = 0
    headers: dict[str, str]
    body = b""


def ask(served: BoundedHandler, method: str, address: str, body: bytes = b"", **environ: str) -> Answer:
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        answer.status, answer.headers = int(status[:3]), dict(headers)

    fixed = {
        "REQUEST_METHOD": method,
        "PATH_INFO": address,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": "http",
    }
    parts = served({**fixed, **environ}, start_response)
    answer.body = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    return answer


def in_thread(served: BoundedHandler, method: str) -> tuple[Thread, list[Answer]]:
    answers: list[Answer] = []
    thread = Thread(target=lambda: answers.append(ask(served, method, "/waits")))
    thread.start()
    return thread, answers


def test_past_the_bound_one_is_told_at_once_but_cancels_get_in():
    intake = Intake(2, 1)
    served = BoundedHandler(intake)
    gate.clear()
    turned_away = meters.REGISTRY.get_sample_value("oms_http_turned_away_total")
    begun = [in_thread(served, "POST") for _ in range(2)]
    wait_until(lambda: intake.in_flight == 2, "two requests")
    refused = ask(served, "POST", "/echo")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert json.loads(refused.body)["code"] == "engine_unavailable"
    begun.append(in_thread(served, "DELETE"))
    wait_until(lambda: intake.in_flight == 3, "the cancel")
    assert ask(served, "DELETE", "/echo").status == 503
    assert meters.REGISTRY.get_sample_value("oms_http_turned_away_total") == turned_away + 2
    gate.set()
    for thread, answers in begun:
        thread.join(10)
        assert [answer.status for answer in answers] == [200]
    assert intake.in_flight == 0
    assert ask(served, "POST", "/echo").status == 200


@pytest.mark.filterwarnings("ignore")
def test_what_fails_leaves_too():
    intake = Intake(1, 0)
    assert ask(BoundedHandler(intake), "GET", "/breaks").status == 500
    assert intake.in_flight == 0


def test_a_body_in_pieces_is_read_and_bounded(settings):
    served = BoundedHandler(Intake())
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert ask(served, "POST", "/echo", b"x" * 50, HTTP_TRANSFER_ENCODING="chunked").body == b"50 127.0.0.1"
    assert ask(served, "POST", "/echo", b"x" * 50).body == b"0 127.0.0.1"
    # One more than is taken is read, so that it is seen to be too much.
    environ = {"wsgi.input": BytesIO(b"x" * 500)}
    measure_body(environ)
    assert environ["CONTENT_LENGTH"] == "101"


@pytest.mark.parametrize(("threads", "bound", "reserved"), [(320, 256, 64), (64, 52, 12), (16, 13, 3), (2, 1, 1)])
def test_a_fifth_of_the_threads_is_for_cancels(threads, bound, reserved):
    intake = intake_of(threads)
    for _ in range(bound):
        assert intake.admit("POST")
    assert not intake.admit("GET")
    for _ in range(reserved):
        assert intake.admit("DELETE")
    assert not intake.admit("DELETE")
