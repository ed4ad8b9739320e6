"""What an account has on every shard of its own, and what all of them must agree on."""

import pytest

from matching.commands import DefineAccount
from orders import gateway, selectors
from orders.bus.envelope import DONE
from orders.engine.recovery import recover
from orders.models import Account, Event, MessageRate
from orders.schemas.problems import ProblemError
from orders.submission import submit, wait
from tests.support.market import OPERATOR, actor_for, make_account, place

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice(shards):
    return actor_for(make_account("alice"))


def limit(shards, actor) -> tuple[int, ...]:
    """The account's limit of a quantity as each shard's engine has it."""
    return tuple(shards[number].loop.state.engine.account(actor.account_id).max_order_quantity for number in (0, 1))


def test_messages_are_counted_by_shard(shards, alice):
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(alice.account_id, max_rate=2))
    for symbol in ("ACME-USD", "ACME-USD", "BOLT-USD"):
        place(alice, symbol=symbol)
    with pytest.raises(ProblemError) as raised:
        place(alice)
    assert raised.value.code.name == "rate_limited" and "RateLimit" in raised.value.headers
    place(alice, symbol="BOLT-USD")
    rates = dict(MessageRate.objects.filter(account_id=alice.account_id).values_list("shard_id", "rate_at"))
    for shard_id, rate_at in rates.items():
        assert recover(shard_id).engine.accounts[alice.account_id].rate_at == rate_at > 0
        assert selectors.message_rate(account_id=alice.account_id, shard_id=shard_id) == rate_at
    assert selectors.message_rate(account_id=alice.account_id) == max(rates.values())
    # Without a limit nothing is counted any more, on any shard.
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(alice.account_id))
    assert set(MessageRate.objects.values_list("rate_at", flat=True)) == {0}


def test_definitions_that_cross_leave_all_shards_with_the_same(shards, alice):
    """Two operators at once; the second's is carried out first on one of the shards."""
    first = DefineAccount(alice.account_id, max_order_quantity=111, definition=5)
    second = DefineAccount(alice.account_id, max_order_quantity=222, definition=6)
    for shard_id, commands in ((0, [first, second]), (1, [second, first])):
        for command in commands:
            kinds = wait(submit([command], lambda found: found[0].kind, shards=[shard_id], actor=OPERATOR))
            assert kinds == DONE
    assert limit(shards, alice) == (222, 222)
    assert Account.objects.get(id=alice.account_id).max_order_quantity == 222
    # Where it came too late it left no trace.
    assert Event.objects.filter(account_id=alice.account_id).count() == 3
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(alice.account_id, max_order_quantity=333))
    assert limit(shards, alice) == (333, 333)


def test_an_old_definition_that_waited_for_its_shard_does_not_come_back(shards, alice):
    shards[1].pause()
    old = DefineAccount(alice.account_id, max_order_quantity=111, definition=5)
    late = submit([old], lambda found: found[0].kind, shards=[1], actor=OPERATOR)
    new = DefineAccount(alice.account_id, max_order_quantity=222, definition=6)
    wait(submit([new], lambda found: found[0].kind, shards=[0], actor=OPERATOR))
    shards[1].go_on()
    assert wait(late) == DONE
    row = Account.objects.get(id=alice.account_id)
    assert (row.max_order_quantity, row.definition) == (222, 6)
    # What the engine believes until it is told, or starts again.
    shards[1].stop()
    shards[1].start()
    assert limit(shards, alice) == (222, 222)
