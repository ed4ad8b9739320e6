"""An account's positions as of its last order event, for whoever follows it from there."""

import pytest

from orders import holdings, selectors
from orders.models import Event, Shard
from tests.support.market import actor_for, make_account, make_instrument, place, running_engine

pytestmark = pytest.mark.django_db(transaction=True)


def test_positions_stand_at_the_accounts_last_order_event() -> None:
    alice, bob = (actor_for(make_account(name)) for name in ("alice", "bob"))
    with running_engine():
        for symbol in ("ACME-USD", "BETA-USD"):
            make_instrument(symbol)
            place(alice, "sell", "5", "100", symbol=symbol)
            place(bob, "buy", "2", "100", symbol=symbol)
        waiting = place(bob, "buy", "1", "50")
        make_instrument("CETA-USD")
    epoch = Shard.objects.get(id=0).epoch
    read = holdings.position_list(bob.account_id, 0)
    assert (read.epoch, read.sequence) == (epoch, waiting.order.sequence)
    told = [(row.instrument.symbol, row.net, row.cost, row.instrument.last_price) for row in read.positions]
    assert told == [("ACME-USD", 2_000, 20_000_000, 10_000), ("BETA-USD", 2_000, 20_000_000, 10_000)]
    last = Event.objects.filter(account_id=alice.account_id, order__isnull=False).order_by("-id").first()
    assert holdings.position_list(alice.account_id, 0).sequence == last.sequence


def test_of_nobody_and_of_another_shard() -> None:
    alice, bob = (actor_for(make_account(name)) for name in ("alice", "bob"))
    with running_engine():
        make_instrument()
        place(alice, "sell", "5", "100")
        place(bob, "buy", "2", "100")
    Shard.objects.create(id=1, epoch=9)
    assert holdings.position_list(bob.account_id, 1) == (9, 0, [])
    assert holdings.position_list(make_account("carol").id, 0)[1:] == (0, [])
    selectors.forget_instruments()
