"""POST cancel-after: a lease on the account's open orders that ends them unless it is renewed."""

from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

from orders.bus import bus
from tests.api.conftest import Api, bracket, order
from tests.support.market import make_instrument, set_phase

# A timer fires within the engine's next look, some hundred milliseconds after it is due.
PATIENCE_SECONDS = 10.0


def lease(api: Api) -> str | None:
    return api.get("account/limits").body["cancel_after_expires_at"]


def await_end(api: Api, order_id: str) -> dict:
    """The order, once the engine has ended it by itself."""
    deadline = monotonic() + PATIENCE_SECONDS
    while (told := api.get(f"orders/{order_id}").body)["status"] != "canceled":
        assert monotonic() < deadline, "the lease never ran out"
        sleep(0.05)
    return told


def test_a_lease_is_armed_renewed_and_ended(api: Api):
    before = datetime.now(UTC)
    first = api.post("cancel-after", {"seconds": 30})
    assert first.status == 200 and first.body["seconds"] == 30
    expires = datetime.fromisoformat(first.body["expires_at"])
    assert timedelta(seconds=29) < expires - before < timedelta(seconds=35)
    assert lease(api) == first.body["expires_at"]
    second = api.post("cancel-after", {"seconds": 86_400}).body
    assert second["expires_at"] > first.body["expires_at"] and lease(api) == second["expires_at"]
    for _ in range(2):
        assert api.post("cancel-after", {"seconds": 0}).body == {"seconds": 0, "expires_at": None}
    assert lease(api) is None


def test_who_falls_silent_is_out_of_the_market(api: Api):
    make_instrument("OTHER-EUR")
    resting = api.place("buy", "1", "90")["id"]
    elsewhere = api.place("sell", "1", "110", symbol="OTHER-EUR")["id"]
    group = api.accepted(bracket())
    theirs = api.place("buy", "1", "90", who="bob")["id"]
    api.post("cancel-after", {"seconds": 1})
    told = await_end(api, resting)
    assert told["reason"] == "cancel_after"
    assert await_end(api, elsewhere)["reason"] == "cancel_after"
    assert {row["status"] for row in api.get(f"orders?group_id={group['id']}").body["results"]} == {"canceled"}
    assert api.status(theirs, who="bob") == "new"
    assert lease(api) is None
    (last,) = [row for row in api.get(f"orders/{resting}/events").body["results"] if row["event"] == "canceled"]
    assert (last["actor"], last["reason"]) == (None, "cancel_after")


def test_leases_are_an_accounts_own(api: Api):
    api.post("cancel-after", {"seconds": 60})
    assert lease(api) is not None
    assert api.get("account/limits", who="bob").body["cancel_after_expires_at"] is None
    api.post("cancel-after", {"seconds": 0}, who="bob")
    assert lease(api) is not None


def test_a_lease_gets_through_when_orders_do_not(api: Api, monkeypatch):
    monkeypatch.setattr(bus(), "_capacity", 0)
    assert api.post("orders", order()).code == "engine_unavailable"
    assert api.post("cancel-after", {"seconds": 60}).status == 200


def test_a_book_that_takes_no_cancels_is_tried_again(api: Api):
    resting = api.place("buy", "1", "90")["id"]
    set_phase("no_cancel")
    api.post("cancel-after", {"seconds": 1})
    deadline = monotonic() + PATIENCE_SECONDS
    first = lease(api)
    while lease(api) == first:
        assert monotonic() < deadline
        sleep(0.05)
    assert api.status(resting) == "new"
    set_phase("continuous")
    assert await_end(api, resting)["reason"] == "cancel_after"
