"""API keys in the admin: shown once, then only revoked."""

import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session

from orders import keys
from orders.models import ApiKey
from tests.admin.conftest import messages_of, text
from tests.support.market import make_user

LIST = "/admin/orders/apikey/"
ADD = f"{LIST}add/"
KEY = re.compile(r"oms_[A-Za-z0-9_-]{43}")


@pytest.fixture
def new(market) -> dict[str, object]:
    """What is sent for a key of alice."""
    account = market.alice_account
    user = account.members.get()
    return {"user": user.id, "account": account.id, "name": "bot", "scopes": ["read", "trade"], "addresses": ""}


def test_a_key_is_shown_once_and_works(market, root, new, caplog):
    with caplog.at_level(logging.DEBUG):
        response = root.post(ADD, new)
    assert response.status_code == 200
    (key,) = set(KEY.findall(text(response)))
    assert "no-store" in response.headers["Cache-Control"]
    actor = keys.authenticate_key(key, "127.0.0.1")
    assert (actor.username, actor.account_name, actor.scopes) == ("alice", "alice", {"read", "trade"})
    row = ApiKey.objects.get()
    for address in (LIST, f"{LIST}{row.id}/change/", f"{LIST}{row.id}/history/", "/admin/"):
        page = text(root.get(address))
        assert key not in page
        assert row.digest not in page
    assert key not in caplog.text
    stored = [str(entry.__dict__) for entry in LogEntry.objects.all()]
    stored += [str(session.get_decoded()) for session in Session.objects.all()]
    stored += [str(vars(row))]
    assert not any(key in one for one in stored)


def test_expiry_and_addresses_are_kept(market, root, new):
    later = datetime.now(UTC) + timedelta(days=2)
    moment = {"expires_at_0": later.strftime("%Y-%m-%d"), "expires_at_1": "12:00:00"}
    root.post(ADD, {**new, **moment, "addresses": "192.0.2.7, 10.0.0.0/8"})
    row = ApiKey.objects.get()
    assert row.addresses == "192.0.2.7/32,10.0.0.0/8"
    assert row.expires_at == later.replace(hour=12, minute=0, second=0, microsecond=0)
    assert later.strftime("%Y-%m-%d 12:00") in text(root.get(LIST))


IMPOSSIBLE = [
    ({"scopes": []}, "scopes"),
    ({"scopes": ["admin"]}, "scopes"),
    ({"scopes": ["operate"]}, "scopes"),  # alice is not staff
    ({"addresses": "everywhere"}, "addresses"),
    ({"addresses": ",".join(f"2001:db8::{number:x}" for number in range(40))}, "addresses"),
    ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "expires_at"),
    ({"expires_at_0": "soon", "expires_at_1": "00:00"}, "expires_at"),
    ({"user": ""}, "user"),
    ({"name": "x" * 65}, "name"),
]


def test_what_no_key_can_be_is_an_error_of_its_field(market, root, new):
    for changes, field in IMPOSSIBLE:
        response = root.post(ADD, {**new, **changes})
        assert list(response.context["adminform"].form.errors) == [field], changes
        assert not KEY.search(text(response))
    assert not ApiKey.objects.exists()


def test_only_members_get_keys(market, root, new):
    response = root.post(ADD, {**new, "user": make_user("carol").id})
    assert "not a member" in text(response)
    assert not ApiKey.objects.exists()


def test_only_a_superuser_gives_the_scope_operate(market, root, staff, new):
    user = market.alice_account.members.get()
    user.is_staff = True
    user.save()
    maker = staff("add_apikey", "view_apikey")
    assert "Only a superuser" in text(maker.post(ADD, {**new, "scopes": ["read", "operate"]}))
    assert not ApiKey.objects.exists()
    assert KEY.search(text(root.post(ADD, {**new, "scopes": ["read", "operate"]})))


def test_revoking_asks_and_then_shuts_out_at_once(market, root, new):
    key = KEY.findall(text(root.post(ADD, new)))[0]
    assert keys.authenticate_key(key, None) is not None
    row = ApiKey.objects.get()
    data = {"action": "revoke", "_selected_action": row.id}
    assert "for good" in text(root.post(LIST, data))
    assert keys.authenticate_key(key, None) is not None
    response = root.post(LIST, {**data, "confirmed": "1"}, follow=True)
    assert "1 keys were revoked" in messages_of(response)
    assert keys.authenticate_key(key, None) is None
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert "revoked already" in messages_of(root.post(LIST, {**data, "confirmed": "1"}, follow=True))
    assert [one.pk for one in root.get(LIST, {"state": "revoked"}).context["cl"].result_list] == [row.pk]
    assert not root.get(LIST, {"state": "valid"}).context["cl"].result_list


def test_afterwards_only_the_name_changes(market, root, new):
    root.post(ADD, new)
    row = ApiKey.objects.get()
    page = root.get(f"{LIST}{row.id}/change/")
    assert list(page.context["adminform"].form.fields) == ["name"]
    smuggled = {"scopes": ["operate"], "user": root.session["_auth_user_id"], "digest": "0" * 64, "revoked_at": "1"}
    root.post(f"{LIST}{row.id}/change/", {"name": "other", **smuggled})
    after = ApiKey.objects.get()
    assert after.name == "other"
    same = ("user_id", "account_id", "scopes", "digest", "prefix", "revoked_at", "expires_at", "addresses")
    assert [getattr(after, name) for name in same] == [getattr(row, name) for name in same]


def test_no_key_is_deleted(market, root, new):
    root.post(ADD, new)
    row = ApiKey.objects.get()
    assert root.post(f"{LIST}{row.id}/delete/", {"post": "yes"}).status_code == 403
    root.post(LIST, {"action": "delete_selected", "_selected_action": row.id, "post": "yes"})
    # Nor with its user, whose page would delete what hangs on them.
    root.post(f"/admin/auth/user/{row.user_id}/delete/", {"post": "yes"})
    assert ApiKey.objects.filter(pk=row.pk).exists()


def test_search_and_filter_by_account(market, root, new):
    root.post(ADD, new)
    row = ApiKey.objects.get()
    for query in ({"q": row.prefix}, {"q": "alice"}, {"account": "alice"}, {"state": "valid"}):
        assert list(root.get(LIST, query).context["cl"].result_list) == [row], query
    for query in ({"q": "bob"}, {"account": "bob"}, {"account": "nobody"}, {"state": "expired"}):
        assert not root.get(LIST, query).context["cl"].result_list, query
