"""A clock that stands: for the scripts on the server, for our code, and for ``timezone.now()``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from django.conf import settings
from django.utils import timezone

from .. import message
from ..broker import Broker, broker, keys
from ..broker.broker import make_brokers_of
from ..broker.durability import FAST
from ..broker.scripts import Script, assembled
from ..message import moment, now_us, us_of
from . import namespace

CLOCK = (files(__package__) / "clock.lua").read_text()


@cache
def script(name: str) -> Script:
    """An operation that reads its clock from a key of the namespace; all else is as always."""
    return assembled(name, {"clock": CLOCK})


class StoppedBroker(Broker):
    """The broker while the clock stands."""

    def run(self, name: str, shard: int, *arguments: Any, durability: str = FAST) -> Any:
        if durability == FAST:
            return self.link.run(script(name), keys.anchor(shard), *arguments)
        return self.link.run_confirmed(script(name), keys.anchor(shard), *arguments, by=durability)

    def server_time_us(self) -> int:
        return int(self.link.call("GET", keys.key(0, "clock")))


class Clock:
    """Stands until it is told to go on; it never goes back."""

    def __init__(self, us: int):
        self.us = us
        self._write()

    @property
    def now(self) -> datetime:
        """As ``timezone.now()`` says it: without a zone if the project has USE_TZ off."""
        aware = moment(self.us)
        if settings.USE_TZ:
            return aware
        return timezone.make_naive(aware, timezone.get_default_timezone())

    def tick(self, delta: timedelta | float | None = None, **parts: float) -> datetime:
        """Go on by a timedelta, by seconds, or by parts of a timedelta: ``tick(hours=1)``.

        What is due then waits for the next ``drain()``. Return the new moment.
        """
        return self._go_to(self.us + span_us(delta, parts))

    def move_to(self, when: datetime | str) -> datetime:
        """Go on to a moment. Return it."""
        return self._go_to(us_at(when))

    def go_on(self, us: int, until_us: int) -> None:
        """Go on to a moment, at least a millisecond from now, or to ``until_us`` if that is first.

        0: nothing happens before that.
        """
        self._go_to(min(max(us, self.us + 1000), until_us) if us else until_us)

    def _go_to(self, us: int) -> datetime:
        if us < self.us:
            raise ValueError("The clock of a test does not go back.")
        step_ms = us // 1000 - self.us // 1000
        self.us = us
        self._write()
        if step_ms:
            namespace.age(step_ms)
        return self.now

    def _write(self) -> None:
        for shard in keys.shards():
            broker().link.call("SET", keys.key(shard, "clock"), self.us)


def span_us(delta: timedelta | float | None, parts: Mapping[str, float]) -> int:
    """How long that is together, in microseconds."""
    span = timedelta(**parts)
    if delta is not None:
        span += delta if isinstance(delta, timedelta) else timedelta(seconds=delta)
    return span // timedelta(microseconds=1)


def us_at(when: datetime | str) -> int:
    """A moment in microseconds since the epoch; without a zone it is one of the project's."""
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return us_of(when if timezone.is_aware(when) else timezone.make_aware(when))


@contextmanager
def stopped(when: datetime | str | None = None) -> Iterator[Clock]:
    """Stop all clocks at a moment, by default at this one, and let them go on at the end."""
    if message.clock_ns is not _running_ns:
        raise RuntimeError("The clock stands already.")
    clock = Clock(now_us() if when is None else us_at(when))
    now = timezone.now
    try:
        message.clock_ns = lambda: clock.us * 1000
        timezone.now = lambda: clock.now
        make_brokers_of(StoppedBroker)
        yield clock
    finally:
        make_brokers_of(Broker)
        timezone.now = now
        message.clock_ns = _running_ns


_running_ns = message.clock_ns
