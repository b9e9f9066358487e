"""A task type that older workers do not know: their module has nothing of it."""

from django.apps import apps

from tasks_app.compat import task
from tests.sample.effects import counted

if apps.is_installed(__package__):

    @task(takes_context=True)
    def from_newer_code(context):
        """Be run by newer code only."""
        with counted(context) as word:
            return word
