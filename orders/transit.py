"""Whether an instrument may move to another shard, and if not, why: for whoever is about to ask the engines.

The engine it leaves has the last word (``matching.moving.may_leave``); here is the one that people can read.
"""

from matching.values import HALTED, LAST_OPEN_STATUS
from orders.models import Account, Deposit, Instrument, Order, Position
from orders.schemas.problems import ProblemError, invalid
from orders.shards import shard_ids

# Accounts that are named where they are in the way.
MAX_TOLD = 5


def obstacle(row: Instrument, shard_id: int) -> ProblemError | None:
    """What is in the way of moving an instrument to a shard."""
    if shard_id not in shard_ids(max_age_seconds=0):
        return invalid("shard", "there is no such shard: start its engine first", "unknown_shard")
    if row.moving_to is not None:
        if row.moving_to != shard_id:
            return invalid(
                "shard", f"it is on its way to shard {row.moving_to} already: finish that first", "on_its_way"
            )
        return None
    if row.shard_id == shard_id:
        return invalid("shard", "it is there already", "there_already")
    if row.phase != HALTED:
        return invalid("phase", "it trades, or may: halt it first", "not_halted")
    paying = _paying_accounts(row)
    if paying:
        names = ", ".join(paying[:MAX_TOLD]) + (f" and {len(paying) - MAX_TOLD} more" if len(paying) > MAX_TOLD else "")
        return invalid(
            "symbol", f"money does not move along, and accounts that have some on its shard trade it: {names}", "money"
        )
    return None


def _paying_accounts(row: Instrument) -> list[str]:
    """Accounts that pay for what they do, or have money on the instrument's shard, and have a position or open orders in it."""
    with_money = Deposit.objects.filter(shard_id=row.shard_id).exclude(amount=0).values_list("account_id", flat=True)
    paying = Account.objects.filter(id__in=set(with_money)) | Account.objects.filter(funded=True)
    trading = set(Position.objects.filter(instrument=row).values_list("account_id", flat=True))
    trading |= set(
        Order.objects.filter(instrument=row, status__lte=LAST_OPEN_STATUS).values_list("account_id", flat=True)
    )
    return sorted(account.name for account in paying if account.id in trading)
