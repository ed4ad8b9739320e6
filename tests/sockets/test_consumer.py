"""The consumer between Channels, the protocol and the hub: real engine, real hub, Channels' own test client."""

import json
from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

from orders import keys
from orders.sockets import consumer as shell
from orders.sockets import outbox, watch
from tests.feed.client import BookClient
from tests.sockets.support import Socket, key_of
from tests.support.market import actor_for, make_account, make_user, place, set_phase

pytestmark = pytest.mark.django_db(transaction=True)

OUR_PAGE = (b"origin", b"http://localhost:8000")


def cookie_of(name: str) -> tuple[bytes, bytes]:
    """The header of a browser in which the user is signed in."""
    user = make_user(name)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return b"cookie", f"{settings.SESSION_COOKIE_NAME}={session.session_key}".encode()


# Coming in


def test_another_path_is_refused(feed):
    assert not Socket(feed, path="/ws/v2").connect()


def test_a_foreign_page_is_refused_even_with_the_cookie(feed):
    make_account("alice")
    assert not Socket(feed, (b"origin", b"https://evil.example"), cookie_of("alice")).connect()


def test_nobody_comes_in_while_the_hub_does_not_run(feed):
    feed.hub.stop()
    assert not Socket(feed).connect()


def test_our_page_is_who_its_session_says(connect):
    make_account("alice")
    socket = connect(OUR_PAGE, cookie_of("alice"))
    assert socket.ask(op="subscribe", id=1, channel="executions") == {"op": "ack", "id": 1, "ok": True}
    assert socket.hear()["account"] == "alice"


def test_a_cookie_without_an_origin_is_ignored(connect):
    make_account("alice")
    answer = connect(cookie_of("alice")).ask(op="subscribe", channel="executions")
    assert answer["problem"]["code"] == "not_authenticated"


@pytest.mark.parametrize("cookie", [b"sessionid=nonsense", b"sessionid=", b"\xff\xfe"])
def test_a_session_that_does_not_exist_is_nobody(connect, cookie):
    socket = connect(OUR_PAGE, (b"cookie", cookie))
    assert socket.ask(op="subscribe", channel="executions")["problem"]["code"] == "not_authenticated"
    assert socket.ask(op="ping")["op"] == "pong"


def test_a_key_says_who_one_is(connect):
    socket = connect()
    assert socket.ask(op="auth", id=1, key=key_of("alice", "read"))["account"] == "alice"
    assert socket.ask(op="subscribe", id=2, channel="executions")["ok"]


def test_a_wrong_key_ends_the_connection(connect):
    socket = connect()
    assert socket.ask(op="auth", key="oms_" + "x" * 43)["problem"]["code"] == "not_authenticated"
    assert socket.close_code() == 4001


def test_a_key_for_other_addresses_is_not_valid_here(connect):
    assert not connect().ask(op="auth", key=key_of("alice", "read", addresses="198.51.100.0/24"))["ok"]
    assert connect().ask(op="auth", key=key_of("alice", "read", addresses="203.0.113.0/24"))["ok"]


def test_market_data_may_be_private(connect, settings):
    settings.OMS_PUBLIC_MARKET_DATA = False
    socket = connect()
    subscription = {"op": "subscribe", "channel": "book", "symbols": ["ACME-USD"]}
    assert socket.ask(**subscription)["problem"]["code"] == "not_authenticated"
    assert socket.ask(op="auth", key=key_of("alice", "read"))["ok"]
    assert socket.ask(**subscription)["ok"]


# Listening


def test_a_book_from_snapshot_to_update(connect):
    alice = actor_for(make_account("alice"))
    socket = connect()
    assert socket.ask(op="subscribe", id=2, channel="book", symbols=["ACME-USD"]) == {"op": "ack", "id": 2, "ok": True}
    client = BookClient(25)
    client.take(socket.hear())
    place(alice, "buy", "10", "99.98")
    client.take(socket.hear())
    assert client.bids == [["99.98", "10.000", 1]]
    assert socket.ask(op="unsubscribe", id=3, channel="book", symbols=["ACME-USD"])["ok"]
    place(alice, "buy", "10", "99.97")
    assert socket.is_silent()


def test_unknown_symbols_are_refused_whole(connect):
    socket = connect()
    answer = socket.ask(op="subscribe", id=1, channel="trades", symbols=["ACME-USD", "NOPE"])
    assert answer["problem"]["code"] == "unknown_symbol" and answer["id"] == 1
    assert socket.is_silent()


