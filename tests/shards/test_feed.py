"""The feed of a process over two shards: an instrument that moves has everybody read everything anew."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from orders import gateway, selectors
from orders.engine.verification import verify
from orders.feed.hub import Hub
from orders.schemas.closing import RESTART
from tests.feed.support import LoopThread, Recorder, wait_until
from tests.support.market import OPERATOR, actor_for, make_account, make_instrument, place, set_phase
from tests.support.shards import running_shards

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def feed(transactional_db) -> Iterator[SimpleNamespace]:
    loop, hub = LoopThread(), Hub()
    found = SimpleNamespace(loop=loop, hub=hub, deaf=False)

    def listener(message) -> None:
        if not found.deaf:
            hub.listener(message)

    with running_shards(0, 1, listeners=[listener]):
        make_instrument()
        make_instrument("BOLT-USD", shard_id=1)
        hub.start(loop.loop)
        yield found
        hub.stop()
        loop.call(lambda: None)
    loop.close()
    for shard_id in (0, 1):
        assert verify(shard_id).differences == []


def subscribe(feed, channel: str, detail: int = 0) -> Recorder:
    sink = Recorder()
    info = selectors.instrument_by_symbol("ACME-USD")
    feed.loop.call(feed.hub.connect, sink)
    feed.loop.call(feed.hub.subscribe, sink, channel, info, detail)
    wait_until(lambda: sink.of(channel, "snapshot"), f"a snapshot of {channel}")
    return sink


def executions(feed, account, after: dict[int, int] | None = None) -> Recorder:
    sink = Recorder()

    async def open_and_tell() -> None:
        feed.hub.connect(sink)
        (await feed.hub.open_executions(sink, account.account_id, account.account_name, after)).tell()

    feed.loop.run(open_and_tell())
    return sink


@pytest.mark.parametrize("there_and_back", [False, True])
def test_after_a_move_everybody_begins_anew_and_sees_what_is(feed, there_and_back):
    alice, bob = actor_for(make_account("alice")), actor_for(make_account("bob"))
    order = place(alice, "buy", "5", "99").order.id
    place(bob, "sell", "1", "99")
    before = [subscribe(feed, "book", 10), subscribe(feed, "trades"), executions(feed, alice)]
    for target in (1, 0) if there_and_back else (1,):
        set_phase("halted")
        gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=target)
    wait_until(lambda: all(sink.closed == RESTART for sink in before), "the old sockets to be told to come again")
    assert all(sink.messages[-1]["op"] == "server_shutdown" for sink in before)

    book, trades = subscribe(feed, "book", 10), subscribe(feed, "trades")
    ticker, mine = subscribe(feed, "ticker"), executions(feed, alice, {0: 1, 1: 1})
    assert book.of("book", "snapshot")[0]["bids"] == [["99.00", "4.000", 1]]
    told = [message for message in mine.of("executions") if message.get("order_id") == str(order)]
    assert "moved" in [message["event"] for message in told]
    set_phase("continuous")
    place(bob, "sell", "1", "99")
    wait_until(lambda: trades.of("trades", "update"), "the trade")
    wait_until(lambda: book.of("book", "update"), "the level")
    wait_until(lambda: any(one.get("event") == "fill_maker" for one in mine.of("executions")), "the fill")
    assert not any(sink.of(name, "resync") for name, sink in (("book", book), ("trades", trades), ("ticker", ticker)))
    assert feed.hub.book(selectors.instrument_by_symbol("ACME-USD").id, 10).bids[0][1] == 3_000


def test_a_move_nobody_heard_of_is_found_by_the_next_commit(feed):
    alice = actor_for(make_account("alice"))
    place(alice, "buy", "5", "99")
    sink = subscribe(feed, "book", 10)
    feed.deaf = True
    set_phase("halted")
    gateway.instrument_move(actor=OPERATOR, symbol="ACME-USD", shard_id=1)
    feed.deaf = False
    place(alice, symbol="BOLT-USD")
    wait_until(lambda: sink.closed == RESTART, "the socket to be told to come again")
    assert subscribe(feed, "book", 10).of("book", "snapshot")[0]["bids"] == [["99.00", "5.000", 1]]
