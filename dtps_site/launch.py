"""What ``manage.py up`` does: prepare, start everything, look after it, stop it in order."""

import http.client
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command

from tasks_app.broker import broker
from tasks_app.conf import conf
from workers_app.agent.kept import become
from workers_app.embedded import server as embedded
from workers_app.foreground import asked_to_end
from workers_app.supervisor.rebirth import AGAIN

from .preparation import (
    ADMIN,
    check_redis,
    listen,
    make_admin,
    prepare_database,
    private_directory,
)
from .processes import Child, stop

LOOK_SECONDS = 0.05  # between two looks at the children
CHECK_SECONDS = 2.0  # between two looks at the embedded server
PATIENCE_SECONDS = 60  # for web and worker to come up
STOP_SECONDS = 15  # for a process to end, beyond what its tasks may take
MOST_FAILURES = 5  # quick ones in a row, after which a process is given up

TRY = """
  {address}/        the live page
  {address}/admin/  log in as {login}
  {address}/api/docs

Try next, in another terminal:

  curl {address}/api/tasks/submit -H 'Content-Type: application/json' \\
       -d '{{"taskType": "wordcount", "payload": "to be or not to be", "priority": 8}}'
  curl '{address}/api/tasks/status?id=<the taskId of the answer>'
  curl {address}/api/workers/start -H 'Content-Type: application/json' -d '{{"poolSize": 2}}'
  curl {address}/api/metrics

Logs: {logs}. Ctrl-C stops everything and loses nothing.
Ready after {seconds:.1f} s."""


class Stopped(Exception):
    """Somebody asked for an end while things were still going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start."""

    host: str
    port: int
    pool_size: int
    feed_rate: float  # demo tasks a second; 0: none


