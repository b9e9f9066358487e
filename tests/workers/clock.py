"""A moment that stands still, for services that take a clock."""


class Clock:
    """Microseconds since the epoch; a test moves ``us``."""

    def __init__(self, us):
        self.us = us

    def __call__(self):
        return self.us
