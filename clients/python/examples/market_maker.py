"""A market maker: quotes both sides around the last price, leaning against what it holds.

    python market_maker.py --key $KEY [--url http://127.0.0.1:8000] [--symbol ACME-USD]

It may be killed, and so may the service: who falls silent has his quotes canceled after ten seconds, who comes back begins
with none open, and each order is placed once however often its answer is lost.
"""

import argparse
import asyncio
from contextlib import suppress
from decimal import Decimal

from oms_client import AsyncClient, ClientError

SIZE, MOST, HALF_SPREAD = Decimal(5), Decimal(50), Decimal("0.001")


async def quote(client: AsyncClient, symbol: str) -> None:
    """Take back the quotes there are and make new ones, from the price and the position as they are now."""
    await client.cancel_after(10)
    await client.cancel_all(symbol=symbol)
    tick = (await client.rest.instrument(symbol)).price_tick
    price = (await client.rest.ticker(symbol)).last or Decimal(100)
    holds = sum([position.quantity async for position in client.rest.positions() if position.symbol == symbol])
    half = price * HALF_SPREAD
    fair = price - half * holds / MOST  # Holding much: both prices lower, to sell sooner than buy.
    bid, ask = (fair - half) // tick * tick, (fair + half) // tick * tick + tick
    if holds < MOST:
        await client.place(symbol, "buy", SIZE, price=bid, post_only=True)
    if holds > -MOST:
        await client.place(symbol, "sell", SIZE, price=ask, post_only=True)
    print(f"holds {holds}, quotes {bid} and {ask}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key", required=True)
    parser.add_argument("--symbol", default="ACME-USD")
    options = parser.parse_args()
    async with AsyncClient(options.url, key=options.key) as client:
        executions = client.executions()
        while True:
            try:
                await quote(client, options.symbol)
            except ClientError as error:
                print(f"not quoting: {error}", flush=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(3):  # Anew after a fill, and in any case before the lease runs out.
                    while not (await anext(executions)).is_fill:
                        pass


if __name__ == "__main__":
    asyncio.run(main())
