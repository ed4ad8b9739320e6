"""Demo data: instruments (one with sessions and a circuit breaker), three users, and their credentials printed."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand

from matching.commands import DefineInstrument
from matching.values import CLOSED, SECOND_US
from orders import gateway, selectors
from orders.accounts import own_account
from orders.actors import SCOPES, Actor
from orders.management.commands._server import owned_engine
from orders.models import Calendar, Instrument
from orders.schedules import keep_schedules, now_us
from orders.schemas.calendars import WEEKDAYS, SessionCalendar
from orders.schemas.problems import ProblemError

# symbol, base, quote, price decimals, quantity decimals (tick and step are one unit of them): open around the clock
INSTRUMENTS = (("ACME-USD", "ACME", "USD", 2, 3), ("BTC-USD", "BTC", "USD", 2, 8), ("EUR-USD", "EUR", "USD", 5, 0))
# A stock: auctions at both ends of the day, closed at night, a collar of 5 % and an auction of a minute when it breaks.
STOCK = "WIDG-USD"
STOCK_RULES = {
    "base": "WIDG",
    "quote": "USD",
    "price_decimals": 2,
    "collar_bps": 500,
    "reference_price": 5_000,
    "phase": CLOSED,
    "breaker_us": 60 * SECOND_US,
}
_SESSION = [
    {"at": "08:00", "phase": "pre_open"},
    {"at": "09:25", "phase": "auction"},
    {"at": "09:29", "phase": "no_cancel"},
    {"at": "09:30", "phase": "continuous"},
    {"at": "15:55", "phase": "auction"},
    {"at": "16:00", "phase": "closed"},
]
CALENDAR = SessionCalendar(
    name="New York stocks",
    timezone="America/New_York",
    weekly=dict.fromkeys(WEEKDAYS[:5], _SESSION),
    holidays=["2026-11-26", "2026-12-25", "2027-01-01", "2027-01-18", "2027-02-15", "2027-03-26", "2027-05-31"],
    special_days={day: [*_SESSION[:4], {"at": "13:00", "phase": "closed"}] for day in ("2026-11-27", "2026-12-24")},
)
TRADERS = ("alice", "bob")
OPERATOR = "admin"
_SEEDER = Actor(0, "seed_demo", 0, "", frozenset(SCOPES))


class Command(BaseCommand):
    help = "Make demo instruments and users and print their credentials. Repeatable; not for production."

    def handle(self, *args: Any, **options: Any) -> None:
        with owned_engine():
            for symbol, base, quote, price_decimals, quantity_decimals in INSTRUMENTS:
                self._instrument(DefineInstrument(0, symbol, base, quote, price_decimals, quantity_decimals))
            self._instrument(DefineInstrument(0, STOCK, **STOCK_RULES))
            self._calendar()
            credentials = self._users()
        self.stdout.write("Demo market: " + ", ".join([*(row[0] for row in INSTRUMENTS), STOCK]))
        for username, password in credentials.items():
            what = "Django admin, /admin/" if username == OPERATOR else "trader"
            self.stdout.write(f"  {username:<6} password {password}   ({what})")

    def _instrument(self, definition: DefineInstrument) -> None:
        try:
            selectors.instrument_by_symbol(definition.symbol)
        except ProblemError:
            gateway.instrument_define(actor=_SEEDER, definition=definition)

    def _calendar(self) -> None:
        """The stock's sessions. A repeat leaves both as they are: somebody may have changed them."""
        words = CALENDAR.model_dump()
        row, is_new = Calendar.objects.get_or_create(name=words.pop("name"), defaults={**words, "changed_at": now_us()})
        if is_new:
            Instrument.objects.filter(symbol=STOCK, calendar=None).update(calendar=row)
        keep_schedules()

    def _users(self) -> dict[str, str]:
        """Make who is missing. Passwords are random, kept in a file only the owner can read, so a repeat can tell them."""
        path = Path(settings.VAR_DIR) / "demo-credentials"
        known = dict(row.split(" ", 1) for row in path.read_text().splitlines()) if path.exists() else {}
        users = get_user_model().objects
        for username in (*TRADERS, OPERATOR):
            user = users.filter(username=username).first()
            if user is None:
                known[username] = secrets.token_urlsafe(9)
                make = users.create_superuser if username == OPERATOR else users.create_user
                user = make(username=username, password=known[username])
            known.setdefault(username, "(set elsewhere)")
            own_account(user=user)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{username} {password}\n" for username, password in known.items())
        return known