def test_trades_and_executions_of_one_match(connect):
    alice, bob = actor_for(make_account("alice")), actor_for(make_account("bob"))
    public, private = connect(), connect()
    assert public.ask(op="subscribe", channel="trades", symbols=["ACME-USD"])["ok"]
    assert public.hear()["type"] == "snapshot"
    assert private.ask(op="auth", key=key_of("alice", "read"))["ok"]
    assert private.ask(op="subscribe", channel="executions")["ok"]
    start = private.hear()
    place(alice, "sell", "2", "100", client_order_id="a-1")
    place(bob, "buy", "2", "100")
    update = public.hear()
    accepted, filled = private.hear(), private.hear()
    assert [accepted["event"], filled["event"]] == ["accepted", "fill_maker"]
    assert (accepted["previous"], filled["previous"]) == (start["sequence"], accepted["sequence"])
    assert update["trades"][0]["id"] == filled["trade_id"]
    assert private.is_silent(), "bob's events are bob's"


def test_a_session_is_followed(connect):
    alice, bob = actor_for(make_account("alice")), actor_for(make_account("bob"))
    socket = connect()
    assert socket.ask(op="subscribe", id=1, channel="instruments", symbols=["ACME-USD"])["ok"]
    assert socket.hear()["state"] == "continuous"
    set_phase("auction", lasts_seconds=60)
    called = socket.hear()
    assert (called["type"], called["state"], called["indicative_price"]) == ("update", "auction", None)
    assert called["phase_ends_at"] is not None
    place(alice, "buy", "2", "101")
    place(bob, "sell", "5", "100", display_quantity="1")
    indicated = socket.hear()
    names = ("indicative_price", "indicative_volume", "indicative_surplus")
    assert [indicated[name] for name in names] == ["100.00", "2.000", "-3.000"]
    assert socket.ask(op="unsubscribe", id=2, channel="instruments", symbols=["ACME-USD"])["ok"]
    set_phase("continuous")
    assert socket.is_silent()


def test_what_a_stop_does_is_told_and_resumed(connect):
    alice, bob = actor_for(make_account("alice")), actor_for(make_account("bob"))
    key = key_of("alice", "read")
    first, second = connect(), connect()
    first.ask(op="auth", key=key)
    first.ask(op="subscribe", channel="executions")
    start = first.hear()
    place(alice, "buy", "2", None, type="stop", stop_price="101", client_order_id="s-1")
    place(bob, "sell", "5", "101")
    place(bob, "buy", "1", "101", self_trade_prevention="none")
    steps = [first.hear() for _ in range(3)]
    assert [(step["event"], step["status"]) for step in steps] == [
        ("accepted", "untriggered"),
        ("triggered", "new"),
        ("fill_taker", "filled"),
    ]
    second.ask(op="auth", key=key)
    assert second.ask(op="subscribe", channel="executions", after={"0": start["sequence"]})["ok"]
    assert second.hear()["sequence"] == start["sequence"]
    assert [second.hear() for _ in range(3)] == steps


def test_resuming_after_a_lost_connection(connect):
    alice = actor_for(make_account("alice"))
    key = key_of("alice", "read")
    first = connect()
    first.ask(op="auth", key=key)
    first.ask(op="subscribe", channel="executions")
    first.hear()
    place(alice, price="90")
    last = first.hear()["sequence"]
    first.disconnect()
    place(alice, price="91")
    second = connect()
    second.ask(op="auth", key=key)
    assert second.ask(op="subscribe", channel="executions", after={"0": last})["ok"]
    snapshot, missed = second.hear(), second.hear()
    assert snapshot["sequence"] == missed["previous"] == last
    assert missed["price"] == "91.00"
    answer = second.ask(op="subscribe", id=9, channel="executions", after={"0": last + 1000})
    assert answer["id"] == 9 and answer["problem"]["errors"][0]["code"] == "not_reached"


def test_an_error_of_ours_is_a_problem_and_not_the_end(connect, monkeypatch, caplog):
    def broken(symbol):
        raise RuntimeError("no database")

    monkeypatch.setattr(shell.selectors, "instrument_by_symbol", broken)
    socket = connect()
    answer = socket.ask(op="subscribe", id=4, channel="book", symbols=["NOT-YET"])
    assert answer["problem"]["code"] == "internal_error" and answer["id"] == 4
    assert "no database" not in json.dumps(answer) and "no database" in caplog.text
    assert socket.ask(op="ping")["op"] == "pong"


def test_a_binary_message_is_answered(connect):
    socket = connect()
    socket.say_bytes(b"\x00\xff")
    assert socket.hear()["problem"]["code"] == "invalid_request"


