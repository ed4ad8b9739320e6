"""Seeded bots that make a live market, as ordinary clients of the REST API."""

import json
import random
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from django.core.management import BaseCommand, CommandError, CommandParser

from orders.schemas.decimals import from_units, to_units

# How far from the middle the bots quote, in ticks, and how many quotes each side keeps.
SPREAD_TICKS = 12
QUOTES_A_SIDE = 8
# Stops, icebergs and brackets kept at a time: more would wait for a price that never comes.
MAX_CONDITIONAL = 12
# An iceberg is so many times as large as what it shows.
TIPS = 8
# Largest order, in steps of the instrument's quantity that make about one unit.
MAX_UNITS_AN_ORDER = 5
# Between two tries when the server is away.
RETRY_SECONDS = 1.0


class Command(BaseCommand):
    help = "Make a live market on one instrument: bots quote around a wandering price and trade with each other."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default="http://127.0.0.1:8000", help="the server (default http://127.0.0.1:8000)")
        parser.add_argument("--key", required=True, help="an API key with the scopes read and trade")
        parser.add_argument("--symbol", default="ACME-USD")
        parser.add_argument("--price", default="100", help="where the price starts when the book is empty")
        parser.add_argument("--rate", type=float, default=10.0, help="actions a second (default 10)")
        parser.add_argument("--seconds", type=float, default=0.0, help="how long (default: until Ctrl-C)")
        parser.add_argument("--seed", type=int, default=None, help="repeat the same decisions")

    def handle(
        self,
        *args: Any,
        url: str,
        key: str,
        symbol: str,
        price: str,
        rate: float,
        seconds: float,
        seed: int | None,
        **options: Any,
    ) -> None:
        if rate <= 0:
            raise CommandError("--rate must be positive")
        seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        market = Market(Rest(url, key), symbol, price, random.Random(seed))
        self.stdout.write(f"simulating {symbol} at {url}, seed {seed}; stop with Ctrl-C")
        end = time.monotonic() + seconds if seconds > 0 else float("inf")
        try:
            market.open()
            while time.monotonic() < end:
                started = time.monotonic()
                market.act()
                time.sleep(max(0.0, 1.0 / rate - (time.monotonic() - started)))
        except KeyboardInterrupt:
            pass
        except Refused as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{market.placed} orders placed, {market.canceled} canceled, {market.filled} filled at once")


class Refused(Exception):
    """The server does not let the bots do this at all (a wrong key, an unknown symbol)."""


class Rest:
    """One connection, opened again when it breaks."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"--url must be http://HOST:PORT, not {url!r}")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=15)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Status and JSON; waits and tries again while the server is away (orders carry their own ids: that is safe)."""
        while True:
            try:
                data = None if body is None else json.dumps(body)
                self._connection.request(method, f"/api/v1/{path}", data, self._headers)
                response = self._connection.getresponse()
                text = response.read()
            except (OSError, HTTPException):
                self._connection.close()
                time.sleep(RETRY_SECONDS)
                continue
            if response.status in (401, 403):
                raise Refused(json.loads(text)["detail"])
            if response.status not in (503, 504):
                return response.status, json.loads(text)
            time.sleep(RETRY_SECONDS)


