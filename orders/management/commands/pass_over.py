"""Passes over a command that ends every engine that tries it."""

from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from redis.exceptions import RedisError

from orders.bus.redis_checks import UnsafeRedis
from orders.bus.stream import StreamBus
from orders.engine.passing import next_command, pass_over
from orders.models import Shard


class Command(BaseCommand):
    help = (
        "Show the next command that a shard has to carry out; with --at PLACE, as shown, pass over it: it is never carried "
        "out, and its sender learns nothing. For a command that ends the engine again and again: first let "
        "`run_engine --one-by-one` commit what comes before it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shard", type=int, required=True, help="number of the shard")
        parser.add_argument("--at", default="", metavar="PLACE", help="pass over the command at this place")

    def handle(self, *args: Any, shard: int, at: str, **options: Any) -> None:
        if settings.OMS_ENGINE != "remote":
            raise CommandError("pass_over is for OMS_ENGINE=remote: an embedded engine keeps no commands.")
        bus = StreamBus(shard, settings.REDIS_URL, allow_unsafe=settings.OMS_ALLOW_UNSAFE_STORAGE)
        try:
            found = next_command(shard, bus)
        except Shard.DoesNotExist:
            raise CommandError(f"There is no shard {shard}.") from None
        except (RedisError, UnsafeRedis) as error:
            raise CommandError(f"Redis: {error}") from None
        finally:
            bus.disconnect()
        if found is None:
            self.stdout.write(f"shard {shard}: nothing waits to be carried out")
            return
        place = f"{found.before.entry_id}/{found.before.done}"
        named = f"{place}: {found.command!r}, request {found.envelope.request_id}"
        if not at:
            self.stdout.write(f"shard {shard} stands before {named}")
        elif at != place or not pass_over(shard, found.before, found.behind):
            raise CommandError(f"shard {shard} does not stand before {at}; it stands before {named}")
        else:
            self.stdout.write(f"shard {shard} has passed over {named}; its sender was not answered")
