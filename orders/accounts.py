"""Accounts of users. Only rows with default limits are made here: limits and states change by command."""

from time import time_ns
from typing import Any

from django.db import IntegrityError, transaction

from orders.models import Account


def own_account(*, user: Any) -> Account:
    """The user's account (the oldest they are a member of); made, and named like the user, if there is none."""
    found = user.trading_accounts.order_by("id").first()
    if found is not None:
        return found
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        try:
            with transaction.atomic():
                account = Account.objects.create(name=f"{user.username[:56]}{suffix}", created_at=time_ns() // 1000)
                account.members.add(user)
                return account
        except IntegrityError:
            continue  # the name belongs to an account of others
    raise ValueError(f"no free account name for {user.username}")
