"""Session calendars, and which of them each instrument's schedule was last made from."""

from django.db import models
from django.db.models import Q

from orders.fields import MicrosField
from orders.models.market import Instrument


class Calendar(models.Model):
    """What the phase of the instruments that follow it is, by local time: see ``orders.schemas.calendars``.

    ``weekly`` is steps by weekday, ``holidays`` dates, ``special_days`` steps by date, in that schema's words. ``version``
    counts the changes of them: whoever keeps the schedules sees by it that they must be made anew.
    """

    name = models.CharField(max_length=64, unique=True)
    timezone = models.CharField(max_length=64)
    weekly = models.JSONField(default=dict)
    holidays = models.JSONField(default=list, blank=True)
    special_days = models.JSONField(default=dict, blank=True)
    version = models.PositiveIntegerField(default=1)
    changed_at = MicrosField()

    class Meta:
        ordering = ("name",)
        constraints = (models.CheckConstraint(name="calendar_version", condition=Q(version__gte=1)),)

    def __str__(self) -> str:
        return self.name


class KeptSchedule(models.Model):
    """The schedule an instrument was last given: from which version of which calendar, up to which moment.

    Written only after the engine has taken it. What it lacks is done again, which does no harm.
    """

    instrument = models.OneToOneField(
        Instrument, on_delete=models.CASCADE, primary_key=True, related_name="kept_schedule"
    )
    calendar = models.ForeignKey(Calendar, on_delete=models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    until = MicrosField()

    def __str__(self) -> str:
        return f"{self.instrument}: {self.calendar} to {self.until}"
