"""Questions over REST: asked again while that makes sense, and answered in the end one way or the other."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from oms_client import ClientError, Refused, Rest, Unreachable
from oms_client import rest as module
from tests.client.talk import order, problem
from tests.client.trading import SYMBOL
from tests.client.venue import checksum

PROBLEM = {"content-type": "application/problem+json"}


def ask(answers: list[Any], question: Callable[[Rest], Awaitable[Any]]) -> tuple[Any, list[httpx.Request], list[float]]:
    """Put a question to a service that gives these answers, one after the other: result, requests, seconds waited."""
    requests: list[httpx.Request] = []
    waited: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    async def run() -> Any:
        async with Rest("http://service.invalid/", key="oms_key") as rest:
            await rest._http.aclose()
            headers = rest._http.headers
            rest._http = httpx.AsyncClient(
                base_url="http://service.invalid/api/v1/", headers=headers, transport=httpx.MockTransport(answer)
            )
            return await question(rest)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.asyncio, "sleep", sleep)
        return asyncio.run(run()), requests, waited


def refusal(code: str, status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=problem(code, status), headers={**PROBLEM, **headers})


def test_an_answer():
    found, (request,), _ = ask([httpx.Response(200, json=order())], lambda rest: rest.order("7"))
    assert found.quantity == Decimal("10.000")
    assert request.url == "http://service.invalid/api/v1/orders/7"
    assert request.headers["authorization"] == "Bearer oms_key"


def test_a_refusal_is_a_typed_problem():
    with pytest.raises(Refused) as refused:
        ask([refusal("order_not_found", 404)], lambda rest: rest.order_by_client_id("a/1"))
    assert refused.value.problem.code == "order_not_found"


def test_retry_after_is_honored():
    answers = [refusal("rate_limited", 429, **{"Retry-After": "3"}), httpx.Response(200, json=order())]
    _, requests, waited = ask(answers, lambda rest: rest.order("7"))
    assert len(requests) == 2 and waited == [3.0]


def test_what_is_away_is_asked_again_with_growing_pauses():
    answers = [httpx.ConnectError("refused")] * 4 + [httpx.Response(502), httpx.Response(200, json=order())]
    _, requests, waited = ask(answers, lambda rest: rest.order("7"))
    assert len(requests) == 6 and waited[0] < 0.2 < waited[-1] <= 2.5


def test_what_stays_away_is_unreachable(monkeypatch):
    monkeypatch.setattr(module, "QUESTION_SECONDS", 1.0)
    with pytest.raises(Unreachable):
        ask([refusal("engine_unavailable", 503, **{"Retry-After": "5"})], lambda rest: rest.order("7"))


@pytest.mark.parametrize("answer", [httpx.Response(500, text="<html>"), httpx.Response(500, json={"oops": 1})])
def test_what_is_no_answer_is_an_error(answer):
    with pytest.raises(ClientError):
        ask([answer], lambda rest: rest.order("7"))


def test_pages_are_followed():
    pages = [{"results": [order(id="2")], "next": "17"}, {"results": [order(id="1")], "next": None}]

    async def all_orders(rest: Rest) -> list[str]:
        return [found.id async for found in rest.orders(status="open")]

    found, requests, _ = ask([httpx.Response(200, json=page) for page in pages], all_orders)
    assert found == ["2", "1"]
    assert [request.url.query for request in requests] == [b"status=open", b"status=open&cursor=17"]


def test_a_book_is_verified():
    bids = [["99.98", "10.000", 2]]
    body = {"symbol": "ACME-USD", "epoch": 3, "sequence": 12, "time": "", "bids": bids, "asks": []}
    good = httpx.Response(200, json=body | {"checksum": checksum(bids, [])})
    book, (request,), _ = ask([good], lambda rest: rest.book("ACME-USD", depth=10, sequence=12))
    assert book.best_bid.quantity == 10 and request.url.query == b"depth=10&sequence=12"
    with pytest.raises(ClientError, match="checksum"):
        ask([httpx.Response(200, json=body | {"checksum": 1})], lambda rest: rest.book("ACME-USD"))


def test_a_real_server_answers_every_question(server, key):
    async def run() -> None:
        async with Rest(server.url, key=key) as rest:
            assert (await rest.status()).open
            assert SYMBOL in [instrument.symbol for instrument in await rest.instruments()]
            assert (await rest.instrument(SYMBOL)).price_tick == Decimal("0.01")
            assert (await rest.book(SYMBOL)).symbol == SYMBOL
            assert (await rest.ticker(SYMBOL)).symbol == SYMBOL
            assert SYMBOL in [ticker.symbol for ticker in await rest.tickers()]
            assert isinstance(await rest.candles(SYMBOL, "1h"), list)
            for many in (rest.trades(SYMBOL), rest.orders(), rest.fills(), rest.positions()):
                assert isinstance([item async for item in many], list)
            body = {"symbol": SYMBOL, "side": "buy", "quantity": "1", "price": "31", "client_order_id": "r-1"}
            status, placed = server.request("POST", "/api/v1/orders", body, key=key)
            assert status == 201
            assert (await rest.order(placed["id"])) == (await rest.order_by_client_id("r-1"))
            (event,) = await rest.order_events(placed["id"])
            page = await rest.events(0, event.sequence - 1)
            assert event.event == "accepted" and page.events[0]["sequence"] == event.sequence

    asyncio.run(run())
