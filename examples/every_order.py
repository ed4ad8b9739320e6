"""Every kind of order over REST, with nothing but the standard library.

    KEY=$(.venv/bin/python manage.py create_api_key alice --scopes read,trade)
    python3 examples/every_order.py --key $KEY

Each is tried first (``orders/validate`` tells what would happen), then placed, then all of them are canceled again. Prices are
around what is in the book, so most of it rests or waits; run it against the demo market, not against one you care about.
"""

import argparse
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Send = Callable[..., tuple[int, dict[str, Any]]]

SYMBOL = "ACME-USD"


def sender(url: str, key: str) -> Send:
    """A function that sends one request and answers the status and the body, also of a problem."""

    def send(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(f"{url}/api/v1/{path}", data, headers, method=method), timeout=15) as answer:
                return answer.status, json.load(answer)
        except HTTPError as problem:
            return problem.code, json.load(problem)

    return send


def orders_around(middle: Decimal) -> dict[str, dict[str, Any]]:
    """One order of each kind, a few percent away from ``middle``."""

    def at(percent: int) -> str:
        return str((middle * (100 + percent) / 100).quantize(Decimal("0.01")))

    return {
        "limit": {"side": "buy", "quantity": "1", "price": at(-5)},
        "limit for the day, post-only": {
            **{"side": "sell", "quantity": "1", "price": at(5)},
            **{"time_in_force": "day", "post_only": True},
        },
        "limit until a moment": {
            **{"side": "buy", "quantity": "1", "price": at(-6)},
            **{"time_in_force": "gtd", "expires_at": "2040-01-01T00:00:00Z"},
        },
        "market": {"side": "buy", "type": "market", "quantity": "1"},
        "iceberg": {"side": "sell", "quantity": "100", "price": at(6), "display_quantity": "5"},
        "stop": {"side": "sell", "type": "stop", "quantity": "1", "stop_price": at(-8)},
        "stop-limit": {"side": "buy", "type": "stop_limit", "quantity": "1", "stop_price": at(8), "price": at(9)},
        "trailing stop": {"side": "sell", "type": "trailing_stop", "quantity": "1", "trail_percent": "2.5"},
        "one cancels the other": {
            **{"side": "sell", "quantity": "2", "price": at(7), "order_class": "oco"},
            "stop_loss": {"stop_price": at(-7)},
        },
        "bracket": {
            **{"side": "buy", "quantity": "2", "price": at(-4), "order_class": "bracket"},
            **{"take_profit": {"price": at(4)}, "stop_loss": {"stop_price": at(-9), "price": at(-10)}},
        },
    }


def run(send: Send, say: Callable[[str], None] = print) -> None:
    """Try, place and cancel one of each. Raises ``SystemExit`` where something is refused."""
    _, instrument = send("GET", f"instruments/{SYMBOL}")
    middle = Decimal(instrument["last_price"] or instrument["reference_price"] or "100")
    # Should this program die, its orders do not stay behind.
    send("POST", "cancel-after", {"seconds": 30})
    for name, terms in orders_around(middle).items():
        body = {"symbol": SYMBOL, **terms}
        _, trial = send("POST", "orders/validate", body)
        status, placed = send("POST", "orders", body)
        if status != 201:
            raise SystemExit(f"{name}: {placed['code']}: {placed['detail']}")
        legs = "".join(f", {leg['role']} {leg['status']}" for leg in placed["legs"])
        say(f"{name}: expected {trial['status']}, is {placed['status']}{legs}")
    _, canceled = send("DELETE", f"orders?symbol={SYMBOL}")
    send("POST", "cancel-after", {"seconds": 0})
    say(f"canceled {canceled['count']} orders again")


def main() -> None:
    parser = argparse.ArgumentParser(description="Every kind of order over REST, tried, placed and canceled again.")
    parser.add_argument("--key", required=True, help="an API key with the scope trade")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is")
    arguments = parser.parse_args()
    run(sender(arguments.url, arguments.key))


if __name__ == "__main__":
    main()
