"""``manage.py createtoken USER NAME [--days N]``: make a key to the API."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tasks_app.digest import digest_of, new_key, prefix_of
from tasks_app.models import ApiToken

MOST_DAYS = 36_500


class Command(BaseCommand):
    help = "Make a key to the API that acts as a user. It is shown once; only its hash is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="whom it acts as")
        parser.add_argument("name", help="what it is used for")
        parser.add_argument("--days", type=int, help="how long it is valid; without it, for ever")

    def handle(self, *args: Any, user: str, name: str, days: int | None, **options: Any) -> None:
        users = get_user_model()
        try:
            owner = users.objects.get_by_natural_key(user)
        except users.DoesNotExist:
            raise CommandError(f"There is no user {user!r}.") from None
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days must be from 1 to {MOST_DAYS}.")
        key = new_key()
        ApiToken.objects.create(
            user=owner,
            name=name,
            prefix=prefix_of(key),
            digest=digest_of(key),
            expires_at=days and timezone.now() + timedelta(days=days),
        )
        self.stdout.write(key)
