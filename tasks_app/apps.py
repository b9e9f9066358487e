from django.apps import AppConfig

from . import checks  # noqa: F401  registers them


class TasksConfig(AppConfig):
    name = "tasks_app"
    verbose_name = "Tasks"
    default_auto_field = "django.db.models.BigAutoField"
