"""What must hold before anything is started; one sentence for each thing that may be missing."""

import secrets
import socket
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import OperationalError

from tasks_app.broker import broker
from tasks_app.conf import conf
from tasks_app.exceptions import QueueUnavailable

ADMIN = "admin"


def listen(host: str, port: int) -> socket.socket:
    """Take the port, before anything else is done. Raise CommandError."""
    try:
        return socket.create_server((host, port), backlog=512)
    except OSError as error:
        raise CommandError(
            f"Port {port} of {host} cannot be had ({error.strerror}): end what uses it, or choose "
            f"another one: PORT={port + 1} make run"
        ) from error


def private_directory(path: Path) -> None:
    """Make a directory that only we can read. Raise CommandError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{path} cannot be made: {error.strerror}.") from error


def check_redis() -> None:
    """Raise CommandError if the queue's server does not answer."""
    try:
        broker().link.call("PING")
    except QueueUnavailable as error:
        hint = "" if conf().embedded_dir else " It was named by DTPS_REDIS_URL."
        raise CommandError(f"{error}.{hint}") from error


def prepare_database() -> None:
    """Bring the tables up to date. Raise CommandError if the database cannot be reached."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        name = settings.DATABASES["default"]["NAME"]
        raise CommandError(f"The database {name} cannot be used: {first_line(error)}") from error


def make_admin() -> str:
    """Make the first administrator. Return the password, to be shown once; "" if one exists."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists() or users.filter(username=ADMIN).exists():
        return ""
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN, password=password)
    return password


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
