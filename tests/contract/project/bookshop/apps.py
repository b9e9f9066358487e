from django.apps import AppConfig


class BookshopConfig(AppConfig):
    name = "bookshop"

    def ready(self):
        from . import receivers  # noqa: F401
