from django.apps import AppConfig

from . import checks  # noqa: F401  registers them


class WorkersConfig(AppConfig):
    name = "workers_app"
    verbose_name = "Workers"
    default_auto_field = "django.db.models.BigAutoField"
