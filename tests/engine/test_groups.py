"""Linked orders through engine and tables: placed whole or not at all, and what follows follows once, crash or not."""

import pytest

from matching.commands import Amend, Cancel, CancelAll, OrderGroup, SetPhase
from matching.events import CANCELED, DECREMENTED, RELEASED, TRIGGERED
from matching.values import (
    AUCTION,
    CONTINUOUS,
    FILLED,
    NEW,
    PARTIALLY_FILLED,
    R_LINKED_ORDER,
    R_LINKED_ORDER_REFUSED,
    R_QUANTITY_NOT_ON_STEP,
    REJECTED,
    UNTRIGGERED,
)
from matching.values import CANCELED as STATUS_CANCELED
from orders.bus.envelope import CONFLICT, DONE, FAILED, REPLAYED
from orders.models import ClientOrderId, Event
from orders.models import Order as OrderRow
from tests.engine.desk import Desk, fail_once

pytestmark = pytest.mark.django_db(transaction=True)

BUY, SELL = 0, 1


def standing(group: OrderGroup) -> list[tuple[int, int, int]]:
    """Status, remaining and filled of each order, by its row."""
    rows = {row.id: row for row in OrderRow.objects.filter(group_id=group.orders[0].order_id)}
    return [(rows[o.order_id].status, rows[o.order_id].remaining, rows[o.order_id].filled) for o in group.orders]


def told(kind: int) -> int:
    return Event.objects.filter(kind=kind).count()


def test_a_group_is_placed_whole_and_answered_with_its_legs(desk: Desk) -> None:
    bracket = desk.bracket(desk.alice, BUY, 100, 110, 90, 5)
    (outcome,) = desk.do(bracket)
    assert outcome.order is not None and outcome.order.id == outcome.order_id == bracket.orders[0].order_id
    assert [leg.id for leg in outcome.legs] == [order.order_id for order in bracket.orders[1:]]
    assert [leg.status for leg in outcome.legs] == [UNTRIGGERED, UNTRIGGERED]
    assert {leg.group_id for leg in (outcome.order, *outcome.legs)} == {outcome.order_id}
    assert standing(bracket) == [(NEW, 5, 0), (UNTRIGGERED, 5, 0), (UNTRIGGERED, 5, 0)]


def test_where_one_is_refused_all_are(desk: Desk) -> None:
    pair = desk.oco(desk.alice, SELL, 110, 90, 5)
    pair.orders[1].off_grid = 2
    (outcome,) = desk.do(pair)
    assert outcome.kind == DONE and outcome.order is not None
    assert (outcome.order.status, outcome.order.reason) == (REJECTED, R_LINKED_ORDER_REFUSED)
    assert [(leg.status, leg.reason) for leg in outcome.legs] == [(REJECTED, R_QUANTITY_NOT_ON_STEP)]


def test_a_group_is_known_by_its_first_order(desk: Desk) -> None:
    first = desk.oco(desk.alice, SELL, 110, 90, 5, "pair")
    outcomes = desk.group(
        desk.envelope(first),
        desk.envelope(desk.oco(desk.alice, SELL, 110, 90, 5, "pair")),
        desk.envelope(desk.oco(desk.alice, SELL, 111, 90, 5, "pair"), fingerprint=b"other"),
    )
    assert [outcome.kind for (outcome,) in outcomes] == [DONE, REPLAYED, CONFLICT]
    assert {outcome.order_id for (outcome,) in outcomes} == {first.orders[0].order_id}
    assert OrderRow.objects.count() == 2 and ClientOrderId.objects.count() == 1


def test_a_group_with_an_id_that_is_taken_fails_and_its_client_id_stays_free(desk: Desk) -> None:
    resting = desk.order(desk.bob, BUY, 80, 1)
    desk.do(resting)
    pair = desk.oco(desk.alice, SELL, 110, 90, 5, "pair")
    pair.orders[1].order_id = resting.order_id
    assert desk.kinds(desk.envelope(pair)) == [FAILED]
    assert desk.kinds(desk.envelope(desk.oco(desk.alice, SELL, 110, 90, 5, "pair"))) == [DONE]


@pytest.mark.parametrize("crash", [False, True])
def test_one_fills_in_part_and_the_other_loses_as_much(desk: Desk, crash: bool) -> None:
    pair = desk.oco(desk.alice, SELL, 110, 90, 5)
    desk.do(pair)
    if crash:
        desk.start()
    desk.do(desk.order(desk.bob, BUY, 110, 2))
    assert standing(pair) == [(PARTIALLY_FILLED, 3, 2), (UNTRIGGERED, 3, 0)]
    if crash:
        desk.start()
    desk.do(desk.order(desk.bob, BUY, 110, 3))
    assert standing(pair) == [(FILLED, 0, 5), (STATUS_CANCELED, 0, 0)]
    assert (told(DECREMENTED), told(CANCELED)) == (1, 1)


