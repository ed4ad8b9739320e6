"""A key for a program, printed alone on standard output."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser

from orders.accounts import own_account
from orders.actors import OPERATE, SCOPES
from orders.keys import create_key


class Command(BaseCommand):
    help = "Create an API key for a user and print it, alone, on standard output. It is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--scopes", default="read,trade", help=f"comma-separated, of {', '.join(SCOPES)}")
        parser.add_argument("--name", default="", help="what the key is for")

    def handle(self, *args: Any, username: str, scopes: str, name: str, **options: Any) -> None:
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        unknown = [scope for scope in wanted if scope not in SCOPES]
        if unknown or not wanted:
            raise CommandError(f"--scopes takes a comma-separated list of {', '.join(SCOPES)}")
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}: `manage.py createsuperuser` or the admin makes one.")
        if OPERATE in wanted and not user.is_staff:
            raise CommandError(f"{username} is not staff: the scope {OPERATE} is for staff.")
        _, key = create_key(user=user, account=own_account(user=user), scopes=wanted, name=name)
        self.stdout.write(key)
