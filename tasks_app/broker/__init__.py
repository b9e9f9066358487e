"""The queue in Redis. ``broker()`` is the project's; everything else goes through its methods."""

from .broker import Broker, broker

__all__ = ["Broker", "broker"]
