"""Money paid into accounts and out of them: asked twice, one command, told in the log."""

import json

import pytest

from matching.events import TRANSFERRED
from orders.models import Deposit, Event
from orders.schemas.problems import ProblemError
from tests.admin.conftest import messages_of, text
from tests.admin.test_accounts import change_url, fields
from tests.support.market import place

IN = {"direction": "in", "amount": "1000.50", "currency": "USD"}
OUT = {"direction": "out", "amount": "0.5", "currency": "USD"}


def pay(client, row, said: dict[str, str]):
    return client.post(f"/admin/orders/account/{row.id}/transfer/", {**said, "confirmed": "1"}, follow=True)


def test_paying_in_asks_and_then_it_can_be_traded_with(market, root):
    row = market.alice_account
    root.post(change_url(row), {**fields(root, row), "funded": "on"})
    row.refresh_from_db()
    assert row.funded
    with pytest.raises(ProblemError, match="insufficient_funds"):
        place(market.alice, "buy", "1", "100")
    address = f"/admin/orders/account/{row.id}/transfer/"
    assert 'name="amount"' in text(root.get(address))
    assert "Pay 1000.50 USD in?" in text(root.post(address, IN))
    assert not Deposit.objects.exists()
    assert "alice: 1000.50 USD paid in." in messages_of(pay(root, row, IN))
    assert Deposit.objects.get().amount == 10_005 * 10**23
    place(market.bob, "sell", "1", "100")
    place(market.alice, "buy", "1", "100")
    page = text(root.get(change_url(row)))
    assert "<td>ACME</td><td>0</td><td>1</td><td>0</td>" in page
    assert "<td>USD</td><td>1000.5</td><td>900.5</td><td>0</td>" in page

    assert "0.5 USD paid out." in messages_of(pay(root, row, OUT))
    assert "Nothing was changed" in messages_of(pay(root, row, {**OUT, "amount": "900.01"}))
    first, second = Event.objects.filter(kind=TRANSFERRED).order_by("id")
    assert json.loads(second.detail) == {"currency": "USD", "amount": -5 * 10**23}
    assert "1000.5 USD paid in" in text(root.get(f"/admin/orders/event/{first.pk}/change/"))
    assert "0.5 USD paid out" in text(root.get(f"/admin/orders/event/{second.pk}/change/"))
    assert "0.5 USD paid out." in text(root.get(f"/admin/orders/account/{row.id}/history/"))


def test_limits_that_change_leave_an_account_funded(market, root):
    row = market.alice_account
    root.post(change_url(row), {**fields(root, row), "funded": "on"})
    root.post(change_url(row), {**fields(root, row), "max_rate": "50"})
    row.refresh_from_db()
    assert (row.funded, row.max_rate) == (True, 50)
    root.post(change_url(row), {**fields(root, row), "funded": ""})
    row.refresh_from_db()
    assert (row.funded, row.max_rate) == (False, 50)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": "1e9"}, "amount"),
        ({"amount": "9" * 16}, "amount"),
        ({"amount": ""}, "amount"),
        ({"currency": "usd"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"direction": "up"}, "direction"),
    ],
)
def test_what_is_no_amount_is_asked_again(market, root, changes, field):
    page = pay(root, market.alice_account, {**IN, **changes})
    assert list(page.context["form"].errors) == [field]
    assert not Deposit.objects.exists()


def test_who_may_pay(market, root, staff):
    row = market.alice_account
    viewer = staff("view_account")
    assert viewer.get(f"/admin/orders/account/{row.id}/transfer/").status_code == 403
    assert pay(viewer, row, IN).status_code == 403
    page = text(viewer.get(change_url(row)))
    assert "Pay in or out" not in page
    assert 'name="funded"' not in page
    assert root.get("/admin/orders/account/999/transfer/").status_code == 404
    market.engine.stop()
    assert "Nothing was changed" in messages_of(pay(root, row, IN))
