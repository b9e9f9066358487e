"""A module of the project that is in no app."""

from bookshop.api import task


@task
def wander(steps):
    """Return what came in, from beside the apps."""
    return steps
