"""Saved books: save, load, prune, verify.

A save never touches the live engine: it follows the tables in consistent reads and keeps its own copy of the open orders,
so it works beside a running engine, in another process, and when there is none. What is saved is what recovery would
load; a saved book that does not match its checksum is skipped and reported. It holds all open orders of the instrument, also
those that wait outside the book; its levels and best prices are of those that rest in it.
"""

import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from time import time_ns

from django.db import transaction
from django.db.models import QuerySet

from matching.codec import SCHEMA_VERSION, decode_orders, encode_order
from matching.order import Order
from matching.values import UNTRIGGERED
from orders import selectors
from orders.models import BookSnapshot, Shard
from orders.open_orders import OpenOrders

log = logging.getLogger(__name__)

# Saved books kept of each instrument unless the caller says otherwise.
KEEP_DEFAULT = 20
# Of older ones the first of every so many events of the shard is kept for good, so that every book of the past stays within
# reach (``orders.history``): as long as the log itself, and a small part of its size.
MILESTONE_EVENTS = 500_000
# zlib's level: 1 is five times as fast as the default and loses a fifth.
COMPRESSION_LEVEL = 1
# Compressed bytes read at a time.
PIECE_BYTES = 65_536


class CorruptSnapshot(ValueError):
    """A saved book is not what was saved; the message says how."""


@dataclass(frozen=True, slots=True)
class SaveReport:
    """What one save did: ``saved`` books written, ``unchanged`` ones confirmed, as of ``sequence``."""

    shard_id: int
    sequence: int
    saved: int
    unchanged: int
    orders: int


class BookSaver:
    """Saves the books of one shard, again and again. Keeps its copy of the open orders between saves."""

    def __init__(self, shard_id: int, keep: int = KEEP_DEFAULT) -> None:
        self.shard_id = shard_id
        self.keep = keep
        self._orders: OpenOrders | None = None
        # Instruments whose newest saved book is what this saver last saw of them.
        self._saved: set[int] = set()

    @property
    def sequence(self) -> int:
        """As of which event the last save was; 0 before the first."""
        return 0 if self._orders is None else self._orders.sequence

    def save(self) -> SaveReport | None:
        """One save. Returns None where nothing happened since the last."""
        with selectors.consistent_read():
            shard = Shard.objects.filter(id=self.shard_id).first()
            if shard is None or (self._orders is not None and shard.last_sequence == self._orders.sequence):
                return None
            here = shard.instrument_set.filter(moving_to=None)
            instruments = list(here.order_by("id").values_list("id", "book_sequence"))
            if self._orders is None:
                self._orders = OpenOrders(self.shard_id)
                self._orders.load_rows(shard.last_sequence)
            else:
                self._orders.advance(shard.last_sequence)
        saved = unchanged = orders = 0
        self._saved -= self._orders.changed
        self._orders.changed.clear()
        for instrument_id, book_sequence in instruments:
            open_orders = self._orders.in_priority(instrument_id)
            orders += len(open_orders)
            if instrument_id in self._saved:
                self._confirm(instrument_id, shard.last_sequence)
                unchanged += 1
            else:
                self._write(shard, instrument_id, book_sequence, open_orders)
                saved += 1
                self._saved.add(instrument_id)
        return SaveReport(self.shard_id, shard.last_sequence, saved, unchanged, orders)

    def _confirm(self, instrument_id: int, sequence: int) -> None:
        rows = BookSnapshot.objects.filter(instrument_id=instrument_id, shard_id=self.shard_id)
        latest = rows.order_by("-sequence").values("id")[:1]
        BookSnapshot.objects.filter(id__in=list(latest.values_list("id", flat=True))).update(saved_through=sequence)

    def _write(self, shard: Shard, instrument_id: int, book_sequence: int, orders: list[Order]) -> None:
        data, checksum = encode(orders)
        resting = [order for order in orders if order.status != UNTRIGGERED]
        bids = {order.price for order in resting if not order.side}
        asks = {order.price for order in resting if order.side}
        with transaction.atomic():
            BookSnapshot.objects.create(
                shard_id=shard.id,
                instrument_id=instrument_id,
                sequence=shard.last_sequence,
                saved_through=shard.last_sequence,
                book_sequence=book_sequence,
                epoch=shard.epoch,
                schema_version=SCHEMA_VERSION,
                orders=len(orders),
                bid_levels=len(bids),
                ask_levels=len(asks),
                best_bid=max(bids, default=None),
                best_ask=min(asks, default=None),
                checksum=checksum,
                data=data,
                created_at=time_ns() // 1000,
            )
            prune(instrument_id, shard.id, self.keep)


