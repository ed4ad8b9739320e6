"""Which pages may open a socket."""

import pytest

from orders.addresses import parse_networks
from orders.sockets import origins


def scope(host: str = "localhost:8000", *, scheme: str = "ws", **headers: str) -> dict:
    pairs = {"host": host, **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in pairs.items()]
    return {"type": "websocket", "path": "/ws/v1", "scheme": scheme, "headers": raw}


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("localhost:8000", "http://localhost:8000", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("localhost:8000", "http://localhost:9000", False),
        ("localhost:8000", "http://localhost", False),
        ("localhost:8000", "https://localhost:8000", False),
        ("localhost:8000", "http://127.0.0.1:8000", False),
        ("localhost:8000", "http://evil.example", False),
        ("localhost:8000", "http://localhost:8000.evil.example", False),
        ("localhost:8000", "null", False),
        ("localhost:8000", "", False),
        ("localhost:8000", "http://[", False),
        ("evil.example", "http://evil.example", False),
        ("", "http://", False),
        ("localhost:8000", "https://oms.example", True),
        ("localhost:8000", "https://app.trusted.example", True),
        ("localhost:8000", "http://app.trusted.example", False),
        ("localhost:8000", "https://nottrusted.example", False),
    ],
)
def test_only_pages_of_this_service_and_trusted_ones(settings, host, origin, allowed):
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://oms.example", "https://*.trusted.example"]
    assert origins.is_allowed(scope(host), origin) is allowed


def test_behind_a_proxy_that_ends_tls_the_page_is_https(settings):
    settings.ALLOWED_HOSTS = ["oms.example"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    behind = scope("oms.example", x_forwarded_proto="https")
    assert origins.is_allowed(behind, "https://oms.example")
    assert not origins.is_allowed(behind, "http://oms.example")
    assert not origins.is_allowed(scope("oms.example"), "https://oms.example")


def test_the_header_of_a_proxy_is_not_believed_without_the_setting(settings):
    settings.SECURE_PROXY_SSL_HEADER = None
    assert not origins.is_allowed(scope(x_forwarded_proto="https"), "https://localhost:8000")


def test_the_client_is_whom_a_proxy_of_ours_speaks_for(settings):
    direct = {**scope(x_forwarded_for="198.51.100.1"), "client": ["10.0.0.1", 5]}
    assert origins.client_of(direct) == "10.0.0.1"
    assert origins.client_of(scope(x_forwarded_for="198.51.100.1")) is None
    settings.OMS_TRUSTED_PROXIES = parse_networks("10.0.0.0/8")
    assert origins.client_of(direct) == "198.51.100.1"
    assert origins.client_of({**direct, "client": ["203.0.113.5", 5]}) == "203.0.113.5"
    # A header that comes twice is one list.
    direct["headers"] += [(b"X-Forwarded-For", b"10.0.0.9")]
    assert origins.client_of(direct) == "198.51.100.1"


@pytest.mark.parametrize(
    ("cookie", "found"),
    [
        ("sessionid=abc", "abc"),
        ("a=1; sessionid=abc; b=2", "abc"),
        ("other=1", None),
        ("", None),
        ("sessionid=abc; " + "x" * 20_000, None),
    ],
)
def test_the_session_of_the_cookie(cookie, found):
    assert origins.session_key(scope(cookie=cookie)) == found


def test_a_cookie_that_cannot_be_read_is_none():
    assert origins.session_key(scope(cookie="sessionid=a\x00; [=]=; =")) in (None, "a")
