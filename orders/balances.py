"""Money of an account, from the tables: what ``matching.funds`` says of it in the engine, for whoever wants to look.

A balance follows from what was paid in and what was traded. The resting orders of a funded account hold what they would need
if all of them filled; those of others hold nothing, since nobody asks whether they can be paid.
"""

from collections import defaultdict
from typing import NamedTuple

from matching.values import BUY, MONEY_DECIMALS
from orders import selectors
from orders.models import Account, Deposit, Position
from orders.standing import open_sums


class Balance(NamedTuple):
    """Of one currency on one shard, in units of money: an order is paid with the money of its own shard."""

    shard_id: int
    currency: str
    total: int
    held: int


def balance_list(account: Account) -> list[Balance]:
    """All balances, in one consistent read."""
    total: dict[tuple[int, str], int] = defaultdict(int)
    held: dict[tuple[int, str], int] = defaultdict(int)
    with selectors.consistent_read():
        for deposit in Deposit.objects.filter(account_id=account.id):
            total[deposit.shard_id, deposit.currency] += deposit.amount
        rules = {row.id: row for row in selectors.instrument_list()}
        for position in Position.objects.filter(account_id=account.id):
            row = rules[position.instrument_id]
            base, quote = (row.shard_id, row.base), (row.shard_id, row.quote)
            total[base] += position.net * _scale(row.quantity_decimals)
            earned = position.sold_notional - position.bought_notional
            total[quote] += earned * _scale(row.price_decimals + row.quantity_decimals)
        resting = open_sums(account.id, list(rules), by_price=True) if account.funded else []
        for instrument_id, side, waits, price, units in resting:
            row = rules[instrument_id]
            if waits:
                continue
            if side == BUY:
                held[row.shard_id, row.quote] += price * units * _scale(row.price_decimals + row.quantity_decimals)
            else:
                held[row.shard_id, row.base] += units * _scale(row.quantity_decimals)
    return [Balance(*key, total[key], held[key]) for key in sorted(total.keys() | held.keys())]


def _scale(decimals: int) -> int:
    """Units of money in one unit with so many decimals."""
    return 10 ** (MONEY_DECIMALS - decimals)
