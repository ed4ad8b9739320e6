"""Shards and instruments."""

from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from matching.values import CONTINUOUS, MAX_UNITS, PHASE_NAMES
from orders.fields import BigUnitsField, MicrosField

# Decimals a price or quantity may have on the wire.
MAX_DECIMALS = 12
# ``Instrument.trails`` where no trailing stop waits.
NO_TRAILS = '{"buy":[],"sell":[]}'
# ``Order.shard_id`` of open orders whose instrument is between two shards.
IN_TRANSIT = -1
# ``Shard.stream_id`` before the first entry.
NO_ENTRY = "0-0"


class Shard(models.Model):
    """One single-writer engine and its one sequence of events.

    ``epoch`` counts the engines that owned it, ``batch`` the groups of commands committed, ``last_sequence`` the events.
    Every batch advances the row by compare-and-set: an engine that finds other numbers has been replaced and stops.
    ``at`` is the latest time given to the core (microseconds): time there never goes back.

    Where commands come over Redis, ``stream_id`` is the last entry of the shard's stream that is carried out, and
    ``stream_done`` how many commands of the entry after it are: written in the transaction that carried them out.
    ``cancel_only``: orders and amends are refused, whoever sends them; cancels are not.
    """

    id = models.SmallIntegerField(primary_key=True)
    epoch = models.BigIntegerField(default=0)
    batch = models.BigIntegerField(default=0)
    last_sequence = models.BigIntegerField(default=0)
    at = models.BigIntegerField(default=0)
    stream_id = models.CharField(max_length=41, db_default=NO_ENTRY)
    stream_done = models.PositiveIntegerField(db_default=0)
    cancel_only = models.BooleanField(db_default=False)

    def __str__(self) -> str:
        return f"shard {self.id}"


class EngineLease(models.Model):
    """Who runs a shard's engine, written by it every second with the database's clock: an old one is a dead or frozen owner's.

    ``owner`` is ``host:process:random``, also the ``application_name`` of the owner's connections (see
    ``orders.engine.election``). ``state`` is one of ``orders.status``; ``waiting`` the commands that wait for it.
    """

    shard = models.OneToOneField(Shard, on_delete=models.CASCADE, primary_key=True, related_name="lease")
    owner = models.CharField(max_length=64)
    epoch = models.BigIntegerField()
    state = models.CharField(max_length=16)
    detail = models.CharField(max_length=200, blank=True)
    waiting = models.PositiveIntegerField(default=0)
    renewed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.shard}: {self.owner}"


class Instrument(models.Model):
    """What can be traded: rules, phase, and where its market stands. Prices and quantities in units.

    ``phase_until`` (microseconds since 1970, 0: nothing) is when the phase ends by itself. ``schedule`` is the phase changes
    as they were last set, JSON ``[[at, phase], …]``: those at or before the shard's ``at`` have happened. ``trails`` is where
    the best prices of the waiting trailing stops stand, JSON ``{"buy": [[priority, best], …], "sell": …}`` (see
    ``matching.stops.best_of``): one row moves instead of every order's.

    ``moving_to``: the shard it has been let go to and that has not taken it over yet. No engine has it then, and its open
    orders are on no shard (``IN_TRANSIT``). ``moved_at`` (microseconds) is when it was last let go, ``since_sequence`` the
    event with which it came to its shard (0: it was made there).
    """

    symbol = models.CharField(
        max_length=32,
        unique=True,
        validators=[RegexValidator(r"^[A-Z0-9][A-Z0-9._-]{0,31}\Z", "Capital letters, digits, dot, dash, underscore.")],
    )
    base = models.CharField(max_length=16)
    quote = models.CharField(max_length=16)
    shard = models.ForeignKey(Shard, on_delete=models.PROTECT)
    price_decimals = models.PositiveSmallIntegerField(validators=[MaxValueValidator(MAX_DECIMALS)])
    quantity_decimals = models.PositiveSmallIntegerField(validators=[MaxValueValidator(MAX_DECIMALS)])
    price_tick = models.BigIntegerField()
    quantity_step = models.BigIntegerField()
    min_quantity = models.BigIntegerField()
    max_quantity = models.BigIntegerField()
    max_notional = BigUnitsField(default=0)
    collar_bps = models.PositiveIntegerField(default=0)
    reference_price = models.BigIntegerField(default=0)
    breaker_us = models.BigIntegerField(default=0)
    phase = models.SmallIntegerField(choices=list(enumerate(PHASE_NAMES)), default=CONTINUOUS)
    phase_until = models.BigIntegerField(default=0)
    schedule = models.TextField(default="[]")
    trails = models.TextField(default=NO_TRAILS)
    last_price = models.BigIntegerField(default=0)
    book_sequence = models.BigIntegerField(default=0)
    last_trade_sequence = models.BigIntegerField(default=0)
    moving_to = models.SmallIntegerField(null=True, editable=False)
    moved_at = models.BigIntegerField(db_default=0, editable=False)
    since_sequence = models.BigIntegerField(db_default=0, editable=False)
    created_at = MicrosField()
    # Whose sessions its schedule is made from; nothing the engine knows of.
    calendar = models.ForeignKey(
        "orders.Calendar", on_delete=models.PROTECT, null=True, blank=True, related_name="instruments"
    )

    class Meta:
        ordering = ("symbol",)
        constraints = (
            models.CheckConstraint(
                name="instrument_decimals",
                condition=Q(price_decimals__lte=MAX_DECIMALS, quantity_decimals__lte=MAX_DECIMALS),
            ),
            models.CheckConstraint(
                name="instrument_rules",
                condition=Q(
                    price_tick__gt=0,
                    quantity_step__gt=0,
                    min_quantity__gt=0,
                    max_quantity__gte=F("min_quantity"),
                    max_quantity__lte=MAX_UNITS,
                    reference_price__gte=0,
                    breaker_us__gte=0,
                ),
            ),
            models.CheckConstraint(name="instrument_phase", condition=Q(phase__gte=0, phase__lt=len(PHASE_NAMES))),
            # Only a phase without trading ends by itself.
            models.CheckConstraint(
                name="instrument_phase_until",
                condition=Q(phase_until=0) | Q(phase_until__gt=0) & ~Q(phase=CONTINUOUS),
            ),
        )

    def __str__(self) -> str:
        return self.symbol
