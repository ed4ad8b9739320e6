"""Saved books."""

from django.db import models

from orders.fields import MicrosField
from orders.models.market import Instrument, Shard


class BookSnapshot(models.Model):
    """One instrument's open orders as they stood after event ``sequence`` of its shard, also those that wait outside the book.

    Levels and best prices are of those that rest in it. ``data`` is zlib-compressed lines, an order each (see
    ``matching.codec``), ``checksum`` the BLAKE2b of what they were before compression. ``saved_through`` is the last sequence
    it was found still true at: a save of an unchanged book only moves that. ``book_sequence`` is that of the book's last
    displayed change by then; null in books saved before there was such a column.
    """

    shard = models.ForeignKey(Shard, on_delete=models.PROTECT, related_name="+")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="snapshots")
    sequence = models.BigIntegerField()
    saved_through = models.BigIntegerField()
    book_sequence = models.BigIntegerField(null=True)
    epoch = models.BigIntegerField()
    schema_version = models.PositiveSmallIntegerField()
    orders = models.PositiveIntegerField()
    bid_levels = models.PositiveIntegerField()
    ask_levels = models.PositiveIntegerField()
    best_bid = models.BigIntegerField(null=True)
    best_ask = models.BigIntegerField(null=True)
    checksum = models.CharField(max_length=32)
    data = models.BinaryField()
    created_at = MicrosField()

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("instrument", "-sequence"), name="snapshot_latest"),)

    def __str__(self) -> str:
        return f"{self.instrument} at {self.sequence}"
