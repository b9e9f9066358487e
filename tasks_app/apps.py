from django.apps import AppConfig

from . import checks, sqlite  # noqa: F401  checks registers itself


class TasksConfig(AppConfig):
    name = "tasks_app"
    verbose_name = "Tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        sqlite.keep_watch()
