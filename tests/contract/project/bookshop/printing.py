"""A task that stands in no `tasks` module: Django finds it by its path, wherever that is."""

from .api import task


@task
def bind(pages):
    """Bind some pages."""
    return f"{pages} pages"
