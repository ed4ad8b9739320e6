"""``/metrics`` for Prometheus: the counters of ``orders.meters``, and how things stand at this moment.

Not for the public: routes, volumes and refusals tell a competitor much. Whoever scrapes from one of ``OMS_METRICS_NETWORKS``
needs nothing; everybody else needs a key of a member of the staff with the scope ``operate`` or ``read``. A request that a
proxy passes on comes from the proxy's address whoever sent it, so what carries a proxy's headers is not from a network.
"""

from collections.abc import Iterator
from time import time

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from orders import meters, status, watching
from orders.actors import OPERATE, READ
from orders.addresses import is_inside
from orders.api.problems import problem_response
from orders.bus import bus
from orders.feed.hub import hub
from orders.keys import authenticate_key
from orders.schemas.problems import ProblemError

# What proxies add. A client can add them too, and only shuts itself out.
PROXY_HEADERS = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP")


def metrics(request: HttpRequest) -> HttpResponse:
    """All of it as text."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    problem = None if _is_from_our_networks(request) else _refusal(request)
    if problem is not None:
        return problem_response(request, problem)
    return HttpResponse(generate_latest(meters.REGISTRY), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _is_from_our_networks(request: HttpRequest) -> bool:
    if any(name in request.headers for name in PROXY_HEADERS):
        return False
    return is_inside(request.META.get("REMOTE_ADDR"), settings.OMS_METRICS_NETWORKS)


def _refusal(request: HttpRequest) -> ProblemError | None:
    """None for a key of staff."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    address = request.META.get("REMOTE_ADDR") or None
    actor = authenticate_key(key.strip(), address) if scheme.lower() == "bearer" else None
    if actor is None:
        headers = {"WWW-Authenticate": 'Bearer realm="metrics"'}
        return ProblemError("not_authenticated", "This needs a key of a member of the staff.", headers=headers)
    if actor.scopes.isdisjoint((OPERATE, READ)):
        return ProblemError("permission_denied", "This needs the scope operate or read.")
    if not get_user_model().objects.filter(pk=actor.user_id, is_staff=True, is_active=True).exists():
        return ProblemError("permission_denied", "This needs a key of a member of the staff.")
    return None


class Standing(Collector):
    """How things stand, asked for at each scrape. Nothing here waits or asks the database."""

    def describe(self) -> list[Metric]:
        """Said beforehand, or the registry would collect once just to know the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from _engine()
        yield from _feed()
        yield from _sockets()
        yield from meters.save_gauges()


def _gauge(name: str, about: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, labels=labels)


def _engine() -> Iterator[Metric]:
    state = _gauge("oms_engine_state", "1 for the state a shard is in.", "shard", "state")
    epoch = _gauge("oms_engine_epoch", "How often a shard was taken over.", "shard")
    sequence = _gauge("oms_engine_sequence", "A shard's last committed event.", "shard")
    theirs = _gauge("oms_engine_waiting_commands", "Commands that wait for an engine elsewhere, as it says.", "shard")
    for shard in _shards():
        number = str(shard.shard_id)
        if settings.OMS_ENGINE == "remote":
            theirs.add_metric([number], shard.waiting)
        for name in status.STATES:
            state.add_metric([number, name], float(shard.state == name))
        epoch.add_metric([number], shard.epoch)
        sequence.add_metric([number], shard.sequence)
    waiting = _gauge("oms_bus_waiting_commands", "Commands that wait for the engine, or for its answer from elsewhere.")
    waiting.add_metric([], bus().waiting_commands)
    yield from (state, epoch, sequence, waiting, theirs)


def _shards() -> list[status.ShardStatus]:
    """As they are known now."""
    if settings.OMS_ENGINE == "remote":
        watching.start()
    return status.shard_list()


def _feed() -> Iterator[Metric]:
    lag = _gauge("oms_feed_lag_events", "Events committed that the feed has not heard of.", "shard")
    age = _gauge("oms_feed_last_commit_age_seconds", "Since the last commit the feed has heard of.", "shard")
    known = {shard.shard_id: shard.sequence for shard in _shards()}
    for shard_id, (heard, at) in sorted(hub().heard().items()):
        lag.add_metric([str(shard_id)], max(0, known.get(shard_id, 0) - heard))
        if at:
            age.add_metric([str(shard_id)], max(0.0, time() - at / 1_000_000))
    yield from (lag, age)


def _sockets() -> Iterator[Metric]:
    count, sent, closes = meters.sockets.read()
    connections = _gauge("oms_feed_sockets", "Open WebSockets.")
    connections.add_metric([], count)
    messages = CounterMetricFamily("oms_feed_messages", "Messages written to WebSockets, of every kind.")
    messages.add_metric([], sent)
    ends = CounterMetricFamily("oms_feed_closes", "WebSockets closed, by code.", labels=("code",))
    for code, number in sorted(closes.items()):
        ends.add_metric([code], number)
    yield from (connections, messages, ends)


meters.REGISTRY.register(Standing())
