"""The write door with several shards: where each command goes, and one answer out of theirs."""

from math import inf

import pytest

import orders.shards
from matching.commands import DefineAccount
from orders import gateway, selectors, submission
from orders.bus.envelope import DONE, REPLAYED
from orders.codes import CODES
from orders.engine.recovery import recover
from orders.models import Account, Lease, Order
from orders.schemas.orders import AmendOrder, PlaceOrder
from orders.schemas.problems import ProblemError
from tests.support.market import OPERATOR, actor_for, make_account, make_instrument, place, set_phase

pytestmark = pytest.mark.django_db(transaction=True)

BOLT = {"symbol": "BOLT-USD"}


@pytest.fixture
def alice(shards):
    return actor_for(make_account("alice"))


def shard_of(outcome) -> int:
    return Order.objects.get(id=outcome.order.id).shard_id


def request(symbol: str, **fields: object) -> PlaceOrder:
    terms = {"symbol": symbol, "side": "buy", "type": "limit", "quantity": "1", "price": "100", **fields}
    return PlaceOrder.model_validate(terms)


# Orders


def test_orders_amends_and_cancels_go_to_the_shard_of_their_instrument(alice):
    first, second = place(alice), place(alice, **BOLT)
    assert (shard_of(first), shard_of(second)) == (0, 1)
    amended = gateway.order_amend(actor=alice, order_id=second.order.id, request=AmendOrder(price="99"))
    assert (amended.order.price, amended.order.shard_id) == (9_900, 1)
    assert gateway.order_cancel(actor=alice, order_id=second.order.id).order.shard_id == 1
    assert gateway.order_cancel_on_behalf(actor=OPERATOR, order_id=first.order.id).order.shard_id == 0


def test_a_cancel_of_an_order_without_a_row_asks_every_shard(alice):
    with pytest.raises(ProblemError) as raised:
        gateway.order_cancel(actor=alice, order_id=77)
    assert raised.value.code.name == "order_not_found"
    ended = place(alice, time_in_force="ioc", **BOLT)
    with pytest.raises(ProblemError) as raised:
        gateway.order_cancel(actor=alice, order_id=ended.order.id)
    assert raised.value.code.name == "too_late_to_cancel"


def test_a_cancel_finds_an_order_whose_row_cannot_be_seen_yet(alice, monkeypatch):
    order = place(alice, **BOLT).order
    monkeypatch.setattr(orders.shards, "order_shard", lambda order_id: None)
    assert gateway.order_cancel(actor=alice, order_id=order.id).kind == DONE


def test_a_process_that_knows_of_one_shard_only_says_try_again_and_learns(alice, monkeypatch):
    order = place(alice, **BOLT).order
    monkeypatch.setattr(orders.shards, "_ids", (0,))
    with pytest.raises(ProblemError) as raised:
        gateway.order_cancel(actor=alice, order_id=order.id)
    assert (raised.value.code.name, raised.value.code.retryable) == ("engine_unavailable", True)
    assert orders.shards.shard_ids(max_age_seconds=inf) == (0, 1)
    assert gateway.order_cancel(actor=alice, order_id=order.id).kind == DONE


def test_client_order_ids_are_one_space(alice):
    first = place(alice, client_order_id="mine")
    assert place(alice, client_order_id="mine").kind == REPLAYED
    with pytest.raises(ProblemError) as raised:
        place(alice, client_order_id="mine", **BOLT)
    assert raised.value.code.name == "duplicate_client_order_id" and raised.value.order_id == first.order.id


# Batches


def test_a_batch_is_split_and_answered_in_its_own_order(alice):
    symbols = ["BOLT-USD", "ACME-USD", "ACME-USD", "BOLT-USD"]
    requests = [request(symbol, price=str(100 + place)) for place, symbol in enumerate(symbols)]
    wrong = ProblemError("invalid_request")
    results = gateway.order_place_batch(actor=alice, requests=[*requests[:2], wrong, *requests[2:]])
    assert results.pop(2) is wrong
    assert [one.order.price for one in results] == [10_000, 10_100, 10_200, 10_300]
    assert [shard_of(one) for one in results] == [1, 0, 0, 1]


def test_a_batch_with_a_shard_that_is_down_places_the_rest(shards, alice):
    shards[1].bus.close()
    down, placed = gateway.order_place_batch(actor=alice, requests=[request("BOLT-USD"), request("ACME-USD")])
    assert placed.kind == DONE
    assert (down.code.name, down.outcome, down.code.retryable) == ("engine_unavailable", "not_accepted", True)
    with pytest.raises(ProblemError) as raised:
        gateway.order_place_batch(actor=alice, requests=[request("BOLT-USD"), request("BOLT-USD")])
    assert raised.value.detail == "The engine of shard 1 is not running."


def test_a_batch_with_a_silent_shard_tells_which_orders_are_unknown(shards, alice, monkeypatch):
    monkeypatch.setattr(submission, "ANSWER_TIMEOUT_SECONDS", 0.3)
    shards[1].pause()
    silent, placed = gateway.order_place_batch(actor=alice, requests=[request("BOLT-USD"), request("ACME-USD")])
    assert placed.kind == DONE
    assert (silent.code.name, silent.outcome) == ("engine_timeout", "unknown")
    shards[1].go_on()
    monkeypatch.setattr(submission, "ANSWER_TIMEOUT_SECONDS", 10)
    # The order that was named is the one that was placed after all.
    assert gateway.order_cancel(actor=alice, order_id=silent.order_id).kind == DONE


# Every shard at once


