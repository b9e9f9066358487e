"""Django's admin on what the database holds: tasks, workers, tokens, quarantine.

Its pages are made with django-unfold; a project that has not installed that has none of them.
"""

from django.apps import apps

if apps.is_installed("unfold"):
    from . import (  # noqa: F401
        operations,
        outbox,
        quarantine,
        schedules,
        tasks,
        tokens,
        workers,
        workflows,
    )
