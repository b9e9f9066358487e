"""Tasks outside a ``tasks`` module: one is imported there, others are found by no path."""

from tasks_app.compat import task


@task
def elsewhere():
    """Be found where I am imported."""
    return "found"


@task
def unlisted(value):
    """Be in no ``tasks`` module, as other people's apps have them."""
    return value


def _hidden():
    """Be found under no name."""


hidden = task(_hidden)
nameless = task(lambda: 0)


class Holder:
    @staticmethod
    @task
    def held():
        """Live where no module path leads."""


def nested():
    """A function that Django makes no task of."""

    def inner():
        """Be nested."""

    return inner
