"""A line for every command, where that is asked for, in the words of the request it came with."""

import logging

import pytest

from matching.commands import Cancel
from oms_project.logs import RequestIdFilter, current_request_id
from orders import command_log, gateway, submission
from orders.bus.envelope import DONE, REFUSED, Envelope, Outcome
from orders.engine import telling
from tests.support.market import actor_for, make_account, make_instrument, place, running_engine

LOGGER = "orders.command_log"


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, LOGGER)
    return lambda: [record for record in caplog.records if record.name == LOGGER]


@pytest.mark.django_db(transaction=True)
def test_every_command_and_what_became_of_it(lines, settings):
    settings.OMS_LOG_COMMANDS = True
    with running_engine():
        make_instrument()
        alice = actor_for(make_account("alice"))
        token = current_request_id.set("req-7")
        try:
            order = place(alice, "buy", "1", "99").order_id
            gateway.order_cancel(actor=alice, order_id=order)
        finally:
            current_request_id.reset(token)
    told = lines()
    assert [record.command for record in told] == ["DefineInstrument", "Order", "Cancel"]
    assert [record.request_id for record in told] == ["-", "req-7", "req-7"]
    assert [record.order_id for record in told] == [None, order, order]
    assert told[1].getMessage().startswith(f"Order {order}: done after ")


@pytest.mark.django_db(transaction=True)
def test_nothing_where_nobody_asked(lines):
    with running_engine():
        make_instrument()
    assert lines() == []


def test_outcomes_one_by_one_and_those_that_are_not_known(lines):
    envelope = Envelope([Cancel(5), Cancel(6)], actor_id=None, received_at=0, request_id="r")
    command_log.follow(envelope)
    envelope.future.set_result([Outcome(DONE), Outcome(REFUSED)])
    forgotten = Envelope([Cancel(7)], actor_id=None, received_at=0, request_id="s")
    command_log.follow(forgotten)
    forgotten.future.cancel()
    found = [record.getMessage().partition(" after ")[0] for record in lines()]
    assert found == ["Cancel 5: done", "Cancel 6: refused", "Cancel 7: unknown"]


def test_a_line_keeps_the_request_it_brings():
    record = logging.LogRecord("x", logging.INFO, "", 1, "m", (), None)
    record.request_id = "from-elsewhere"
    token = current_request_id.set("of-this-thread")
    try:
        assert RequestIdFilter().filter(record) and record.request_id == "from-elsewhere"
    finally:
        current_request_id.reset(token)


# The engine's own lines


@pytest.mark.django_db(transaction=True)
def test_the_engine_names_the_requests_of_what_came_too_late(caplog, monkeypatch):
    monkeypatch.setattr(submission, "COMMAND_TTL_SECONDS", -1)
    with running_engine():
        make_instrument()
        alice = actor_for(make_account("alice"))
        token = current_request_id.set("late-1")
        try:
            with pytest.raises(Exception, match="command_expired"):
                place(alice, "buy", "1", "99")
        finally:
            current_request_id.reset(token)
    (line,) = [record for record in caplog.records if record.name == "orders.engine.telling"]
    assert "1 commands had waited past their deadline" in line.getMessage() and "late-1" in line.getMessage()
    assert (line.request_id, line.command) == ("late-1", "Order")


@pytest.mark.django_db(transaction=True)
def test_the_engine_names_the_requests_of_a_slow_group(caplog, monkeypatch):
    monkeypatch.setattr(telling, "SLOW_SECONDS", 0.0)
    with running_engine():
        make_instrument()
    assert any("a group of 1 requests took" in record.getMessage() for record in caplog.records)


def test_many_requests_are_not_all_named():
    group = [Envelope([Cancel(n)], actor_id=None, received_at=0, request_id=f"r{n}") for n in range(13)]
    assert telling.requests_of(group).endswith("r9 and 3 more")
    assert telling.named(group) == {}
