"""Client order ids are one space for all shards: two engines that want the same one at the same time.

The claim is an ``INSERT … ON CONFLICT DO NOTHING`` inside each engine's own transaction, in the order of the keys: the second
waits until the first's commit, and never for each other in a circle.
"""

import random
import threading

import pytest
from django.db import connection

from orders import gateway
from orders.bus.envelope import DONE, REPLAYED
from orders.engine.journal import Journal
from orders.models import ClientOrderId, Order
from orders.schemas.orders import PlaceOrder
from orders.schemas.problems import ProblemError
from tests.support.market import actor_for, make_account

pytestmark = pytest.mark.django_db(transaction=True)


def request(symbol: str, client_order_id: str) -> PlaceOrder:
    return PlaceOrder.model_validate(
        {
            **{"symbol": symbol, "side": "buy", "type": "limit", "quantity": "1", "price": "1"},
            "client_order_id": client_order_id,
        }
    )


def test_two_engines_that_want_the_same_ids(shards):
    """Each id goes to one order; the other shard's sender is told whose it is. Nobody waits for ever."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    alice = actor_for(make_account("alice"))
    outcomes: dict[str, list[object]] = {"ACME-USD": [], "BOLT-USD": []}
    ids = [f"id-{number}" for number in range(120)]

    def send(symbol: str, order: list[str]) -> None:
        try:
            for start in range(0, len(order), 12):
                some = [request(symbol, one) for one in order[start : start + 12]]
                outcomes[symbol] += zip(
                    order[start : start + 12], gateway.order_place_batch(actor=alice, requests=some), strict=True
                )
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(symbol, chance.sample(ids, len(ids)))) for symbol in outcomes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    told = {symbol: dict(found) for symbol, found in outcomes.items()}
    assert all(set(found) == set(ids) for found in told.values())
    for one in ids:
        results = [told[symbol][one] for symbol in told]
        placed = [result for result in results if not isinstance(result, ProblemError)]
        refused = [result for result in results if isinstance(result, ProblemError)]
        assert len(placed) == len(refused) == 1, (seed, one, results)
        assert placed[0].kind == DONE and refused[0].code.name == "duplicate_client_order_id"
        assert refused[0].order_id == placed[0].order.id
    assert ClientOrderId.objects.count() == Order.objects.count() == len(ids)


def test_a_claim_waits_for_the_other_engines_commit(shards, monkeypatch):
    """Not for its own luck: what the second is told is durable."""
    if connection.vendor == "sqlite":
        pytest.skip("one writer at a time: the second's transaction begins after the first's end")
    alice = actor_for(make_account("alice"))
    claimed, go = threading.Event(), threading.Event()
    real = Journal.claim

    def claim(self, wanted):
        found = real(self, wanted)
        if self.shard_id == 0:
            claimed.set()
            assert go.wait(10)
        return found

    monkeypatch.setattr(Journal, "claim", claim)
    first = gateway.submit_order(actor=alice, request=request("ACME-USD", "mine"))
    assert claimed.wait(10)
    second = gateway.submit_order(actor=alice, request=request("BOLT-USD", "mine"))
    with pytest.raises(TimeoutError):
        second.future.result(0.5)
    go.set()
    (outcome,) = first.future.result(10)
    assert outcome.kind == DONE
    (other,) = second.future.result(10)
    assert (other.kind != REPLAYED, other.order_id) == (True, outcome.order.id)
