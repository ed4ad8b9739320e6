"""A shard's engine in a process of its own, or its hot standby."""

import logging
import signal
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from prometheus_client import start_http_server
from redis.exceptions import RedisError

from orders import meters, status
from orders.bus.envelope import Place
from orders.bus.redis_checks import UnsafeRedis
from orders.bus.stream import StreamBus
from orders.engine.direct import Pooled, UnsafeDatabase
from orders.engine.election import LostShard
from orders.engine.gauges import EngineGauges
from orders.engine.process import ShardProcess
from orders.feed.relay import Sender
from orders.management.commands._daphne import leave
from orders.management.commands._server import add_metrics_arguments, refuse_to_start_unmigrated, tune_interpreter
from orders.models.market import NO_ENTRY

log = logging.getLogger(__name__)

MAX_SHARD = 32_767


class Command(BaseCommand):
    help = (
        "Run a shard's engine (OMS_ENGINE=remote). While another process owns the shard this one is its hot standby: it "
        "keeps warm and takes over when the owner dies, freezes or stops."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shard", type=int, required=True, help="number of the shard")
        parser.add_argument(
            "--one-by-one",
            action="store_true",
            help="commit every command by itself, to find the one that ends the process (see pass_over)",
        )
        add_metrics_arguments(parser)

    def handle(
        self, *args: Any, shard: int, one_by_one: bool, metrics_port: int, metrics_host: str, **options: Any
    ) -> None:
        if settings.OMS_ENGINE != "remote":
            raise CommandError("run_engine is for OMS_ENGINE=remote; `serve` has an engine of its own otherwise.")
        if not 0 <= shard <= MAX_SHARD:
            raise CommandError(f"--shard must be 0 to {MAX_SHARD}")
        tune_interpreter()
        sender = Sender()
        bus = StreamBus(shard, settings.REDIS_URL, allow_unsafe=settings.OMS_ALLOW_UNSAFE_STORAGE)
        process = ShardProcess(shard, bus, [sender.listener], bus_errors=(RedisError,))
        process.loop.one_by_one = one_by_one
        self._check(process, bus)
        meter = meters.ShardMeter(shard)
        process.loop.on_commit = meter.committed
        status.listeners.append(meter.state_changed)
        if metrics_port:
            meters.REGISTRY.register(EngineGauges(process))
            start_http_server(metrics_port, metrics_host, registry=meters.REGISTRY)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: process.stop())
        # A standby has nothing to say.
        process.on_own = sender.start
        try:
            process.run()
            failed = False
        except LostShard as error:  # another has taken over: nothing to look into here
            log.critical("shard %d: the engine stopped: %s", shard, error)
            failed = True
        except Exception as error:
            log.critical("shard %d: the engine stopped: %s", shard, error, exc_info=error)
            failed = True
        finally:
            if process.lease is not None:
                sender.stop()
        leave(1 if failed else 0)

    def _check(self, process: ShardProcess, bus: StreamBus) -> None:
        """What must not be is said before anything is taken over."""
        try:
            process.check_database(allow_unsafe=settings.OMS_ALLOW_UNSAFE_STORAGE)
        except UnsafeDatabase as error:
            raise CommandError(f"This PostgreSQL must not keep orders: {error}") from None
        except Pooled as error:
            raise CommandError(str(error)) from None
        except psycopg.Error as error:
            raise CommandError(f"PostgreSQL cannot be asked: {error}") from None
        refuse_to_start_unmigrated()
        try:
            bus.begin(Place(NO_ENTRY))
        except UnsafeRedis as error:
            raise CommandError(f"This Redis must not carry orders: {error}") from None
        except RedisError as error:
            log.warning("shard %d: Redis is away: %s", process.shard_id, error)
