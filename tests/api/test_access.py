"""Who may do what: every route, by every kind of caller."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client, override_settings

from orders import keys
from orders.actors import CANCEL, OPERATE, READ, TRADE
from orders.api.urls import urlpatterns
from tests.api.conftest import Api, bracket, order
from tests.support.market import make_user

# Kinds of callers, in the order of the columns below.
CALLERS = ("owner", "other", "reader", "canceler", "trader", "expired", "revoked", "anonymous")
# HTTP statuses; `<own>` is an order of the owner, whose client order id is `own`.
TABLE = """
GET    time                            200 200 200 200 200 200 200 200
GET    status                          200 200 200 200 200 200 200 200
GET    schema                          200 200 200 200 200 200 200 200
GET    asyncapi                        200 200 200 200 200 200 200 200
GET    docs                            200 200 200 200 200 200 200 200
GET    nothing                         404 404 404 404 404 404 404 404
GET    instruments                     200 200 200 200 200 401 401 200
GET    instruments/ACME-USD            200 200 200 200 200 401 401 200
GET    instruments/ACME-USD/book       200 200 200 200 200 401 401 200
GET    instruments/ACME-USD/trades     200 200 200 200 200 401 401 200
GET    instruments/ACME-USD/candles    200 200 200 200 200 401 401 200
GET    instruments/ACME-USD/ticker     200 200 200 200 200 401 401 200
GET    tickers                         200 200 200 200 200 401 401 200
GET    orders                          200 200 200 403 403 401 401 401
POST   orders                          201 201 403 403 201 401 401 401
POST   orders/batch                    200 200 403 403 200 401 401 401
POST   orders/validate                 200 200 200 403 200 401 401 401
POST   cancel-after                    200 200 403 200 200 401 401 401
GET    orders/<own>                    200 404 200 403 403 401 401 401
GET    orders/<own>/events             200 404 200 403 403 401 401 401
GET    orders/by-client-id/own         200 404 200 403 403 401 401 401
GET    account                         200 200 200 403 403 401 401 401
GET    account/limits                  200 200 200 403 403 401 401 401
GET    positions                       200 200 200 403 403 401 401 401
GET    fills                           200 200 200 403 403 401 401 401
GET    events                          200 200 200 403 403 401 401 401
GET    snapshots                       200 200 200 403 403 401 401 401
PATCH  orders/<own>                    200 404 403 403 200 401 401 401
DELETE orders/<own>                    200 404 403 200 409 401 401 401
DELETE orders                          200 200 403 200 200 401 401 401
PUT    orders                          405 405 405 405 405 401 401 405
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


def keys_of(api: Api) -> dict[str, str | None]:
    """A key for every kind of caller."""
    alice = api.accounts["alice"]
    user = alice.members.get()

    def key(*scopes: str, **kwargs: object) -> tuple:
        return keys.create_key(user=user, account=alice, scopes=list(scopes), **kwargs)

    revoked, revoked_key = key(READ, TRADE)
    keys.revoke_key(revoked)
    past = datetime.now(UTC) - timedelta(seconds=1)
    return {
        "owner": api.keys["alice"],
        "other": api.keys["bob"],
        "reader": key(READ)[1],
        "canceler": key(CANCEL)[1],
        "trader": key(TRADE)[1],
        "expired": key(READ, TRADE, CANCEL, expires_at=past)[1],
        "revoked": revoked_key,
        "anonymous": None,
    }


def test_every_route_by_every_caller(api: Api):
    callers = keys_of(api)
    own = api.place("buy", "5", "90", client_order_id="own")
    # Whoever may change the order comes after all who may not, so that it is still there for them.
    for method, path, *expected in ROWS:
        for caller, status in zip(CALLERS, expected, strict=True):
            body = {"POST": order(price="91"), "PATCH": {"quantity": "5"}}.get(method)
            if path == "orders/batch":
                body = {"orders": [order(price="91")]}
            if path == "cancel-after":
                body = {"seconds": 0}
            if (method, path, caller) == ("DELETE", "orders/<own>", "owner"):
                own = api.place("buy", "5", "90")
            if (method, path, caller) == ("DELETE", "orders/<own>", "canceler"):
                own = api.place("buy", "5", "90")
            address = path.replace("<own>", own["id"])
            answer = api.request(method, address, body, who=None, key=callers[caller])
            assert answer.status == int(status), (method, path, caller, answer.body)
            if answer.status == 401:
                assert answer.code == "not_authenticated"
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            elif answer.status == 403:
                assert answer.code == "permission_denied"
                assert "scope" in answer.body["detail"]


