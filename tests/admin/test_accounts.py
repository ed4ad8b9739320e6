"""Accounts in the admin: rows with default limits, limits by command, members directly."""

import pytest
from django.contrib.admin.models import LogEntry

from orders import keys
from orders.models import Account, Event
from orders.schemas.problems import ProblemError
from tests.admin.conftest import messages_of, text
from tests.support.market import actor_for, make_user, place

LIST = "/admin/orders/account/"
ADD = f"{LIST}add/"


def change_url(row) -> str:
    return f"{LIST}{row.id}/change/"


def fields(client, row) -> dict[str, object]:
    form = client.get(change_url(row)).context["adminform"].form
    return {name: form[name].value() for name in form.fields}


def test_a_new_account_has_default_limits_and_can_trade(market, root):
    carol = make_user("carol")
    smuggled = {"state": "2", "max_position": "1"}
    assert root.post(ADD, {"name": "carol", "members": [carol.id], **smuggled}).status_code == 302
    row = Account.objects.get(name="carol")
    assert (row.state, row.max_open_orders, row.max_order_quantity, row.max_position) == (0, 200_000, 0, 0)
    assert list(row.members.all()) == [carol]
    assert place(actor_for(row), "buy", "1", "99").order_id


def test_a_name_is_there_free_and_not_too_long(market, root):
    for name in ("", "alice", "x" * 65):
        response = root.post(ADD, {"name": name})
        assert "name" in response.context["adminform"].form.errors, name
    assert Account.objects.count() == 2


def test_limits_and_state_change_by_command(market, root, monkeypatch):
    row = market.alice_account

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("state and limits are the engine's")

    monkeypatch.setattr(Account, "save", refuse)
    response = root.post(change_url(row), {**fields(root, row), "max_order_quantity": "2000"}, follow=True)
    assert "was changed successfully" in messages_of(response)
    row.refresh_from_db()
    assert row.max_order_quantity == 2_000
    with pytest.raises(ProblemError, match="risk_max_quantity"):
        place(market.alice, "buy", "2.001", "99")
    place(market.alice, "buy", "2", "99")
    root.post(change_url(row), {**fields(root, row), "state": "halted"})
    with pytest.raises(ProblemError, match="account_halted"):
        place(market.alice, "buy", "1", "99")
    page = text(root.get(change_url(row)))
    assert "1 unit = 0.001 ACME" in page
    assert "<td>2.000</td>" in page
    assert Event.objects.filter(kind=11, account_id=row.id, actor__username="root").count() == 2


def test_members_alone_are_no_command_and_need_no_engine(market, root):
    row, carol = market.alice_account, make_user("carol")
    key = keys.create_key(user=row.members.get(), account=row, scopes=["read"])[1]
    assert keys.authenticate_key(key, None) is not None
    market.engine.stop()
    events = Event.objects.count()
    assert root.post(change_url(row), {**fields(root, row), "members": [carol.id]}).status_code == 302
    assert list(row.members.all()) == [carol]
    assert Event.objects.count() == events
    assert keys.authenticate_key(key, None) is None  # at once, not after the second a key is remembered


IMPOSSIBLE = [
    ({"max_open_orders": "-1"}, "max_open_orders"),
    ({"max_open_orders": str(2**31)}, "max_open_orders"),
    ({"max_order_quantity": "1.5"}, "max_order_quantity"),
    ({"max_position": str(2**53)}, "max_position"),
    ({"max_position": ""}, "max_position"),
    ({"state": "asleep"}, "state"),
]


def test_impossible_limits_are_errors_of_their_field(market, root):
    row = market.alice_account
    events = Event.objects.count()
    now = fields(root, row)
    for changes, field in IMPOSSIBLE:
        form = root.post(change_url(row), {**now, **changes}).context["adminform"].form
        assert list(form.errors) == [field], changes
    assert Event.objects.count() == events


def test_without_an_engine_limits_stay_and_what_was_typed_too(market, root):
    row, carol = market.alice_account, make_user("carol")
    sent = {**fields(root, row), "max_position": "77", "members": [carol.id]}
    market.engine.stop()
    form = root.post(change_url(row), sent).context["adminform"].form
    assert form.non_field_errors() == ["The engine is not running. Nothing was changed."]
    assert form["max_position"].value() == "77"
    row.refresh_from_db()
    assert row.max_position == 0
    assert [user.username for user in row.members.all()] == ["alice"]
    assert LogEntry.objects.count() == 0


def test_only_what_was_never_used_can_be_deleted(history, root):
    used, unused = history.alice_account, Account.objects.create(name="unused", created_at=1)
    assert root.post(f"{LIST}{used.id}/delete/", {"post": "yes"}).status_code == 403
    bulk = {"action": "delete_selected", "_selected_action": [used.id, unused.id], "post": "yes"}
    root.post(LIST, bulk)
    assert Account.objects.filter(id__in=(used.id, unused.id)).count() == 2
    unused.members.add(make_user("carol"))
    assert root.post(f"{LIST}{unused.id}/delete/", {"post": "yes"}).status_code == 403
    unused.members.clear()
    assert "never used" in text(root.get(change_url(unused)))
    assert root.post(f"{LIST}{unused.id}/delete/", {"post": "yes"}).status_code == 302
    assert not Account.objects.filter(name="unused").exists()


def test_viewers_see_and_change_nothing(market, staff):
    row = market.alice_account
    viewer = staff("view_account")
    page = text(viewer.get(change_url(row)))
    assert "alice" in page
    assert 'name="max_position"' not in page
    assert viewer.post(change_url(row), {"max_position": "1"}).status_code == 403
    assert viewer.post(ADD, {"name": "x"}).status_code == 403
    assert viewer.post(f"{LIST}{row.id}/delete/", {"post": "yes"}).status_code == 403
