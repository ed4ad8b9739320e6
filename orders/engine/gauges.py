"""How an engine process stands, in Prometheus' terms: what ``/metrics`` of ``run_engine`` shows beside the counters."""

from collections.abc import Iterator
from time import monotonic

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orders import status
from orders.engine.process import ShardProcess


class EngineGauges(Collector):
    """Asked at each scrape. The names are those that other processes of the service use for the same."""

    def __init__(self, process: ShardProcess) -> None:
        self._process = process

    def describe(self) -> list[Metric]:
        """Said beforehand, or the registry would collect once just to know the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        shard = self._process.loop.status
        number = str(shard.shard_id)
        lease = self._process.lease
        state = GaugeMetricFamily("oms_engine_state", "1 for the state a shard is in.", labels=("shard", "state"))
        for name in status.STATES:
            state.add_metric([number, name], float(shard.state == name))
        yield state
        values = {
            "oms_engine_owner": ("1 where this process owns the shard, 0 for a standby.", float(lease is not None)),
            "oms_engine_epoch": ("How often a shard was taken over; 0 in a standby.", shard.epoch),
            "oms_engine_sequence": ("A shard's last committed event; 0 in a standby.", shard.sequence),
            "oms_engine_standby_sequence": (
                "The event up to which a standby has read the open orders; 0 in an owner.",
                self._process.standby_sequence,
            ),
        }
        if lease is not None:
            age = monotonic() - lease.renewed_at
            values["oms_engine_lease_age_seconds"] = ("Since the owner last renewed its lease.", age)
        for name, (about, value) in values.items():
            gauge = GaugeMetricFamily(name, about, labels=("shard",))
            gauge.add_metric([number], value)
            yield gauge
        waiting = GaugeMetricFamily("oms_bus_waiting_commands", "Commands that wait for the engine.")
        waiting.add_metric([], self._process.bus.waiting_commands)
        yield waiting