def test_the_end_is_announced(feed, connect):
    socket = connect()
    feed.hub.stop()
    assert socket.hear()["op"] == "server_shutdown"
    assert socket.close_code() == 1001


def test_a_socket_that_left_is_forgotten(feed, connect):
    socket = connect()
    socket.ask(op="subscribe", channel="book", symbols=["ACME-USD"])
    socket.hear()
    socket.disconnect()
    board = feed.hub._life.board
    assert board.sinks == {} and board._readers == {}


def test_a_reader_that_falls_behind_begins_anew(feed, connect, monkeypatch):
    """The transport takes nothing for a while: what waits is dropped, then a snapshot brings the reader up to date."""
    monkeypatch.setattr(outbox, "MAX_CHAIN", 5)
    alice = actor_for(make_account("alice"))
    socket = connect()
    assert socket.ask(op="subscribe", channel="book", symbols=["ACME-USD"])["ok"]
    client = BookClient(25)
    client.take(socket.hear())
    (sink,) = feed.hub._life.board.sinks
    sink._transport.writable = False
    for cents in range(20):
        place(alice, "buy", "1", f"50.{cents:02d}")
    feed.loop.call(lambda: None)

    def go_on() -> None:
        sink._transport.writable = True
        sink.flush()

    feed.loop.call(go_on)
    while len(client.bids) < 20:
        client.take(socket.hear())
    assert client.resyncs == ["slow_reader"] and client.snapshots == 2
    place(alice, "buy", "1", "51")
    client.take(socket.hear())
    assert client.bids[0][0] == "51.00"


# Losing the right to be here


def test_a_revoked_key_ends_the_connection(connect):
    socket, other = connect(), connect()
    row, key = keys.create_key(user=make_user("alice"), account=make_account("alice"), scopes=["read"])
    assert socket.ask(op="auth", key=key)["ok"]
    assert other.ask(op="auth", key=key_of("bob", "read"))["ok"]
    type(row).objects.filter(pk=row.pk).update(revoked_at=1)  # as another process would
    assert socket.close_code() == 4030
    assert other.ask(op="ping")["op"] == "pong"


@pytest.mark.parametrize("loss", ["expired", "inactive", "no member"])
def test_a_key_that_is_good_no_more_ends_the_connection(connect, loss):
    socket, user, account = connect(), make_user("alice"), make_account("alice")
    row, key = keys.create_key(user=user, account=account, scopes=["read"])
    assert socket.ask(op="auth", key=key)["ok"]
    if loss == "expired":
        type(row).objects.filter(pk=row.pk).update(expires_at=1)
    elif loss == "inactive":
        type(user).objects.filter(pk=user.pk).update(is_active=False)
    else:
        account.members.remove(user)
    assert socket.close_code() == 4030


def test_signing_out_ends_the_connection(connect):
    make_account("alice")
    cookie = cookie_of("alice")
    socket = connect(OUR_PAGE, cookie)
    assert socket.ask(op="subscribe", channel="executions")["ok"]
    import_module(settings.SESSION_ENGINE).SessionStore(cookie[1].decode().partition("=")[2]).delete()
    assert socket.close_code() == 4030


def test_a_password_change_ends_the_connections_of_its_sessions(connect):
    make_account("alice")
    socket, user = connect(OUR_PAGE, cookie_of("alice")), make_user("alice")
    user.set_password("another")
    user.save()
    assert socket.close_code() == 4030


def test_a_key_revoked_here_places_no_more_orders_at_once(connect, monkeypatch):
    monkeypatch.setattr(watch, "TICKS_A_LOOK", 1_000_000)
    socket = connect()
    row, key = keys.create_key(user=make_user("alice"), account=make_account("alice"), scopes=["trade"])
    assert socket.ask(op="auth", key=key)["ok"]
    assert socket.ask(op="cancel_after", seconds=0)["ok"]
    keys.revoke_key(row)
    socket.say(op="cancel_after", seconds=0)
    assert socket.close_code() == 4030


def test_another_key_takes_the_place_of_the_first(connect):
    socket = connect()
    row, key = keys.create_key(user=make_user("alice"), account=make_account("alice"), scopes=["read"])
    assert socket.ask(op="auth", key=key)["account"] == "alice"
    assert socket.ask(op="auth", key=key_of("bob", "read", "trade"))["account"] == "bob"
    keys.revoke_key(row)
    assert socket.ask(op="cancel_after", seconds=0)["ok"]