class Launch:
    """One run of ``manage.py up``."""

    def __init__(self, plan: Plan, say: Callable[[str], None]):
        self.plan = plan
        self.say = say
        self.began_at = time.monotonic()
        self.checked_at = self.began_at
        self.asked = asked_to_end()
        self.listener = listen(plan.host, plan.port)
        self.logs = settings.VAR_DIR / "log"
        self.web = self._child("web", self._serve)
        self.agent = self._child("agent", partial(self._command, "runagent"))
        self._worker_words = ["--pool-size", str(plan.pool_size)]
        self.worker = self._child(
            "worker", partial(self._command, "runworker", *self._worker_words)
        )
        self.feed = self._child(
            "feed", partial(self._command, "feed", "--rate", str(plan.feed_rate))
        )
        self.children = [self.web, self.worker, self.agent]

    def run(self) -> None:
        """Return once everything was asked to end, and has. Raise CommandError."""
        try:
            password = self._prepare()
            self.worker.start()
            self.agent.start()
            self._wait_until_ready()
            self._tell_what_to_try(password)
            if self.plan.feed_rate:
                self.children.append(self.feed)
                self.feed.start()
            while True:
                self._look_after()
        except Stopped:
            self.say("\nStopping; what runs may finish. A second Ctrl-C hastens it.")
        finally:
            self._stop()
        self.say("Stopped. Everything is kept for the next start.")

    def _prepare(self) -> str:
        """Return the new administrator's password, if one was made."""
        private_directory(settings.VAR_DIR)
        private_directory(self.logs)
        for child in (*self.children, self.feed):
            child.log.unlink(missing_ok=True)
        self.web.start()  # it takes longest, and nobody has its address yet
        self.say("Starting the embedded Redis ..." if embedded.places() else "Asking Redis ...")
        embedded.ensure()
        check_redis()
        self._pause_or_stop()
        self.say("Bringing the database up to date ...")
        prepare_database()
        password = make_admin()
        if not settings.DEBUG:  # else they are served from where they lie
            call_command("collectstatic", interactive=False, verbosity=0)
        self._pause_or_stop()
        self.say("Starting worker and agent ...")
        return password

    def _child(self, name: str, work: Callable[[], None]) -> Child:
        return Child(name, work, self.logs / f"{name}.log")

    def _serve(self) -> None:
        """Become the web process: a new program, as a reactor of Twisted survives no fork."""
        os.set_inheritable(self.listener.fileno(), True)
        words = ["--fd", str(self.listener.fileno()), "--verbosity", "0", "--no-server-name"]
        words += ["--application-close-timeout", "2", "dtps_site.asgi:application"]
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # from any directory
        command = [sys.executable, "-m", "daphne", *words]
        os.execve(sys.executable, command, {**os.environ, **path})  # noqa: S606 (our own words)

    def _command(self, *words: str) -> None:
        """Be a process that runs one of our commands."""
        self.listener.close()
        call_command(*words)

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (self._is_worker_ready() and self._is_web_ready()):
            self._look_after()
            if time.monotonic() > until:
                raise CommandError(
                    f"Web and worker did not come up within {PATIENCE_SECONDS} s; see {self.logs}."
                )

    def _is_web_ready(self) -> bool:
        # The port is ours already, so this waits for the answer; any answer will do.
        line = http.client.HTTPConnection(self._reachable_host(), self.plan.port, timeout=1)
        with suppress(OSError, http.client.HTTPException):
            line.request("GET", "/api/metrics")
            return line.getresponse().status > 0
        return False

    def _is_worker_ready(self) -> bool:
        workers = broker().fleet.workers().values()
        return any(each.is_alive and each.said.get("pid") == self.worker.pid for each in workers)

    def _reachable_host(self) -> str:
        return "127.0.0.1" if self.plan.host == "0.0.0.0" else self.plan.host  # noqa: S104

    def _look_after(self) -> None:
        """One round: start again what died, unless that is in vain."""
        for child in self.children:
            if child.died():
                self._follow(child)
            elif child.is_due():
                child.start()
        if time.monotonic() - self.checked_at > CHECK_SECONDS:
            embedded.ensure()  # in case that somebody killed its guardian
            self.checked_at = time.monotonic()
        self._pause_or_stop()

    def _follow(self, child: Child) -> None:
        """Start the worker anew if that is what it was told to do; else something went wrong."""
        if child is not self.worker or child.code != AGAIN:
            self._mourn(child)
            return
        child.work = partial(become, self._worker_words)  # with the code that is there now
        child.start()
        self.say("The worker begins anew.")

    def _mourn(self, child: Child) -> None:
        pause = child.plan_again()
        if child.failures >= MOST_FAILURES or (child is self.web and child.failures > 1):
            raise CommandError(
                f"The {child.name} process does not stay up. The end of {child.log}:\n"
                f"{child.last_words()}"
            )
        how = child.how_it_died()
        self.say(f"The {child.name} process died ({how}); starting it again in {pause:.1f} s.")

    def _pause_or_stop(self) -> None:
        if self.asked:
            raise Stopped
        time.sleep(LOOK_SECONDS)

    def _stop(self) -> None:
        """First who brings work, then who serves, then who works, the server last."""
        stop([self.feed], self.asked, STOP_SECONDS)
        stop([self.web], self.asked, STOP_SECONDS)
        self.listener.close()
        stop([self.agent, self.worker], self.asked, conf().grace_seconds + STOP_SECONDS)
        embedded.leave()

    def _tell_what_to_try(self, password: str) -> None:
        python = near(Path(sys.executable))
        reset = f"for a new password: {python} {Path(sys.argv[0]).name} changepassword {ADMIN}"
        login = f"{ADMIN} with the password {password} (shown this once)"
        self.say(
            TRY.format(
                address=f"http://{self._reachable_host()}:{self.plan.port}",
                login=login if password else f"{ADMIN} ({reset})",
                logs=near(self.logs),
                seconds=time.monotonic() - self.began_at,
            )
        )


def near(path: Path) -> Path:
    """The path as one types it from here, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
