"""Commands that move an instrument from one shard to another, and what goes along (see ``matching.moving``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from mypy_extensions import i64


@final
class ReleaseInstrument:
    """Let a halted instrument go to another shard: its engine there takes it over by ``AdoptInstrument``.

    Refused where an account that pays, or has money on this shard, has a position or an open order in it.
    """

    __slots__ = ("instrument_id", "shard_id")

    def __init__(self, instrument_id: i64, shard_id: i64) -> None:
        self.instrument_id: i64 = instrument_id
        self.shard_id: i64 = shard_id


@final
class AdoptInstrument:
    """Take over an instrument that was let go.

    ``arrival`` (a ``matching.moving.Arrival``) is filled in by whoever has read the tables; None: none is due.
    """

    __slots__ = ("arrival", "instrument_id")

    def __init__(self, instrument_id: i64, arrival: Any = None) -> None:
        self.instrument_id: i64 = instrument_id
        self.arrival: Any = arrival
