"""Passing over a command that ends every engine that tries it: what a stream keeps comes again until it is carried out."""

from typing import NamedTuple

from django.db import connection

from matching.commands import Command
from orders.bus.envelope import Envelope, Place, SetShardMode
from orders.engine.process import KeptBus
from orders.models import Shard

# How long to wait for what is in the stream.
TAKE_SECONDS = 1.0


class NextCommand(NamedTuple):
    """The first command that is not carried out, whose it is, and where the stream stands before and behind it."""

    command: Command | SetShardMode | None
    envelope: Envelope
    before: Place
    behind: Place


def next_command(shard_id: int, bus: KeptBus) -> NextCommand | None:
    """What the shard's next engine begins with; None where nothing waits. Raises what ``bus.begin`` raises."""
    before = Place(*Shard.objects.values_list("stream_id", "stream_done").get(id=shard_id))
    bus.begin(before)
    bus.open()
    taken = bus.take(1, TAKE_SECONDS)
    if not taken:
        return None
    envelope = taken[0]
    assert envelope.place is not None
    is_last = len(envelope.commands) <= 1
    behind = envelope.place if is_last else Place(before.entry_id, before.done + 1)
    return NextCommand(next(iter(envelope.commands), None), envelope, before, behind)


def pass_over(shard_id: int, before: Place, behind: Place) -> bool:
    """Have the shard go on behind a command, which is then never carried out, and whose sender is never answered.

    False where the shard no longer stands before it. An engine that runs is fenced off, and starts anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_shard SET epoch = epoch + 1, stream_id = %s, stream_done = %s "
            "WHERE id = %s AND stream_id = %s AND stream_done = %s",
            [*behind, shard_id, *before],
        )
        return bool(cursor.rowcount == 1)