def test_the_table_has_every_route():
    routes = {str(pattern.pattern) for pattern in urlpatterns} - {"", "<path:rest>"}
    replaced = {
        path.replace("ACME-USD", "<str:symbol>")
        .replace("<own>", "<str:order_id>")
        .replace("by-client-id/own", "by-client-id/<str:client_order_id>")
        for _, path, *_ in ROWS
    }
    assert routes <= replaced


def test_lists_show_only_ones_own(api: Api):
    api.place("sell", "1", "100")
    api.place("buy", "1", "100", who="bob")
    for path in ("orders", "fills", "events"):
        ours, theirs = (api.get(path, who=who).body["results"] for who in ("alice", "bob"))
        assert ours and theirs and not {str(row) for row in ours} & {str(row) for row in theirs}
        assert api.get(path, who="carol").body["results"] == []
    order_id = api.get("orders").body["results"][0]["id"]
    assert api.get(f"fills?order_id={order_id}").body["results"]
    assert api.get(f"fills?order_id={order_id}", who="bob").body["results"] == []


def test_a_group_is_its_owners(api: Api):
    placed = api.accepted(bracket())
    for row in (placed, *placed["legs"]):
        for answer in (
            api.get(f"orders/{row['id']}", who="bob"),
            api.patch(f"orders/{row['id']}", {"price": "1"}, who="bob"),
            api.delete(f"orders/{row['id']}", who="bob"),
            api.get(f"orders/{row['id']}/events", who="bob"),
        ):
            assert answer.code == "order_not_found"
    assert api.get(f"orders?group_id={placed['id']}", who="bob").body["results"] == []
    assert {row["status"] for row in api.get("orders").body["results"]} == {"new", "untriggered"}


def test_anothers_orders_are_canceled_by_operators_only(api: Api):
    """Every kind of key and session against another's account, its own, and everybody's."""
    alice, bob = api.accounts["alice"], api.accounts["bob"]
    user = bob.members.get()

    def key(*scopes: str) -> str:
        return keys.create_key(user=user, account=bob, scopes=list(scopes))[1]

    ours = api.place("buy", "1", "90")["id"]
    for scopes in ((READ,), (TRADE,), (CANCEL,), (READ, TRADE, CANCEL)):
        answer = api.delete(f"orders?account={alice.name}", key=key(*scopes))
        assert answer.code == "permission_denied" and "operate" in answer.body["detail"]
    # Only operate: not one's own, and nobody's unless named.
    assert api.delete("orders", key=key(OPERATE)).code == "permission_denied"
    assert api.delete(f"orders?account={bob.name}", key=key(OPERATE)).code == "permission_denied"
    assert api.delete(f"orders?account={bob.name}", key=key(CANCEL)).body["count"] == 0
    assert api.status(ours) == "new"
    answer = api.delete(f"orders?account={alice.name}", key=key(OPERATE))
    assert answer.body == {"canceled": [ours], "count": 1}
    told = api.get(f"orders/{ours}").body
    assert (told["status"], told["reason"]) == ("canceled", "operator_request")


def test_staff_without_an_account_cancels_whom_they_name(api: Api):
    make_user("erin", is_staff=True)
    session = session_of("erin", csrf=False)
    ours, theirs = api.place("buy", "1", "90")["id"], api.place("buy", "1", "90", who="bob")["id"]
    answer = session.delete("orders", who=None)
    assert answer.code == "permission_denied"
    assert session.delete("orders?account=alice", who=None).body["canceled"] == [ours]
    assert api.status(theirs, who="bob") == "new"


def test_market_data_can_be_private(api: Api):
    with override_settings(OMS_PUBLIC_MARKET_DATA=False):
        for path in ("", "/ACME-USD", *(f"/ACME-USD/{what}" for what in ("book", "trades", "candles", "ticker"))):
            path = f"instruments{path}"
            assert api.get(path, who=None).code == "not_authenticated"
            assert api.get(path).status == 200
        assert api.get("time", who=None).status == 200


def session_of(username: str, *, csrf: bool = True) -> Api:
    client = Client(enforce_csrf_checks=csrf)
    assert client.login(username=username, password="secret")
    return Api(client=client)