class Market:
    """A wandering price in ticks, quotes around it, and now and then somebody who takes."""

    def __init__(self, rest: Rest, symbol: str, price: str, rng: random.Random) -> None:
        self._rest = rest
        self._symbol = symbol
        self._start = price
        self._rng = rng
        self._quotes: dict[str, list[str]] = {"buy": [], "sell": []}
        self._conditional: list[list[str]] = []
        self._run = f"sim-{random.SystemRandom().randrange(16**8):08x}"
        self.placed = self.canceled = self.filled = 0

    def open(self) -> None:
        """Learn the rules and fill the book."""
        status, rules = self._rest.ask("GET", f"instruments/{self._symbol}")
        if status != 200:
            raise Refused(rules["detail"])
        self._price_decimals = rules["price_decimals"]
        self._quantity_decimals = rules["quantity_decimals"]
        self._tick = to_units(rules["price_tick"], self._price_decimals)[0]
        self._step = to_units(rules["quantity_step"], self._quantity_decimals)[0]
        start = rules["last_price"] or self._start
        self._middle = max(2 * SPREAD_TICKS, to_units(start, self._price_decimals)[0] // self._tick)
        for _ in range(QUOTES_A_SIDE):
            self._quote("buy")
            self._quote("sell")

    def act(self) -> None:
        """One decision."""
        self._middle = max(2 * SPREAD_TICKS, self._middle + self._rng.choice((-1, 0, 0, 0, 1)))
        choice = self._rng.random()
        side = self._rng.choice(("buy", "sell"))
        if choice < 0.57:
            self._quote(side)
        elif choice < 0.77:
            self._place(side, None, "ioc")
        elif choice < 0.95:
            self._place(side, self._middle + (1 if side == "buy" else -1) * 2, "gtc")
        else:
            self._be_clever(side)

    def _quote(self, side: str) -> None:
        """A new quote on this side; the oldest goes when there are enough."""
        distance = 1 + min(int(self._rng.expovariate(0.3)), SPREAD_TICKS)
        order = self._place(side, self._middle + (-distance if side == "buy" else distance), "gtc")
        quotes = self._quotes[side]
        if order is not None:
            quotes.append(order["id"])
        if len(quotes) > QUOTES_A_SIDE:
            status, _ = self._rest.ask("DELETE", f"orders/{quotes.pop(0)}")
            self.canceled += status == 200

    def _be_clever(self, side: str) -> None:
        """A stop, a trailing stop, an iceberg or a bracket; the oldest goes when there are enough."""
        better = 1 if side == "buy" else -1
        far = self._rng.randint(SPREAD_TICKS // 2, 2 * SPREAD_TICKS)
        away, near = (self._price(self._middle + better * distance) for distance in (far, -2))
        kind = self._rng.choice(("stop", "trailing_stop", "iceberg", "bracket"))
        if kind == "stop":
            order = self._place(side, None, "gtc", type="stop", stop_price=away)
        elif kind == "trailing_stop":
            order = self._place(side, None, "gtc", type="trailing_stop", trail_price=self._price(far))
        elif kind == "iceberg":
            tip = self._quantity()
            whole = from_units(to_units(tip, self._quantity_decimals)[0] * TIPS, self._quantity_decimals)
            order = self._place(side, self._middle - 2 * better, "gtc", quantity=whole, display_quantity=tip)
        else:
            loss = self._price(self._middle - better * far)
            more = {"order_class": "bracket", "take_profit": {"price": away}, "stop_loss": {"stop_price": loss}}
            order = self._place(side, None, "gtc", type="limit", price=near, **more)
        if order is not None:
            self._conditional.append([order["id"], *(leg["id"] for leg in order["legs"])])
        if len(self._conditional) > MAX_CONDITIONAL:
            for order_id in self._conditional.pop(0):
                status, _ = self._rest.ask("DELETE", f"orders/{order_id}")
                self.canceled += status == 200

    def _price(self, ticks: int) -> str:
        return from_units(max(1, ticks) * self._tick, self._price_decimals)

    def _quantity(self) -> str:
        steps = self._rng.randint(1, MAX_UNITS_AN_ORDER * 100) * max(
            1, 10**self._quantity_decimals // 100 // self._step
        )
        return from_units(steps * self._step, self._quantity_decimals)

    def _place(self, side: str, ticks: int | None, time_in_force: str, **fields: Any) -> dict[str, Any] | None:
        """Place an order, limited where there are ``ticks``; ``fields`` are said instead of what is said here."""
        self.placed += 1
        body: dict[str, Any] = {
            "symbol": self._symbol,
            "side": side,
            "type": "market" if ticks is None else "limit",
            "quantity": fields.get("quantity") or self._quantity(),
            "time_in_force": time_in_force,
            # The bots share an account and must be able to trade with each other.
            "self_trade_prevention": "none",
            "client_order_id": f"{self._run}-{self.placed}",
        }
        if ticks is not None:
            body["price"] = self._price(ticks)
        status, answer = self._rest.ask("POST", "orders", body | fields)
        if status not in (200, 201):
            return None
        self.filled += answer["status"] == "filled"
        return answer
