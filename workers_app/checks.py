"""Mistakes in the settings that would only show when a worker starts; ``manage.py check``."""

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.management import get_commands


@register()
def check_runworker(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """channels has a ``runworker`` too; the app that comes first in INSTALLED_APPS wins."""
    owner = get_commands().get("runworker")
    if owner == "workers_app":
        return []
    return [
        Error(
            f"manage.py runworker is the command of {owner}.",
            hint="Put workers_app before channels in INSTALLED_APPS.",
            id="workers.E001",
        )
    ]
