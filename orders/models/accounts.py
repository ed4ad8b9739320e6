"""Accounts, the users who may act for them, and the keys of their programs."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from matching.values import ACCOUNT_STATE_NAMES, ACTIVE, DEFAULT_MAX_OPEN_ORDERS
from orders.fields import MicrosField


class Account(models.Model):
    """Who owns orders and positions. A new one has the default limits; they change by command only (0 = no limit).

    ``max_rate`` is messages a second, on every shard (``MessageRate``). A ``funded`` account trades only what it can pay for
    (``Deposit``). ``definition`` numbers what was last defined: every shard is told, and keeps the greatest.
    """

    name = models.CharField(max_length=64, unique=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="trading_accounts", blank=True)
    state = models.SmallIntegerField(choices=list(enumerate(ACCOUNT_STATE_NAMES)), default=ACTIVE)
    max_open_orders = models.PositiveIntegerField(default=DEFAULT_MAX_OPEN_ORDERS)
    max_order_quantity = models.BigIntegerField(default=0)
    max_position = models.BigIntegerField(default=0)
    max_rate = models.PositiveIntegerField(default=0)
    funded = models.BooleanField(default=False)
    definition = models.BigIntegerField(db_default=0, editable=False)
    created_at = MicrosField()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                name="account_limits",
                condition=Q(max_open_orders__gte=0, max_order_quantity__gte=0, max_position__gte=0, max_rate__gte=0),
            ),
            models.CheckConstraint(name="account_state", condition=Q(state__gte=0, state__lt=len(ACCOUNT_STATE_NAMES))),
        )

    def __str__(self) -> str:
        return self.name


class MessageRate(models.Model):
    """How far (microseconds since 1970) an account's messages to a shard have used up time; only where there is a limit."""

    pk = models.CompositePrimaryKey("account_id", "shard_id")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    shard_id = models.SmallIntegerField()
    rate_at = models.BigIntegerField()

    class Meta:
        constraints = (models.CheckConstraint(name="message_rate_at", condition=Q(rate_at__gte=0)),)

    def __str__(self) -> str:
        return f"{self.account} until {self.rate_at}"


class ApiKey(models.Model):
    """A key of one user for one account. Only the SHA-256 of its 256 random bits is kept; ``prefix`` recognises it.

    ``scopes`` is a comma-separated subset of read, trade, cancel, operate; ``addresses`` an optional comma-separated list of
    networks it may be used from.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=64, blank=True)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.CharField(max_length=64, default="read")
    addresses = models.CharField(max_length=400, blank=True)
    expires_at = MicrosField(null=True, blank=True)
    revoked_at = MicrosField(null=True, blank=True)
    created_at = MicrosField()

    class Meta:
        ordering = ("-id",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.scopes})"
