"""Funds of accounts that are funded: nothing trades that is not paid for.

Theory of operation
-------------------
* Money of any currency is an integer with ``MONEY_DECIMALS`` decimals, enough for every product of a price and a quantity, so
  that nothing is ever rounded. ``Account.deposits`` is what was paid in less what was paid out.
* The balance follows from what there is already: deposits, plus what was bought and sold (``Holding``). What rests in books is
  reserved: a buy's remainder at its limit in the quote currency, a sell's remainder in the base currency.
* What waits reserves nothing: a stop is asked when it is triggered, a bracket's child when it is released; who cannot pay
  then is canceled. A market buy must be able to pay for all it would take at that moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.events import TRANSFERRED
from matching.order import Order
from matching.state import Account, Holding, Instrument
from matching.values import BUY, LIMIT, MAX_MONEY, R_INSUFFICIENT_FUNDS, R_INVALID_COMMAND, STOP_LIMIT

if TYPE_CHECKING:
    from mypy_extensions import i64

    from matching.commands import Transfer
    from matching.executor import Executor


def transfer(engine: Executor, command: Transfer) -> None:
    """Pay in (a positive amount) or out (a negative one, at most what is available)."""
    if command.account_id < 1 or not command.currency or not command.amount or abs(command.amount) > MAX_MONEY:
        return engine.refuse(R_INVALID_COMMAND)
    account = engine.account(command.account_id)
    deposited = account.deposits.get(command.currency, 0) + command.amount
    if abs(deposited) > MAX_MONEY:
        return engine.refuse(R_INVALID_COMMAND)
    if command.amount < 0 and available(account, command.currency) + command.amount < 0:
        return engine.refuse(R_INSUFFICIENT_FUNDS)
    account.deposits[command.currency] = deposited
    engine.configured(TRANSFERRED, 0, account.account_id)


def balance(account: Account, currency: str) -> int:
    """What the account has of a currency, reserved or not."""
    found = account.deposits.get(currency, 0)
    for holding in account.holdings:
        instrument = holding.instrument
        if instrument.quote == currency:
            found += (holding.sold_notional - holding.bought_notional) * instrument.quote_scale
        if instrument.base == currency:
            found += (holding.bought - holding.sold) * instrument.base_scale
    return found


def reserved(account: Account, currency: str) -> int:
    """What its resting orders would need of a currency if all of them filled."""
    found = 0
    for holding in account.holdings:
        instrument = holding.instrument
        if instrument.quote == currency:
            found += holding.rest_value * instrument.quote_scale
        if instrument.base == currency:
            found += (holding.open_sell - holding.waiting_sell) * instrument.base_scale
    return found


def available(account: Account, currency: str) -> int:
    return balance(account, currency) - reserved(account, currency)


def cost(instrument: Instrument, order: Order, price: i64, quantity: i64) -> tuple[str, int]:
    """The currency an order needs, and how much of it, to trade ``quantity`` at its limit ``price`` (0: at any)."""
    units: int = quantity
    if order.side != BUY:
        return instrument.base, units * instrument.base_scale
    if order.type == LIMIT or order.type == STOP_LIMIT:
        limit: int = price
        return instrument.quote, limit * units * instrument.quote_scale
    return instrument.quote, instrument.book.cost(order, units, instrument.market_bound(BUY)) * instrument.quote_scale


def covers(holding: Holding, order: Order, price: i64, quantity: i64, resting: i64) -> bool:
    """Whether the account can pay for an order, whose ``resting`` units are reserved already at its present price."""
    instrument = holding.instrument
    currency, needed = cost(instrument, order, price, quantity)
    has = available(holding.account, currency)
    if resting:
        has += cost(instrument, order, order.price, resting)[1]
    return needed <= has
