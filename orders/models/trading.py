"""Orders, trades, candles, events, positions: written by the engine alone, all of a batch in one transaction.

The tables are narrow and have few indexes, one for every question the doors ask. References to other tables carry no
foreign-key constraint: the engine that writes them is what decides they exist, and the check would cost every row.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from matching.events import FILL_MAKER, FILL_TAKER, KIND_NAMES
from matching.values import (
    DAY,
    FIRST_STOP,
    GTD,
    LAST_OPEN_STATUS,
    LIMIT,
    MAX_UNITS,
    NO_ROLE,
    REASON_NAMES,
    REJECTED,
    ROLE_NAMES,
    SIDE_NAMES,
    STATUS_NAMES,
    STOP,
    STOP_LIMIT,
    STP_NAMES,
    TAKE_PROFIT,
    TIME_IN_FORCE_NAMES,
    TRAILING_STOP,
    TYPE_NAMES,
    UNTRIGGERED,
)
from orders.candles import RESOLUTIONS
from orders.fields import BigUnitsField, MicrosField, RowIdField
from orders.models.accounts import Account
from orders.models.market import Instrument

# An event's id is its shard and its sequence in one number: shard * 2**48 + sequence.
SEQUENCE_BITS = 48
SEQUENCE_MASK = 2**SEQUENCE_BITS - 1


def event_id(shard_id: int, sequence: int) -> int:
    """The primary key of an event (and of a trade: its maker's event)."""
    return shard_id << SEQUENCE_BITS | sequence


def _reference(model: object, **kwargs: object) -> models.ForeignKey:
    return models.ForeignKey(
        model, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", **kwargs
    )


def _unless_refused(condition: Q) -> Q:
    """A rule for every order but refused ones, which are kept as they came."""
    return condition | Q(status=REJECTED)


class Order(models.Model):
    """The current state of an order. Numbers in units of the instrument; ``price`` is null where there is no limit.

    ``id`` is made at the gateway (time-ordered, unique without asking anybody). ``sequence`` is the number of its last
    event, ``priority`` that of the event that gave it its place, both of ``shard_id``. A refused order whose price or
    quantity could not be expressed in units has a null price or a zero quantity; its event's ``detail`` has the text.

    ``hidden`` is the part of ``remaining`` an iceberg does not show. The stop price of a trailing stop that waits is null:
    it moves with the market, and ``orders.selectors`` computes it from the instrument's ``trails``. Orders placed together
    have the first one's id as ``group_id`` and a ``role`` each (``matching.groups``).
    """

    id = RowIdField(primary_key=True)
    account = _reference(Account)
    instrument = _reference(Instrument)
    shard_id = models.SmallIntegerField()
    client_order_id = models.CharField(max_length=36, null=True)
    side = models.SmallIntegerField(choices=list(enumerate(SIDE_NAMES)))
    type = models.SmallIntegerField(choices=list(enumerate(TYPE_NAMES)))
    time_in_force = models.SmallIntegerField(choices=list(enumerate(TIME_IN_FORCE_NAMES)))
    self_trade_prevention = models.SmallIntegerField(choices=list(enumerate(STP_NAMES)))
    post_only = models.BooleanField()
    price = models.BigIntegerField(null=True)
    quantity = models.BigIntegerField()
    filled = models.BigIntegerField()
    remaining = models.BigIntegerField()
    canceled = models.BigIntegerField()
    notional = BigUnitsField()
    status = models.SmallIntegerField(choices=list(enumerate(STATUS_NAMES)))
    reason = models.SmallIntegerField(choices=list(enumerate(REASON_NAMES)))
    version = models.IntegerField()
    priority = models.BigIntegerField()
    sequence = models.BigIntegerField()
    created_at = MicrosField()
    updated_at = MicrosField()
    hidden = models.BigIntegerField(default=0)
    stop_price = models.BigIntegerField(null=True)
    trail = models.BigIntegerField(null=True)
    trail_bps = models.IntegerField(null=True)
    display_quantity = models.BigIntegerField(null=True)
    expires_at = MicrosField(null=True)
    group_id = models.BigIntegerField(null=True)
    role = models.SmallIntegerField(choices=list(enumerate(ROLE_NAMES)), default=NO_ROLE)

    class Meta:
        ordering = ("-id",)
        indexes = (
            # An account's orders, newest first.
            models.Index(fields=("account", "id"), name="order_account"),
            # The same of those that are open; also how recovery without a saved book finds all open orders.
            models.Index(
                fields=("account", "instrument", "id"), name="order_open", condition=Q(status__lte=LAST_OPEN_STATUS)
            ),
            # The orders placed together with one.
            models.Index(fields=("group_id", "id"), name="order_group", condition=Q(group_id__isnull=False)),
        )
        constraints = (
            models.CheckConstraint(
                name="order_adds_up",
                condition=Q(quantity=F("filled") + F("remaining") + F("canceled"))
                & Q(filled__gte=0, remaining__gte=0, canceled__gte=0, quantity__lte=MAX_UNITS),
            ),
            models.CheckConstraint(
                name="order_remaining_while_open",
                condition=Q(status__lte=LAST_OPEN_STATUS, remaining__gt=0)
                | Q(status__gt=LAST_OPEN_STATUS, remaining=0),
            ),
            # A limit where the type has one; what executes at the market has none.
            models.CheckConstraint(
                name="order_price",
                condition=_unless_refused(
                    Q(type__in=(LIMIT, STOP_LIMIT), price__isnull=False, price__gt=0)
                    | ~Q(type__in=(LIMIT, STOP_LIMIT)) & Q(price__isnull=True)
                ),
            ),
            models.CheckConstraint(name="order_side", condition=Q(side__in=(0, 1))),
            # A stop has its stop price; a trailing one what it trails by, and a stop price once it no longer waits (unless
            # it ended before there was any trade).
            models.CheckConstraint(
                name="order_stop",
                condition=_unless_refused(
                    Q(type__lt=FIRST_STOP, stop_price__isnull=True, trail__isnull=True, trail_bps__isnull=True)
                    | Q(
                        type__in=(STOP, STOP_LIMIT),
                        stop_price__isnull=False,
                        stop_price__gt=0,
                        trail__isnull=True,
                        trail_bps__isnull=True,
                    )
                    | Q(type=TRAILING_STOP)
                    & (
                        Q(trail__isnull=False, trail__gt=0, trail_bps__isnull=True)
                        | Q(trail__isnull=True, trail_bps__isnull=False, trail_bps__gt=0)
                    )
                    & (Q(stop_price__isnull=True) | Q(stop_price__gt=0) & ~Q(status=UNTRIGGERED))
                ),
            ),
            # Only stops and the held children of brackets wait outside the book.
            models.CheckConstraint(
                name="order_waits", condition=~Q(status=UNTRIGGERED) | Q(type__gte=FIRST_STOP) | Q(role=TAKE_PROFIT)
            ),
            models.CheckConstraint(
                name="order_hidden",
                condition=Q(hidden=0) | Q(hidden__gt=0, hidden__lt=F("remaining"), display_quantity__isnull=False),
            ),
            models.CheckConstraint(
                name="order_display",
                condition=_unless_refused(
                    Q(display_quantity__isnull=True)
                    | Q(display_quantity__gt=0, display_quantity__lte=MAX_UNITS, type__in=(LIMIT, STOP_LIMIT))
                ),
            ),
            models.CheckConstraint(
                name="order_expires",
                condition=_unless_refused(
                    Q(time_in_force__in=(DAY, GTD), expires_at__isnull=False)
                    | ~Q(time_in_force__in=(DAY, GTD)) & Q(expires_at__isnull=True)
                ),
            ),
            models.CheckConstraint(
                name="order_group_role",
                condition=Q(role=NO_ROLE, group_id__isnull=True)
                | Q(role__gt=NO_ROLE, role__lt=len(ROLE_NAMES), group_id__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return str(self.id)

    def get_absolute_url(self) -> str:
        return f"/api/v1/orders/{self.id}"


class ClientOrderId(models.Model):
    """A client's own id for an order, claimed for life: who comes second with it gets the first one's order.

    ``fingerprint`` is a hash of the validated request: the same id with another request is a conflict.
    """

    pk = models.CompositePrimaryKey("account_id", "client_order_id")
    account = _reference(Account)
    client_order_id = models.CharField(max_length=36)
    order_id = models.BigIntegerField()
    fingerprint = models.BinaryField(max_length=16)


class Event(models.Model):
    """One step of an order's life, or a change of configuration: append-only, numbered without gaps in its shard.

    ``price`` and ``quantity`` are those of the step (see ``matching.events``), ``remaining``, ``filled`` and ``status`` the
    order's after it. ``actor`` sent the command and ``received_at`` is when it came in; both are null where the step is not
    the command's own doing but happened to somebody, or by itself. ``other`` is the maker's order id of a taker's fill, the
    old price of an amend, whatever else ``matching.events`` says.
    ``detail`` is JSON: the rules a configuration event set, what a refused order had asked for, or the quantity (in units) an
    iceberg displays from this event on.
    """

    id = RowIdField(primary_key=True)
    order = _reference(Order, null=True)
    account = _reference(Account, null=True)
    instrument = _reference(Instrument, null=True)
    kind = models.SmallIntegerField(choices=list(enumerate(KIND_NAMES)))
    price = models.BigIntegerField()
    quantity = models.BigIntegerField()
    remaining = models.BigIntegerField()
    filled = models.BigIntegerField()
    status = models.SmallIntegerField(choices=list(enumerate(STATUS_NAMES)), null=True)
    reason = models.SmallIntegerField(choices=list(enumerate(REASON_NAMES)))
    other = models.BigIntegerField()
    at = MicrosField()
    actor = _reference(settings.AUTH_USER_MODEL, null=True)
    received_at = MicrosField(null=True)
    detail = models.TextField(null=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("order", "id"), name="event_order"),
            models.Index(fields=("account", "id"), name="event_account"),
            # Fills of an account, without walking over its other events.
            models.Index(
                fields=("account", "at", "id"), name="event_fills", condition=Q(kind__in=(FILL_MAKER, FILL_TAKER))
            ),
        )
        constraints = (
            models.CheckConstraint(name="event_kind", condition=Q(kind__gte=1, kind__lt=len(KIND_NAMES))),
            # An event is of an order and tells its status, or of something that has none.
            models.CheckConstraint(
                name="event_status",
                condition=Q(order__isnull=True, status__isnull=True)
                | Q(order__isnull=False, status__isnull=False, status__gte=0, status__lt=len(STATUS_NAMES)),
            ),
        )

    @property
    def shard_id(self) -> int:
        return self.id >> SEQUENCE_BITS

    @property
    def sequence(self) -> int:
        return self.id & SEQUENCE_MASK

    def __str__(self) -> str:
        return f"{self.shard_id}/{self.sequence} {KIND_NAMES[self.kind]}"


class Trade(models.Model):
    """One trade, at the maker's price (in an uncross at the auction's). Its id is that of the maker's event."""

    id = RowIdField(primary_key=True)
    instrument = _reference(Instrument)
    price = models.BigIntegerField()
    quantity = models.BigIntegerField()
    taker_side = models.SmallIntegerField(choices=list(enumerate(SIDE_NAMES)))
    maker_order = _reference(Order)
    taker_order = _reference(Order)
    maker_account = _reference(Account)
    taker_account = _reference(Account)
    at = MicrosField()

    class Meta:
        ordering = ("-id",)
        # By time: numbers are a shard's own, and an instrument may have moved.
        indexes = (models.Index(fields=("instrument", "at", "id"), name="trade_instrument"),)
        constraints = (models.CheckConstraint(name="trade_positive", condition=Q(price__gt=0, quantity__gt=0)),)

    @property
    def shard_id(self) -> int:
        return self.id >> SEQUENCE_BITS

    @property
    def sequence(self) -> int:
        return self.id & SEQUENCE_MASK

    def __str__(self) -> str:
        return f"{self.shard_id}/{self.sequence}"


class Position(models.Model):
    """What an account bought and sold of an instrument so far, in units; the net position is ``bought - sold``.

    ``cost`` is what that cost (see ``orders.costs``): positive of a long one, negative of a short one.
    """

    account = _reference(Account)
    instrument = _reference(Instrument)
    bought = BigUnitsField()
    bought_notional = BigUnitsField()
    sold = BigUnitsField()
    sold_notional = BigUnitsField()
    cost = BigUnitsField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("account", "instrument"), name="position_once"),)

    @property
    def net(self) -> int:
        return self.bought - self.sold

    def __str__(self) -> str:
        return f"{self.account} {self.instrument}"


class Candle(models.Model):
    """The trades of one minute, hour or day of an instrument: see ``orders.candles``, whose ``RESOLUTIONS`` say which.

    ``start`` is microseconds since 1970. Where nothing traded there is no row.
    """

    pk = models.CompositePrimaryKey("instrument_id", "resolution", "start")
    instrument = _reference(Instrument)
    resolution = models.SmallIntegerField(choices=list(enumerate(RESOLUTIONS)))
    start = models.BigIntegerField()
    open = models.BigIntegerField()
    high = models.BigIntegerField()
    low = models.BigIntegerField()
    close = models.BigIntegerField()
    volume = BigUnitsField()
    notional = BigUnitsField()
    trades = models.BigIntegerField()
    last_sequence = models.BigIntegerField()

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="candle_resolution", condition=Q(resolution__gte=0, resolution__lt=len(RESOLUTIONS))
            ),
            models.CheckConstraint(
                name="candle_prices",
                condition=Q(low__gt=0, open__gte=F("low"), close__gte=F("low"), high__gte=F("open"))
                & Q(high__gte=F("close"), trades__gt=0),
            ),
        )

    def __str__(self) -> str:
        return f"{self.instrument_id} {RESOLUTIONS[self.resolution]} {self.start}"


class Lease(models.Model):
    """An armed dead-man's switch: at ``due_at`` the account's open orders on a shard are canceled. Absent: not armed."""

    pk = models.CompositePrimaryKey("account_id", "shard_id")
    account = _reference(Account)
    shard_id = models.SmallIntegerField()
    due_at = MicrosField()

    class Meta:
        constraints = (models.CheckConstraint(name="lease_due", condition=Q(due_at__gt=0)),)

    def __str__(self) -> str:
        return f"{self.account} until {self.due_at}"


class Deposit(models.Model):
    """Money of one currency paid into an account less money paid out, on a shard, in units of ``MONEY_DECIMALS`` decimals.

    What it has is this and what it bought and sold (``Position``): see ``matching.funds``.
    """

    pk = models.CompositePrimaryKey("account_id", "shard_id", "currency")
    account = _reference(Account)
    shard_id = models.SmallIntegerField()
    currency = models.CharField(max_length=16)
    amount = BigUnitsField()

    def __str__(self) -> str:
        return f"{self.account} {self.currency}"