@pytest.mark.parametrize("crash", [False, True])
def test_the_stop_triggers_and_the_limit_order_goes_first(desk: Desk, crash: bool) -> None:
    pair = desk.oco(desk.alice, SELL, 110, 90, 5)
    desk.do(pair, desk.order(desk.bob, BUY, 90, 2), desk.order(desk.bob, BUY, 89, 9))
    if crash:
        desk.start()
    desk.do(desk.order(desk.bob, SELL, 90, 1))  # its own account's bid: nothing trades
    desk.do(desk.order(desk.alice, SELL, 90, 1))
    assert standing(pair) == [(STATUS_CANCELED, 0, 0), (FILLED, 0, 5)]
    assert told(TRIGGERED) == 1
    kinds = list(Event.objects.filter(order__group_id__isnull=False).order_by("id").values_list("kind", "reason"))
    assert kinds.index((CANCELED, R_LINKED_ORDER)) + 1 == kinds.index((TRIGGERED, 0))


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("when", ["", "before", "at", "after"])
def test_a_brackets_children_go_live_once(desk: Desk, monkeypatch: pytest.MonkeyPatch, crash: bool, when: str) -> None:
    bracket = desk.bracket(desk.alice, BUY, 100, 110, 90, 5)
    desk.do(bracket)
    if crash:
        desk.start()
    desk.do(desk.order(desk.bob, SELL, 100, 2))
    assert standing(bracket) == [(PARTIALLY_FILLED, 3, 2), (UNTRIGGERED, 5, 0), (UNTRIGGERED, 5, 0)]
    if crash:
        desk.start()
    if when:
        fail_once(monkeypatch, when)
    cancel = Cancel(bracket.orders[0].order_id, desk.alice.id)
    (outcome,) = desk.do(cancel)
    if when in ("before", "at"):
        (outcome,) = desk.do(cancel)
    assert outcome.kind == DONE
    assert standing(bracket) == [(STATUS_CANCELED, 0, 2), (NEW, 2, 0), (UNTRIGGERED, 2, 0)]
    assert told(RELEASED) == 2
    if crash:
        desk.start()
    desk.do(desk.order(desk.bob, BUY, 110, 2))
    assert standing(bracket)[1:] == [(FILLED, 0, 2), (STATUS_CANCELED, 0, 0)]


def test_an_entry_that_fills_nothing_takes_its_children_with_it(desk: Desk) -> None:
    bracket = desk.bracket(desk.alice, BUY, 100, 110, 90, 5)
    desk.do(bracket)
    desk.start()
    (outcome,) = desk.do(CancelAll(desk.alice.id))
    assert sorted(outcome.canceled) == sorted(order.order_id for order in bracket.orders)
    assert {status for status, _, _ in standing(bracket)} == {STATUS_CANCELED}
    assert told(CANCELED) == 3


def test_terms_of_linked_orders_change_and_quantities_do_not(desk: Desk) -> None:
    pair = desk.oco(desk.alice, SELL, 110, 90, 5)
    desk.do(pair)
    for crashed in (False, True):
        (price,) = desk.do(Amend(pair.orders[0].order_id, desk.alice.id, 111))
        (stop,) = desk.do(Amend(pair.orders[1].order_id, desk.alice.id, stop_price=91 + crashed))
        (quantity,) = desk.do(Amend(pair.orders[1].order_id, desk.alice.id, quantity=4))
        assert stop.kind == DONE and stop.order is not None and stop.order.stop_price == 91 + crashed
        assert quantity.kind != DONE
        assert (price.kind == DONE, price.priority_kept) == (True, crashed)
        desk.start()
    assert OrderRow.objects.get(id=pair.orders[1].order_id).stop_price == 92


def test_a_group_that_fills_in_an_auction_follows_there_too(desk: Desk) -> None:
    desk.do(SetPhase(desk.instrument.id, AUCTION))
    pair = desk.oco(desk.alice, SELL, 100, 90, 5)
    desk.do(pair, desk.order(desk.bob, BUY, 101, 3))
    desk.start()
    desk.do(SetPhase(desk.instrument.id, CONTINUOUS))
    assert standing(pair) == [(PARTIALLY_FILLED, 2, 3), (UNTRIGGERED, 2, 0)]
