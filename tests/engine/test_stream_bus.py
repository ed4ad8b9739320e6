"""An engine on a real stream: commands of a real gateway, a database that fails, engines that end, a Redis that dies."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError

from matching.values import BUY, SELL
from orders import status
from orders.bus.envelope import DONE, UNAVAILABLE, Envelope, Place
from orders.bus.memory import BusClosed
from orders.bus.remote import RemoteBus
from orders.bus.stream import COMMANDS_KEY, REPLIES_KEY, StreamBus
from orders.engine.loop import EngineLoop
from orders.engine.recovery import take_over
from orders.engine.verification import verify
from orders.models import Order as OrderRow
from orders.models import Shard
from tests.bus.parties import until
from tests.conftest import missing
from tests.engine.desk import Desk, fail_once
from tests.support import services

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 60


class StreamDesk(Desk):
    """A desk whose engine reads a stream; ``start`` again is another engine, as after the end of a process."""

    def __init__(self, server: services.Redis) -> None:
        self.server = server
        self.gateway = RemoteBus(server.url)
        super().__init__()

    def start(self) -> None:
        take_over(0)
        self.stream = StreamBus(0, self.server.url)
        self.loop = EngineLoop(0, self.stream, clock=lambda: self.clock)
        self.loop.recover()
        self.stream.begin(self.loop.state.place)
        self.stream.open()

    def group(self, *envelopes: Envelope) -> list[list[object]]:
        for envelope in envelopes:
            self.gateway.submit(envelope)
        until(lambda: self.run() or all(envelope.future.done() for envelope in envelopes))
        return [until(lambda envelope=envelope: self.answer_to(envelope)) for envelope in envelopes]

    def answer_to(self, envelope: Envelope) -> list[object]:
        self.run()
        return envelope.future.result(0) if envelope.future.done() else []

    def run(self) -> bool:
        return self.loop.run_once(0.05)

    def place(self) -> Place:
        return Place(*Shard.objects.values_list("stream_id", "stream_done").get(id=0))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[StreamDesk]:
    try:
        server = services.Redis(tmp_path, persistent=True)
    except services.ServiceMissing as error:
        missing(error)
        return
    desk = StreamDesk(server)
    yield desk
    desk.gateway.stop()
    desk.stream.disconnect()
    server.stop()
    assert verify(0).differences == []


def test_orders_by_stream_are_answered_and_their_place_is_kept(desk: StreamDesk) -> None:
    resting, taking = desk.order(desk.alice, SELL, 100, 5, "rests"), desk.order(desk.bob, BUY, 100, 5, "takes")
    (first,), (second,) = desk.group(desk.envelope(resting), desk.envelope(taking))
    assert (first.kind, second.kind) == (DONE, DONE)
    assert second.order.filled == 5 and second.fills[0][1:] == (100, 5)
    client = redis.Redis.from_url(desk.server.url)
    last = client.xinfo_stream(COMMANDS_KEY.format(0))["last-generated-id"].decode()
    assert desk.place() == Place(last)
    desk.stream.disconnect()
    desk.start()
    assert not desk.run(), "nothing comes again"


def test_everything_is_carried_out_once_whatever_fails(desk: StreamDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    sent: dict[int, Envelope] = {}
    for number in range(ROUNDS):
        for _ in range(dice.randint(0, 3)):
            side, price = dice.choice([(BUY, 99), (SELL, 101), (BUY, 101)])
            account = dice.choice([desk.alice, desk.bob])
            orders = [
                desk.order(account, side, price, 1, f"{number}-{len(sent)}-{n}") for n in range(dice.randint(1, 3))
            ]
            envelope = desk.envelope(*orders)
            try:
                desk.gateway.submit(envelope)
                sent |= {order.order_id: envelope for order in orders}
            except BusClosed:
                pass
        fate = dice.random()
        if fate < 0.3:
            fail_once(monkeypatch, dice.choice(["before", "at", "after"]))
        elif fate < 0.4:
            desk.stream.disconnect()
            restart(desk)
        elif fate < 0.5:
            desk.server.kill()
            desk.run()
            desk.server.start()
        desk.run()
    until(lambda: desk.gateway.is_open)
    # Whatever may have been sent has arrived, and all that has arrived is carried out.
    desk.do(desk.order(desk.alice, BUY, 1, 1))
    until(lambda: not desk.run())
    rows = set(OrderRow.objects.values_list("id", flat=True))
    fates = {order_id: each.future.result(0)[0].kind if each.future.done() else "" for order_id, each in sent.items()}
    print({fate: list(fates.values()).count(fate) for fate in set(fates.values())})
    assert {order_id for order_id, fate in fates.items() if fate == DONE} <= rows
    assert not {order_id for order_id, fate in fates.items() if fate == UNAVAILABLE} & rows
    assert set(fates.values()) <= {DONE, UNAVAILABLE, ""}
    assert list(fates.values()).count(DONE) > len(fates) / 2
    client = redis.Redis.from_url(desk.server.url)
    last = client.xinfo_stream(COMMANDS_KEY.format(0))["last-generated-id"].decode()
    assert desk.place() == Place(last)
    assert client.llen(REPLIES_KEY.format(desk.gateway._gateway)) == 0


def restart(desk: StreamDesk) -> None:
    """Another engine, once Redis lets it."""

    def started() -> bool:
        try:
            desk.start()
        except RedisError:
            return False
        return desk.loop.status.state == status.OPEN

    until(started)
