"""Makes a displayed book change, one commit at a time: two rows of resting orders that never trade, amended in turn."""

import random
from typing import Any

from benchmarks.sockets import Talk

LEVELS = 20


class Flow:
    """``LEVELS`` bids and asks of one instrument, all of one account, asked for over one socket."""

    def __init__(self, talk: Talk, symbol: str, middle: float = 100.0, step: float = 0.05, decimals: int = 2) -> None:
        self.talk = talk
        self.symbol = symbol
        self.changes = 0
        self._random = random.Random(symbol)
        self._orders: list[str] = []
        self._prices = [
            (side, f"{middle + (step if side == 'sell' else -step) * number:.{decimals}f}")
            for number in range(1, LEVELS + 1)
            for side in ("buy", "sell")
        ]

    async def fill(self) -> None:
        """Place the orders."""
        for side, price in self._prices:
            answer = await self.talk.ask(
                op="place", symbol=self.symbol, side=side, type="limit", price=price, quantity="1000"
            )
            self._orders.append(answer["order"]["id"])

    async def change(self) -> dict[str, Any]:
        """Another quantity on the next level: exactly one commit that the book shows, at every depth of 25 or more."""
        order_id = self._orders[self.changes % len(self._orders)]
        self.changes += 1
        return await self.talk.ask(op="amend", order_id=order_id, quantity=str(self._random.randint(1_000, 900_000)))
