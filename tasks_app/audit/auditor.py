"""The audit: goes over everything once, and looks again at whatever seemed wrong."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..broker import Broker, keys
from ..slices import slices
from .findings import Finding, Report
from .live import STEP, Live
from .probe import Probe
from .probes import probes
from .record import Record

SETTLE_SECONDS = 2.0
MOST_SUSPECTS = 20_000  # kept in memory before they are looked at again
ROUNDS = 5  # of looks at what moves; what moves all the time is not stuck


class Suspect(NamedTuple):
    """What a first look found."""

    probe: Probe
    finding: Finding


class Auditor:
    """Only reads, and stops nobody; ``say`` is called now and then with a word on how far it is."""

    def __init__(
        self,
        broker: Broker,
        report: Report,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        say: Callable[[str], None] = lambda said: None,
    ):
        self._broker = broker
        self._shards = [Live(broker, shard) for shard in keys.shards()]
        self._record = Record()
        self._report = report
        self._settle_seconds = max(settle_seconds, 0.0)
        self._say = say
        self._suspects: list[Suspect] = []
        self._seen_at = 0.0  # the last of them

    def notes(self) -> Iterator[str]:
        """What makes findings less alarming than they look. Raise QueueUnavailable."""
        gate = self._broker.gate()
        if gate and gate != self._broker.run_id():
            yield (
                "Redis has been started again and no leader has looked at it yet; what is found "
                "may be what it puts right"
            )

    def run(self) -> None:
        """Fill the report. Raise QueueUnavailable, RedisError or a database's error."""
        for probe in probes(self._shards, self._record):
            for subjects in probe.subjects():
                self._first_look(probe, subjects)
                if probe.counts:
                    self._count(probe.counts, len(subjects))
                if len(self._suspects) >= MOST_SUSPECTS:
                    self._confirm()
        self._confirm()

    def _count(self, where: str, tasks: int) -> None:
        self._report.looked_at[where] += tasks
        self._say(f"looked at {self._report.looked_at[where]:,} tasks in {where}")

    def _first_look(self, probe: Probe, subjects: Sequence) -> None:
        for finding in probe.look(subjects):
            self._suspects.append(Suspect(probe, finding))
            self._seen_at = time.monotonic()

    def _confirm(self) -> None:
        """Look again; what is different by then is looked at once more."""
        for _ in range(ROUNDS):
            if not self._suspects:
                return
            self._say(f"looking again at {len(self._suspects):,}")
            time.sleep(max(self._seen_at + self._settle_seconds - time.monotonic(), 0.0))
            suspects, self._suspects = self._suspects, []
            for probe, findings in _by_probe(suspects).items():
                for some in slices(findings, STEP):
                    self._second_look(probe, some)
        self._suspects = []

    def _second_look(self, probe: Probe, before: Sequence[Finding]) -> None:
        known = {finding.key: finding for finding in before}
        places = dict.fromkeys(f.subject if f.at is None else f.at for f in before)
        for finding in probe.look(list(places)):
            first = known.get(finding.key)
            if first is None:
                continue
            if finding.confirms(first):
                self._report.add(finding)
                continue
            # Of a task that stood still the first look tells what should be recorded by now.
            has_moved = first.mark != finding.mark
            self._suspects.append(Suspect(probe, finding if has_moved else first))
            self._seen_at = time.monotonic()


def _by_probe(suspects: Sequence[Suspect]) -> dict[Probe, list[Finding]]:
    found = defaultdict(list)
    for probe, finding in suspects:
        found[probe].append(finding)
    return found
