"""GET /metrics: everything the documentation names is there, its numbers are those of known traffic, and it is not for all."""

import inspect
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test import Client, override_settings
from prometheus_client.parser import text_string_to_metric_families

from oms_project.settings import env_networks
from orders import keys, meters, status
from orders.actors import CANCEL, OPERATE, READ, TRADE
from orders.codes import CODES
from orders.engine import gauges
from orders.feed.hub import hub
from orders.management.commands import save_books
from tests.api.conftest import Api, order
from tests.feed.support import Feed, running_feed, wait_until
from tests.sockets.support import Socket
from tests.support.market import make_account, make_instrument

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"

Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """What a scrape told; ``of("name", label="value")`` is one number, 0 for a series that is not there."""

    def __init__(self, text: str) -> None:
        self.families: set[str] = set()
        self.numbers: Numbers = {}
        for family in text_string_to_metric_families(text):
            if family.samples:
                self.families.add(family.name + ("_total" if family.type == "counter" else ""))
            for sample in family.samples:
                self.numbers[sample.name, frozenset(sample.labels.items())] = sample.value

    def of(self, name: str, **labels: str) -> float:
        return self.numbers.get((name, frozenset(labels.items())), 0)


def scrape() -> Scraped:
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scraped(response.content.decode())


@pytest.fixture
def feed(transactional_db: None) -> Iterator[Feed]:
    """A market with a feed, whose engine is metered as ``serve`` does it."""
    keys.forget_keys()
    with running_feed() as feed:
        meter = meters.ShardMeter(0)
        feed.engine.loop.on_commit = meter.committed
        status.listeners.append(meter.state_changed)
        info = make_instrument()
        # Read once, so that no read tells it later of what its messages did not.
        wait_until(
            lambda: feed.hub._life.books.live(info.id) and not feed.hub._life.board.shards[0].loading, "the book"
        )
        yield feed
        status.listeners.remove(meter.state_changed)


@pytest.fixture
def api(feed: Feed) -> Api:
    made = Api()
    for name in ("alice", "bob", "carol"):
        account = made.accounts[name] = make_account(name)
        _, made.keys[name] = keys.create_key(user=account.members.get(), account=account, scopes=[READ, TRADE, CANCEL])
    return made


def save_once() -> None:
    """What ``serve`` does every minute, once."""
    stop = threading.Event()
    save_books.save_periodically(0, stop, tell=lambda report: stop.set())


def documented() -> set[str]:
    """The names in the first column of the table."""
    section = DOCUMENT.read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


def elsewhere() -> set[str]:
    """What only engines that are processes of their own show, or web processes beside them."""
    return {*re.findall(r"\boms_[a-z_]+", inspect.getsource(gauges)), "oms_engine_waiting_commands"}


def test_the_documentation_names_what_there_is_and_nothing_else(api: Api, feed: Feed):
    socket = Socket(feed)
    assert socket.connect()
    socket.ask(op="subscribe", channel="book", symbols=["ACME-USD"])
    api.trade("100")
    feed.loop.call(hub()._life._distrust, 0, "gap")
    socket.disconnect()
    save_once()
    wait_until(lambda: scrape().of("oms_feed_closes_total", code="client"), "the end of the socket")
    names = scrape().families | elsewhere()
    if not Path("/proc").exists():
        names |= {name for name in documented() if name.startswith("process_")}
    assert names == documented()


def test_requests_are_counted_by_route_method_and_status(api: Api):
    route = "api/v1/orders/<str:order_id>"
    before = scrape()
    placed = api.place()
    api.get(f"orders/{placed['id']}")
    api.get("orders/12")
    api.get("/nowhere/at/all", who=None)
    api.client.generic("BREW", "/healthz")
    after = scrape()

    def rise(method: str, route: str, status: str) -> float:
        labels = {"route": route, "method": method, "status": status}
        name = "oms_http_request_seconds_count"
        return after.of(name, **labels) - before.of(name, **labels)

    assert rise("POST", "api/v1/orders", "201") == 1
    assert rise("GET", route, "200") == rise("GET", route, "404") == 1
    assert rise("GET", "none", "404") == 1
    assert rise("other", "healthz", "405") == 1
    assert not [labels for _, labels in after.numbers if placed["id"] in str(labels) or "nowhere" in str(labels)]


