"""What an audit finds: a sentence about one subject, seen twice before it is told."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

KINDS = {
    "G1": "lost: accepted, and nowhere to be run or read",
    "G2": "in the wrong place, or in two",
    "G3": "ended twice, or open again after its end",
    "G4": "held under a token that is not its own",
    "G5": "behind what the database has recorded",
    "G6": "not recorded as it is",
    "G7": "not recovered, promoted or expired in time",
    "G8": "over a bound, or left behind for ever",
    "G9": "attempts that do not add up",
    "G10": "no task, no id, no key as it should be",
}

MOST_REMEMBERED = 1_000_000  # findings; after that one that is seen again counts again

Position = tuple[int, int]  # in the stream of changes: milliseconds and number of an entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, as one look saw it."""

    kind: str  # a word of KINDS
    subject: str  # what it is about: a task's id, an executor, a queue, a key
    code: str  # one word for what is wrong
    said: str  # the rest of the sentence
    at: Hashable = None  # where to look again, if not at the subject
    mark: Hashable = ()  # what must stand still between two looks, for this to be wrong at all
    # Of a change that should have been recorded: where the stream of changes ended after this
    # look, and where it began before it.
    last: Position | None = None
    first: Position | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.subject, self.code

    def confirms(self, before: "Finding") -> bool:
        """Whether it is the same as a look before saw, and nothing has moved since."""
        if self.key != before.key or self.mark != before.mark:
            return False
        # What was written by then has been acknowledged; so the database should have it.
        return before.last is None or (self.first is not None and before.last < self.first)

    def __str__(self) -> str:
        return f"{self.kind} {shown(self.subject)}: {shown(self.said)}"


@dataclass
class Report:
    """All findings counted, and the first of each kind kept."""

    keep: int | None = 20  # of each kind; None: all
    counts: Counter[str] = field(default_factory=Counter)
    kept: dict[str, list[Finding]] = field(default_factory=dict)
    looked_at: Counter[str] = field(default_factory=Counter)  # "redis", "database" -> tasks
    _known: set[int] = field(default_factory=set)

    @property
    def is_clean(self) -> bool:
        return not self.counts

    def add(self, finding: Finding) -> None:
        """Count it, unless it is known already: a scan may show the same thing twice."""
        known = hash(finding.key)
        if known in self._known:
            return
        if len(self._known) < MOST_REMEMBERED:
            self._known.add(known)
        self.counts[finding.kind] += 1
        kept = self.kept.setdefault(finding.kind, [])
        if self.keep is None or len(kept) < self.keep:
            kept.append(finding)

    def lines(self) -> list[str]:
        """The findings by kind, and how many more there are."""
        said = []
        for kind in KINDS:
            kept = self.kept.get(kind, [])
            said += map(str, kept)
            if more := self.counts[kind] - len(kept):
                said.append(f"{kind} … and {more:,} more (--all shows them)")
        return said

    def summary(self) -> str:
        """How many findings there are, and how much was looked at."""
        counts = ", ".join(
            f"{self.counts[kind]:,} of {kind}" for kind in KINDS if self.counts[kind]
        )
        found = f"{self.counts.total():,} findings ({counts})" if counts else "Nothing found"
        redis, database = self.looked_at["redis"], self.looked_at["database"]
        return f"{found} in {redis:,} tasks in Redis and {database:,} in the database"

    def to_json(self) -> dict[str, Any]:
        return {
            "clean": self.is_clean,
            "counts": {kind: self.counts[kind] for kind in KINDS if self.counts[kind]},
            "lookedAt": dict(self.looked_at),
            "findings": [
                {"kind": f.kind, "subject": shown(f.subject), "code": f.code, "said": shown(f.said)}
                for kind in KINDS
                for f in self.kept.get(kind, [])
            ],
        }


def shown(text: str) -> str:
    """The text on one line, whatever somebody has put into a key."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
                   for c in text)  # fmt: skip
