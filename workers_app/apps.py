from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers_app"
    verbose_name = "Workers"
    default_auto_field = "django.db.models.BigAutoField"