def test_what_the_engine_did(api: Api):
    before = scrape()
    placed = api.place("buy", "1", "90")
    answer = api.post("orders/batch", {"orders": [order(price="91"), order(price="92"), order(price="0.001")]})
    assert answer.body["results"][2]["problem"]["code"] == "price_not_on_tick"
    assert api.delete("orders/12").code == "order_not_found"

    def rise(name: str, **labels: str) -> float:
        return after.of(name, **labels) - before.of(name, **labels)

    def groups() -> float:
        nonlocal after
        after = scrape()
        return rise("oms_engine_commit_seconds_count", shard="0")

    # Counted behind the answer. The cancel of what is not there was a group, too; what is off the grid is a row.
    after = before
    wait_until(lambda: groups() == 3, "the groups")
    assert rise("oms_engine_group_commands_count", shard="0") == 3
    assert rise("oms_engine_group_commands_sum", shard="0") == 5
    assert rise("oms_engine_group_commands_bucket", shard="0", le="1.0") == 2
    assert rise("oms_engine_group_commands_bucket", shard="0", le="4.0") == 3
    assert rise("oms_problems_total", code="price_not_on_tick") == 1
    assert rise("oms_problems_total", code="order_not_found") == 1
    assert after.of("oms_engine_sequence", shard="0") == placed["sequence"] + 3
    assert after.of("oms_engine_epoch", shard="0") == 1
    assert after.of("oms_bus_waiting_commands") == 0
    # Also those that have not happened: so that the first one is seen as a rise.
    assert {dict(labels)["code"] for name, labels in after.numbers if name == "oms_problems_total"} == set(CODES)


def test_states_are_shown_and_their_changes_counted(api: Api, feed: Feed):
    before = scrape()
    shard = status.shard_status(0)
    shard.become(status.STALLED, "disk full")
    stalled = scrape()
    shard.become(status.STALLED, "still full")
    shard.become(status.OPEN)
    after = scrape()
    states = (status.RECOVERING, status.OPEN, status.STALLED, status.STOPPED)
    assert [stalled.of("oms_engine_state", shard="0", state=state) for state in states] == [0, 0, 1, 0]
    assert [after.of("oms_engine_state", shard="0", state=state) for state in states] == [0, 1, 0, 0]
    name = "oms_engine_state_changes_total"
    rises = [after.of(name, shard="0", state=state) - before.of(name, shard="0", state=state) for state in states]
    assert rises == [0, 1, 1, 0]


def test_sockets_their_messages_and_their_ends(api: Api, feed: Feed):
    before = scrape()
    first, second = Socket(feed), Socket(feed)
    assert first.connect() and second.connect()
    first.ask(op="ping")
    first.ask(op="subscribe", channel="trades", symbols=["ACME-USD"])
    first.hear()
    second.ask(op="auth", key="oms_" + "x" * 43)
    assert second.close_code() == 4001
    now = scrape()
    assert now.of("oms_feed_sockets") - before.of("oms_feed_sockets") == 2
    # Pong, acknowledgment, snapshot, refusal; heartbeats may come between.
    assert 4 <= now.of("oms_feed_messages_total") - before.of("oms_feed_messages_total") <= 10
    first.disconnect()
    second.disconnect()
    wait_until(lambda: scrape().of("oms_feed_sockets") == before.of("oms_feed_sockets"), "the end")
    after = scrape()
    for code in ("4001", "client"):
        assert after.of("oms_feed_closes_total", code=code) - before.of("oms_feed_closes_total", code=code) == 1
    assert after.of("oms_feed_messages_total") >= now.of("oms_feed_messages_total")


def test_the_feed_lags_where_it_hears_nothing(api: Api, feed: Feed):
    api.place()
    wait_until(lambda: scrape().of("oms_feed_lag_events", shard="0") == 0, "the feed")
    assert 0 <= scrape().of("oms_feed_last_commit_age_seconds", shard="0") < 10
    feed.drop = lambda message: True
    api.place()
    api.place()
    assert scrape().of("oms_feed_lag_events", shard="0") == 2
    before = scrape()
    feed.mend()
    api.place()
    wait_until(lambda: scrape().of("oms_feed_lag_events", shard="0") == 0, "the feed again")
    labels = {"channel": "book", "reason": "gap"}
    assert scrape().of("oms_feed_resyncs_total", **labels) - before.of("oms_feed_resyncs_total", **labels) == 1


