"""Demo data: one instrument, three users, and their credentials printed."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand

from matching.commands import DefineInstrument
from orders import gateway, selectors
from orders.accounts import own_account
from orders.actors import SCOPES, Actor
from orders.management.commands._server import owned_engine
from orders.schemas.problems import ProblemError

# symbol, base, quote, price decimals, quantity decimals (tick and step are one unit of them)
INSTRUMENTS = (("ACME-USD", "ACME", "USD", 2, 3), ("BTC-USD", "BTC", "USD", 2, 8), ("EUR-USD", "EUR", "USD", 5, 0))
TRADERS = ("alice", "bob")
OPERATOR = "admin"
_SEEDER = Actor(0, "seed_demo", 0, "", frozenset(SCOPES))


class Command(BaseCommand):
    help = "Make demo instruments and users and print their credentials. Repeatable; not for production."

    def handle(self, *args: Any, **options: Any) -> None:
        with owned_engine():
            for symbol, base, quote, price_decimals, quantity_decimals in INSTRUMENTS:
                self._instrument(symbol, base, quote, price_decimals, quantity_decimals)
            credentials = self._users()
        self.stdout.write("Demo market: " + ", ".join(row[0] for row in INSTRUMENTS))
        for username, password in credentials.items():
            what = "Django admin, /admin/" if username == OPERATOR else "trader"
            self.stdout.write(f"  {username:<6} password {password}   ({what})")

    def _instrument(self, symbol: str, base: str, quote: str, price_decimals: int, quantity_decimals: int) -> None:
        try:
            selectors.instrument_by_symbol(symbol)
        except ProblemError:
            definition = DefineInstrument(0, symbol, base, quote, price_decimals, quantity_decimals)
            gateway.instrument_define(actor=_SEEDER, definition=definition)

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
