"""Verification finds every kind of difference: each is made on purpose, behind the engine's back."""

import pytest
from django.core.management import call_command
from django.db import connection

from matching.commands import Transfer
from orders import gateway
from orders.engine.verification import verify
from orders.schemas.orders import AmendOrder
from orders.snapshots import BookSaver
from tests.support.market import OPERATOR, actor_for, make_account, make_instrument, place, running_engine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def story() -> None:
    """A market with a resting order, a partly filled one, an amended one, a trade, a cancel, a refusal, a saved book."""
    alice, bob = actor_for(make_account("alice")), actor_for(make_account("bob"))
    with running_engine():
        instrument = make_instrument()
        place(alice, "buy", "5", "100", client_order_id="a1")
        place(bob, "sell", "2", "100", client_order_id="b1")
        resting = place(alice, "buy", "3", "99")
        gateway.order_amend(actor=alice, order_id=resting.order_id, request=AmendOrder(price="98.50"))
        gone = place(alice, "buy", "1", "97")
        gateway.order_cancel(actor=alice, order_id=gone.order_id)
        with pytest.raises(Exception, match="price_not_on_tick"):
            place(alice, "buy", "1", "97.001", client_order_id="a2")
        place(alice, "buy", "1", "50", time_in_force="ioc")
        place(alice, "sell", "3", None, type="stop", stop_price="40")
        place(alice, "sell", "9", "120", display_quantity="2", client_order_id="ice")
        place(bob, "sell", "4", "130", order_class="oco", stop_loss={"stop_price": "30"})
        place(bob, "sell", "4", None, type="trailing_stop", trail_price="20")
        gateway.cancel_after(actor=alice, seconds=3600)
        gateway.commands_submit(actor=OPERATOR, commands=[Transfer(alice.account_id, "USD", 10**24)]).result(5)
        gateway.instrument_set_phase(actor=OPERATOR, instrument_id=instrument.id, phase="halted")
    BookSaver(0).save()


def test_a_true_story_is_good(story: None, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify(0)
    assert found.differences == []
    assert (found.orders, found.open_orders, found.trades, found.snapshots) == (11, 7, 1, 1)
    call_command("verify_books")
    assert "good" in capsys.readouterr().out


LIES = {
    "events: a gap": ("DELETE FROM orders_event WHERE id = (SELECT MAX(id) - 1 FROM orders_event)", "events"),
    "a fill that was more": ("UPDATE orders_event SET quantity = quantity + 1 WHERE kind = 3", "events"),
    "an order's remainder": (
        "UPDATE orders_order SET remaining = remaining - 1, filled = filled + 1 WHERE remaining > 1",
        "orders",
    ),
    "an order's place": ("UPDATE orders_order SET priority = priority + 1 WHERE status = 0", "orders"),
    "an order's value": ("UPDATE orders_order SET notional = '7' WHERE status = 1", "orders"),
    "an order that vanished": ("DELETE FROM orders_order WHERE status = 4", "orders"),
    "a trade that vanished": ("DELETE FROM orders_trade", "trades"),
    "a trade at another price": ("UPDATE orders_trade SET price = price + 1", "trades"),
    "a position": ("UPDATE orders_position SET bought = '1' WHERE bought <> '0'", "positions"),
    "what a position cost": ("UPDATE orders_position SET cost = '1'", "positions"),
    "a minute's high": ("UPDATE orders_candle SET high = high + 1 WHERE resolution = 0", "candles"),
    "an hour's volume": ("UPDATE orders_candle SET volume = '7' WHERE resolution = 1", "candles"),
    "a day that vanished": ("DELETE FROM orders_candle WHERE resolution = 2", "candles"),
    "a minute without a trade": ("UPDATE orders_candle SET start = start - 60000000 WHERE resolution = 0", "candles"),
    "a client order id without an order": (
        "UPDATE orders_clientorderid SET order_id = 5 WHERE client_order_id = 'a1'",
        "client order ids",
    ),
    "a saved book's sequence": ("UPDATE orders_booksnapshot SET sequence = 3", "saved books"),
    "a saved book's checksum": ("UPDATE orders_booksnapshot SET checksum = 'x'", "saved books"),
    "a status that was another": ("UPDATE orders_event SET status = 1 WHERE kind = 1 AND status = 0", "events"),
    "a stop's price": ("UPDATE orders_order SET stop_price = stop_price + 1 WHERE type = 2", "orders"),
    "a half of a pair": ("UPDATE orders_order SET group_id = group_id + 1 WHERE role = 2", "groups"),
    "an iceberg's tip": ("UPDATE orders_order SET hidden = hidden - 1 WHERE hidden > 0", "books"),
    "a trailing stop's best": ("UPDATE orders_instrument SET trails = REPLACE(trails, '10000]', '10100]')", "trails"),
    "a phase": ("UPDATE orders_instrument SET phase = 1", "phases"),
    "a lease": ("UPDATE orders_lease SET due_at = due_at + 1", "leases"),
    "money": ("UPDATE orders_deposit SET amount = '7'", "deposits"),
    "a shard that knows more": ("UPDATE orders_shard SET last_sequence = last_sequence + 1", "events"),
}


@pytest.mark.parametrize("name", LIES)
def test_every_lie_is_found(story: None, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    statement, what = LIES[name]
    with connection.cursor() as cursor:
        cursor.execute(statement)
        assert cursor.rowcount > 0
    assert any(text.startswith(what) for text in verify(0).differences), verify(0).differences
    with pytest.raises(SystemExit) as caught:
        call_command("verify_books")
    assert caught.value.code == 1
    assert "DIFFERENCE" in capsys.readouterr().err
