"""What happens to a soak: one fault after the other, drawn at random from a seed."""

import random
import signal
import threading
from collections import Counter

from redis.exceptions import RedisError

from tasks_app.exceptions import TaskSystemError

from .fleet import kill

# Fault -> how often among all.
KILLS = {
    "kill_executor": 8,
    "kill_supervisor": 4,
    "kill_coordinator": 2,
    "kill_redis": 3,
    "drop_replies": 3,
}
ALL = KILLS | {
    "kill_guard": 1,
    "kill_host": 2,
    "stop_briefly": 2,
    "stop_for_long": 2,
    "deploy": 3,
    "flush_scripts": 2,
    "cut": 2,
    "slow_down": 1,
    "lock_database": 1,
}


class Nemesis(threading.Thread):
    """Does one thing every ``pause`` seconds, until told to stop; then heals everything."""

    def __init__(self, world, fleet, lines, *, seed, faults, pause, lease_seconds, say):
        super().__init__(name="nemesis")
        self.world, self.fleet = world, fleet
        self.lines = lines  # to Redis: the producer's, and one of each berth
        self.done = Counter()
        self.failed = None  # a mistake of its own
        self._rng = random.Random(seed)
        self._faults, self._pause, self._lease, self._say = faults, pause, lease_seconds, say
        self._stopping = threading.Event()

    def stop(self):
        self._stopping.set()
        self.join()

    def run(self):
        try:
            while not self._stopping.wait(self._rng.uniform(0.5, 1.5) * self._pause):
                (name,) = self._rng.choices(list(self._faults), list(self._faults.values()))
                self._say(f"nemesis: {name.replace('_', ' ')}")
                getattr(self, name)()
                self.done[name] += 1
                self.fleet.fill()
        except Exception as error:  # noqa: BLE001 (told at the end)
            self.failed = error

    def _one(self, role):
        return self._rng.choice(self.fleet.pids(role) or [None])

    def _kill_one(self, role):
        if (pid := self._one(role)) is not None:
            kill(pid)

    def kill_executor(self):
        self._kill_one("executor")

    def kill_coordinator(self):
        self._kill_one("coordinator")

    def kill_guard(self):
        self._kill_one("guard")

    def kill_supervisor(self):
        berth = self._rng.choice(self.fleet.berths)
        if berth.worker.is_alive:
            berth.worker.signal(signal.SIGKILL)
            berth.worker.popen.wait()

    def kill_host(self):
        self.world.kill_host(self._rng.choice(self.fleet.berths).worker)

    def kill_redis(self):
        self.world.end_server()
        self._stopping.wait(self._rng.choice([0, 0, 0.5]))
        self.world.server.start()

    def stop_briefly(self):
        self._stop_for(0.5 * self._lease)

    def stop_for_long(self):
        self._stop_for(1.5 * self._lease)

    def _stop_for(self, seconds):
        worker = self._rng.choice(self.fleet.berths).worker
        with self.world.stopped(worker):
            self._stopping.wait(seconds)

    def deploy(self):
        """Replace one worker by the next, in order; the old one ends while the next is there."""
        berth = self._rng.choice(self.fleet.berths)
        old, berth.worker = berth.worker, None
        berth.fill()
        if old.is_alive:
            old.signal(signal.SIGTERM)

    def flush_scripts(self):
        try:
            self.world.broker.link.call("SCRIPT", "FLUSH")
        except (TaskSystemError, RedisError):
            self.done["flush_scripts"] -= 1

    def cut(self):
        line = self._rng.choice(self.lines)
        line.cut()
        self._stopping.wait(self._rng.choice([0.3, 0.5, 1.5]) * self._lease)
        line.heal()

    def drop_replies(self):
        self._rng.choice(self.lines).drop_replies(self._rng.randint(1, 5))

    def slow_down(self):
        line = self._rng.choice(self.lines)
        line.delay_seconds = self._rng.choice([0.02, 0.2])
        self._stopping.wait(2.0)
        line.heal()

    def lock_database(self):
        with self.world.database.lock():
            self._stopping.wait(2.0)