def prune(instrument_id: int, shard_id: int, keep: int) -> None:
    """Keep the newest ``keep`` saved books of an instrument on a shard, and of the older ones the milestones."""
    rows = BookSnapshot.objects.filter(instrument_id=instrument_id, shard_id=shard_id).order_by("-sequence", "-id")
    old = list(rows.values_list("id", "sequence")[keep:])
    # The first of each stretch but the one that begins with the first event: that one begins with an empty book.
    milestones = {sequence // MILESTONE_EVENTS: row_id for row_id, sequence in old if sequence >= MILESTONE_EVENTS}
    gone = [row_id for row_id, _ in old if row_id not in milestones.values()]
    if gone:
        BookSnapshot.objects.filter(id__in=gone).delete()


def encode(orders: list[Order]) -> tuple[bytes, str]:
    """Compressed lines of the orders, and their checksum. Streamed: a million orders are never one text."""
    compressor = zlib.compressobj(COMPRESSION_LEVEL)
    digest = blake2b(digest_size=16)
    parts = []
    for order in orders:
        line = encode_order(order).encode() + b"\n"
        digest.update(line)
        parts.append(compressor.compress(line))
    parts.append(compressor.flush())
    return b"".join(parts), digest.hexdigest()


def decode(snapshot: BookSnapshot) -> list[Order]:
    """The orders of a saved book. Raises ``CorruptSnapshot``. Streamed, like ``encode``."""
    if snapshot.schema_version != SCHEMA_VERSION:
        raise CorruptSnapshot(f"schema version {snapshot.schema_version}, this is {SCHEMA_VERSION}")
    digest = blake2b(digest_size=16)
    orders: list[Order] = []
    try:
        for text in _pieces(bytes(snapshot.data)):
            digest.update(text)
            orders += decode_orders(text.decode().splitlines(), snapshot.instrument_id)
    except zlib.error as error:
        raise CorruptSnapshot(f"cannot be decompressed: {error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise CorruptSnapshot(f"not a saved book: {error}") from None
    if digest.hexdigest() != snapshot.checksum:
        raise CorruptSnapshot("checksum differs")
    if len(orders) != snapshot.orders:
        raise CorruptSnapshot(f"{len(orders)} orders, {snapshot.orders} were saved")
    return orders


def _pieces(data: bytes) -> Iterator[bytes]:
    """Compressed lines some thousand at a time, whole ones."""
    decompressor = zlib.decompressobj()
    rest = b""
    for start in range(0, len(data), PIECE_BYTES):
        text = rest + decompressor.decompress(data[start : start + PIECE_BYTES])
        end = text.rfind(b"\n") + 1
        yield text[:end]
        rest = text[end:]
    if not decompressor.eof:
        raise CorruptSnapshot("it is cut short")
    yield rest


def load_latest(shard_id: int) -> tuple[OpenOrders, list[str]] | None:
    """The newest good saved books of a shard as open orders, and a line for each one skipped.

    The result stands at the lowest sequence any of its books was found true at. None where an instrument has no good one.
    """
    found = OpenOrders(shard_id)
    skipped: list[str] = []
    sequences: list[int] = []
    shard = Shard.objects.get(id=shard_id)
    here = shard.instrument_set.filter(moving_to=None)
    for instrument_id, since in here.values_list("id", "since_sequence"):
        # Of an earlier stay on this shard: nothing that is open now.
        rows = BookSnapshot.objects.filter(instrument_id=instrument_id, shard_id=shard_id, sequence__gte=since)
        newest = _newest_good(rows, shard.last_sequence, skipped)
        if newest is None:
            return None if not skipped else (_nothing(shard_id), skipped)
        row, orders = newest
        found.by_instrument[instrument_id] = {order.order_id: order for order in orders}
        sequences.append(row.saved_through)
    found.sequence = min(sequences, default=0)
    return found, skipped


def load_at(
    *, instrument_id: int, shard: Shard, sequence: int, since: int = 0
) -> tuple[BookSnapshot, list[Order]] | None:
    """The newest good saved book of an instrument at or before ``sequence`` that tells its last displayed change, if any.

    None from before ``since``, when the instrument came to the shard.
    """
    skipped: list[str] = []
    rows = BookSnapshot.objects.filter(
        instrument_id=instrument_id,
        shard_id=shard.id,
        sequence__lte=sequence,
        sequence__gte=since,
        book_sequence__isnull=False,
    )
    found = _newest_good(rows, shard.last_sequence, skipped)
    for line in skipped:
        log.error("%s: skipped", line)
    return found


def _newest_good(
    rows: QuerySet[BookSnapshot], last_sequence: int, skipped: list[str]
) -> tuple[BookSnapshot, list[Order]] | None:
    """The newest of an instrument's saved books that is what was saved, with its orders; ``skipped`` tells of the others."""
    for row in rows.select_related("instrument").order_by("-sequence", "-id").iterator(chunk_size=1):
        of = f"saved book {row.id} of {row.instrument.symbol}"
        if row.saved_through > last_sequence:
            skipped.append(f"{of} is ahead of the tables ({row.saved_through})")
            continue
        try:
            return row, decode(row)
        except CorruptSnapshot as error:
            skipped.append(f"{of} at {row.sequence} is corrupt: {error}")
    return None


def _nothing(shard_id: int) -> OpenOrders:
    """No usable saved books: recovery starts from the rows."""
    return OpenOrders(shard_id)
