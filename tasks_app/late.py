"""Our models by name, for modules that may be imported while the apps are still loading."""

from typing import Any

from django.apps import apps


def model(name: str) -> Any:
    return apps.get_model("tasks_app", name)
