"""What the producer of a soak submits: a little of everything."""

import random

from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.message import now_us
from tasks_app.registry import get

SECOND = 1_000_000  # microseconds

# Kind -> how often among a thousand.
MIX = {
    "short": 660,
    "coroutine": 80,
    "failing": 90,
    "delayed": 50,
    "cancelled": 50,
    "expiring": 30,
    "long": 20,
    "big": 10,
    "overlong": 6,
    "stuck": 2,
    "poison": 2,
}


class Mix:
    """Draws tasks at random, the same ones for the same seed."""

    def __init__(self, seed, is_plain=False):
        self.rng = random.Random(seed)
        self.is_plain = is_plain  # only short tasks

    def draw(self, count):
        """So many messages, each with its kind."""
        kinds = ["short"] * count
        if not self.is_plain:
            kinds = self.rng.choices(list(MIX), list(MIX.values()), k=count)
        return [(kind, message_of(getattr(self, f"_{kind}")())) for kind in kinds]

    def _request(self, name, *args, **options):
        level = self.rng.choice([-50, 0, 0, 0, 50])
        options = {"priority": level, **options}
        return TaskRequest(type=get(f"tests.sample.effects.{name}"), args=args, **options)

    def _short(self):
        return self._request("effect")

    def _coroutine(self):
        return self._request("effect_in_coroutine", self.rng.uniform(0, 0.1))

    def _failing(self):
        return self._request("effect_after_failures", self.rng.randint(1, 4))

    def _delayed(self):
        return self._request("effect", run_after_us=self._in_seconds(0, 5))

    def _cancelled(self):
        return self._request("effect", self.rng.uniform(0, 0.3))

    def _expiring(self):
        return self._request("effect", expires_us=self._in_seconds(0.05, 2), priority=-90)

    def _long(self):
        return self._request("effect", self.rng.uniform(0.5, 2.5))

    def _big(self):
        return self._request("effect_with_result", f"'x' * {self.rng.randint(10_000, 900_000)}")

    def _overlong(self):
        return self._request("effect", 60, timeout=0.5, max_attempts=2)

    def _stuck(self):
        return self._request("effect_in_c", 60, timeout=0.5)

    def _poison(self):
        how = self.rng.choice(["killed", "exit", "abort"])
        return self._request("effect_of_poison", how, max_attempts=5)

    def _in_seconds(self, least, most):
        return now_us() + int(self.rng.uniform(least, most) * SECOND)
