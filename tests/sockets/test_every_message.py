"""Every message that the documents tell of is said by a running service, and nothing else is."""

import json
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from orders import keys
from orders.actors import READ, TRADE
from orders.schemas import socket
from orders.schemas.feed import TradesSkipped
from orders.schemas.replies import SERVER_MESSAGES
from orders.sockets.routing import websocket_application
from tests.feed.support import Feed, running_feed
from tests.support import messages
from tests.support.market import actor_for, make_account, make_instrument, make_user, place, set_phase

pytestmark = pytest.mark.django_db(transaction=True)

ACME = ["ACME-USD"]
CHANNELS: dict[str, dict[str, Any]] = {
    **{channel: {"symbols": ACME} for channel in ("book", "trades", "ticker", "instruments")},
    "candles": {"symbols": ACME, "interval": "1m"},
    **{channel: {} for channel in ("status", "executions", "positions")},
}


class Talk:
    """A client in the hub's loop that notes the model of everything it hears."""

    def __init__(self, feed: Feed) -> None:
        self._run = feed.loop.run
        self._socket = WebsocketCommunicator(websocket_application, "/ws/v1", [(b"host", b"localhost:8000")])
        self.heard: set[str] = set()
        accepted, _ = self._run(self._socket.connect(timeout=5))
        assert accepted

    def hear(self) -> Any:
        message = messages.read(self._run(self._socket.receive_from(timeout=8)))
        self.heard.add(type(message).__name__)
        return message

    def hear_until(self, *names: str) -> None:
        """All of these models have been heard."""
        while not self.heard.issuperset(names):
            self.hear()

    def ask(self, **message: Any) -> Any:
        """The answer; what is told before it is noted too."""
        self._run(self._socket.send_to(text_data=json.dumps(message)))
        while True:
            answer = self.hear()
            if getattr(answer, "op", None) in ("ack", "result", "pong"):
                return answer

    def close(self) -> None:
        self._run(self._socket.disconnect())


@pytest.fixture
def feed():
    with running_feed() as feed:
        make_instrument()
        yield feed


@pytest.fixture
def talk(feed):
    talk = Talk(feed)
    yield talk
    talk.close()


def order(side: str, price: str, quantity: str = "2", **fields: str) -> dict[str, str]:
    return {"symbol": "ACME-USD", "side": side, "price": price, "quantity": quantity, **fields}


def test_all_of_them(feed, talk):
    alice, bob = make_account("alice"), actor_for(make_account("bob"))
    _, key = keys.create_key(user=make_user("alice"), account=alice, scopes=[READ, TRADE])
    assert talk.ask(op="auth", id="me", key=key).account == "alice"
    for channel in socket._BY_CHANNEL["subscribe"]:
        assert talk.ask(op="subscribe", channel=channel, **CHANNELS[channel]).ok
    assert not talk.ask(op="subscribe", channel="book", symbols=["NOPE"]).ok
    talk.ask(op="ping")

    place(bob, "sell", "1", "100")
    bought = talk.ask(op="place", **order("buy", "100", client_order_id="a-1")).order
    assert (bought.status, bought.filled_quantity) == ("partially_filled", "1.000")
    assert talk.ask(op="place", **order("buy", "100", client_order_id="a-1")).replayed
    assert talk.ask(op="amend", order_id=bought.id, quantity="1.5", version=1).order.priority_kept
    assert talk.ask(op="cancel", client_order_id="a-1").order.status == "canceled"
    assert not talk.ask(op="cancel", order_id=bought.id).ok
    orders = [order("buy", "99"), order("buy", "98", symbol="NOPE"), order("buy", "100", client_order_id="a-1")]
    placed, refused, known = talk.ask(op="place_batch", orders=orders).results
    assert (placed.order.status, refused.problem.code, known.replayed) == ("new", "unknown_symbol", True)
    assert talk.ask(op="cancel_after", seconds=60).expires_at
    assert talk.ask(op="cancel_all").count == 1
    set_phase("auction", lasts_seconds=60)
    talk.hear_until("BookUpdate", "TradesUpdate", "CandlesUpdate", "ExecutionsUpdate", "PositionsUpdate")

    # Another engine: told with its first commit.
    feed.restart_engine()
    place(bob, "sell", "1", "101")
    talk.hear_until("Resync", "CandlesResync", "Heartbeat")
    for channel in socket._BY_CHANNEL["unsubscribe"]:
        assert talk.ask(op="unsubscribe", channel=channel, **CHANNELS[channel]).ok
    feed.hub.stop()
    talk.hear_until("ServerShutdown")
    # What was skipped is said to slow readers only: tests of the outbox.
    assert talk.heard == {model.__name__ for model in SERVER_MESSAGES} - {TradesSkipped.__name__}
