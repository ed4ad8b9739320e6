"""The admin where there are several shards: it asks which, and says which."""

import pytest
from django.core.management import CommandError, call_command

from orders.models import Deposit, Instrument, Order
from tests.admin.conftest import messages_of, signed_in, text
from tests.admin.test_instruments import ADD, NEW, change_url
from tests.support.market import actor_for, make_account, place, set_phase

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def root(shards):
    return signed_in("root", is_superuser=True)


def test_an_instrument_is_made_on_the_shard_that_is_chosen(root):
    assert '<option value="1">shard 1</option>' in text(root.get(ADD))
    assert "This field is required" in text(root.post(ADD, NEW))
    root.post(ADD, {**NEW, "shard_number": "1"})
    row = Instrument.objects.get(symbol="GOLD-EUR")
    assert row.shard_id == 1
    page = text(root.get(change_url(row)))
    assert "Shard:" in page and 'name="shard_number"' not in page


def test_money_is_paid_into_the_shard_that_is_chosen(root):
    row = make_account("alice")
    address = f"/admin/orders/account/{row.id}/transfer/"
    said = {"direction": "in", "amount": "10", "currency": "USD", "shard": "1"}
    assert '<option value="1">shard 1</option>' in text(root.get(address))
    assert "Pay 10 USD in, shard 1?" in text(root.post(address, said))
    assert "alice: 10 USD paid in, shard 1." in messages_of(root.post(address, {**said, "confirmed": "1"}, follow=True))
    assert Deposit.objects.get().shard_id == 1
    assert "<td>1</td><td>USD</td><td>10</td>" in text(root.get(f"/admin/orders/account/{row.id}/change/"))


def test_a_mass_cancel_tells_which_shard_did_not(shards, root):
    alice = actor_for(make_account("alice"))
    place(alice)
    place(alice, symbol="BOLT-USD")
    shards[1].bus.close()
    answer = root.post("/admin/orders/order/cancel/", {"confirmed": "1"}, follow=True)
    told = messages_of(answer)
    assert "shard 0 did (1 orders canceled), shard 1 did not." in told


def test_an_instrument_is_moved_after_a_question(root):
    alice = actor_for(make_account("alice"))
    order = place(alice).order.id
    row = Instrument.objects.get(symbol="ACME-USD")
    address = f"/admin/orders/instrument/{row.id}/move/"
    assert address in text(root.get(change_url(row)))
    assert '<option value="1">shard 1</option>' in text(root.get(address))
    page = text(root.post(address, {"shard": "1"}))
    assert "Move it to shard 1 with its 1 open orders?" in page and "ACME-USD, now on shard 0" in page
    assert "halt it first" in messages_of(root.post(address, {"shard": "1", "confirmed": "1"}, follow=True))
    set_phase("halted")
    answer = root.post(address, {"shard": "1", "confirmed": "1"}, follow=True)
    assert "ACME-USD is on shard 1 now" in messages_of(answer)
    assert Order.objects.get(id=order).shard_id == 1
    assert "Moved to shard 1." in text(root.get(f"/admin/orders/instrument/{row.id}/history/"))


def test_the_command_moves_an_instrument(shards, capsys):
    place(actor_for(make_account("alice")))
    with pytest.raises(CommandError, match="halt it first"):
        call_command("move_instrument", "ACME-USD", "--to", "1")
    set_phase("halted")
    call_command("move_instrument", "ACME-USD", "--to", "1")
    assert capsys.readouterr().out.splitlines()[-1] == (
        "ACME-USD is on shard 1, with 1 open orders. It is halted: open it."
    )
    # Again, by somebody who was not answered the first time.
    set_phase("continuous")
    call_command("move_instrument", "ACME-USD", "--to", "1")
    assert capsys.readouterr().out.splitlines()[-1] == "ACME-USD is on shard 1, with 1 open orders. It is not halted."
    with pytest.raises(CommandError, match="unknown_symbol"):
        call_command("move_instrument", "NONE-USD", "--to", "1")
