"""The coordinator: the singleton duties, run as threads by whoever holds the lead."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from django.db import connections

from tasks_app.broker import Broker, broker
from tasks_app.broker.answers import Lead
from tasks_app.broker.connection import GuardedLink
from tasks_app.conf import conf

from ..service import Service
from .leader import Candidate
from .services.operations import Operations
from .services.promoter import Promoter
from .services.pruner import Pruner
from .services.reaper import Reaper
from .services.reconciler import Reconciler
from .services.recorder import Recorder
from .services.registrar import Registrar
from .services.sampler import Sampler
from .services.scheduler import Scheduler
from .services.surveyor import Surveyor
from .services.sweeper import Sweeper

logger = logging.getLogger(__name__)

BIDS_A_LEASE = 3  # so that one that is late, or lost, does not cost the lead
LONGEST_BID_SECONDS = 1.0  # between two, so that a leader that is gone is soon followed
BID_AGAIN_SECONDS = 0.2  # while Redis does not answer: somebody has to open the gate soon
STOP_SECONDS = 10.0  # for all services together to end their ticks
LOOK_SECONDS = 0.2  # between two looks at what the signal handlers noted
HUNG_SECONDS = 30.0  # a tick that takes longer is worth a line in the log, again and again


class Team:
    """The services of one term, each in a thread."""

    def __init__(self, services: Iterable[Service]):
        self._threads = {
            service: threading.Thread(target=service.run, name=service.name, daemon=True)
            for service in services
        }
        self._warned_at = 0.0

    def start(self) -> None:
        for thread in self._threads.values():
            thread.start()

    def stop(self) -> bool:
        """Ask all to end, and wait. Return False if one did not."""
        for service in self._threads:
            service.stop()
        until = time.monotonic() + STOP_SECONDS
        for service, thread in self._threads.items():
            if thread.is_alive():
                thread.join(max(until - time.monotonic(), 0.0))
            if thread.is_alive():
                logger.error("event=service_does_not_end service=%s", service.name)
        return not any(thread.is_alive() for thread in self._threads.values())

    def is_whole(self) -> bool:
        """Whether every service still runs."""
        return all(thread.is_alive() for thread in self._threads.values())

    def has_lost_lead(self) -> bool:
        """Whether a service was told that a later term has begun."""
        return any(service.has_lost_lead for service in self._threads)

    def warn_of_hung(self) -> None:
        """Log services whose tick takes very long."""
        if time.monotonic() - self._warned_at < HUNG_SECONDS:
            return
        for service in self._threads:
            if (seconds := service.busy_seconds()) > HUNG_SECONDS:
                logger.error("event=service_hangs service=%s seconds=%.0f", service.name, seconds)
                self._warned_at = time.monotonic()


class Coordinator(Service):
    """Bids for the lead; has a team at work exactly as long as it leads."""

    def __init__(self, name: str, queue: Broker, stopping: threading.Event | None = None):
        super().__init__(stopping)
        self._broker = queue
        self._candidate = Candidate(name, queue)
        # The team may do nothing on a server that came back with less than it had.
        self._guarded = Broker(GuardedLink(queue.link.url, timeout=queue.link.timeout))
        self._lead: Lead | None = None
        self._team: Team | None = None

    @property
    def is_leading(self) -> bool:
        return self._team is not None

    def tick(self) -> float:
        """Bid, and start or stop the team accordingly; return the pause before the next bid."""
        lead = self._candidate.bid()
        if self._team and self._team.has_lost_lead() and lead is self._lead:
            self._candidate.abdicate()  # only a new term is higher than the one that was seen
            lead = self._candidate.bid()
        if self._team and (lead is not self._lead or not self._team.is_whole()):
            self._stop_team()
        if lead and not self._team:
            self._start_team(lead)
        if self._team:
            self._team.warn_of_hung()
        pause = bid_seconds()
        return pause if self._candidate.is_answered else min(BID_AGAIN_SECONDS, pause)

    def close(self) -> None:
        """Stop the team, record what is left, and let somebody else lead."""
        if self._team is None:
            return
        if self._stop_team():
            self._record_the_rest()
            self._candidate.abdicate()  # else the lease runs out: what hangs may still act
        self._guarded.link.close()

    def _start_team(self, lead: Lead) -> None:
        self._lead, self._team = lead, Team(services(self._broker, self._guarded, lead))
        self._team.start()
        logger.info("event=leading coordinator=%s term=%d", self._candidate.name, lead.term)

    def _stop_team(self) -> bool:
        team, self._team = self._team, None
        ended = team.stop()
        logger.info("event=not_leading coordinator=%s", self._candidate.name)
        return ended

    def _record_the_rest(self) -> None:
        """So that the history is complete when everything has been stopped in order."""
        recorder = Recorder(self._guarded.under(self._lead.term))
        until = time.monotonic() + STOP_SECONDS
        while recorder.attempt() == 0 and time.monotonic() < until:
            pass
        connections.close_all()


def bid_seconds() -> float:
    """The pause between two bids, well within the leader's lease."""
    return min(conf().leader_seconds / BIDS_A_LEASE, LONGEST_BID_SECONDS)


def services(queue: Broker, guarded: Broker, lead: Lead) -> list[Service]:
    """The duties of a leader, each under its term: a later leader's Redis refuses what they do."""
    leaders, turn = guarded.under(lead.term), threading.Lock()
    return [
        Reconciler(queue.under(lead.term), turn),  # alone goes through the gate: it opens it
        Recorder(leaders, turn),
        Promoter(leaders),
        Reaper(leaders, lead),
        Sampler(leaders),
        Registrar(leaders),
        Surveyor(leaders),
        Sweeper(leaders),
        Scheduler(leaders),
        Operations(leaders),
        Pruner(leaders),
    ]


def serve(name: str, stopping: threading.Event) -> None:
    """Be a candidate, and the coordinator whenever it leads, until ``stopping`` is set."""
    coordinator = Coordinator(name, broker(), stopping)
    try:
        coordinator.run()
    finally:
        coordinator.close()


def main(
    name: str,
    *,
    stop_on: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Serve until one of the signals, or ``until()``; the main function of a process."""
    asked: list[int] = []  # not an Event: a handler that sets one can deadlock with its waiter
    for number in stop_on:
        signal.signal(number, lambda number, frame: asked.append(number))
    gc.freeze()  # what is imported stays: the collector need not look at it again
    stopping = threading.Event()
    server = threading.Thread(target=serve, args=(name, stopping), name="coordinator")
    server.start()
    while server.is_alive() and not asked and not until():
        server.join(LOOK_SECONDS)
    stopping.set()
    server.join()


def main_in_child(name: str) -> None:
    """The same for a worker's child: until SIGTERM, or until the parent is gone.

    Ctrl-C reaches the whole process group. The child leaves it to its parent to say when it is
    time, so that what the last tasks did is still recorded.
    """
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(name, stop_on=[signal.SIGTERM], until=lambda: os.getppid() != parent)
