"""One soak: a world, a fleet, a producer, a nemesis; then quiet, and the count."""

import heapq
import time
from contextlib import suppress

from redis.exceptions import RedisError

from tasks_app.exceptions import TaskSystemError

from ..faults.database import SqliteFile, migrate
from ..faults.producer import ACKED, REFUSED, UNKNOWN
from ..faults.rig import CALM, UNHANDLED, World, without_failed_tasks
from .fleet import Fleet
from .mix import Mix
from .nemesis import ALL, KILLS, Nemesis

LEASE_SECONDS = 4.0
OPTIONS = CALM | {
    "LEASE_SECONDS": LEASE_SECONDS,
    "RENEW_SECONDS": 0.5,
    "LEADER_SECONDS": 3,
    "GRACE_SECONDS": 3,
    "SCALE_DOWN_SECONDS": 5,
}
TICK_SECONDS = 0.1
MOST_AT_ONCE = 500  # tasks in one call
SAY_SECONDS = 10
QUIET_SECONDS = 180  # for everything to end, once nothing happens any more
CANCEL_SECONDS = 0.5  # after the submit, at the latest


class Soak:
    def __init__(self, options):
        self.options = options
        self.seconds = options.minutes * 60
        self.is_plain = options.tasks > 0
        self.rate = options.tasks / self.seconds if self.is_plain else options.rate
        self.mix = Mix(options.seed, self.is_plain)
        self.accepted = 0  # or perhaps
        self.cancels = []  # heap of (moment, id)
        self.began = time.monotonic()
        self.said_at = 0.0

    def run(self):
        """Return the exit code."""
        self.say(f"seed {self.options.seed}, {self.options.minutes:g} minutes, {self.rate:.0f}/s")
        self.world = world = World(_migrated, options=OPTIONS)
        try:
            self.fleet = Fleet(world, self.options.workers)
            self.fleet.fill()
            line = world.proxy()
            world.producer.broker = world.broker_at(line.through(world.server.url))
            self.lines = [line, *(berth.line for berth in self.fleet.berths)]
            self._suffer()
            wrong = self._count()
            wrong += self._end()
        finally:
            if self.options.keep:
                self.say(f"kept: {world.directory} {[str(p.log_path) for p in world.processes]}")
                world.stop()
            else:
                world.close()
        self.say("FAILED" if wrong else "passed")
        return 1 if wrong else 0

    def say(self, text):
        print(f"{time.monotonic() - self.began:7.1f} {text}", flush=True)

    # --- while it lasts ---

    def _suffer(self):
        self.nemesis = Nemesis(
            self.world, self.fleet, self.lines, seed=self.options.seed, say=self.say,
            faults=KILLS if self.is_plain else ALL,
            pause=self.options.pause, lease_seconds=LEASE_SECONDS,
        )  # fmt: skip
        self.nemesis.start()
        self.from_ = time.monotonic()
        try:
            while not self._is_enough():
                due = self._due()
                self._submit(due)
                self._cancel()
                self._progress()
                if due < MOST_AT_ONCE:
                    time.sleep(TICK_SECONDS)
        finally:
            self.nemesis.stop()

    def _is_enough(self):
        """All tasks are accepted, if their number was given; else the time is up."""
        if self.is_plain:
            return self.accepted >= self.options.tasks
        return time.monotonic() - self.from_ >= self.seconds

    def _due(self):
        """How many tasks to submit now, so that the rate is kept."""
        wanted = (time.monotonic() - self.from_) * self.rate
        if self.is_plain:
            wanted = min(wanted, self.options.tasks)
        return max(0, min(int(wanted) - self.accepted, MOST_AT_ONCE))

    def _submit(self, count):
        if count == 0:
            return
        drawn = self.mix.draw(count)
        ids = self.world.producer.send([message for _, message in drawn])
        if self.world.producer.told[ids[0]] != REFUSED:
            self.accepted += count
        now = time.monotonic()
        for kind, message in drawn:
            if kind == "cancelled":
                moment = now + self.mix.rng.uniform(0, CANCEL_SECONDS)
                heapq.heappush(self.cancels, (moment, message.id))

    def _cancel(self):
        ids = []
        while self.cancels and self.cancels[0][0] <= time.monotonic():
            ids.append(heapq.heappop(self.cancels)[1])
        if ids:
            with suppress(TaskSystemError, RedisError):
                self.world.broker.cancel(ids)

    def _progress(self):
        if time.monotonic() - self.said_at < SAY_SECONDS:
            return
        self.said_at = time.monotonic()
        told = list(self.world.producer.told.values())
        self.say(
            f"submitted {len(told)}: accepted {told.count(ACKED)}, refused {told.count(REFUSED)},"
            f" unknown {told.count(UNKNOWN)}; started {self.world.starts()}"
        )

    # --- afterwards ---

    def _count(self):
        """Wait until everything is over, and count. Return what is wrong."""
        wrong = [f"the nemesis: {self.nemesis.failed!r}"] if self.nemesis.failed else []
        self.say(f"quiet; there was {dict(self.nemesis.done)}")
        self.fleet.fill()
        until = time.monotonic() + QUIET_SECONDS
        while not self._is_over() and time.monotonic() < until:
            time.sleep(0.2)
        seconds = time.monotonic() - self.from_
        verdict = self.world.balance()
        told = self.world.producer.told
        numbers = ", ".join(f"{name} {number}" for name, number in verdict.numbers().items())
        self.say(f"{len(told)} tasks in {seconds:.0f} s, {len(told) / seconds:.0f}/s: {numbers}")
        audit = self.world.command("audit", "--seconds", "2")
        self.say(f"audit: {audit.stdout.strip()} {audit.stderr.strip()}")
        wrong += verdict.wrong + ([] if audit.returncode == 0 else ["the audit"])
        self._tell(wrong)
        return wrong

    def _is_over(self):
        """Whether no task is open; the broker itself is asked, since it knows all that are."""
        try:
            stats = self.world.broker.stats()
            held = self.world.broker.link.call("KEYS", "*:held:*")
        except (TaskSystemError, RedisError):
            return False
        return not (stats.ready or stats.scheduled or stats.unrecorded or held)

    def _end(self):
        """End all in order. Return what was wrong with it."""
        wrong = []
        try:
            self.world.stop()
        except AssertionError as error:
            wrong.append(str(error))
        for process in self.world.processes:
            if said := UNHANDLED.search(without_failed_tasks(process.log)):
                there = process.log[max(0, said.start() - 500) : said.end() + 3000]
                wrong.append(f"{process.words} said: {there}")
        wrong += [f"still there: {left}" for left in self.world.left()]
        self._tell(wrong)
        return wrong

    def _tell(self, wrong):
        for sentence in wrong[:20]:
            self.say(f"WRONG {sentence}")


def _migrated(directory):
    database = SqliteFile(directory / "world.sqlite3")
    migrate(database.url, directory)
    return database
