"""A task type that older workers do not know."""

from tasks_app.compat import task
from tests.sample.effects import counted


@task(takes_context=True)
def from_newer_code(context):
    """Be run by newer code only."""
    with counted(context) as word:
        return word
