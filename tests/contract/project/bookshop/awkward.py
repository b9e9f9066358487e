"""Tasks that are found by no path."""

from .api import task


def _hidden():
    """Be a task under another name."""


hidden = task(_hidden)
nameless = task(lambda: 0)


class Shelf:
    """Where no module path leads."""

    @staticmethod
    @task
    def stacked():
        """Be in a class."""