def test_saves_tell_when_and_how_far(api: Api, monkeypatch):
    placed = api.place()
    save_once()
    told = scrape()
    assert told.of("oms_saved_books_sequence", shard="0") == placed["sequence"]
    assert 0 <= told.of("oms_saved_books_age_seconds", shard="0") < 10
    stop = threading.Event()

    def fails(savers: object, keep: int) -> None:
        stop.set()
        raise DatabaseError("disk full")

    monkeypatch.setattr(save_books, "save_all", fails)
    save_books.save_periodically(0, stop)
    assert scrape().of("oms_saves_failed_total") - told.of("oms_saves_failed_total") == 1


def test_a_save_that_finds_nothing_new_is_a_save():
    now = [100.0]
    meter = meters.SaveMeter(lambda: now[0])
    meter.saved(0, 7)
    now[0] = 160.0
    assert meter.read() == [(0, 7, 60.0)]
    meter.saved(0, 7)
    assert meter.read() == [(0, 7, 0.0)]


# Who may


def ask(address: str, key: str = "", **headers: str) -> tuple[int, str | None]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        sent["authorization"] = f"Bearer {key}"
    response = Client().get("/metrics", headers=sent, REMOTE_ADDR=address)
    return response.status_code, response.json()["code"] if response.status_code != 200 else None


def staff_key(api: Api, *scopes: str) -> str:
    account = api.accounts["carol"]
    user = account.members.get()
    user.is_staff = True
    user.save()
    return keys.create_key(user=user, account=account, scopes=list(scopes))[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_this_machine_needs_no_key(api: Api, address):
    assert ask(address) == (200, None)


@pytest.mark.parametrize("address", ["10.0.0.1", "203.0.113.5", "2001:db8::1", ""])
def test_from_elsewhere_a_key_of_staff_is_needed(api: Api, address):
    assert ask(address) == (401, "not_authenticated")
    assert ask(address, "oms_" + "x" * 43) == (401, "not_authenticated")
    assert ask(address, api.keys["alice"]) == (403, "permission_denied")
    assert ask(address, staff_key(api, TRADE, CANCEL)) == (403, "permission_denied")
    assert ask(address, staff_key(api, READ)) == (200, None)
    assert ask(address, staff_key(api, OPERATE)) == (200, None)


@pytest.mark.parametrize("header", ["x_forwarded_for", "x_forwarded_proto", "x_real_ip", "forwarded", "via"])
def test_what_a_proxy_passes_on_is_from_nowhere(api: Api, header):
    assert ask("127.0.0.1", **{header: "127.0.0.1"}) == (401, "not_authenticated")
    assert ask("127.0.0.1", staff_key(api, READ), **{header: "127.0.0.1"}) == (200, None)


@pytest.mark.parametrize("told", ["127.0.0.1", "203.0.113.5", "127.0.0.1, 127.0.0.1", "203.0.113.5, 127.0.0.1"])
def test_a_proxy_of_ours_does_not_open_it_either(api: Api, settings, told):
    settings.OMS_TRUSTED_PROXIES = keys.parse_networks("127.0.0.0/8")
    assert ask("127.0.0.1", x_forwarded_for=told) == (401, "not_authenticated")
    assert ask("127.0.0.1") == (200, None)


def test_networks_are_a_setting(api: Api, monkeypatch):
    monkeypatch.setenv("OMS_METRICS_NETWORKS", "10.1.0.0/16")
    with override_settings(OMS_METRICS_NETWORKS=env_networks("OMS_METRICS_NETWORKS", "")):
        assert ask("10.1.2.3") == (200, None)
        assert ask("127.0.0.1") == (401, "not_authenticated")


def test_this_machine_is_answered_while_the_database_is_away(api: Api, monkeypatch):
    def broken(*args: object, **kwargs: object) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", broken)
        assert scrape().of("oms_engine_epoch", shard="0") == 1


def test_only_reading(api: Api):
    answer = api.client.post("/metrics")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert api.client.head("/metrics").status_code == 200
