"""The middleware chain as requests see it, and the log lines that go with them."""

import asyncio
import json
import logging
import threading

import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path
from django.utils.module_loading import import_string

from oms_project.logs import JsonFormatter, RequestIdFilter, UtcFormatter, current_request_id
from oms_project.middleware import DOCS_PATH, DOCS_POLICY, POLICY

pytestmark = pytest.mark.urls("tests.test_middleware")


def echo(request: HttpRequest) -> HttpResponse:
    logging.getLogger("tests.echo").warning("in the view")
    return HttpResponse(f"{request.request_id} {current_request_id.get()} {threading.get_ident()}")


async def echo_async(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse(f"{request.request_id} {current_request_id.get()}")


def own_policy(request: HttpRequest) -> HttpResponse:
    return HttpResponse(headers={"Content-Security-Policy": "sandbox"})


def breaks(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


def error_page(status: int):
    """Pages of our own: the project's link to addresses this URL configuration does not have."""
    return lambda request, exception=None: HttpResponse(status=status)


handler400, handler404, handler500 = error_page(400), error_page(404), error_page(500)

urlpatterns = [
    path("echo", echo),
    path("echo-async", echo_async),
    path("own-policy", own_policy),
    path("breaks", breaks),
    path("healthz", echo),
    path("metrics", echo),
    path(DOCS_PATH[1:], echo),
]


@pytest.mark.parametrize("name", django_settings.MIDDLEWARE)
def test_no_middleware_costs_a_hop_of_its_own(name):
    middleware = import_string(name)
    assert middleware.sync_capable
    assert not middleware.async_capable


@pytest.mark.parametrize("offered", ["a", "Z" * 64, "order-17_b.3"])
def test_a_proper_request_id_is_kept(client, offered):
    response = client.get("/echo", headers={"X-Request-ID": offered})
    assert response["X-Request-ID"] == offered
    assert response.content.decode().split()[:2] == [offered, offered]


@pytest.mark.parametrize("offered", ["", "Z" * 65, "a b", "a\n", "a\r\nSet-Cookie: x=y", "é", "\u0661", "a/b"])
def test_any_other_request_id_is_replaced(client, offered):
    response = client.get("/echo", headers={"X-Request-ID": offered})
    assert response["X-Request-ID"] != offered
    assert response["X-Request-ID"].isalnum()


def test_request_ids_differ_and_end_with_the_request(client):
    ids = {client.get("/echo")["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20
    assert current_request_id.get() == "-"


@pytest.mark.parametrize("address", ["/echo", "/echo-async"])
def test_request_id_reaches_views_under_asgi(address):
    async def ask() -> list[HttpResponse]:
        names = [f"caller-{number}" for number in range(8)]
        return await asyncio.gather(*(AsyncClient().get(address, headers={"X-Request-ID": name}) for name in names))

    for number, response in enumerate(asyncio.run(ask())):
        assert response["X-Request-ID"] == f"caller-{number}"
        assert response.content.decode().split()[:2] == [f"caller-{number}"] * 2


def test_errors_carry_request_id_and_headers(client):
    client.raise_request_exception = False
    for address, status in (("/nowhere", 404), ("/breaks", 500)):
        response = client.get(address, headers={"X-Request-ID": "abc"})
        assert response.status_code == status
        assert response["X-Request-ID"] == "abc"
        assert response["Content-Security-Policy"] == POLICY


def test_security_headers(client):
    response = client.get("/echo")
    assert response["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in response


def test_the_documentation_has_a_policy_of_its_own(client):
    assert client.get(DOCS_PATH)["Content-Security-Policy"] == DOCS_POLICY
    assert "script-src" not in DOCS_POLICY  # falls back to default-src 'self': no inline script there either


def test_a_views_own_policy_stays(client):
    assert client.get("/own-policy")["Content-Security-Policy"] == "sandbox"


@override_settings(SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=60)
def test_https_redirects_all_but_the_probes(client):
    assert client.get("/echo").status_code == 301
    assert client.get("/healthz").status_code == client.get("/metrics").status_code == 200
    assert client.get("/echo", secure=True)["Strict-Transport-Security"] == "max-age=60"


def test_unknown_hosts_are_refused(client):
    with override_settings(ALLOWED_HOSTS=["localhost"]):
        assert client.get("/echo", headers={"Host": "evil.example"}).status_code == 400


STATIC_FILE = "/static/admin/css/base.css"


def test_static_files_need_no_collectstatic(client):
    response = client.get(STATIC_FILE)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/css")
    assert response["Content-Security-Policy"] == POLICY
    assert "Access-Control-Allow-Origin" not in response
    assert not response.streaming
    assert len(response.content) == int(response["Content-Length"]) > 1000


def test_static_files_know_head_range_and_revalidation(client):
    whole = client.get(STATIC_FILE)
    head = client.head(STATIC_FILE)
    assert (head.content, head["Content-Length"]) == (b"", whole["Content-Length"])
    part = client.get(STATIC_FILE, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    known = client.get(STATIC_FILE, headers={"If-None-Match": whole["ETag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert client.post(STATIC_FILE).status_code == 405


@pytest.mark.parametrize("address", ["/static/../manage.py", "/static/%2e%2e/manage.py", "/static//etc/passwd"])
def test_static_files_end_at_their_directories(client, address):
    assert client.get(address).status_code == 404


def record(**extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "orders", "levelname": "INFO", "msg": "hello", "created": 0.25, **extra})


def line(entry: logging.LogRecord) -> str:
    assert RequestIdFilter().filter(entry)
    return UtcFormatter(django_settings.LOGGING["formatters"]["text"]["format"]).format(entry)


def test_log_lines_have_utc_time_level_logger_and_request_id():
    assert line(record(msecs=250.0)) == "1970-01-01T00:00:00.250Z INFO orders [-] hello"
    token = current_request_id.set("abc")
    try:
        assert "[abc] hello" in line(record())
    finally:
        current_request_id.reset(token)


def told(entry: logging.LogRecord) -> dict[str, str]:
    """A line of JSON."""
    assert RequestIdFilter().filter(entry)
    text = JsonFormatter().format(entry)
    assert "\n" not in text and text.isascii()
    return json.loads(text)


def test_lines_of_json_say_the_same():
    assert told(record(msecs=250.0)) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "INFO",
        "logger": "orders",
        "message": "hello",
        "request_id": "-",
    }
    token = current_request_id.set("abc")
    try:
        entry = told(record(msg="%s\n\u2028fell", args=("it",), order_id=2**62, command="Order"))
    finally:
        current_request_id.reset(token)
    assert (entry["message"], entry["request_id"]) == ("it\n\u2028fell", "abc")
    assert (entry["order_id"], entry["command"]) == (str(2**62), "Order")


def test_a_line_of_json_has_the_whole_traceback():
    try:
        raise RuntimeError("on purpose")
    except RuntimeError as error:
        entry = told(record(exc_info=(RuntimeError, error, error.__traceback__)))
    assert entry["exception"].startswith("Traceback") and entry["exception"].endswith("RuntimeError: on purpose")


def test_log_lines_after_the_middleware_find_the_id_on_the_request():
    request = HttpRequest()
    request.request_id = "late"
    assert "[late] hello" in line(record(request=request))
    assert "[-] hello" in line(record(request=HttpRequest()))


def test_views_log_under_their_request_id(client, caplog):
    caplog.handler.addFilter(RequestIdFilter())
    client.get("/echo", headers={"X-Request-ID": "seen-in-log"})
    (entry,) = [entry for entry in caplog.records if entry.name == "tests.echo"]
    assert entry.request_id == "seen-in-log"
