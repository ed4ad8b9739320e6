"""The nginx configuration, tried by nginx itself: before two REST processes and one for sockets, all of them real."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from orders.schemas.problems import ProblemError
from tests.conftest import missing
from tests.support.nginx import Nginx
from tests.support.services import ServiceMissing, directory, free_port
from tests.support.topology import Topology

ORDER = {"symbol": "ACME-USD", "side": "buy", "type": "limit", "quantity": "1", "price": "90.00"}
# Addresses of this machine that nobody else uses.
HOME, ELSEWHERE = "127.0.0.5", "127.0.0.6"

_KEY_FOR_ONE_ADDRESS = f"""
from django.contrib.auth import get_user_model
from orders.accounts import own_account
from orders.keys import create_key
user = get_user_model().objects.get(username="alice")
print(create_key(user=user, account=own_account(user=user), scopes=["read"], addresses="{HOME}")[1])
"""


@pytest.fixture
def lonely(tmp_path: Path) -> Nginx:
    """With nobody behind it."""
    try:
        return Nginx(tmp_path / "nginx", rest=[free_port(), free_port()], web=[free_port()])
    except ServiceMissing as absence:
        missing(absence)
        raise


def test_nginx_accepts_it(lonely: Nginx) -> None:
    assert "warn" not in lonely.check()


@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/tickers"])
def test_where_nobody_answers_the_outcome_is_unknown(lonely: Nginx, path: str) -> None:
    with lonely as nginx:
        response, problem = ask(nginx, "POST", path, ORDER)
    assert (response.status, response.headers["Content-Type"]) == (504, "application/problem+json")
    assert response.headers["Retry-After"] == "1"
    expected = ProblemError("engine_timeout", "No process of the service has answered.", outcome="unknown")
    assert problem == expected.document(response.headers["X-Request-ID"])


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Topology, Nginx]]:
    """The topology behind nginx."""
    try:
        with directory("oms-nginx-") as place, Topology(spares=0, OMS_TRUSTED_PROXIES="127.0.0.1") as topology:
            topology.start()
            ports = {"rest": [web.port for web in topology.rest], "web": [web.port for web in topology.sockets]}
            with Nginx(place / "nginx", **ports) as nginx, topology.explained():
                yield topology, nginx
    except ServiceMissing as absence:
        missing(absence)


def ask(
    nginx: Nginx,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str = "",
    source: str = "127.0.0.1",
    headers: dict[str, str] | None = None,
) -> tuple[HTTPResponse, Any]:
    """One request through nginx: the response, and its body decoded where that is JSON."""
    sent = {
        "Content-Type": "application/json",
        **({"Authorization": f"Bearer {key}"} if key else {}),
        **(headers or {}),
    }
    connection = HTTPConnection("127.0.0.1", nginx.port, timeout=30, source_address=(source, 0))
    try:
        connection.request(method, path, body if isinstance(body, bytes) or body is None else json.dumps(body), sent)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    return response, json.loads(text) if "json" in response.headers["Content-Type"] else text


def test_an_order_is_placed_seen_and_canceled(site: tuple[Topology, Nginx]) -> None:
    topology, nginx = site
    key = topology.keys["alice"]
    with connect(f"ws://127.0.0.1:{nginx.port}/ws/v1") as socket:
        socket.send(json.dumps({"op": "subscribe", "id": 1, "channel": "book", "symbols": ["ACME-USD"], "depth": 10}))
        heard = [json.loads(socket.recv(10)) for _ in range(2)]
        assert {message.get("type", message.get("op")) for message in heard} == {"ack", "snapshot"}

        response, order = ask(
            nginx, "POST", "/api/v1/orders", ORDER, key=key, headers={"X-Request-ID": "of-the-caller"}
        )
        assert response.status == 201
        assert response.headers["X-Request-ID"] == "of-the-caller"
        told = heard_of_level(socket, ["90.00", "1.000", 1])

    # The book is asked of the process that follows the feed, the order of one that does not.
    book = ask(nginx, "GET", "/api/v1/instruments/ACME-USD/book")[1]
    assert (book["sequence"], book["bids"]) == (told["sequence"], [["90.00", "1.000", 1]])
    assert ask(nginx, "GET", f"/api/v1/orders/{order['id']}", key=key)[1]["status"] == "new"
    response, canceled = ask(nginx, "DELETE", f"/api/v1/orders/{order['id']}", key=key)
    assert (response.status, canceled["status"]) == (200, "canceled")
    ports = {line.split()[-2] for line in nginx.lines() if "GET /api/v1/instruments/ACME-USD/book" in line}
    assert ports == {f"127.0.0.1:{topology.sockets[0].port}"}


def heard_of_level(socket: Any, bid: list[Any]) -> dict[str, Any]:
    """The next message of the book with that level: an update, or where one was lost on the way a new snapshot."""
    while True:
        message: dict[str, Any] = json.loads(socket.recv(10))
        if message.get("channel") == "book" and bid in message.get("bids", ()):
            return message


def test_an_id_is_made_where_the_caller_has_none(site: tuple[Topology, Nginx]) -> None:
    _, nginx = site
    for offered in ({}, {"X-Request-ID": 'not; "plain"'}):
        response, _ = ask(nginx, "GET", "/api/v1/time", headers=offered)
        made = response.headers["X-Request-ID"]
        assert len(made) == 32
        assert any(line.endswith(made) for line in nginx.lines())


def test_pages_and_their_files(site: tuple[Topology, Nginx]) -> None:
    _, nginx = site
    market = ask(nginx, "GET", "/")[0].headers["Location"]
    assert ask(nginx, "GET", market)[0].status == 200
    style, text = ask(nginx, "GET", "/static/oms/base.css")
    assert (style.status, style.headers["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert text
    assert ask(nginx, "GET", "/admin/")[0].status == 302


def test_metrics_are_not_for_the_public(site: tuple[Topology, Nginx]) -> None:
    topology, nginx = site
    assert ask(nginx, "GET", "/metrics")[0].status == 404
    assert topology.rest[0].request("GET", "/metrics")[0] == 200


def test_a_key_is_for_the_address_of_its_client(site: tuple[Topology, Nginx]) -> None:
    topology, nginx = site
    key = topology.manage("shell", "-v0", "-c", _KEY_FOR_ONE_ADDRESS).stdout.strip()
    assert ask(nginx, "GET", "/api/v1/account", key=key, source=HOME)[0].status == 200
    assert ask(nginx, "GET", "/api/v1/account", key=key, source=ELSEWHERE)[0].status == 401
    claim = {"X-Forwarded-For": HOME}
    assert ask(nginx, "GET", "/api/v1/account", key=key, source=ELSEWHERE, headers=claim)[0].status == 401


def test_what_is_too_large_is_refused_by_the_service_or_before_it(site: tuple[Topology, Nginx]) -> None:
    topology, nginx = site
    key = topology.keys["alice"]
    response, problem = ask(nginx, "POST", "/api/v1/orders/batch", b" " * (1 << 20) + b" ", key=key)
    assert (response.status, problem["code"]) == (413, "request_too_large")
    assert ask(nginx, "POST", "/api/v1/orders/batch", b" " * (3 << 20), key=key)[0].status == 413


def test_a_process_that_is_away_is_left_out(site: tuple[Topology, Nginx]) -> None:
    topology, nginx = site
    topology.rest[0].stop()  # the last test here: nobody needs it any more
    assert [ask(nginx, "GET", "/api/v1/time")[0].status for _ in range(8)] == [200] * 8