def test_cancel_all_cancels_on_every_shard(alice):
    ids = {place(alice).order.id, place(alice, **BOLT).order.id, place(alice, "sell", price="101", **BOLT).order.id}
    assert set(gateway.order_cancel_matching(actor=alice).canceled) == ids
    theirs = place(alice, **BOLT).order.id
    assert gateway.order_cancel_matching(actor=alice, symbol="ACME-USD").canceled == ()
    assert gateway.order_cancel_matching_on_behalf(actor=OPERATOR, account="alice").canceled == (theirs,)


def test_cancel_all_tells_what_a_shard_that_is_down_did_not_do(shards, alice):
    canceled, left = place(alice).order.id, place(alice, **BOLT).order.id
    shards[1].bus.close()
    with pytest.raises(ProblemError) as raised:
        gateway.order_cancel_matching(actor=alice)
    problem = raised.value.document("r")
    assert (problem["code"], problem["outcome"], problem["retryable"]) == ("engine_unavailable", "accepted", True)
    assert problem["canceled"] == [str(canceled)]
    assert problem["detail"] == "Carried out in part: shard 0 did (1 orders canceled), shard 1 did not."
    shards[1].bus.open()
    assert gateway.order_cancel_matching(actor=alice).canceled == (left,)


def test_cancel_all_tells_what_it_does_not_know(shards, alice, monkeypatch):
    monkeypatch.setattr(submission, "ANSWER_TIMEOUT_SECONDS", 0.3)
    canceled, unknown = place(alice).order.id, place(alice, **BOLT).order.id
    shards[1].pause()
    with pytest.raises(ProblemError) as raised:
        gateway.order_cancel_matching(actor=alice)
    problem = raised.value.document("r")
    assert (problem["code"], problem["outcome"], problem["canceled"]) == ("engine_timeout", "unknown", [str(canceled)])
    assert problem["detail"] == "Carried out in part: shard 0 did (1 orders canceled), shard 1 has not answered."
    shards[1].go_on()
    with pytest.raises(ProblemError) as raised:
        gateway.order_cancel(actor=alice, order_id=unknown)
    assert raised.value.code.name == "too_late_to_cancel"


def test_no_shard_at_all_is_as_with_one(shards, alice):
    shards[0].bus.close()
    shards[1].bus.close()
    with pytest.raises(ProblemError) as raised:
        gateway.order_cancel_matching(actor=alice)
    assert (raised.value.code.name, raised.value.outcome) == ("engine_unavailable", "not_accepted")


def test_cancel_after_is_armed_on_every_shard(alice):
    outcome = gateway.cancel_after(actor=alice, seconds=60)
    assert sorted(Lease.objects.values_list("shard_id", flat=True)) == [0, 1]
    assert outcome.due_at > 0
    assert gateway.cancel_after(actor=alice, seconds=0).due_at == 0
    assert not Lease.objects.exists()


# Configuration


def test_limits_hold_on_every_shard(alice):
    gateway.account_define(actor=OPERATOR, definition=DefineAccount(alice.account_id, max_order_quantity=500))
    for symbol in ("ACME-USD", "BOLT-USD"):
        with pytest.raises(ProblemError) as raised:
            place(alice, symbol=symbol)
        assert raised.value.code is CODES["risk_max_quantity"]


def test_a_shard_that_was_down_learns_limits_from_the_row(shards, alice):
    shards[1].stop()
    with pytest.raises(ProblemError) as raised:
        gateway.account_define(actor=OPERATOR, definition=DefineAccount(alice.account_id, max_order_quantity=500))
    assert raised.value.detail == "Carried out in part: shard 0 did, shard 1 did not."
    assert Account.objects.get(id=alice.account_id).max_order_quantity == 500
    shards[1].start()
    with pytest.raises(ProblemError) as raised:
        place(alice, **BOLT)
    assert raised.value.code is CODES["risk_max_quantity"]


def test_phases_go_to_the_shard_of_the_instrument(alice):
    set_phase("halted", "BOLT-USD")
    with pytest.raises(ProblemError) as raised:
        place(alice, **BOLT)
    assert raised.value.code is CODES["market_halted"]
    assert place(alice).kind == DONE


def test_money_is_paid_into_a_shard(alice):
    with pytest.raises(ProblemError) as raised:
        gateway.account_transfer(actor=OPERATOR, account_id=alice.account_id, currency="USD", amount=5)
    assert raised.value.errors[0]["field"] == "shard"
    gateway.account_transfer(actor=OPERATOR, account_id=alice.account_id, currency="USD", amount=5, shard_id=1)
    assert recover(0).engine.accounts[alice.account_id].deposits == {}
    assert recover(1).engine.accounts[alice.account_id].deposits == {"USD": 5}


def test_an_instrument_is_made_on_a_shard_there_is(alice):
    with pytest.raises(ProblemError) as raised:
        make_instrument("COG-USD", shard_id=9)
    assert raised.value.errors[0]["code"] == "unknown_shard"


def test_a_command_for_an_instrument_elsewhere_may_be_sent_again(alice, monkeypatch):
    """What a process remembers of an instrument may be wrong for a moment, when it moves."""
    info = selectors.instrument_by_symbol("BOLT-USD")
    wrong = selectors.InstrumentInfo(info.id, info.symbol, 0, info.price_decimals, info.quantity_decimals)
    monkeypatch.setitem(selectors._instruments_by_symbol, "BOLT-USD", wrong)
    for attempt in (
        lambda: place(alice, **BOLT),
        lambda: gateway.order_cancel_matching(actor=alice, symbol="BOLT-USD"),
    ):
        selectors._instruments_by_symbol["BOLT-USD"] = wrong
        with pytest.raises(ProblemError) as raised:
            attempt()
        assert (raised.value.code.name, raised.value.code.retryable) == ("engine_unavailable", True)
        assert not selectors.remembered_symbol("BOLT-USD")
    assert place(alice, **BOLT).kind == DONE