def test_a_session_reads_and_with_its_token_writes(api: Api):
    session = session_of("alice")
    assert session.get("orders", who=None).status == 200
    refused = session.post("orders", order(), who=None)
    assert (refused.status, refused.code) == (403, "permission_denied")
    assert "CSRF" in refused.body["detail"]
    session.client.get("/market/ACME-USD")
    token = session.client.cookies["csrftoken"].value
    placed = session.post("orders", order(), who=None, x_csrftoken=token)
    assert (placed.status, placed.body["account"]) == (201, "alice")
    address = f"orders/{placed.body['id']}"
    assert session.patch(address, {"quantity": "0.5"}, who=None).code == "permission_denied"
    assert session.patch(address, {"quantity": "0.5"}, who=None, x_csrftoken=token).status == 200
    assert session.delete(address, who=None).code == "permission_denied"
    assert session.delete(address, who=None, x_csrftoken=token).status == 200


def test_a_key_needs_no_token_and_a_bad_key_is_not_saved_by_a_session(api: Api):
    session = session_of("alice")
    assert session.post("orders", order(), who=None, key=api.keys["bob"]).body["account"] == "bob"
    assert session.get("orders", who=None, key="oms_" + "x" * 43).code == "not_authenticated"
    assert session.get("instruments", who=None, key="oms_" + "x" * 43).code == "not_authenticated"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_with_a_session_is_not_even_read(api: Api, content_type):
    answer = session_of("alice").post("orders", raw=b"a" * 3_000_000, who=None, content_type=content_type)
    assert answer.code == "unsupported_media_type"


@pytest.mark.parametrize(
    "header",
    ["Basic YWxpY2U6c2VjcmV0", "Bearer", "Bearer ", "Bearer x", "bearer\t", "Token abc", "", "Bearer a b", "é"],
)
def test_other_credentials_are_refused(api: Api, header):
    answer = api.get("orders", who=None, authorization=header)
    assert answer.code == "not_authenticated"


def test_the_scheme_is_written_in_any_case(api: Api):
    assert api.get("orders", who=None, authorization=f"bearer {api.keys['alice']}").status == 200


def test_a_user_without_an_account_is_told_so(api: Api):
    make_user("dave")
    session = session_of("dave")
    answer = session.get("orders", who=None)
    assert answer.code == "permission_denied" and "account" in answer.body["detail"]
    assert session.get("instruments", who=None).status == 200


def test_staff_without_an_account_sees_no_orders(api: Api):
    make_user("erin", is_staff=True)
    session = session_of("erin")
    answer = session.get("orders", who=None)
    assert answer.code == "permission_denied" and "account" in answer.body["detail"]
    assert session.get("snapshots", who=None).status == 200


def test_the_address_list_is_held_against_the_connection(api: Api):
    alice = api.accounts["alice"]
    _, key = keys.create_key(user=alice.members.get(), account=alice, scopes=[READ], addresses="10.0.0.0/8")
    assert api.get("orders", key=key, x_forwarded_for="10.1.2.3").code == "not_authenticated"
    inside = api.client.get("/api/v1/orders", headers={"authorization": f"Bearer {key}"}, REMOTE_ADDR="10.1.2.3")
    assert inside.status_code == 200


def test_the_address_list_is_held_against_whom_a_proxy_of_ours_speaks_for(api: Api, settings):
    settings.OMS_TRUSTED_PROXIES = keys.parse_networks("192.0.2.0/24")
    alice = api.accounts["alice"]
    _, key = keys.create_key(user=alice.members.get(), account=alice, scopes=[READ], addresses="10.0.0.0/8")

    def status(proxy: str, told: str) -> int:
        headers = {"authorization": f"Bearer {key}", "x-forwarded-for": told}
        return api.client.get("/api/v1/orders", headers=headers, REMOTE_ADDR=proxy).status_code

    assert status("192.0.2.1", "10.1.2.3") == 200
    assert status("192.0.2.1", "10.1.2.3, 203.0.113.9") == 401  # its own claim, and who it is
    assert status("192.0.2.1", "203.0.113.9, 10.1.2.3") == 200
    assert status("192.0.2.1", "10.1.2.3, garbage") == 401
    assert status("203.0.113.9", "10.1.2.3") == 401  # no proxy of ours


def test_a_key_dies_with_its_users_membership(api: Api):
    account = api.accounts["alice"]
    account.members.clear()
    keys.forget_keys()
    assert api.get("orders").code == "not_authenticated"
