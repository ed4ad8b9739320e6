"""Orders whose answers get lost: every command ends with what became of it, and none is carried out twice."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from oms_client.commands import Amend, Cancel, CancelAfter, CancelAll, Place, PlaceBatch
from oms_client.errors import NotSent, Refused, Stopped, Unknown
from oms_client.models import Canceled, Order, build
from tests.client.talk import Talk, order, problem

BODY = {"symbol": "ACME-USD", "side": "buy", "quantity": "10", "price": "99.98", "client_order_id": "a-1"}
BUSY = problem("engine_unavailable", 503, retryable=True)
TIMEOUT = problem("engine_timeout", 504, retryable=True, outcome="unknown", order_id="7")
COLLAR = problem("price_collar", 422, order_id="7")


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.connect()
    return talk


def reconnect(talk: Talk) -> None:
    talk.lose()
    talk.connect()


def test_an_order_is_sent_and_its_answer_is_the_order(talk):
    number = talk.submit(Place(BODY))
    said = talk.said("place")
    assert {name: said[name] for name in BODY} == BODY
    talk.answer(said, order=order())
    assert talk.settled[number].id == "7" and talk.settled[number].quantity == Decimal("10.000")


def test_an_order_waits_for_a_connection():
    talk = Talk()
    number = talk.submit(Place(BODY))
    assert talk.sent == []
    talk.open()
    auth = talk.said("auth")
    assert talk.sent == []
    talk.answer(auth, account="alice", scopes=[])
    talk.answer(talk.said("place"), order=order())
    assert isinstance(talk.settled[number], Order)


def test_an_unanswered_order_is_sent_again_with_the_same_id(talk):
    number = talk.submit(Place(BODY))
    first = talk.said("place")
    reconnect(talk)
    second = talk.said("place")
    assert second | {"id": 0} == first | {"id": 0}
    talk.answer(second, order=order(status="filled"), replayed=True)
    assert talk.settled[number].status == "filled"
    assert talk.session.stats.repeats == talk.session.stats.replays == 1


def test_an_answer_of_the_connection_before_answers_nothing(talk):
    number = talk.submit(Place(BODY))
    first = talk.said("place")
    reconnect(talk)
    talk.answer(first, order=order())
    assert number not in talk.settled


@pytest.mark.parametrize("refusal", [BUSY, TIMEOUT, problem("rate_limited", 429, retryable=True)])
def test_what_may_be_tried_again_is_tried_again_later(talk, refusal):
    number = talk.submit(Place(BODY))
    talk.answer(talk.said("place"), problem=refusal)
    assert talk.sent == [] and number not in talk.settled
    talk.wait(0.2)
    talk.answer(talk.said("place"), order=order())
    assert isinstance(talk.settled[number], Order)


def test_delays_between_attempts_grow(talk):
    talk.submit(Place(BODY))
    sent_at = [talk.at]
    for _ in range(6):
        talk.answer(talk.said("place"), problem=BUSY)
        while not talk.sent:
            talk.wait(0.05)
            if not talk.sent and talk.at % 5 < 0.05:
                talk.hear({"op": "heartbeat", "shards": {}})
                talk.sent.clear()
        sent_at.append(talk.at)
    delays = [later - earlier for earlier, later in pairwise(sent_at)]
    assert delays == sorted(delays) and delays[0] < 0.2 and delays[-1] > 1


def test_a_refusal_is_told_at_once(talk):
    number = talk.submit(Place(BODY))
    talk.answer(talk.said("place"), problem=COLLAR)
    refused = talk.settled[number]
    assert isinstance(refused, Refused) and refused.problem.order_id == "7"


def test_a_refusal_of_the_repeated_order_settles_it(talk):
    """The id belongs to what was answered: had the first attempt been accepted, it would have been replayed."""
    number = talk.submit(Place(BODY))
    talk.said("place")
    reconnect(talk)
    talk.answer(talk.said("place"), problem=COLLAR)
    assert isinstance(talk.settled[number], Refused)


@pytest.mark.parametrize(("code", "status"), [("permission_denied", 403), ("internal_error", 500)])
def test_a_refusal_that_never_looked_at_the_order_settles_nothing(talk, code, status):
    number = talk.submit(Place(BODY))
    talk.said("place")
    reconnect(talk)
    talk.answer(talk.said("place"), problem=problem(code, status))
    unknown = talk.settled[number]
    assert isinstance(unknown, Unknown) and unknown.client_order_ids == ("a-1",)


@pytest.mark.parametrize(
    ("course", "ending"),
    [
        ([], NotSent),
        (["connect", "busy", "lose"], Refused),
        (["connect"], Unknown),
        (["connect", "lose"], Unknown),
        (["connect", "timeout"], Unknown),
        (["connect", "lose", "connect", "busy", "lose"], Unknown),
    ],
)
def test_at_its_deadline_a_command_ends_with_what_is_known(course, ending):
    talk = Talk()
    number = talk.submit(Place(BODY), seconds=2)
    for event in course:
        if event == "connect":
            talk.connect()
        elif event == "lose":
            talk.lose()
        else:
            said, talk.sent = talk.sent[-1], []
            talk.answer(said, problem={"busy": BUSY, "timeout": TIMEOUT}[event])
    talk.wait(2.1)
    assert type(talk.settled[number]) is ending
    if ending is Unknown:
        assert talk.settled[number].client_order_ids == ("a-1",)


def test_an_answer_after_the_deadline_is_left_out(talk):
    number = talk.submit(Place(BODY), seconds=1)
    said = talk.said("place")
    talk.wait(1.1)
    talk.answer(said, order=order())
    assert isinstance(talk.settled[number], Unknown)


def test_commands_are_sent_again_in_their_order(talk):
    talk.submit(Place(BODY))
    talk.submit(Cancel({"client_order_id": "a-1"}))
    talk.submit(CancelAfter({"seconds": 60}))
    reconnect(talk)
    assert [message["op"] for message in talk.sent] == ["place", "cancel", "cancel_after"]


def test_closing_ends_every_command(talk):
    sent = talk.submit(Place(BODY))
    talk.lose()
    waiting = talk.submit(Place(BODY | {"client_order_id": "a-2"}))
    talk.take(talk.session.stop(Stopped("closed")))
    assert isinstance(talk.settled[sent], Unknown) and isinstance(talk.settled[waiting], Stopped)
    with pytest.raises(Stopped):
        talk.submit(Place(BODY))


# Cancels


def test_a_repeated_cancel_that_comes_too_late_reads_the_order(talk):
    number = talk.submit(Cancel({"order_id": "7"}))
    talk.said("cancel")
    reconnect(talk)
    talk.answer(talk.said("cancel"), problem=problem("too_late_to_cancel", 409))
    (read,) = talk.order_reads
    assert read.order_id == "7"
    talk.take(talk.session.order_found(read.command_id, build(Order, order(status="canceled")), talk.at))
    assert talk.settled[number].status == "canceled"


def test_a_cancel_that_really_comes_too_late_is_refused(talk):
    number = talk.submit(Cancel({"order_id": "7"}))
    talk.answer(talk.said("cancel"), problem=problem("too_late_to_cancel", 409))
    assert isinstance(talk.settled[number], Refused) and not talk.order_reads


@pytest.mark.parametrize("found", [None, order(), order(status="filled")])
def test_a_refused_cancel_of_an_order_that_was_not_canceled_stays_refused(talk, found):
    number = talk.submit(Cancel({"client_order_id": "a-1"}))
    talk.answer(talk.said("cancel"), problem=TIMEOUT)
    talk.wait(0.2)
    talk.answer(talk.said("cancel"), problem=problem("order_not_found", 404))
    (read,) = talk.order_reads
    assert (read.order_id, read.client_order_id) == (None, "a-1")
    talk.take(talk.session.order_found(number, found and build(Order, found), talk.at))
    assert isinstance(talk.settled[number], Refused)


def test_an_order_that_cannot_be_read_is_read_again(talk):
    number = talk.submit(Cancel({"order_id": "7"}))
    talk.said("cancel")
    reconnect(talk)
    talk.answer(talk.said("cancel"), problem=problem("too_late_to_cancel", 409))
    talk.take(talk.session.order_unread(number, talk.at))
    talk.wait(0.2)
    assert len(talk.order_reads) == 2


def test_cancel_all_says_whether_it_was_repeated(talk):
    number = talk.submit(CancelAll({}))
    reconnect(talk)
    talk.answer(talk.said("cancel_all"), canceled=["7"], count=1)
    assert talk.settled[number] == Canceled(("7",), 1, repeated=True)


def test_a_lease(talk):
    number = talk.submit(CancelAfter({"seconds": 60}))
    talk.answer(talk.said("cancel_after"), seconds=60, expires_at="2026-11-24T09:01:00.000000Z")
    assert talk.settled[number].seconds == 60


# Amends


def amend_in_doubt(talk: Talk, body: dict[str, Any], found: dict[str, Any]) -> int:
    """An amend went unanswered; the order is read and found so."""
    number = talk.submit(Amend({"order_id": "7", **body}))
    talk.said("amend")
    reconnect(talk)
    (read,) = talk.order_reads
    talk.order_reads.clear()
    assert read.order_id == "7" and talk.sent == []
    talk.take(talk.session.order_found(number, build(Order, order(**found)), talk.at))
    return number


def test_an_amend_in_doubt_whose_terms_are_there_is_done(talk):
    number = amend_in_doubt(
        talk, {"quantity": "8", "price": "99.9"}, {"quantity": "8.000", "price": "99.90", "version": 2}
    )
    assert talk.settled[number].version == 2


def test_an_amend_in_doubt_is_sent_again_for_the_version_that_was_read(talk):
    number = amend_in_doubt(talk, {"quantity": "8"}, {"version": 4})
    said = talk.said("amend")
    assert (said["version"], said["quantity"]) == (4, "8")
    talk.answer(said, order=order(quantity="8.000", version=5, priority_kept=True))
    assert talk.settled[number].priority_kept


def test_a_conflict_of_a_repeated_amend_is_looked_into(talk):
    """The first attempt was only slow: it arrived after the order was read."""
    number = amend_in_doubt(talk, {"quantity": "8"}, {"version": 4})
    talk.answer(talk.said("amend"), problem=problem("version_conflict", 412))
    (read,) = talk.order_reads
    found = build(Order, order(quantity="8.000", version=5))
    talk.take(talk.session.order_found(read.command_id, found, talk.at))
    assert talk.settled[number].version == 5


def test_the_callers_version_is_kept(talk):
    number = amend_in_doubt(talk, {"quantity": "8", "version": 3}, {"version": 4})
    said = talk.said("amend")
    assert said["version"] == 3
    talk.answer(said, problem=problem("version_conflict", 412))
    (read,) = talk.order_reads
    talk.take(talk.session.order_found(read.command_id, build(Order, order(version=4)), talk.at))
    assert talk.settled[number].problem.code == "version_conflict"


def test_a_repeated_amend_too_late_is_done_if_its_terms_are_there(talk):
    number = amend_in_doubt(talk, {"quantity": "8"}, {"version": 1})
    talk.answer(talk.said("amend"), problem=problem("too_late_to_amend", 409))
    (read,) = talk.order_reads
    found = build(Order, order(quantity="8.000", status="filled", version=2))
    talk.take(talk.session.order_found(read.command_id, found, talk.at))
    assert talk.settled[number].status == "filled"


def test_an_amend_refused_at_first_is_refused(talk):
    number = talk.submit(Amend({"order_id": "7", "quantity": "8", "version": 3}))
    talk.answer(talk.said("amend"), problem=problem("version_conflict", 412))
    assert isinstance(talk.settled[number], Refused) and not talk.order_reads


# Batches


def batch(count: int) -> PlaceBatch:
    return PlaceBatch({"orders": [BODY | {"client_order_id": f"b-{index}"} for index in range(count)]})


def test_each_order_of_a_batch_is_settled_on_its_own(talk):
    number = talk.submit(batch(4))
    said = talk.said("place_batch")
    results = [{"order": order(id="1")}, {"problem": COLLAR}, {"problem": BUSY}, {"problem": TIMEOUT}]
    talk.answer(said, results=results)
    talk.wait(0.2)
    said = talk.said("place_batch")
    assert [body["client_order_id"] for body in said["orders"]] == ["b-2", "b-3"]
    talk.answer(said, results=[{"order": order(id="3")}, {"order": order(id="4")}])
    first, second, third, fourth = talk.settled[number]
    assert (first.id, third.id, fourth.id) == ("1", "3", "4") and second.problem.code == "price_collar"


def test_a_batch_is_sent_in_pieces_that_fit(talk):
    number = talk.submit(batch(1200))
    seen: list[str] = []
    while number not in talk.settled:
        said = talk.said("place_batch")
        names = [body["client_order_id"] for body in said["orders"]]
        assert len(str(said)) < 64 * 1024 and len(names) <= 500
        seen += names
        talk.answer(said, results=[{"order": order(client_order_id=name)} for name in names])
    assert [placed.client_order_id for placed in talk.settled[number]] == seen == [f"b-{n}" for n in range(1200)]


def test_what_a_batch_could_not_settle_is_told_order_by_order(talk):
    number = talk.submit(batch(3), seconds=2)
    talk.answer(talk.said("place_batch"), results=[{"order": order()}, {"problem": TIMEOUT}, {"problem": BUSY}])
    talk.lose()
    talk.wait(2.1)
    placed, unknown, refused = talk.settled[number]
    assert isinstance(placed, Order)
    assert isinstance(unknown, Unknown) and unknown.client_order_ids == ("b-1",)
    assert isinstance(refused, Refused) and refused.problem.code == "engine_unavailable"


def test_an_answer_that_makes_no_sense_is_as_good_as_none(talk):
    number = talk.submit(Place(BODY))
    talk.answer(talk.said("place"), order={"id": 7})
    talk.wait(0.2)
    talk.answer(talk.said("place"), order=order())
    assert isinstance(talk.settled[number], Order) and talk.session.stats.malformed == 1
