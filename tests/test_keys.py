"""Keys: made once, kept as a hash, believed for a second, refused for every reason there is."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from django.contrib.auth.models import AnonymousUser

from orders import keys
from orders.actors import CANCEL, OPERATE, READ, TRADE
from orders.models import ApiKey
from tests.support.market import make_account, make_user

pytestmark = pytest.mark.django_db

HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def nothing_known():
    keys.forget_keys()
    yield
    keys.forget_keys()


def make_key(scopes: tuple[str, ...] = (READ,), **kwargs: object) -> tuple[ApiKey, str]:
    account = make_account("alice")
    return keys.create_key(user=account.members.get(), account=account, scopes=list(scopes), **kwargs)


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_key_is_random_and_only_its_hash_is_kept():
    row, key = make_key((READ, TRADE))
    assert re.fullmatch(r"oms_[A-Za-z0-9_-]{43}", key)
    row.refresh_from_db()
    assert row.digest == sha256(key.encode()).hexdigest()
    assert key.startswith(row.prefix) and len(row.prefix) == 12
    assert key not in str(ApiKey.objects.values().get())
    assert make_key()[1] != key


def test_it_stands_for_its_user_account_and_scopes():
    row, key = make_key((TRADE, READ))
    actor = keys.authenticate_key(key, HERE)
    assert (actor.username, actor.account_name, actor.key_id) == ("alice", "alice", row.id)
    assert actor.scopes == {READ, TRADE}
    assert row.scopes == "read,trade"


@pytest.mark.parametrize("scopes", [[], ["admin"], ["read", "admin"], ["READ"]])
def test_scopes_are_those_there_are(scopes):
    account = make_account("alice")
    with pytest.raises(ValueError, match="scopes"):
        keys.create_key(user=account.members.get(), account=account, scopes=scopes)


def test_only_members_have_keys_of_an_account():
    with pytest.raises(ValueError, match="bob is not a member"):
        keys.create_key(user=make_user("bob"), account=make_account("alice"), scopes=[READ])


@pytest.mark.parametrize("key", ["", "oms_", "oms_" + "x" * 42, "oms_" + "x" * 44, "x" * 47, "oms_" + "é" * 43, "\0"])
def test_what_is_no_key_is_not_even_looked_up(key, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert keys.authenticate_key(key, HERE) is None


def test_unknown_keys_cost_the_same_every_time(django_assert_num_queries):
    for _ in range(3):
        with django_assert_num_queries(1):
            assert keys.authenticate_key("oms_" + "x" * 43, HERE) is None


def test_a_known_key_is_looked_up_once_a_second(django_assert_num_queries, monkeypatch):
    _, key = make_key()
    now = 1000.0
    monkeypatch.setattr(keys, "monotonic", lambda: now)
    with django_assert_num_queries(1):
        for _ in range(5):
            assert keys.authenticate_key(key, HERE)
    now += 1.01
    with django_assert_num_queries(1):
        assert keys.authenticate_key(key, HERE)


def test_an_expired_key_is_refused_also_while_it_is_remembered(monkeypatch):
    _, key = make_key(expires_at=in_seconds(60))
    assert keys.authenticate_key(key, HERE)
    monkeypatch.setattr(keys, "time_ns", lambda: int(in_seconds(61).timestamp() * 10**9))
    assert keys.authenticate_key(key, HERE) is None


def test_a_revoked_key_is_refused_at_once_and_stays_revoked():
    row, key = make_key()
    assert keys.authenticate_key(key, HERE)
    keys.revoke_key(row)
    assert keys.authenticate_key(key, HERE) is None
    first = row.revoked_at
    keys.revoke_key(row)
    assert row.revoked_at == first


def test_a_revocation_elsewhere_counts_within_a_second(monkeypatch):
    row, key = make_key()
    now = 1000.0
    monkeypatch.setattr(keys, "monotonic", lambda: now)
    assert keys.authenticate_key(key, HERE)
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=1)
    now += 1.01
    assert keys.authenticate_key(key, HERE) is None


def test_who_is_locked_out_or_leaves_the_account_has_no_key():
    row, key = make_key()
    user = row.user
    user.is_active = False
    user.save()
    assert keys.authenticate_key(key, HERE) is None
    user.is_active = True
    user.save()
    assert keys.authenticate_key(key, HERE)
    row.account.members.clear()
    keys.forget_key(row.digest)
    assert keys.authenticate_key(key, HERE) is None


@pytest.mark.parametrize(
    ("addresses", "address", "allowed"),
    [
        ("", None, True),
        ("", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.8", False),
        ("10.0.0.0/8, 192.168.1.0/24", "192.168.1.77", True),
        ("10.0.0.0/8, 192.168.1.0/24", "192.168.2.77", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("10.0.0.0/8", None, False),
        ("10.0.0.0/8", "not an address", False),
        ("10.0.0.0/8", "", False),
    ],
)
def test_address_lists(addresses, address, allowed):
    _, key = make_key(addresses=addresses)
    assert (keys.authenticate_key(key, address) is not None) == allowed


@pytest.mark.parametrize("addresses", ["10.0.0.0/33", "example.com", "10.0.0.1;10.0.0.2"])
def test_address_lists_that_are_none(addresses):
    with pytest.raises(ValueError):
        make_key(addresses=addresses)


def test_a_list_that_cannot_be_read_lets_nobody_in():
    row, key = make_key()
    ApiKey.objects.filter(pk=row.pk).update(addresses="garbage")
    assert keys.authenticate_key(key, HERE) is None


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(keys, "_CACHE_KEYS", 3)
    for _ in range(10):
        assert keys.authenticate_key(make_key()[1], HERE)
        assert len(keys._known) <= 3


def test_users_act_for_their_first_account():
    first = make_account("first", "dave")
    make_account("second", "dave")
    user = first.members.get()
    assert keys.primary_account(user) == first
    actor = keys.actor_of_user(user)
    assert (actor.account_id, actor.key_id, actor.scopes) == (first.id, None, {READ, TRADE, CANCEL})


def test_staff_operate_and_nobody_acts_without_an_account():
    user = make_user("erin", is_staff=True)
    assert keys.actor_of_user(user).scopes == {READ, OPERATE}
    assert keys.actor_of_user(user).account_id == 0
    make_account("erin")
    assert keys.actor_of_user(user).scopes == {READ, TRADE, CANCEL, OPERATE}
    assert keys.actor_of_user(make_user("frank")) is None
    assert keys.actor_of_user(AnonymousUser()) is None
    user.is_active = False
    assert keys.actor_of_user(user) is None


# For who was let in and stays: open sockets


def test_which_of_many_keys_are_still_good_is_one_question(django_assert_num_queries):
    made = {}
    for name in ("alice", "bob", "carol", "dan"):
        account = make_account(name)
        made[name] = keys.create_key(user=account.members.get(), account=account, scopes=[READ])
    digests = {name: row.digest for name, (row, _) in made.items()}
    assert keys.valid_digests(digests.values()) == set(digests.values())
    keys.revoke_key(made["alice"][0])
    ApiKey.objects.filter(pk=made["bob"][0].pk).update(expires_at=1)
    make_account("carol").members.clear()
    with django_assert_num_queries(1):
        assert keys.valid_digests({*digests.values(), "unknown"}) == {digests["dan"]}


def test_more_keys_than_one_question_may_name(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(keys, "_MAX_NAMED", 2)
    digests = {make_key()[0].digest for _ in range(5)}
    with django_assert_num_queries(3):
        assert keys.valid_digests(digests) == digests


def test_what_a_session_must_hold_is_told_of_users_who_may_still_act():
    alice, account = make_user("alice"), make_account("alice")
    staff = make_user("olga", is_staff=True)
    pairs = {(alice.pk, account.pk), (alice.pk, 0), (staff.pk, 0), (staff.pk, account.pk), (12345, account.pk)}
    expected = {(alice.pk, account.pk): alice.get_session_auth_hash(), (staff.pk, 0): staff.get_session_auth_hash()}
    assert keys.auth_hashes(pairs) == expected
    alice.is_active = False
    alice.save()
    assert (alice.pk, account.pk) not in keys.auth_hashes(pairs)


def test_a_loss_in_this_process_is_counted():
    row, _ = make_key()
    before = keys.generation()
    keys.authenticate_key("oms_" + "x" * 43, None)
    assert keys.generation() == before, "not by trying keys"
    keys.revoke_key(row)
    assert keys.generation() != before
