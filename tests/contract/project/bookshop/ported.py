"""Tasks by the backport `django_tasks`, as Wagtail declares them on every version of Django."""

from django_tasks import task


@task
def scan(what):
    """Scan something."""
    return f"scanned {what}"


@task(takes_context=True)
def scan_with_context(context):
    """Return the number of the attempt."""
    return context.attempt
